"""Accuracy on the page of a run."""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go
from sample_run import make_run

from accelsim.report.accuracy_section import draw_flips
from accelsim.report.html import render_report
from accelsim.result import AccuracyResult

ACCURACY = AccuracyResult("top1", 0.95, 0.875, 1_000, 0.853, 0.894, clean=0.9475, top5=0.99, seeds=3)


def test_a_run_without_accuracy_has_no_such_section() -> None:
    assert ">Accuracy</h2>" not in render_report(replace(make_run(), accuracy=None))


def test_the_page_tells_what_formats_cost_and_what_flips_cost() -> None:
    page = render_report(replace(make_run(), accuracy=ACCURACY))
    for words in ("95.00 %", "94.75 %", "87.50 %", "85.30 to 89.40 %", "1,000 images, 3 DRAM modules", "99.00%"):
        assert words in page, words
    assert "Flips per layer" not in page


def test_flips_are_those_of_weights_and_of_feature_maps() -> None:
    run = make_run()
    first, second = run.layer_results[0].name, run.layer_results[1].name
    flips = {first: {f"{first}.weight": 3.5, "image": 1.0}, second: {"x": 2.0}}
    accuracy = replace(ACCURACY, flips_per_pass=flips)
    drawn = draw_flips(run, accuracy)
    assert {trace["name"]: trace["y"] for trace in drawn["data"]} == {"weights": [3.5, 0], "feature maps": [1.0, 2.0]}
    go.Figure(drawn)
    assert "Flips per layer" in render_report(replace(run, accuracy=accuracy))
