"""Widths of tensors as annotations, networks of one or two bits, and ensembles of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from accelsim import simulate
from accelsim.errors import WorkloadError
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.workload.graph import LayerGraph

NATIVE_BITS = 32


def annotated(folder: Path, text: str) -> LayerGraph:
    path = folder / "net.yaml"
    path.write_text(f"accelsim_workload: 1\n{text}\n")
    return load_workload(path)


def weight_bits(graph: LayerGraph) -> int:
    tensors = [tensor for layer in graph.layers if (tensor := graph.weight_tensor(layer)) is not None]
    return sum(tensor.elements * (tensor.bits or NATIVE_BITS) for tensor in tensors)


def test_layers_have_the_widths_that_are_stated_of_them(tmp_path: Path) -> None:
    graph = annotated(tmp_path, "network: lenet5\nbits: {default: {weight: 2, ifmap: 4}, layers: {f6: {weight: 8}}}")
    by_name = {layer.name: layer for layer in graph.layers}
    assert [by_name[name].weight_bits for name in ("c1", "c5", "f6")] == [2, 2, 8]
    assert graph.inputs[0].bits == 4
    assert graph.tensors[by_name["f6"].inputs[0]].bits is None
    assert graph.tensors[by_name["c5"].inputs[0]].bits == 4


def test_a_map_that_others_read_too_keeps_the_width_of_the_machine(tmp_path: Path) -> None:
    graph = annotated(tmp_path, "network: resnet20_cifar\nbits: {default: {ifmap: 1}}")
    by_name = {layer.name: layer for layer in graph.layers}
    assert graph.tensors[by_name["layer1.0.conv2"].inputs[0]].bits == 1
    assert graph.tensors[by_name["layer1.0.conv1"].inputs[0]].bits is None  # the sum of the block reads it as well


def test_a_layer_that_does_not_multiply_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"bits\.layers\.s2: is no layer of the network that has multiply-acc"):
        annotated(tmp_path, "network: lenet5\nbits: {layers: {s2: {ifmap: 1}}}")


@pytest.mark.parametrize(
    ("name", "plain", "ratio"),
    [
        ("alexnet_binary_weights", "alexnet", 32),  # Rastegari et al. 2016
        ("binarynet_bitwise", "binarynet", 32),
        ("alexnet_ternary", "alexnet", 7.9),  # 16 but for the first and the last layer
    ],
)
def test_weights_shrink_as_published(name: str, plain: str, ratio: float) -> None:
    assert weight_bits(load_workload(plain)) / weight_bits(load_workload(name)) == pytest.approx(ratio, rel=0.01)


def test_binarynet_has_the_parameters_of_its_paper() -> None:
    graph = load_workload("binarynet")
    assert round(graph.total_parameters / 1e6, 1) == 14.0
    assert graph.tensors["pool3"].shape == (1, 512, 4, 4)


def test_an_array_that_works_bit_by_bit_gains_time_and_another_one_traffic() -> None:
    wide, narrow = load_workload("binarynet"), load_workload("binarynet_bitwise")
    serial = [simulate("stripes", graph, fidelity="estimate").totals for graph in (wide, narrow)]
    assert serial[0].compute_cycles > 10 * serial[1].compute_cycles  # 16 but for images of eight bits
    parallel = [simulate("systolic_32x32", graph, fidelity="estimate").totals for graph in (wide, narrow)]
    assert parallel[0].compute_cycles == parallel[1].compute_cycles
    assert parallel[0].dram_read_bytes / parallel[1].dram_read_bytes == pytest.approx(8, rel=0.01)
    assert parallel[0].energy_pj > parallel[1].energy_pj


def test_binary_convolutions_gain_what_xnor_net_counts(tmp_path: Path) -> None:
    """The paper's example, 256 channels and 3 x 3 weights on 14 x 14 pixels, which gains 62.27 by its formula."""
    path = tmp_path / "conv.yaml"
    path.write_text(
        "accelsim_workload: 1\nname: conv\ninputs: {x: [1, 256, 14, 14]}\n"
        "layers: [{name: conv, op: conv, out_channels: 16, kernel: 3, padding: 1}]\n"
    )
    binary = annotated(tmp_path, "network: conv.yaml\nbits: {default: {ifmap: 1, weight: 1}}")
    times = [simulate("scalar_cpu", graph).totals.total_cycles for graph in (load_workload(path), binary)]
    assert times[0] / times[1] == pytest.approx(62.27, rel=0.05)


@pytest.mark.parametrize("key", ["bits", "statistics"])
def test_nothing_can_be_stated_of_a_network_that_multiplies_nothing(tmp_path: Path, key: str) -> None:
    (tmp_path / "pool.yaml").write_text(
        "accelsim_workload: 1\nname: pool\ninputs: {x: [1, 1, 4, 4]}\n"
        "layers: [{name: p, op: pool, function: max, kernel: 2}]\n"
    )
    with pytest.raises(WorkloadError, match=rf"{key}\.layers\.p: is no layer .*; allowed: none, for no layer has any"):
        annotated(tmp_path, f"network: pool.yaml\n{key}: {{layers: {{p: {{}}}}}}")


def test_an_ensemble_costs_as_many_networks(tmp_path: Path) -> None:
    one, several = load_workload("binarynet_bitwise"), load_workload("binarynet_ensemble")
    assert several.total_macs == 6 * one.total_macs
    assert weight_bits(several) == 6 * weight_bits(one)
    assert [tensor.name for tensor in several.outputs] == ["vote"]
    assert {layer.weight_bits for layer in several.layers if layer.op == "conv"} == {1}
    energy = [simulate("stripes", graph, fidelity="estimate").totals.energy_pj for graph in (one, several)]
    assert energy[1] == pytest.approx(6 * energy[0], rel=0.05)
    with pytest.raises(WorkloadError, match=r"members = 2: alexnet_pruned has annotations of its own"):
        annotated(tmp_path, "network: alexnet_pruned\nmembers: 2")
