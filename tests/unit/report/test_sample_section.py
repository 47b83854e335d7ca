"""Samples on the page of a run."""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go
from sample_run import make_run

from accelsim.report import sample_plots
from accelsim.report.html import render_report
from accelsim.sample_result import Distribution, Histogram, SamplesResult

SPREAD = Distribution(50_000.0, 40_000.0, 90_000.0)
SAMPLES = SamplesResult(
    count=100,
    latency_ns=SPREAD,
    energy_pj=SPREAD,
    effective_macs=SPREAD,
    distinct=7,
    wasted_dram_bytes=1_024.0,
    execution_rates={"block<1>": 0.25, "block2": 1.0},
    accuracy=0.915,
    latency_histogram=Histogram((10_000.0, 50_000.0, 90_000.0), (60, 40)),
)


def test_a_run_whose_samples_are_alike_has_no_such_section() -> None:
    assert ">Samples<" not in render_report(make_run())


def test_the_page_says_what_differs_between_samples() -> None:
    run = make_run()
    layer = next(entry for entry in run.layer_results if entry.dram_read_bytes)
    wasteful = replace(layer, skipped_fraction=0.75, wasted_dram_bytes=layer.dram_read_bytes // 2)
    layers = tuple(wasteful if entry is layer else entry for entry in run.layer_results)
    page = render_report(replace(run, samples=SAMPLES, layer_results=layers))
    for words in (">Samples<", "100 samples with 7 different rows", "91.50% are right", "1.024 kB per sample"):
        assert words in page, words
    assert "block<1>" not in page


def test_figures_are_valid_and_hold_the_figures_of_the_result() -> None:
    rates = sample_plots.draw_execution_rates(SAMPLES)
    assert rates["data"][0]["y"] == [25.0, 100.0]
    latencies = sample_plots.draw_latencies(SAMPLES)
    assert latencies["data"][0]["x"] == [30.0, 70.0]
    assert latencies["data"][0]["y"] == [60, 40]
    assert [note["text"] for note in latencies["layout"]["annotations"]] == ["mean 50.00", "p50 40.00", "p99 90.00"]
    layer = replace(make_run().layer_results[0], dram_read_bytes=4096, wasted_dram_bytes=1024)
    wasted = sample_plots.draw_wasted([layer])
    assert [trace["y"] for trace in wasted["data"]] == [[3.0], [1.0]]
    for drawn in (rates, latencies, wasted):
        go.Figure(drawn)
