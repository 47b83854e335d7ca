from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from onnx_models import LIGHT

from accelsim.errors import WorkloadError
from accelsim.strict_yaml import parse_yaml
from accelsim.workload.annotations import NO_ANNOTATIONS
from accelsim.workload.graph import Layer, LayerGraph, Tensor
from accelsim.workload.loader import load_workload
from accelsim.workload.operators import (
    OPERATORS,
    Activation,
    Concat,
    Conv,
    Elementwise,
    Gemm,
    Normalisation,
    Pool,
    Upsample,
    Window,
)
from accelsim.workload.yaml_io import dump_yaml, parse_workload
from accelsim.workload.yaml_records import RECORDS

if TYPE_CHECKING:
    from pathlib import Path


def parse(text: str) -> LayerGraph:
    return parse_workload(parse_yaml(text, "net.yaml", WorkloadError), "net.yaml")


def test_a_file_written_by_hand_reads_as_meant() -> None:
    graph = parse("""
accelsim_workload: 1
name: net
description: for this test
inputs:
  image: [2, 3, 32, 32]
  mask: {shape: [2, 1, 16, 16], bits: 1}
layers:
  - {name: c1, op: conv, inputs: [image], out_channels: 8, kernel: [3, 5], stride: 2, padding: [1, 2]}
  - {name: r1, op: activation}
  - {name: join, op: concat, inputs: [r1, mask], output: joined, output_bits: 4}
  - {name: u, op: upsample, scale: [1, 2]}
  - {name: u2, op: upsample}
  - {name: p, op: pool, function: max, kernel: 3, stride: [2, 2], padding: [0, 0, 1, 1], ceil_mode: true}
  - {name: g, op: pool, function: average}
  - {name: fc, op: gemm, out_features: 10, bias: false, weight: shared, weight_bits: 2}
""")
    window = Window((3, 5), (2, 2), (1, 2, 1, 2))
    assert graph == LayerGraph(
        "net",
        (Tensor("image", (2, 3, 32, 32)), Tensor("mask", (2, 1, 16, 16), 1)),
        (
            Layer("c1", Conv(8, window), ("image",)),
            Layer("r1", Activation("relu"), ("c1",)),
            Layer("join", Concat(1), ("r1", "mask"), output="joined", output_bits=4),
            Layer("u", Upsample((1, 2)), ("joined",)),
            Layer("u2", Upsample((2, 2)), ("u",)),
            Layer("p", Pool("max", Window((3, 3), (2, 2), (0, 0, 1, 1)), ceil_mode=True), ("u2",)),
            Layer("g", Pool("average"), ("p",)),
            Layer("fc", Gemm(10, bias=False), ("g",), weight="shared", weight_bits=2),
        ),
        "net.yaml",
        "for this test",
    )


def test_every_operator_has_a_record_that_knows_its_functions() -> None:
    assert set(RECORDS) == set(OPERATORS)
    functions = {
        "pool": Pool.functions,
        "elementwise": Elementwise.functions,
        "normalisation": tuple(Normalisation.operations_per_element),
    }
    for name, known in functions.items():
        assert tuple(RECORDS[name].model_json_schema()["properties"]["function"]["enum"]) == known


@pytest.mark.parametrize(
    "name", ["resnet20_cifar", "efficientnet_b0", "yolov2_tiny", "transformer_block", "two_towers"]
)
def test_networks_come_back_exactly(name: str) -> None:
    graph = load_workload(name)
    assert replace(parse(dump_yaml(graph)), source=graph.source) == graph


@pytest.mark.parametrize("name", ["shufflenet", "inception_v2"])
def test_imported_models_come_back_exactly(name: str) -> None:
    graph = replace(load_workload(LIGHT / f"light_{name}.onnx"), annotations=NO_ANNOTATIONS)  # the file has the values
    assert replace(parse(dump_yaml(graph)), source=graph.source) == graph


def test_a_chain_is_written_without_what_goes_without_saying() -> None:
    graph = load_workload("lenet5")
    assert dump_yaml(graph).splitlines()[:8] == [
        "accelsim_workload: 1",
        "name: lenet5",
        'description: "LeNet-5, 32x32 grey digits (LeCun et al. 1998)"',
        "inputs:",
        "  image: [1, 1, 32, 32]",
        "layers:",
        "  - {name: c1, op: conv, out_channels: 6, kernel: 5}",
        "  - {name: c1.tanh, op: activation, function: tanh}",
    ]


def test_dumped_files_load_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "net.yml"
    path.write_text(dump_yaml(load_workload("squeezenet1_1")))
    assert load_workload(str(path)).total_macs == load_workload("squeezenet1_1").total_macs
