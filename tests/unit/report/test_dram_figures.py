from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import pytest
from rich.console import Console
from sample_run import make_run

import accelsim
from accelsim.report import dram_figures, dram_plots
from accelsim.report.comparison import compare
from accelsim.report.comparison_view import comparison_summary
from accelsim.report.headline import headline
from accelsim.report.html import render_report

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.report.dram_figures import BankMap
    from accelsim.result import Profile, RunResult

EVIL = "<i>low</i> & co"
EDEN: dict[str, Any] = {
    "bit_errors": {"table": "eden_table3"},
    "channels": 2,
    "ranks": 2,
    "partitions": [
        {"name": EVIL, "scope": {"bank": 3}, "operating_point": {"vdd_v": 0.95, "tRCD_ps": 10800}},
        {
            "name": "late",
            "scope": {"channel": 1, "first_subarray": 0, "last_subarray": 3},
            "operating_point": {"refresh_interval_multiplier": 2},
        },
    ],
}
MEMORIES: dict[str, dict[str, Any]] = {
    "eden": EDEN | {"power_down_idle_cycles": 64},
    "one bank group": {"device": "DDR3_1600_4Gb_x8"},
    "many channels": {"device": "HBM2_2000_8Gb_x128", "channels": 8, "ranks": 2, "refresh": "per_bank"},
}


def _profile(run: RunResult) -> Profile:
    assert run.profile is not None
    return run.profile


def _banks(run: RunResult) -> BankMap:
    banks = dram_figures.bank_map(run, _profile(run))
    assert banks is not None
    return banks


@pytest.fixture(scope="module", params=MEMORIES)
def simulated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder: Path = tmp_path_factory.mktemp("memory")
    path = folder / "machine.yaml"
    path.write_text(json.dumps({"extends": "systolic_32x32", "name": "made", "dram": MEMORIES[request.param]}))
    return accelsim.simulate(path, "tiny_cnn")


@pytest.fixture(scope="module")
def below_specification() -> RunResult:
    return make_run(3, steps=4, dram=EDEN, banks=(4, 16), bits_flipped=4321)


def test_banks_add_up_to_the_totals_of_a_simulated_run(simulated: RunResult) -> None:
    banks = _banks(simulated)
    totals = {counts.name: counts.total for counts in banks.activity}
    assert totals == {name: getattr(simulated.dram, name) for name in totals}
    assert set(totals) == {"activates", "row_hits", "row_misses", "row_conflicts"}
    assert (banks.flips.total if banks.flips else 0) == simulated.dram.bits_flipped
    config = simulated.resolved_config["dram"]
    assert len(banks.ranks) == len(set(banks.ranks)) == config["channels"] * config["ranks"]


