from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from sample_run import make_run

from accelsim.report import tables

if TYPE_CHECKING:
    from accelsim.result import RunResult


def _lines(run: RunResult, width: int) -> list[str]:
    text = io.StringIO()
    console = Console(file=text, width=width, markup=False, highlight=False)
    console.print(tables.run_summary(run, width))
    return text.getvalue().splitlines()


@pytest.fixture(scope="module")
def long_names() -> RunResult:
    return make_run([f"/model/stage{i}/block{i}/with_a_long_name/Conv_{i}" for i in range(60)], steps=30)


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_every_line_fits_and_no_number_is_cut(long_names: RunResult, width: int) -> None:
    lines = _lines(long_names, width)
    assert max(map(len, lines)) <= width
    slowest = max(long_names.layer_results, key=lambda row: row.total_cycles)
    row = next(line for line in lines if f"{slowest.total_cycles:,}" in line)
    assert "…" not in row[len(row) // 2 :]
    assert row.rstrip().endswith(tuple("0123456789"))


def test_a_long_network_shows_the_slowest_and_sums_up_the_rest(long_names: RunResult) -> None:
    lines = _lines(long_names, 120)
    assert "20 slowest of 60 layers" in lines
    slowest = sorted((row.total_cycles for row in long_names.layer_results), reverse=True)
    rest = next(line for line in lines if line.startswith("... 40 more"))
    assert f"{sum(slowest[20:]):,}" in rest
    assert sum(" conv " in line or " pool " in line or " gemm " in line for line in lines) == 20


def test_a_short_network_shows_all_its_layers_in_order() -> None:
    lines = _lines(make_run(5, steps=3), 120)
    assert [line.split()[0] for line in lines if line.startswith("layer0")] == [f"layer00{i}.conv" for i in range(5)]
    assert not any("more" in line for line in lines)


def test_fused_layers_are_counted_but_not_listed() -> None:
    lines = _lines(make_run(5, steps=3, fused=True), 120)
    assert "5 layers (5 more ride on these or move no data)" in lines
    assert not any("relu" in line for line in lines)


def test_headline_figures_carry_their_units() -> None:
    run = make_run(5, steps=3)
    text = "\n".join(_lines(run, 100))
    for expected in (f"{run.totals.total_cycles:,} cycles at 700 MHz", "frames/s", "TOPS/W", "GB/s peak", "batch 1"):
        assert expected in text
    assert f"{run.totals.compute_utilization:.1%}" in text


def test_components_are_named_with_their_shares() -> None:
    line = next(line for line in _lines(make_run(5, steps=3), 200) if line.startswith("Energy by component"))
    shares = [float(part.rsplit(" ", 1)[1].rstrip("%")) for part in line.split(": ")[1].split(", ")]
    assert sum(shares) == pytest.approx(100, abs=0.4)
    assert "PE array" in line


def test_names_cannot_steer_the_terminal() -> None:
    text = "\n".join(_lines(make_run(["\x1b[31mred\nline", "[bold]x[/bold]"], steps=2), 120))
    assert "\x1b" not in text
    assert "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}line" in text
    assert "[bold]x[/bold]" in text


def test_into_a_pipe_it_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert tables.make_console(io.StringIO()).width == 120
    monkeypatch.setenv("COLUMNS", "90")
    assert tables.make_console(io.StringIO()).width == 90
