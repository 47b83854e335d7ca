"""The array on the page of a run: shares of time, cells of large arrays, the layers that have maps of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
import pytest
from sample_run import make_run

import accelsim
from accelsim.report import array_figures, array_plots
from accelsim.report.html import render_report

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.result import Profile, RunResult


def _with_busy(run: RunResult, busy: dict[str, NDArray[np.float64]]) -> tuple[RunResult, Profile]:
    assert run.profile is not None
    profile = replace(run.profile, array_busy_cycles=busy)
    return replace(run, profile=profile), profile


def _timed(run: RunResult) -> list[str]:
    return [layer.name for layer in run.layer_results if layer.total_cycles]


def test_shares_are_busy_cycles_over_those_of_the_layer_and_of_the_run() -> None:
    run = make_run()
    first, second = _timed(run)[:2]
    cycles = {layer.name: layer.total_cycles for layer in run.layer_results}
    run, profile = _with_busy(
        run, {first: np.array([[cycles[first] / 2, 0.0]]), second: np.array([[0.0, cycles[second] / 4]])}
    )
    data = array_figures.array_use(run, profile)
    assert data is not None
    by_name = {entry.name: entry for entry in data.layers}
    assert by_name[first].shares == ((0.5, 0.0),)
    assert (by_name[second].mean, by_name[second].least, by_name[second].most) == (0.125, 0.0, 0.25)
    total = run.totals.total_cycles
    assert data.maps[0].shares[0] == pytest.approx((cycles[first] / 2 / total, cycles[second] / 4 / total))


def test_a_large_array_is_shown_in_cells_whose_mean_is_that_of_the_parts() -> None:
    run = make_run()
    name = _timed(run)[0]
    busy = np.random.default_rng(1).random((130, 65))
    run, profile = _with_busy(run, {name: busy})
    data = array_figures.array_use(run, profile)
    assert data is not None
    assert data.block == (3, 2)
    cells = np.array(data.layers[0].shares) * next(
        layer.total_cycles for layer in run.layer_results if layer.name == name
    )
    assert cells.shape == (44, 33)
    assert cells[0, 0] == pytest.approx(busy[:3, :2].mean())
    assert cells[-1, -1] == pytest.approx(busy[129, 64])


def test_only_the_slowest_layers_have_maps_of_their_own() -> None:
    run = accelsim.simulate("edge_16x16", "resnet18")
    assert run.profile is not None
    data = array_figures.array_use(run, run.profile)
    assert data is not None
    cycles = {layer.name: layer.total_cycles for layer in run.layer_results}
    shown = [cycles[entry.name] for entry in data.maps[1:]]
    assert len(shown) == array_figures.MOST_MAPS
    assert shown == sorted(cycles[entry.name] for entry in data.layers)[: -len(shown) - 1 : -1]


def test_busy_cycles_add_up_to_the_multiply_accumulates() -> None:
    run = accelsim.simulate("edge_16x16", "lenet5", overrides=["pe_array.rows=7", "pe_array.cols=5"])
    assert run.profile is not None
    macs = {layer.name: layer.effective_macs for layer in run.layer_results}
    assert {name: busy.sum() for name, busy in run.profile.array_busy_cycles.items()} == {
        name: count for name, count in macs.items() if count
    }


@pytest.mark.parametrize("shape", [(1, 1), (12, 14), (1, 256), (300, 2)])
def test_figures_are_valid_and_the_page_shows_them(shape: tuple[int, int]) -> None:
    run, profile = _with_busy(make_run(), {})
    assert array_figures.array_use(run, profile) is None
    assert ">Array<" not in render_report(run)
    run, profile = _with_busy(run, {_timed(run)[0]: np.ones(shape)})
    data = array_figures.array_use(run, profile)
    assert data is not None
    for drawn in (array_plots.draw_array(data), array_plots.draw_balance(data)):
        go.Figure(drawn)
    assert ">Array<" in render_report(run)


def test_sides_have_the_names_of_the_array_and_whole_numbers() -> None:
    run = accelsim.simulate("cambricon_x", "lenet5")
    assert run.profile is not None
    data = array_figures.array_use(run, run.profile)
    assert data is not None
    assert data.sides == ("processing element", "")
    assert "16 processing elements, busy " in render_report(run)
    layout = array_plots.draw_array(data)["layout"]
    assert layout["yaxis"]["title"]["text"] == "processing element"
    assert (layout["yaxis"]["tick0"], layout["yaxis"]["dtick"]) == (0, 2)
    assert not layout["xaxis"]["showticklabels"], "a single part has no place to tell"


def test_a_cell_of_several_parts_lies_around_them_and_names_them() -> None:
    run = make_run()
    run, profile = _with_busy(run, {_timed(run)[0]: np.ones((130, 3))})
    data = array_figures.array_use(run, profile)
    assert data is not None
    heat_map = array_plots.draw_array(data)["data"][0]
    assert (heat_map["y0"], heat_map["dy"], heat_map["x0"], heat_map["dx"]) == (1, 3, 0, 1)
    assert heat_map["hovertemplate"].startswith("around row %{y}, column %{x}<br>")
