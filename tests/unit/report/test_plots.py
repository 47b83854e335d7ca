from __future__ import annotations

import json
import math
from dataclasses import replace

import plotly.graph_objects as go
import pytest
from sample_run import make_run

from accelsim.report import labels, layer_figures, plots, time_figures, time_plots
from accelsim.report.comparison import compare
from accelsim.report.html import render_report
from accelsim.report.layer_figures import Roofline, RooflinePoint
from accelsim.result import Machine, RunResult


def _figures(run: RunResult) -> dict[str, plots.Figure]:
    assert run.profile is not None
    bandwidth = time_figures.bandwidth_over_time(run, run.profile)
    assert bandwidth is not None
    end = time_figures.latency_ps(run)
    return {
        "cycles": plots.draw_cycles(layer_figures.cycles_per_layer(run)),
        "energy": plots.draw_energy_per_layer(layer_figures.energy_per_layer(run)),
        "actions": plots.draw_energy_actions(layer_figures.energy_actions(run)),
        "roofline": plots.draw_roofline(layer_figures.roofline(run)),
        "timeline": time_plots.draw_timeline(time_figures.timeline(run, run.profile)),
        "bandwidth": time_plots.draw_bandwidth(bandwidth),
        "occupancy": time_plots.draw_occupancy(time_figures.buffer_occupancies(run, run.profile), end),
    }


@pytest.mark.parametrize("layers", [1, 3, 50])
def test_plotly_accepts_every_figure(layers: int) -> None:
    for figure in _figures(make_run(layers)).values():
        json.dumps(figure, allow_nan=False)
        go.Figure(figure)  # raises on any property that Plotly does not know


def test_stacked_bars_add_up_to_the_cycles() -> None:
    run = make_run(20)
    figure = _figures(run)["cycles"]
    heights = [sum(values) for values in zip(*(trace["y"] for trace in figure["data"]), strict=True)]
    assert heights == [layer.total_cycles for layer in run.layer_results]


def test_ideal_memory_has_a_flat_roof_and_no_peak_line() -> None:
    run = make_run(4)
    run = replace(run, machine=Machine(700.0, 1024, math.inf))
    figures = _figures(run)
    assert set(figures["roofline"]["data"][0]["y"]) == {1024}
    assert [trace["name"] for trace in figures["bandwidth"]["data"]] == ["read", "write"]
    go.Figure(figures["roofline"])


def test_layers_off_the_dram_stand_inside_the_axis() -> None:
    point = RooflinePoint("fc", "gemm", math.inf, 100.0, 1.0)
    figure = plots.draw_roofline(Roofline(1024, 27.0, (point,), 0))
    low, high = figure["layout"]["xaxis"]["range"]
    assert low < math.log10(figure["data"][1]["x"][0]) < high
    assert figure["data"][1]["marker"]["symbol"] == ["triangle-right"]
    assert "no DRAM traffic" in figure["data"][1]["customdata"][0]


def test_a_run_without_any_macs_still_has_a_roofline() -> None:
    go.Figure(plots.draw_roofline(Roofline(1024, 27.0, (), 5)))


def test_names_are_escaped_everywhere_in_figures() -> None:
    run = make_run(["<b>bold</b>", "a & b", "<script>alert(1)</script>"], steps=2)
    text = json.dumps(_figures(run))
    assert "<script" not in text
    assert "<b>bold" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "a &amp; b" in text


def test_axis_labels_are_short_and_distinct() -> None:
    names = [f"/model/stage{i}/block/conv/with/a/very/long/name" for i in range(30)]
    short = labels.axis_labels(names, 20)
    assert len(set(short)) == 30
    assert max(map(len, short)) <= 20 + len(" (30)")
    assert labels.axis_labels(["conv1"]) == ["conv1"]


def test_names_that_differ_only_in_their_middle_stay_apart() -> None:
    assert labels.axis_labels(["aaaaaaa" + x + "b" * 20 for x in "12"], 12) == ["aaa…bbbbbbbb", "aaa…bbbbbbbb (2)"]


@pytest.mark.parametrize(("layers", "expected"), [(3, True), (50, False)])
def test_few_bars_do_not_fill_the_page(layers: int, *, expected: bool) -> None:
    width = _figures(make_run(layers))["cycles"]["data"][0]["width"]
    assert (width is not None and width < 0.3) == expected


def test_figures_and_pages_are_the_same_bytes_each_time() -> None:
    assert json.dumps(_figures(make_run(9))) == json.dumps(_figures(make_run(9)))
    assert render_report(make_run(9)) == render_report(make_run(9))


def test_comparison_figures_are_accepted_by_plotly() -> None:
    from accelsim.report import comparison_view

    comparison = compare([make_run(5), make_run(6, seed=1)], ["a", "b"])
    go.Figure(comparison_view._cycles(comparison))
    go.Figure(comparison_view._components(comparison))
