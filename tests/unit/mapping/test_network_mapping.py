"""Networks whose traffic can be counted by hand."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from naive_blocks import covered
from small_networks import machine

from accelsim.errors import MappingError
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.pe_array import build_array
from accelsim.mapping.element_order import WeightOrder
from accelsim.mapping.network import NetworkMapping, map_network
from accelsim.pipeline import memory_interface, simulate
from accelsim.workload.graph import Layer, LayerGraph, Tensor, chain
from accelsim.workload.loader import load_workload
from accelsim.workload.operators import (
    Activation,
    Concat,
    Conv,
    Elementwise,
    Gemm,
    MatMul,
    Operator,
    Pool,
    Upsample,
    View,
    Window,
)

SAME = Window((3, 3), padding=(1, 1, 1, 1))
X = Tensor("x", (1, 4, 8, 8))


def conv(channels: int = 4, groups: int = 1) -> Conv:
    return Conv(channels, SAME, groups)


def network(*layers: Layer, inputs: tuple[Tensor, ...] = (X,)) -> LayerGraph:
    return LayerGraph("net", inputs, layers)


def mapped(graph: LayerGraph, **settings: Any) -> NetworkMapping:  # noqa: ANN401 - the settings of a machine
    config = machine(**settings)
    return map_network(graph, config, memory_interface(config, Dram(config.dram)), build_array(config))


def read_times(mapping: NetworkMapping, stage: int, operand: str, tensor: str) -> np.ndarray:
    """How often a stage reads each byte of a tensor."""
    tiles = next(tiles for tiles in mapping.tiles[stage].inputs if tiles.operand == operand)
    region = mapping.placement.regions[tensor]
    times = [covered(tiles.fetch, tile, region.address, region.size_bytes) for tile in range(len(tiles))]
    assert sum(entry.sum() for entry in times) == tiles.fetch.tile_bytes.sum(), "reads outside of the tensor"
    total: np.ndarray = np.sum(times, axis=0)
    return total


# -- what stays on chip -----------------------------------------------------------------------------------------------


def test_maps_that_fit_stay_and_only_weights_input_and_output_move() -> None:
    graph = chain(
        "net", X, [("c1", conv(8)), ("p", Pool("max", Window((2, 2), (2, 2)))), ("c2", conv(6)), ("g", Gemm(10))]
    )
    layers = simulate(machine(), graph).layer_results
    weights = [4 * 8 * 9, 0, 8 * 6 * 9, 6 * 16 * 10]
    assert [layer.dram_read_bytes for layer in layers] == [4 * 64 + weights[0], *weights[1:]]
    assert [layer.dram_write_bytes for layer in layers] == [0, 0, 0, 10]


def test_maps_move_where_none_may_stay() -> None:
    graph = chain("net", X, [("c1", conv(8)), ("p", Pool("max", Window((2, 2), (2, 2)))), ("c2", conv(6))])
    layers = simulate(machine(keep_on_chip=False), graph).layer_results
    assert [layer.dram_read_bytes for layer in layers] == [4 * 64 + 288, 8 * 64, 8 * 16 + 8 * 6 * 9]
    assert [layer.dram_write_bytes for layer in layers] == [8 * 64, 8 * 16, 6 * 16]


def test_map_that_is_read_late_keeps_its_room_until_then() -> None:
    graph = network(
        Layer("c1", conv(), ("x",)),
        Layer("c2", conv(), ("c1",)),
        Layer("c3", conv(), ("c2",)),
        Layer("sum", Elementwise(), ("c1", "c3")),
    )
    layers = simulate(machine(), graph).layer_results
    assert sum(layer.dram_read_bytes for layer in layers) == 256 + 3 * 144
    assert [layer.dram_write_bytes for layer in layers] == [0, 0, 0, 256]


def test_result_that_is_also_joined_reaches_the_dram() -> None:
    """A map that later layers read stays on chip, but not if it is part of what the network puts out."""
    graph = network(Layer("c1", conv(), ("x",)), Layer("c2", conv(), ("c1",)), Layer("both", Concat(), ("c1", "c2")))
    layers = simulate(machine(), graph).layer_results
    assert [layer.dram_write_bytes for layer in layers] == [256, 256, 0]


def test_result_seen_through_a_view_reaches_the_dram_and_is_not_overwritten() -> None:
    graph = network(
        Layer("c1", conv(), ("x",)),
        Layer("c2", conv(), ("c1",)),
        Layer("c3", conv(), ("c2",)),
        Layer("flat", View((1, 256)), ("c1",)),
    )
    mapping = mapped(graph, keep_on_chip=False)
    regions = mapping.placement.regions
    assert regions["c1"].address not in {regions["c2"].address, regions["c3"].address}
    assert simulate(machine(), graph).layer_results[0].dram_write_bytes == 256


def test_map_makes_way_for_a_layer_that_would_not_fit_beside_it() -> None:
    sram = {"all": {"capacity_kib": 0.5, "operands": ["ifmap", "ofmap", "weight", "psum"]}}
    graph = network(
        Layer("kept", Conv(2, Window((1, 1))), ("x",)),
        Layer("wide", Conv(2, Window((11, 11))), ("x",)),
        Layer("last", Conv(1, Window((1, 1))), ("kept",)),
        inputs=(Tensor("x", (1, 2, 12, 12)),),
    )
    mapping = mapped(graph, sram=sram)
    assert mapping.tiles[0].mapping["kept_on_chip"] is False
    assert mapped(graph).tiles[0].mapping["kept_on_chip"] is True


# -- joined maps, views, shared weights, two inputs -------------------------------------------------------------------


def test_parts_are_read_from_where_they_lie() -> None:
    graph = network(
        Layer("a", conv(3), ("x",)),
        Layer("b", conv(5), ("x",)),
        Layer("joined", Concat(), ("a", "b", "x")),
        Layer("c", Conv(4, Window((1, 1))), ("joined",)),
    )
    mapping = mapped(graph, keep_on_chip=False)
    assert [stage.layer.name for stage in mapping.stages] == ["a", "b", "c"]
    for tensor, channels in (("a", 3), ("b", 5), ("x", 4)):
        tiles = mapping.tiles[2].inputs[0]
        region = mapping.placement.regions[tensor]
        assert region.size_bytes == 64 * channels
        times = sum(covered(tiles.fetch, tile, region.address, region.size_bytes) for tile in range(len(tiles)))
        assert np.min(times) == np.max(times) == 1


@pytest.mark.parametrize("bits", [8, 16])
def test_maps_of_unequal_width_are_joined_by_a_copy(bits: int) -> None:
    graph = network(
        Layer("a", conv(3), ("x",), output_bits=bits),
        Layer("joined", Concat(), ("a", "x")),
        Layer("c", Conv(4, Window((1, 1))), ("joined",)),
    )
    assert len(mapped(graph).stages) == (2 if bits == 8 else 3)


def test_copy_takes_the_lanes_of_the_vector_unit() -> None:
    graph = network(Layer("rows", Concat(axis=2), ("x", "x")))
    (layer,) = simulate(machine(), graph).layer_results
    assert layer.compute_cycles == 2 * 256 / 4
    assert (layer.dram_read_bytes, layer.dram_write_bytes) == (256, 512)


def test_repeated_pixels_are_read_once_and_written_each() -> None:
    graph = network(Layer("large", Upsample((2, 3)), ("x",)))
    (layer,) = simulate(machine(), graph).layer_results
    assert (layer.dram_read_bytes, layer.dram_write_bytes) == (256, 6 * 256)
    assert layer.compute_cycles == 6 * 256 / 4
    assert layer.energy_by_component["vector_unit"] == 0  # a copy computes nothing
    assert layer.stalls.keys() <= {"ifmap_fetch", "ofmap_drain"}


def test_repeated_pixels_are_joined_where_they_lie() -> None:
    graph = network(
        Layer("a", Conv(2, Window((1, 1)), bias=False), ("small",)),
        Layer("large", Upsample(), ("a",)),
        Layer("joined", Concat(), ("large", "x")),
        Layer("c", Conv(4, Window((1, 1))), ("joined",)),
        inputs=(X, Tensor("small", (1, 8, 4, 4))),
    )
    layers = {layer.name: layer for layer in simulate(machine(keep_on_chip=False), graph).layer_results}
    assert layers["joined"].total_cycles == 0
    assert layers["large"].dram_read_bytes == 2 * 16
    assert layers["large"].dram_write_bytes == 2 * 64
    assert layers["c"].dram_read_bytes == (2 + 4) * 64 + 4 * (2 + 4)


def test_two_inputs_are_both_read() -> None:
    graph = network(Layer("sum", Elementwise(), ("x", "y")), inputs=(X, Tensor("y", X.shape)))
    (layer,) = simulate(machine(), graph).layer_results
    assert (layer.dram_read_bytes, layer.dram_write_bytes) == (512, 256)


def test_map_taken_twice_is_read_once() -> None:
    (layer,) = simulate(machine(), network(Layer("sum", Elementwise(), ("x", "x")))).layer_results
    assert layer.dram_read_bytes == 256


def test_layers_that_share_weights_share_their_place() -> None:
    graph = network(
        Layer("a", conv(), ("x",), weight="w"), Layer("b", conv(), ("a",), weight="w"), Layer("c", conv(), ("b",))
    )
    mapping = mapped(graph, keep_on_chip=False)
    assert {"w", "c.weight"} <= set(mapping.placement.regions)
    assert mapping.weights[0].order == mapping.weights[1].order
    for stage in (0, 1):
        assert read_times(mapping, stage, "weight", "w").min() == 1


def test_layers_that_cut_shared_weights_into_other_tiles_have_a_copy() -> None:
    graph = network(
        Layer("a", conv(), ("x",), weight="w"), Layer("b", conv(), ("a",), weight="w"), Layer("c", conv(), ("b",))
    )
    mapping = mapped(graph)
    orders = [mapping.weights[stage].order for stage in (0, 1)]
    assert isinstance(orders[0], WeightOrder)
    assert isinstance(orders[1], WeightOrder)
    assert orders[0].plainest != orders[1].plainest
    assert [mapping.weights[stage].region for stage in (0, 1)] == ["w", "w@b"]
    for stage in (0, 1):
        assert read_times(mapping, stage, "weight", mapping.weights[stage].region).min() == 1


def test_functions_ride_along_and_copies_of_addresses_cost_nothing() -> None:
    graph = network(
        Layer("c", conv(), ("x",)), Layer("r", Activation(), ("c",)), Layer("flat", View((1, 256)), ("r",)),
        Layer("g", Gemm(3), ("flat",)),
    )  # fmt: skip
    layers = simulate(machine(keep_on_chip=False), graph).layer_results
    assert [layer.total_cycles > 0 for layer in layers] == [True, False, False, True]
    assert layers[1].mapping == {"fused_into": "c"}
    assert layers[1].energy_by_component["vector_unit"] > 0
    assert layers[3].dram_read_bytes == 256 + 3 * 256


def test_view_alone_is_nothing_to_run() -> None:
    with pytest.raises(MappingError, match="net: has nothing to run, only views and joins of feature maps"):
        simulate(machine(), network(Layer("flat", View((1, 256)), ("x",))))


# -- products ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 4, 3, 5), (2, 6, 10), (2, 60)])
def test_gemm_reads_all_of_an_input_of_any_rank(shape: tuple[int, ...]) -> None:
    graph = network(Layer("g", Gemm(7), ("x",)), inputs=(Tensor("x", shape),))
    mapping = mapped(graph)
    assert (read_times(mapping, 0, "ifmap", "x") == 1).all()
    assert (read_times(mapping, 0, "weight", "g.weight") == 1).all()


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 6, 10)])
def test_gemm_per_position_reads_all_of_its_input(shape: tuple[int, ...]) -> None:
    graph = network(Layer("g", Gemm(7, per_position=True), ("x",)), inputs=(Tensor("x", shape),))
    assert (read_times(mapped(graph), 0, "ifmap", "x") == 1).all()


@pytest.mark.parametrize(
    ("left", "right", "times"),
    [
        ((2, 3, 4, 5), (2, 3, 5, 6), (1, 1)),
        ((3, 4, 5), (3, 5, 6), (1, 1)),
        ((1, 4, 5), (3, 5, 6), (3, 1)),
        ((3, 4, 5), (5, 6), (1, 1)),
        ((2, 3, 4, 5), (2, 1, 5, 6), (1, 3)),
        ((2, 3, 4, 5), (1, 3, 5, 6), (1, 2)),
        ((2, 1, 4, 5), (1, 3, 5, 6), (3, 2)),
    ],
)
@pytest.mark.parametrize("dataflow", ["WS", "OS", "IS"])
def test_product_of_two_maps_reads_the_matrices_that_it_multiplies(
    left: tuple[int, ...], right: tuple[int, ...], times: tuple[int, int], dataflow: str
) -> None:
    graph = network(Layer("mm", MatMul(), ("x", "y")), inputs=(Tensor("x", left), Tensor("y", right)))
    mapping = mapped(graph, dataflow=dataflow)
    assert (read_times(mapping, 0, "ifmap", "x") == times[0]).all()
    assert (read_times(mapping, 0, "weight", "y") == times[1]).all()
    output = mapping.placement.regions["mm"]
    tiles = mapping.tiles[0].output
    drained = sum(covered(tiles.drain, t, output.address, output.size_bytes) for t in range(len(tiles.tiles)))
    assert np.min(drained) == np.max(drained) == 1


def test_product_waits_for_a_map_whose_pixels_a_view_has_mixed() -> None:
    """Heads split off by a transposition hold a part of every position: none is there before the last position is."""
    mapping = mapped(load_workload("transformer_block"), keep_on_chip=False)
    scores = next(tiles for tiles in mapping.tiles if tiles.name == "scores")
    query = next(tiles for tiles in mapping.tiles if tiles.name == "query")
    waits = next(entry for entry in scores.inputs[0].dependences if entry.stage == query.index)
    assert (waits.drained == len(query.output.tiles)).all()


# -- mappings given by hand -------------------------------------------------------------------------------------------


def test_mapping_given_by_hand_is_taken() -> None:
    given = {"c1": {"order": "kmn", "m": 16, "n": 2, "k": 12}}
    graph = chain("net", X, [("c1", conv(8)), ("c2", conv(4))])
    mapping = mapped(graph, layers=given)
    assert mapping.tiles[0].mapping["order"] == "kmn"
    assert mapping.tiles[0].mapping["tile"] == {"groups": 1, "m": 16, "n": 2, "k": 12}
    assert mapping.tiles[0].mapping["blocks"] == 4 * 4 * 3


def test_tile_beyond_the_layer_is_the_whole_layer() -> None:
    mapping = mapped(chain("net", X, [("c1", conv(8))]), layers={"c1": {"order": "mnk", "m": 999, "n": 999, "k": 999}})
    assert mapping.tiles[0].mapping["tile"] == {"groups": 1, "m": 64, "n": 8, "k": 36}


def test_mapping_given_by_hand_that_does_not_fit_is_refused() -> None:
    sram = {"all": {"capacity_kib": 1, "operands": ["ifmap", "ofmap", "weight", "psum"]}}
    message = "test machine: mapping.layers.c1: the tile m 64, n 64, k 36 does not fit into the buffers"
    with pytest.raises(MappingError, match=f"^{re.escape(message)}$"):
        mapped(
            chain("net", X, [("c1", conv(64))]), sram=sram, layers={"c1": {"order": "mnk", "m": 64, "n": 64, "k": 36}}
        )


def test_mapping_given_for_no_layer_of_the_array_is_refused() -> None:
    graph = chain("net", X, [("c1", conv()), ("pool", Pool("max")), ("g", Gemm(3))])
    message = "test machine: mapping.layers.pool: is no layer of the network that the array runs; allowed: c1, g"
    with pytest.raises(MappingError, match=f"^{re.escape(message)}$"):
        mapped(graph, layers={"pool": {"order": "mnk", "m": 1, "n": 1, "k": 1}})


# -- what does not fit ------------------------------------------------------------------------------------------------


def test_layer_too_big_for_any_tiling_says_what_it_needs() -> None:
    sram = {
        "maps": {"capacity_kib": 0.125, "operands": ["ifmap", "ofmap", "psum"]},
        "filters": {"capacity_kib": 64, "operands": ["weight"]},
    }
    big = Conv(4, Window((11, 11)))
    message = (
        "test machine: sram.maps.capacity_kib = 0.125: layer 'c1' fits into buffer 'maps' by no tiling: "
        "the smallest tiles need 250 bytes, it has 128 bytes"
    )  # two windows of 121 pixels and two sums of 4 bytes
    with pytest.raises(MappingError, match=f"^{re.escape(message)}$"):
        mapped(chain("net", Tensor("x", (1, 4, 20, 20)), [("c1", big)]), sram=sram)


def test_vector_layer_too_big_for_any_tiling_says_what_it_needs() -> None:
    sram = {
        "maps": {"capacity_kib": 3 / 1024, "operands": ["ifmap", "ofmap"]},
        "rest": {"capacity_kib": 64, "operands": ["weight", "psum"]},
    }
    message = (
        "test machine: sram.maps.capacity_kib = 0.0029296875: layer 'sum' fits into buffer 'maps' by no tiling: "
        "the smallest tiles need 5 bytes, it has 3 bytes"
    )  # two bytes of each input, two times a bit of the output
    graph = network(Layer("sum", Elementwise(), ("x", "y")), inputs=(X, Tensor("y", X.shape)))
    with pytest.raises(MappingError, match=f"^{re.escape(message)}$"):
        mapped(graph, sram=sram)


def test_layer_that_would_be_cut_to_dust_is_refused() -> None:
    sram = {
        "maps": {"capacity_kib": 0.03, "operands": ["ifmap", "ofmap", "psum"]},
        "filters": {"capacity_kib": 0.002, "operands": ["weight"]},
    }
    with pytest.raises(MappingError, match=r"'c1' fits into the buffers in more than 2000000 tiles only"):
        mapped(chain("net", Tensor("x", (1, 512, 16, 16)), [("c1", Conv(512, Window((3, 3))))]), sram=sram)


def test_operand_wider_than_a_multiplier_is_refused() -> None:
    graph = network(Layer("c1", conv(), ("x",), weight_bits=24))
    message = (
        "net: c1.weight: layer 'c1' has operands of 24 bits, the array multiplies up to 16; "
        "allowed: a wider pe_array.operand_bits"
    )
    with pytest.raises(MappingError, match=f"^{re.escape(message)}$"):
        mapped(graph)


def test_network_too_big_for_the_dram_is_refused() -> None:
    with pytest.raises(MappingError, match=r"dram: the tensors need \d+ MiB of DRAM, it has \d+ MiB"):
        mapped(
            chain("net", Tensor("x", (1, 2**17)), [("g", Gemm(2**17))]),
            sram={"all": {"capacity_kib": 2**17, "operands": ["ifmap", "ofmap", "weight", "psum"]}},
        )


# -- extremes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", [conv(), conv(4, groups=4), Pool("max"), Gemm(5), Activation()])
def test_array_of_one_element(operator: Operator) -> None:
    result = simulate(machine(rows=1, cols=1), chain("net", X, [("layer", operator)]))
    assert result.totals.compute_cycles >= result.totals.effective_macs
    assert result.totals.total_cycles == result.totals.compute_cycles + result.totals.stall_cycles


def test_layer_bigger_than_every_buffer() -> None:
    graph = chain("net", Tensor("x", (1, 64, 40, 40)), [("c1", Conv(700, Window((3, 3))))])
    sram = {"all": {"capacity_kib": 20, "operands": ["ifmap", "ofmap", "weight", "psum"]}}
    for kind in ("ideal", "command"):
        result = simulate(machine(sram, dram={"kind": kind}), graph)
        assert result.totals.dram_read_bytes >= 64 * 1600 + 700 * 576
        assert result.totals.dram_write_bytes >= 700 * 38 * 38


def test_batch_multiplies_work_but_not_weights() -> None:
    graph = chain("net", X, [("c1", conv(8)), ("g", Gemm(10))])
    one, many = (simulate(machine(), graph, batch=batch) for batch in (1, 64))
    assert many.totals.dense_macs == 64 * one.totals.dense_macs
    assert many.totals.dram_write_bytes == 64 * one.totals.dram_write_bytes
    assert many.totals.dram_read_bytes >= one.totals.dram_read_bytes


def test_the_bandwidth_that_an_ideal_memory_states_is_the_one_that_tilings_are_searched_for() -> None:
    device = machine()
    peak = Dram(device.dram).peak_bandwidth_gb_per_s

    def bytes_per_cycle(stated: float | None) -> float:
        ideal = device.dram.model_copy(update={"kind": "ideal", "ideal_bandwidth_gb_per_s": stated})
        return memory_interface(device.model_copy(update={"dram": ideal}), Dram(ideal)).bytes_per_cycle

    assert bytes_per_cycle(None) == memory_interface(device, Dram(device.dram)).bytes_per_cycle
    assert bytes_per_cycle(None) / bytes_per_cycle(0.5) == pytest.approx(peak / 0.5)
