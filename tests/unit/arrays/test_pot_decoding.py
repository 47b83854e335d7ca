"""Decomposed weights in whole runs: what travels, what lies in the buffer, what is decoded, on any array."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiling_cases import problem_of

from accelsim.config.model import validate
from accelsim.config.schema import HardwareConfig
from accelsim.errors import ConfigError, MappingError
from accelsim.hardware.pe_array import build_array
from accelsim.hardware.pe_array.pot_decoding import DecodingCosts
from accelsim.hardware.pe_array.pot_tiles import pot_tile_shapes
from accelsim.mapping.array_costs import ArrayLayer
from accelsim.mapping.blocks import BlockSequence
from accelsim.mapping.tiling import ORDERS, Tiling
from accelsim.pipeline import simulate
from accelsim.units import ceil_div
from accelsim.workload.annotations import Annotations
from accelsim.workload.graph import LayerGraph, Tensor, chain
from accelsim.workload.operand_data import OperandData
from accelsim.workload.operators import Conv, Gemm, Operator, Window
from accelsim.workload.pot.decompose import decompose_layer
from accelsim.workload.pot.operand import KnownPotOperand
from accelsim.workload.pot.parameters import PotParameters
from accelsim.workload.pot.tile_bytes import encode_tile, tile_content
from accelsim.workload.pot_annotations import known_operand, stated_weights

if TYPE_CHECKING:
    from accelsim.result import RunResult
    from accelsim.workload.pot.operand import PotOperand
    from accelsim.workload.pot.parameters import Index

ARRAYS: dict[str, dict[str, Any]] = {
    "systolic": {"kind": "systolic", "rows": 16, "cols": 16, "dataflow": "WS"},
    "output stationary": {"kind": "systolic", "rows": 16, "cols": 16, "dataflow": "OS"},
    "diannao": {"kind": "diannao", "outputs": 8, "inputs": 8},
    "cambricon_x": {"kind": "cambricon_x", "processing_elements": 8, "multipliers": 8, "candidates": 64},
    "bit_serial": {"kind": "bit_serial", "slices": 8, "lines": 4, "lanes": 4, "input_bytes_per_cycle": 16},
}
SAME = (1, 1, 1, 1)


def machine(array: str, kib: float = 256, **decoding: Any) -> HardwareConfig:  # noqa: ANN401 - keys of a config
    document = {
        "name": array,
        "pe_array": ARRAYS[array] | {"clock_mhz": 500},
        "vector_unit": {"lanes": 8},
        "sram": {
            "maps": {"capacity_kib": kib, "operands": ["ifmap", "ofmap"]},
            "weights": {"capacity_kib": kib, "operands": ["weight"]},
            "sums": {"capacity_kib": kib, "operands": ["psum"]},
        },
        "dram": {"kind": "ideal", "ideal_bandwidth_gb_per_s": 19.2},
        "mapping": {"pot_decoding": decoding},
        "energy": {"table": "28nm"},
    }
    return validate(HardwareConfig, document, array, ConfigError)


@cache
def network(*, decomposed: bool = True) -> LayerGraph:
    """A stem that stays plain, two layers that do not, a classifier that is decomposed where asked for."""
    steps: list[tuple[str, Operator]] = [
        ("stem", Conv(16, Window((5, 5), padding=(2, 2, 2, 2)))),
        ("body", Conv(32, Window((3, 3), (2, 2), SAME))),
        ("depthwise", Conv(32, Window((3, 3), padding=SAME), 32)),
        ("pointwise", Conv(24, Window((1, 1)))),
        ("head", Gemm(10)),
    ]
    graph = chain("net", Tensor("image", (1, 3, 16, 16)), steps)
    operands = {}
    random = np.random.default_rng(0)
    for layer in graph.layers:
        tensor = graph.weight_tensor(layer)
        assert tensor is not None
        if layer.name in {"body", "depthwise", "pointwise"}:
            pot = decompose_layer(random.normal(0, 0.05, tensor.shape).astype(np.float32), tensor.name)
            known = known_operand(pot, "element")
            operands[tensor.name] = known if decomposed else replace(known, pot=None)
    return replace(graph, annotations=Annotations(operands=operands))


def encoded_bytes(graph: LayerGraph) -> int:
    """Bytes of all weights, each layer rounded up."""
    total = 0
    for layer in graph.layers:
        tensor = graph.weight_tensor(layer)
        assert tensor is not None
        pot = graph.annotations.of_tensor(tensor.name).pot
        total += ceil_div(pot.storage.total_bits, 8) if pot else tensor.elements
    return total


@cache
def run(array: str, mode: str = "on_the_fly", *, decomposed: bool = True, slow: int | None = None) -> RunResult:
    return simulate(machine(array, mode=mode, weights_per_cycle=slow), network(decomposed=decomposed))


def weight_bytes(result: RunResult) -> int:
    """Bytes read besides the feature maps, which are the same with plain weights."""
    plain = run(result.run.hardware, decomposed=False).totals.dram_read_bytes
    return (
        result.totals.dram_read_bytes
        - plain
        + sum(tensor.elements for layer in network().layers if (tensor := network().weight_tensor(layer)))
    )


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("mode", ["on_the_fly", "ahead"])
def test_weights_travel_encoded(array: str, mode: str) -> None:
    tiles = sum(layer.mapping.get("blocks", 0) for layer in run(array, mode).layer_results)
    read, whole = weight_bytes(run(array, mode)), encoded_bytes(network())
    assert whole <= read <= whole * 1.15 + tiles, "every tile is rounded up, cut bases lie in two"


@pytest.mark.parametrize("array", sorted(set(ARRAYS) - {"bit_serial"}))
def test_decoding_ahead_is_once_and_fills_the_buffer(array: str) -> None:
    """Weights that are fetched once are decoded once; on the fly it is as often as they enter the array."""
    ahead, late = run(array, "ahead"), run(array)
    pots = [data.pot for data in network().annotations.operands.values() if data.pot]
    once = sum(pot.rebuild_operations for pot in pots)
    price = 0.038
    assert ahead.energy_pj["pe_array"]["rebuild"] == pytest.approx(once * price, abs=0.1)
    assert late.energy_pj["pe_array"]["rebuild"] >= ahead.energy_pj["pe_array"]["rebuild"] - 0.1
    assert ahead.totals.dram_read_bytes == late.totals.dram_read_bytes
    assert ahead.profile is not None
    assert late.profile is not None
    held = [result.profile.buffer_occupancy["weights"]["bytes"].max() for result in (ahead, late) if result.profile]
    assert held[0] >= held[1]


@pytest.mark.parametrize("array", ["systolic", "diannao"])
@pytest.mark.parametrize("mode", ["on_the_fly", "ahead"])
def test_a_slow_decoder_holds_the_array_up(array: str, mode: str) -> None:
    fast, slow = (run(array, mode, slow=speed).layer_results for speed in (None, 1))
    for layer, before, after in zip(network().layers, fast, slow, strict=True):
        tensor = network().weight_tensor(layer)
        assert tensor is not None
        if layer.name in {"stem", "head"}:
            assert after.compute_cycles == before.compute_cycles, "nothing to decode"
        else:
            assert after.compute_cycles >= max(before.compute_cycles, tensor.elements)


@pytest.mark.parametrize("array", ARRAYS)
def test_plain_and_decomposed_layers_mix(array: str) -> None:
    result = run(array)
    by_name = {layer.name: layer.mapping for layer in result.layer_results}
    key = "weights" if array == "bit_serial" else "decoded"
    done = {name for name, mapping in by_name.items() if mapping.get(key) in {"rebuilt", "on the fly"}}
    assert done == {"body", "depthwise", "pointwise"}
    assert sum(layer.dense_macs for layer in result.layer_results) == network().total_macs


def test_the_bit_serial_array_counts_what_it_rebuilds() -> None:
    energy = run("bit_serial").energy_pj["pe_array"]
    assert set(energy) == {"mac", "booth_step", "index_bit", "rebuild"}
    assert energy["mac"] == 0.0
    assert min(energy["booth_step"], energy["index_bit"], energy["rebuild"]) > 0
    assert "rebuild" not in run("bit_serial", decomposed=False).energy_pj["pe_array"]


def test_stated_sparsity_runs_where_weights_are_not_known() -> None:
    graph = network(decomposed=False)
    totals = []
    for density in (1.0, 0.5, 0.1):
        operands = {}
        for layer in graph.layers[1:]:
            tensor = graph.weight_tensor(layer)
            assert tensor is not None
            operands[tensor.name] = stated_weights(tensor.shape, density, 0.8, "group")
        totals.append(
            simulate(machine("bit_serial"), replace(graph, annotations=Annotations(operands=operands))).totals
        )
    assert totals[0].compute_cycles > totals[1].compute_cycles > totals[2].compute_cycles
    assert totals[0].effective_macs > totals[1].effective_macs > totals[2].effective_macs
    assert totals[0].dram_read_bytes > totals[1].dram_read_bytes > totals[2].dram_read_bytes
    assert totals[0].energy_pj > totals[1].energy_pj > totals[2].energy_pj


@settings(max_examples=40, deadline=None)
@given(
    groups=st.sampled_from([1, 1, 2, 6]), tile=st.tuples(*(st.integers(1, 40) for _ in range(4))),
    index=st.sampled_from(["element", "vector", "group"]), seed=st.integers(0, 9),
)  # fmt: skip
def test_bytes_of_all_tiles_are_what_lies_in_memory(
    groups: int, tile: tuple[int, int, int, int], index: Index, seed: int
) -> None:
    """Tile after tile in the order of the blocks, every tile with the bytes that its address says."""
    operator, shape = Conv(36, Window((3, 3)), groups), (1, 6, 5, 5)
    weights = np.random.default_rng(seed).normal(0, 0.02, operator.weight_shape((shape,))).astype(np.float32)
    pot = KnownPotOperand(decompose_layer(weights, "w", PotParameters(index=index)), index)
    problem = problem_of(operator, shape)
    dims = problem.dims
    n, k = min(tile[1], dims.n), min(tile[2], dims.k)
    together = min(tile[3], groups) if (n, k) == (dims.n, dims.k) else 1
    costs = DecodingCosts(problem.costs, pot, 8, ahead=False, weights_per_cycle=None)
    order = ORDERS[seed % 6]
    blocks = BlockSequence(
        replace(problem, costs=costs), Tiling(order, together, min(tile[0], dims.m), n, k, (3, 3, 3))
    )
    shapes = pot_tile_shapes(pot, blocks.weight_order)
    sizes = [encode_tile(tile_content(pot, shape), shape).nbytes for shape in shapes]
    assert sum(sizes) == blocks.stored_weight_bytes
    visits = blocks.visits["weight"]
    place = np.ravel_multi_index(
        (visits.group, visits.dims["n"], visits.dims["k"]), (blocks.group_trips, blocks.trips["n"], blocks.trips["k"])
    )
    runs = blocks.stored_runs("weight", 1000)
    starts = 1000 + np.cumsum([0, *sizes])
    assert (runs["base"] == starts[place]).all()
    assert (runs["run_bytes"] == np.array(sizes)[place]).all()


def test_weights_of_another_shape_are_refused() -> None:
    operator = Conv(8, Window((3, 3)))
    shape = (1, 4, 8, 8)
    wrong: PotOperand | None = stated_weights((8, 5, 3, 3), 1.0, 1.0, "vector").pot
    layer = ArrayLayer(
        "body", operator, shape, operator.output_shape((shape,)), operator.gemm_dims((shape,)), 8, 8, 8, 24,
        weight=OperandData(pot=wrong),
    )  # fmt: skip
    with pytest.raises(MappingError, match=r"body: its decomposed weights have shape \(8, 5, 3, 3\)"):
        build_array(machine("bit_serial")).costs(layer)


def test_more_clusters_than_lanes_are_refused() -> None:
    with pytest.raises(ConfigError, match="clusters = 3 may not exceed lanes = 2"):
        validate(
            HardwareConfig,
            machine("bit_serial").resolved()
            | {"pe_array": ARRAYS["bit_serial"] | {"clusters": 3, "lanes": 2, "clock_mhz": 1.0}},
            "bad",
            ConfigError,
        )


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 5, 2)])
def test_every_shape_of_layer_runs_on_arrays_of_odd_sizes(size: tuple[int, int, int]) -> None:
    config = machine("bit_serial")
    keys = dict(zip(("slices", "lines", "lanes"), size, strict=True)) | {"clusters": 1}
    changed = config.resolved()
    changed["pe_array"] = changed["pe_array"] | keys
    result = simulate(validate(HardwareConfig, changed, "odd", ConfigError), network(), batch=2)
    assert result.totals.dense_macs == 2 * network().total_macs
