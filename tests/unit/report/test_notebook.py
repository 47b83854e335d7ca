from __future__ import annotations

from sample_run import make_run


def test_layers_are_a_data_frame_with_a_column_per_stall_cause() -> None:
    run = make_run(4, steps=3)
    assert list(run.layers["name"]) == [layer.name for layer in run.layer_results]
    assert run.layers["total_cycles"].sum() == run.totals.total_cycles
    assert run.layers["stalls.weight_fetch"].sum() == sum(layer.stalls["weight_fetch"] for layer in run.layer_results)


def test_a_notebook_shows_headline_and_layers_with_names_escaped() -> None:
    run = make_run(["<img onerror=x>", "fc"], steps=3, workload="<script>net", hardware="a&b")
    shown = run._repr_html_()
    assert "<b>&lt;script&gt;net</b> on <b>a&amp;b</b>" in shown
    assert f"{run.totals.total_cycles:,} cycles" in shown
    assert "&lt;img onerror=x&gt;" in shown
    assert "<img" not in shown
