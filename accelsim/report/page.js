"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);

  /* Text and grid follow the page's theme; everything else stands in the figure. */
  function template() {
    const read = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const family = getComputedStyle(document.body).fontFamily;
    const [text, line, panel] = [read("--text"), read("--line"), read("--panel")];
    const axis = {
      gridcolor: read("--grid"), linecolor: line, zerolinecolor: line, tickcolor: line, ticks: "outside", ticklen: 4,
      title: { font: { size: 12.5 } },
    };
    return {
      layout: {
        font: { family, size: 12, color: text },
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: axis, yaxis: axis,
        hoverlabel: { bgcolor: panel, bordercolor: line, font: { family, color: text, size: 12 } },
        modebar: { orientation: "v", bgcolor: panel, color: line, activecolor: read("--muted") },
        legend: { font: { size: 12 } },
        colorscale: { sequential: [[0, read("--heat-low")], [0.5, read("--heat-mid")], [1, read("--heat-high")]] },
      },
    };
  }

  const options = (timed) => ({
    responsive: true, displaylogo: false,
    modeBarButtons: [timed ? ["toImage", "zoom2d", "pan2d", "resetScale2d"] : ["toImage", "resetScale2d"]],
  });
  const inTime = [];
  let following = false;

  /* Figures over time show the same span: zooming into one zooms all. */
  function follow(source, change) {
    if (following) return;
    const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    const range = change["xaxis.range"] ?? (from === undefined ? undefined : [from, to]);
    if (!range && !change["xaxis.autorange"]) return;
    const update = range ? { "xaxis.range": range } : { "xaxis.autorange": true };
    const others = inTime.filter((place) => place !== source);
    following = true;
    Promise.all(others.map((place) => Plotly.relayout(place, update))).finally(() => {
      following = false;
    });
  }

  function draw(id) {
    const place = document.getElementById(id);
    const { data, layout } = figures[id];
    const timed = place.dataset.axis === "time";
    return Plotly.newPlot(place, data, { ...layout, template: template() }, options(timed)).then(() => {
      if (!timed) return;
      inTime.push(place);
      place.on("plotly_relayout", (change) => follow(place, change));
    });
  }

  /* One after the other, so that the page answers while it fills. */
  const waiting = Object.keys(figures);
  function next() {
    const id = waiting.shift();
    if (id) draw(id).then(() => setTimeout(next, 0));
  }
  next();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const id of Object.keys(figures)) Plotly.relayout(id, { template: template() });
  });

  for (const bar of document.querySelectorAll(".switch")) makeSwitch(bar);

  /* One button per trace: the pressed one's is shown. */
  function makeSwitch(bar) {
    const place = document.getElementById(bar.dataset.figure);
    const buttons = Array.from(bar.querySelectorAll("button"));
    const { data } = figures[bar.dataset.figure];
    buttons.forEach((button, chosen) => {
      button.addEventListener("click", () => {
        buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
        data.forEach((trace, index) => {
          trace.visible = index === chosen;
        });
        if (place.data) Plotly.restyle(place, { visible: data.map((trace) => trace.visible) });
      });
    });
  }

  for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);

  function makeSortable(table) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const heads = Array.from(table.tHead.rows[0].cells);
    const key = (row, column) => {
      const cell = row.cells[column];
      if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
      return heads[column].classList.contains("text") ? cell.textContent : -Infinity;
    };
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const text = head.classList.contains("text");
        const now = head.getAttribute("aria-sort");
        const down = now ? now === "ascending" : !text;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const sign = down ? -1 : 1;
        const compare = (a, b) => {
          if (typeof a === "string") return a.localeCompare(b, undefined, { numeric: true });
          return a === b ? 0 : a - b;
        };
        rows.sort((a, b) => sign * compare(key(a, column), key(b, column)));
        body.append(...rows);
      });
    });
    const bar = document.querySelector(`.bar[data-for="${table.id}"]`);
    if (!bar) return;
    const input = bar.querySelector("input");
    const count = bar.querySelector("span");
    const shown = () => rows.filter((row) => !row.hidden);
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      for (const row of rows) row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
      count.textContent = `${shown().length} of ${rows.length} ${bar.dataset.noun}`;
    });
    bar.querySelector("button").addEventListener("click", () => {
      const quote = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
      const lines = [heads.map((head) => head.dataset.key)];
      for (const row of shown()) lines.push(Array.from(row.cells, (cell) => cell.dataset.v ?? cell.textContent));
      const text = lines.map((line) => line.map(quote).join(",")).join("\r\n") + "\r\n";
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      link.download = `${table.dataset.name}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
})();