def test_shares_and_energy_add_up_to_those_of_a_simulated_run(simulated: RunResult) -> None:
    profile, ranks = _profile(simulated), len(_banks(simulated).ranks)
    rows = dram_figures.row_buffer(simulated)
    assert sum(map(rows.fraction, rows.parts)) == pytest.approx(1)
    assert rows.total <= simulated.dram.reads + simulated.dram.writes
    states = dram_figures.power_states(profile)
    assert states.total == ranks * (states.total // ranks)  # each rank has lived equally long
    assert states.total // ranks == pytest.approx(simulated.totals.latency_ns * 1000, rel=0.01)
    energy = dram_figures.dram_energy(simulated, profile)
    assert sum(energy.energy_pj.values()) == pytest.approx(energy.total_pj)
    assert energy.total_pj == pytest.approx(simulated.totals.dram_energy_pj)


def test_refreshes_of_single_banks_are_counted(simulated: RunResult) -> None:
    commands = simulated.dram
    assert commands.refreshes > 0
    assert 0 < commands.precharges <= commands.activates + commands.refreshes


def test_plotly_accepts_every_figure_of_a_simulated_run(simulated: RunResult) -> None:
    banks, profile = _banks(simulated), _profile(simulated)
    shown = (*banks.activity, *([banks.flips] if banks.flips else []))
    for figure in (
        dram_plots.draw_banks(banks, shown),
        dram_plots.draw_row_buffer(dram_figures.row_buffer(simulated)),
        dram_plots.draw_power_states(dram_figures.power_states(profile)),
        dram_plots.draw_dram_energy(dram_figures.dram_energy(simulated, profile)),
    ):
        json.dumps(figure, allow_nan=False)
        go.Figure(figure)
    assert render_report(simulated) == render_report(simulated)


@pytest.mark.parametrize(("shape", "groups"), [((1, 8), 1), ((1, 16), 4), ((16, 16), 4), ((64, 32), 8)])
def test_heat_maps_hold_every_bank_once_and_in_order(shape: tuple[int, int], groups: int) -> None:
    grid = np.arange(shape[0] * shape[1]).reshape(shape)
    counts = dram_figures.BankCounts("activates", tuple(map(tuple, grid.tolist())))
    ranks = tuple(f"rank {index}" for index in range(shape[0]))
    figure = dram_plots.draw_banks(dram_figures.BankMap(ranks, shape[1], groups, (counts,), None), (counts,))
    (trace,) = figure["data"]
    assert [[value for value in row if value is not None] for row in trace["z"]] == grid.tolist()
    width = shape[1] + groups - 1  # a gap between two groups
    assert {len(row) for row in trace["z"]} == {len(row) for row in trace["customdata"]} == {width}
    assert len(trace["x"]) == width + 1
    assert trace["x"] == sorted(trace["x"])
    centres = [
        (a + b) / 2 for a, b, value in zip(trace["x"], trace["x"][1:], trace["z"][0], strict=False) if value is not None
    ]
    assert figure["layout"]["xaxis"]["tickvals"] == pytest.approx(centres)
    assert len(figure["layout"]["annotations"]) == (groups if groups > 1 else 0)
    assert 100 <= figure["layout"]["height"] <= 800


@pytest.mark.parametrize(
    ("dram", "banks", "first", "last"),
    [
        ({}, (1, 16), "channel 0", "channel 0"),
        ({"channels": 4}, (4, 16), "channel 0", "channel 3"),
        ({"ranks": 4}, (4, 16), "rank 0", "rank 3"),
        ({"channels": 8, "ranks": 2}, (16, 16), "channel 0, rank 0", "channel 7, rank 1"),
    ],
)
def test_ranks_are_named_by_what_tells_them_apart(
    dram: dict[str, Any], banks: tuple[int, int], first: str, last: str
) -> None:
    names = _banks(make_run(1, steps=1, dram=dram, banks=banks)).ranks
    assert (names[0], names[-1]) == (first, last)


def test_states_never_entered_are_left_out(below_specification: RunResult) -> None:
    states = dram_figures.power_states(_profile(below_specification))
    assert list(states.parts) == ["active", "precharged", "active_power_down"]
    assert sum(map(states.fraction, states.parts)) == pytest.approx(1)


def test_flip_rate_is_that_of_the_bits_read(below_specification: RunResult) -> None:
    data = dram_figures.bit_errors(below_specification, _profile(below_specification))
    assert data is not None
    assert data.bits_read == 8 * below_specification.totals.dram_read_bytes
    assert data.flip_rate == 4321 / data.bits_read
    page = render_report(below_specification)
    assert "4,321 bits flipped of the " in page
    assert f"({data.flip_rate:.2e}). Error table eden_table3 (typical module), uniform error model." in page


def test_no_flip_is_told_without_an_empty_map() -> None:
    page = render_report(make_run(1, steps=1, dram=EDEN, banks=(4, 16)))
    assert "No bit flipped in the " in page
    assert 'id="dram_flips"' not in page
    plain = render_report(make_run(1, steps=1))
    assert "Bit errors" not in plain
    assert "Partitions" not in plain


def test_partitions_say_what_they_change(below_specification: RunResult) -> None:
    rest, low, late = dram_figures.partition_points(below_specification)
    assert (rest.scope, rest.vdd_v, rest.refresh_interval_multiplier) == ("rest of the memory", 1.2, 1)
    assert (low.name, low.scope, low.vdd_v, low.rcd_ps) == (EVIL, "bank 3", 0.95, 10800)
    assert (low.rp_ps, low.ras_ps) == (rest.rp_ps, rest.ras_ps)
    assert (late.scope, late.refresh_interval_multiplier) == ("channel 1, subarrays 0 to 3", 2)
    assert (late.vdd_v, late.rcd_ps) == (rest.vdd_v, rest.rcd_ps)


def test_a_device_file_that_has_gone_leaves_its_figures_open() -> None:
    run = make_run(1, steps=1, dram=EDEN | {"device": "gone/device.yaml"}, banks=(4, 16))
    assert _banks(run).bank_groups == 1
    rest, low, _ = dram_figures.partition_points(run)
    assert (rest.vdd_v, low.vdd_v, low.rp_ps) == (None, 0.95, None)
    assert "<td>datasheet</td>" in render_report(run)


def test_names_of_partitions_and_devices_are_escaped(below_specification: RunResult) -> None:
    page = render_report(below_specification)
    assert "&lt;i&gt;low&lt;/i&gt; &amp; co" in page
    assert EVIL not in page
    device = make_run(1, steps=1, dram={"device": "<b>x</b>.yaml"})
    assert "<b>x</b>" not in render_report(device)


def test_every_button_shows_one_map(below_specification: RunResult) -> None:
    page, banks = render_report(below_specification), _banks(below_specification)
    assert page.count('aria-pressed="') - page.count('[aria-pressed="') == len(banks.activity)
    figure = dram_plots.draw_banks(banks, banks.activity)
    assert [trace["visible"] for trace in figure["data"]] == [True, False, False, False]


def test_flips_stand_in_the_headline_only_where_there_are_any(below_specification: RunResult) -> None:
    shown = {entry.name: entry for entry in headline(below_specification)}
    rate = 4321 / (8 * below_specification.totals.dram_read_bytes)
    assert shown["DRAM bits flipped"].value == "4,321 bits"
    assert shown["DRAM bits flipped"].detail == f"{rate:.2e} of the bits read"
    saved = replace(below_specification, profile=None)
    assert headline(saved) == headline(below_specification)
    assert "DRAM bits flipped" not in {entry.name for entry in headline(make_run(1, steps=1))}


def test_comparison_names_flips_where_any_run_has_some(below_specification: RunResult) -> None:
    def shown(*runs: RunResult) -> str:
        console = Console(width=120, record=True, file=None, quiet=False)
        with console.capture() as capture:
            console.print(comparison_summary(compare(runs, [f"r{index}" for index in range(len(runs))]), 120))
        return capture.get()

    plain = make_run(3, steps=4)
    assert "DRAM bits flipped" not in shown(plain, plain)
    text = shown(plain, below_specification)
    assert any("DRAM bits flipped" in line and "4,321" in line for line in text.splitlines())
    assert "DRAM row conflicts" in text
