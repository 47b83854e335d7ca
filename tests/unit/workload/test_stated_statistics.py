"""Statistics that are stated of a feature map hold of what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from pathlib import Path


def test_statistics_hold_of_the_parts_and_of_what_was_pooled(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        "accelsim_workload: 1\nnetwork: googlenet\nstatistics:\n  default: {ifmap: {density: 0.4}}\n"
        "  layers:\n    conv2_reduce: {ifmap: {density: 0.7}}\n    inception_3b.1x1: {ifmap: {density: 0.6}}\n"
    )
    graph = load_workload(path)
    density = {name: graph.annotations.of_tensor(name).density for name in graph.tensors}
    assert density["norm1"] == density["pool1"] == density["conv1.relu"] == 0.7
    assert density["inception_3a.concat"] == density["inception_3a.3x3.relu"] == 0.6
    assert density["inception_3b.concat"] == density["inception_3b.5x5.relu"] == 0.4
    assert density["inception_5b.pool_proj.relu"] == 1.0, "nothing is stated of what the average reads"
    assert density["conv1"] == 1.0, "before its activation a map has no zeros"


def test_repeated_pixels_have_the_zeros_of_what_was_repeated(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        "accelsim_workload: 1\nnetwork: yolov3_tiny\nstatistics: {layers: {conv10: {ifmap: {density: 0.3}}}}\n"
    )
    graph = load_workload(path)
    joined = ("head2.route", "head2.upsample", "head2.narrow.leaky_relu", "conv5.leaky_relu")
    assert {graph.annotations.of_tensor(name).density for name in joined} == {0.3}
