"""What every PE array keeps to, whichever kind it is: one class of tests, one entry in `ARRAYS` for each array.

An entry is a machine in a few keys and what the array says of itself: which multiply-accumulates it leaves out, which
it gates, and by how much sparse tensors may be slower than dense ones. `test_array_conformance.py` runs the class on
all entries; the oracles here are plain loops over windows, and know nothing of mappings.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from accelsim.config.model import validate
from accelsim.config.schema import HardwareConfig
from accelsim.energy.table import load_energy_table
from accelsim.errors import ConfigError
from accelsim.mapping.tiling_kernel import SLACK
from accelsim.pipeline import simulate
from accelsim.workload.annotations import Annotations
from accelsim.workload.graph import Layer, LayerGraph, Tensor, chain
from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.operators import Conv, Gemm, MatMul, Operator, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from accelsim.result import RunResult

Values = np.ndarray[Any, np.dtype[np.integer[Any]]]


@dataclass(frozen=True)
class ArrayUnderTest:
    """A machine in a few keys, and what its array states of itself.

    Parameters
    ----------
    name
        Shown with each test.
    pe_array
        The array as in a hardware config, of a size that has some work to share out (a dozen multipliers, say).
    smallest
        Keys of `pe_array` that make it as small as it goes.
    skips
        Operands whose zeros cost no multiply-accumulate: of ``ifmap``, ``weight``, ``padding`` (of the ifmap).
    gates
        Operands whose zeros cost a multiply-accumulate its cycle, but no energy.
    overhead
        Share by which zeros in the operands may make the array slower.
    prices_macs
        Whether each multiply-accumulate is priced as one.
    changes
        Other keys of the config, each in full, such as `energy`.
    smallest_kib
        Capacity of each buffer with which a layer larger than all buffers still has to run.
    indexes_products
        Whether `skips` holds for the second operand of a product of feature maps, too.
    """

    name: str
    pe_array: dict[str, Any]
    smallest: dict[str, Any]
    skips: frozenset[str] = frozenset()
    gates: frozenset[str] = frozenset()
    overhead: float = 0.0
    prices_macs: bool = True
    changes: dict[str, Any] = field(default_factory=dict)
    smallest_kib: float = 2.0
    indexes_products: bool = True

    def __str__(self) -> str:
        return self.name


def systolic(dataflow: str) -> ArrayUnderTest:
    keys = {"kind": "systolic", "rows": 4, "cols": 3, "dataflow": dataflow, "clock_mhz": 500, "operand_bits": 16}
    return ArrayUnderTest(f"systolic {dataflow}", keys, {"rows": 1, "cols": 1})


def double_buffered(dataflow: str) -> ArrayUnderTest:
    keys = {"kind": "double_buffered_systolic", "rows": 4, "cols": 3, "dataflow": dataflow, "clock_mhz": 500}
    return ArrayUnderTest(f"double-buffered systolic {dataflow}", keys | {"operand_bits": 16}, {"rows": 1, "cols": 1})


def lookup() -> ArrayUnderTest:
    keys = {"kind": "lookup", "rows": 4, "cols": 3, "digit_bits": 4, "clock_mhz": 500, "operand_bits": 16}
    return ArrayUnderTest("lookup", keys, {"rows": 1, "cols": 1, "digit_bits": 1}, prices_macs=False)


def bit_serial() -> ArrayUnderTest:
    keys = {"kind": "bit_serial", "slices": 3, "lines": 2, "lanes": 4, "clusters": 2, "selector_slices": 2}
    keys |= {"input_bytes_per_cycle": 8, "clock_mhz": 500}
    small = {"slices": 1, "lines": 1, "lanes": 1, "clusters": 1, "selector_slices": 1}
    # a product with a zero has no digit to work on; padding is zeros
    return ArrayUnderTest("bit-serial", keys, small, skips=frozenset({"ifmap", "padding"}), prices_macs=False)


def scnn() -> ArrayUnderTest:
    keys = {"kind": "scnn", "pe_rows": 2, "pe_cols": 2, "map_lanes": 2, "weight_lanes": 2, "accumulator_banks": 8}
    keys |= {"bank_entries": 8, "bank_queue": 2, "weight_fifo_vectors": 10, "clock_mhz": 500}
    small = {"pe_rows": 1, "pe_cols": 1, "map_lanes": 1, "weight_lanes": 1, "accumulator_banks": 1, "bank_entries": 1}
    return ArrayUnderTest("scnn", keys, small, skips=frozenset({"ifmap", "weight", "padding"}))


def dcnn() -> ArrayUnderTest:
    keys = {"kind": "dcnn", "pe_rows": 2, "pe_cols": 2, "lanes": 3, "clock_mhz": 500, "gate_zeros": True}
    gates = frozenset({"ifmap", "weight", "padding"})
    return ArrayUnderTest("dcnn", keys, {"pe_rows": 1, "pe_cols": 1, "lanes": 1}, gates=gates)


def row_stationary() -> ArrayUnderTest:
    keys = {
        "kind": "row_stationary",
        "rows": 4,
        "cols": 3,
        "clock_mhz": 500,
        "operand_bits": 16,
        "filter_spad_words": 40,
        "ifmap_spad_words": 6,
        "psum_spad_words": 5,
        "filter_words_per_cycle": 4,
        "ifmap_words_per_cycle": 1,
        "psum_words_per_cycle": 4,
    }
    least = {"rows": 1, "cols": 1, "filter_spad_words": 1, "ifmap_spad_words": 1, "psum_spad_words": 1}
    return ArrayUnderTest("row stationary", keys, least, gates=frozenset({"ifmap", "padding"}))


def diannao() -> ArrayUnderTest:
    keys = {"kind": "diannao", "outputs": 4, "inputs": 3, "clock_mhz": 500}
    return ArrayUnderTest("diannao", keys, {"outputs": 1, "inputs": 1})


def cambricon_x() -> ArrayUnderTest:
    keys = {"kind": "cambricon_x", "processing_elements": 4, "multipliers": 3, "candidates": 20, "clock_mhz": 500}
    keys |= {"indexing": "step", "step_bits": 4}
    small = {"processing_elements": 1, "multipliers": 1, "candidates": 1}
    skips = frozenset({"weight"})
    return ArrayUnderTest("cambricon-x", keys, small, skips=skips, indexes_products=False)


def bit_pragmatic() -> ArrayUnderTest:
    keys = {"kind": "bit_pragmatic", "tiles": 2, "filters": 2, "lanes": 3, "columns": 4, "clock_mhz": 500}
    keys |= {"column_registers": 1}
    small = {"tiles": 1, "filters": 1, "lanes": 1, "columns": 1}
    skips = frozenset({"ifmap", "padding"})
    return ArrayUnderTest("bit-pragmatic", keys, small, skips=skips, prices_macs=False)


ARRAYS = [
    systolic("WS"),
    systolic("OS"),
    systolic("IS"),
    double_buffered("WS"),
    double_buffered("IS"),
    lookup(),
    bit_serial(),
    scnn(),
    dcnn(),
    row_stationary(),
    diannao(),
    cambricon_x(),
    bit_pragmatic(),
]
"""One entry for each kind of array and dataflow."""


# -- machines ----------------------------------------------------------------------------------------------------------


def machine_with(
    array: ArrayUnderTest,
    *,
    smallest: bool = False,
    capacity_kib: float = 64,
    dram: dict[str, Any] | None = None,
    objective: str = "latency",
) -> HardwareConfig:
    """The machine of an entry: one buffer for each operand."""
    buffers = {"maps": ["ifmap", "ofmap"], "weights": ["weight"], "sums": ["psum"]}
    document = {
        "name": array.name,
        "pe_array": array.pe_array | (array.smallest if smallest else {}),
        "vector_unit": {"lanes": 4},
        "precision": {"ifmap_bits": 8, "weight_bits": 8, "ofmap_bits": 8, "psum_bits": 32},
        "sram": {name: {"capacity_kib": capacity_kib, "operands": held} for name, held in buffers.items()},
        "dram": dram or {"kind": "ideal"},
        "mapping": {"keep_on_chip": False, "objective": objective},
        "energy": {"table": "45nm"},
    }
    return validate(HardwareConfig, document | array.changes, array.name, ConfigError)


# -- layers ------------------------------------------------------------------------------------------------------------


def conv(shape: tuple[int, ...], filters: int, window: Window, groups: int = 1) -> LayerGraph:
    return chain("net", Tensor("x", shape), [("layer", Conv(filters, window, groups))])


def product(left: tuple[int, ...], right: tuple[int, ...]) -> LayerGraph:
    return LayerGraph("net", (Tensor("x", left), Tensor("y", right)), (Layer("layer", MatMul(), ("x", "y")),))


CASES: dict[str, Callable[[], LayerGraph]] = {
    "one element": partial(conv, (1, 1, 1, 1), 1, Window((1, 1))),
    "pointwise": partial(conv, (1, 7, 5, 6), 9, Window((1, 1))),
    "padded": partial(conv, (1, 5, 7, 9), 6, Window((3, 3), padding=(1, 1, 1, 1))),
    "stride 3": partial(conv, (1, 3, 14, 11), 5, Window((3, 3), (3, 3))),
    "stride beyond the window": partial(conv, (1, 3, 10, 13), 5, Window((1, 2), (3, 4))),
    "uneven stride": partial(conv, (1, 3, 11, 12), 5, Window((5, 3), (1, 2), (2, 1, 2, 1))),
    "dilation": partial(conv, (1, 4, 11, 12), 6, Window((3, 3), (1, 1), (1, 2, 1, 2), (2, 3))),
    "groups": partial(conv, (1, 12, 6, 7), 8, Window((3, 3), padding=(1, 1, 1, 1)), 4),
    "depthwise": partial(conv, (1, 10, 8, 8), 10, Window((3, 3), (2, 2), (1, 1, 1, 1)), 10),
    "depthwise, two filters each": partial(conv, (1, 6, 7, 5), 12, Window((3, 3)), 6),
    "asymmetric padding": partial(conv, (1, 4, 6, 7), 5, Window((4, 3), (2, 1), (0, 2, 3, 1))),
    "window as large as the map": partial(conv, (1, 6, 5, 4), 11, Window((5, 4))),
    "one row": partial(conv, (1, 4, 1, 19), 6, Window((1, 5), (1, 2), (0, 2, 0, 2))),
    "one column": partial(conv, (1, 4, 19, 1), 6, Window((5, 1), (2, 1), (2, 0, 2, 0))),
    "fully connected": lambda: chain("net", Tensor("x", (1, 37)), [("layer", Gemm(23))]),
    "per position": lambda: chain("net", Tensor("x", (1, 6, 17)), [("layer", Gemm(13, per_position=True))]),
    "two inputs": partial(product, (1, 3, 5, 8), (1, 3, 8, 7)),
    "two matrices": partial(product, (1, 5, 8), (1, 8, 7)),
}
"""Layers of all shapes that tend to be wrong, each the only one of its network."""


def deep_network() -> LayerGraph:
    """A small network, for what takes more than one layer to see."""
    same = (1, 1, 1, 1)
    steps: list[tuple[str, Operator]] = [
        ("first", Conv(16, Window((3, 3), (2, 2), same))),
        ("depthwise", Conv(16, Window((3, 3), padding=same), 16)),
        ("pointwise", Conv(24, Window((1, 1)))),
        ("wide", Conv(32, Window((5, 5), padding=(2, 2, 2, 2)), 2)),
        ("last", Gemm(20)),
    ]
    return chain("deep", Tensor("x", (1, 3, 24, 24)), steps)


# -- oracles -----------------------------------------------------------------------------------------------------------


def operands_of(graph: LayerGraph) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the two operands of the only layer."""
    (layer,) = graph.layers
    shapes = {tensor.name: tensor.shape for tensor in graph.inputs}
    weight = graph.weight_tensor(layer)
    return shapes | ({weight.name: weight.shape} if weight else {})


def with_values(graph: LayerGraph, density: dict[str, float], seed: int = 1) -> LayerGraph:
    """Give the operands random int8 values of which these shares are not zero."""
    random = np.random.default_rng(seed)
    operands = {}
    for (name, shape), share in zip(operands_of(graph).items(), density.values(), strict=True):
        values = random.integers(1, 128, shape) * random.choice([-1, 1], shape)
        values[random.random(shape) >= share] = 0
        operands[name] = OperandData(load=partial(_returned, values))
    return replace(graph, annotations=Annotations(operands=operands))


def _returned(values: Values) -> Values:
    return values


def values_of(graph: LayerGraph) -> tuple[Values, Values]:
    """Values of the two operands of the only layer."""
    first, second = (graph.annotations.of_tensor(name).values for name in operands_of(graph))
    assert first is not None
    assert second is not None
    return first, second


def pairs(graph: LayerGraph) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Of every multiply-accumulate: whether ifmap element and weight are not zero, and whether it is padding."""
    (layer,) = graph.layers
    ifmap, weight = (values != 0 for values in values_of(graph))
    operator = layer.operator
    if isinstance(operator, MatMul):
        left, right = np.broadcast_arrays(ifmap[..., :, :, None], weight[..., None, :, :])
        return left, right, np.zeros_like(left)
    if isinstance(operator, Gemm):
        rows = ifmap.reshape(-1, weight.shape[1]) if operator.per_position else ifmap.reshape(len(ifmap), -1)
        left, right = np.broadcast_arrays(rows[:, None], weight[None])
        return left, right, np.zeros_like(left)
    assert isinstance(operator, Conv)
    return _convolution_pairs(operator, ifmap, weight)


def _convolution_pairs(
    operator: Conv, ifmap: NDArray[np.bool_], weight: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    window, (batch, channels, height, width) = operator.window, ifmap.shape
    rows, cols = window.output_size(height, width)
    per_group, filters = channels // operator.groups, operator.out_channels // operator.groups
    shape = (batch, operator.out_channels, rows, cols, per_group, *window.kernel)
    left, right, outside = (np.zeros(shape, bool) for _ in range(3))
    for place in np.ndindex(shape):
        image, out, row, col, channel, tap_row, tap_col = place
        y = row * window.stride[0] - window.padding[0] + tap_row * window.dilation[0]
        x = col * window.stride[1] - window.padding[1] + tap_col * window.dilation[1]
        outside[place] = not (0 <= y < height and 0 <= x < width)
        if not outside[place]:
            left[place] = ifmap[image, out // filters * per_group + channel, y, x]
        right[place] = weight[out, channel, tap_row, tap_col]
    return left, right, outside


def left_out(graph: LayerGraph, of: frozenset[str]) -> NDArray[np.bool_]:
    """Multiply-accumulates of which an operand named by `of` is a zero that the array sees."""
    left, right, outside = pairs(graph)
    out = np.zeros_like(left)
    if "ifmap" in of:
        out |= ~left & ~outside
    if "weight" in of:
        out |= ~right
    if "padding" in of:
        out |= outside
    return out


_RUNS: dict[tuple[str, str, bool, int], RunResult] = {}


def cached_run(array: ArrayUnderTest, case: str, *, smallest: bool = False, batch: int = 1) -> RunResult:
    """One case on one machine; several tests look at the same run."""
    key = (array.name, case, smallest, batch)
    if key not in _RUNS:
        _RUNS[key] = simulate(machine_with(array, smallest=smallest), CASES[case](), batch=batch)
    return _RUNS[key]


def cycles_of(config: HardwareConfig, graph: LayerGraph, **kinds: Any) -> int:  # noqa: ANN401 - passed on to simulate
    return simulate(config, graph, **kinds).totals.total_cycles


# -- the tests ---------------------------------------------------------------------------------------------------------


class ArrayConformance:
    """Tests that take an entry of `ARRAYS`."""

    @pytest.mark.parametrize("case", CASES)
    @pytest.mark.parametrize("batch", [1, 16])
    def test_dense_work_is_conserved(self, array: ArrayUnderTest, case: str, batch: int) -> None:
        result, graph = cached_run(array, case, batch=batch), CASES[case]().with_batch(batch)
        assert result.totals.dense_macs == graph.total_macs
        if "padding" not in array.skips:
            assert result.totals.effective_macs == graph.total_macs

    @pytest.mark.parametrize("case", CASES)
    def test_smallest_array_does_the_same_work(self, array: ArrayUnderTest, case: str) -> None:
        small, large = cached_run(array, case, smallest=True), cached_run(array, case)
        assert small.totals.effective_macs == large.totals.effective_macs
        assert small.machine.peak_macs_per_cycle <= large.machine.peak_macs_per_cycle
        assert small.totals.compute_cycles * small.machine.peak_macs_per_cycle >= small.totals.effective_macs

    @pytest.mark.parametrize("case", CASES)
    @pytest.mark.parametrize("density", [{"ifmap": 0.4, "weight": 0.3}, {"ifmap": 1.0, "weight": 1.0}])
    def test_sparse_work_is_exact(self, array: ArrayUnderTest, case: str, density: dict[str, float]) -> None:
        graph = with_values(CASES[case](), density)
        config = machine_with(array)
        result = simulate(config, graph)
        indexed = array.indexes_products or not isinstance(graph.layers[0].operator, MatMul)
        skipped = left_out(graph, array.skips if indexed else array.skips - {"weight"})
        assert result.totals.effective_macs == int((~skipped).sum())
        if array.prices_macs:
            paid = ~skipped & ~left_out(graph, array.gates)
            price = load_energy_table(config.energy.table).mac_energy_pj(8, 8)
            assert result.energy_pj["pe_array"]["mac"] == pytest.approx(int(paid.sum()) * price, abs=0.01)

    @pytest.mark.parametrize("case", CASES)
    @pytest.mark.parametrize("batch", [1, 16])
    def test_no_run_beats_the_roofline(self, array: ArrayUnderTest, case: str, batch: int) -> None:
        result = cached_run(array, case, batch=batch)
        totals, peak = result.totals, result.machine.peak_macs_per_cycle
        assert totals.compute_cycles * peak >= totals.effective_macs
        dram = {"kind": "ideal", "ideal_bandwidth_gb_per_s": 0.25}
        slow = simulate(machine_with(array, dram=dram), CASES[case](), batch=batch)
        moved = slow.totals.dram_read_bytes + slow.totals.dram_write_bytes
        assert slow.totals.latency_ns * 0.25 >= moved * (1 - 1e-12)

    @pytest.mark.parametrize("case", CASES)
    def test_no_part_is_busy_for_longer_than_the_array(self, array: ArrayUnderTest, case: str) -> None:
        for smallest in (False, True):
            result = cached_run(array, case, smallest=smallest)
            assert result.profile is not None
            (busy,) = result.profile.array_busy_cycles.values()
            assert 0 <= busy.min() <= busy.max() <= result.totals.compute_cycles * (1 + 1e-9)

    @pytest.mark.parametrize("case", CASES)
    def test_sixteen_samples_cost_no_more_than_sixteen_times_one(self, array: ArrayUnderTest, case: str) -> None:
        one, many = (cached_run(array, case, batch=batch).totals for batch in (1, 16))
        assert many.effective_macs == 16 * one.effective_macs
        assert one.total_cycles <= many.total_cycles <= 16 * one.total_cycles * (1 + SLACK)

    def test_a_faster_pipe_is_never_slower(self, array: ArrayUnderTest) -> None:
        speeds = (0.05, 0.2, 0.8, None)
        kinds = [{"kind": "ideal"} | ({"ideal_bandwidth_gb_per_s": s} if s else {}) for s in speeds]
        cycles = [cycles_of(machine_with(array, dram=kind), deep_network()) for kind in kinds]
        assert cycles == sorted(cycles, reverse=True)

    def test_more_channels_are_no_slower_than_the_slack_of_the_search(self, array: ArrayUnderTest) -> None:
        kinds = [{"kind": "command", "channels": channels} for channels in (1, 2, 4)]
        cycles = [cycles_of(machine_with(array, dram=kind), deep_network()) for kind in kinds]
        assert cycles[1] <= cycles[0] * (1 + SLACK)
        assert cycles[2] <= cycles[1] * (1 + SLACK)

    @pytest.mark.parametrize("case", ["padded", "groups", "fully connected"])
    def test_larger_buffers_are_never_slower(self, array: ArrayUnderTest, case: str) -> None:
        graph = CASES[case]()
        cycles = [
            simulate(machine_with(array, capacity_kib=kib, objective="compute_cycles"), graph).totals.compute_cycles
            for kib in (0.5, 2, 8, 32)
        ]
        assert cycles == sorted(cycles, reverse=True)

    def test_larger_buffers_never_move_more(self, array: ArrayUnderTest) -> None:
        moved = []
        for kib in (4, 8, 16, 64):
            config = machine_with(array, capacity_kib=kib, objective="dram_traffic")
            totals = simulate(config, deep_network()).totals
            moved.append(totals.dram_read_bytes + totals.dram_write_bytes)
        assert moved == sorted(moved, reverse=True)

    def test_layer_larger_than_every_buffer_runs(self, array: ArrayUnderTest) -> None:
        graph = conv((2, 48, 20, 20), 64, Window((3, 3), padding=(1, 1, 1, 1)))
        result = simulate(machine_with(array, capacity_kib=array.smallest_kib), graph)
        capacity = result.profile.buffer_capacity_bytes if result.profile else {}
        weights, maps = 64 * 48 * 9, 2 * 48 * 20 * 20
        assert max(capacity.values()) < min(weights, maps)
        assert result.totals.dense_macs == graph.total_macs
        assert result.totals.dram_read_bytes > 0

    @pytest.mark.parametrize("case", CASES)
    def test_zeros_cost_no_more_than_the_array_says(self, array: ArrayUnderTest, case: str) -> None:
        config = machine_with(array)
        dense, sparse = (
            simulate(config, with_values(CASES[case](), {"ifmap": share, "weight": share})).totals
            for share in (1.0, 0.3)
        )
        assert sparse.compute_cycles <= dense.compute_cycles * (1 + array.overhead)
        assert sparse.effective_macs <= dense.effective_macs

    def test_stated_zeros_cost_no_more_than_the_array_says(self, array: ArrayUnderTest) -> None:
        graph = deep_network()
        names = [layer.inputs[0] for layer in graph.layers] + [layer.weight for layer in graph.layers]
        totals = []
        for share in (1.0, 0.3):
            data = OperandData(OperandStatistics(density=share), stated=True)
            stated = replace(graph, annotations=Annotations(operands=dict.fromkeys(names, data)))
            totals.append(simulate(machine_with(array), stated).totals)
        assert totals[1].compute_cycles <= totals[0].compute_cycles * (1 + array.overhead)
        assert totals[1].effective_macs <= totals[0].effective_macs
        nothing = simulate(machine_with(array), graph).totals
        assert nothing.effective_macs == totals[0].effective_macs, "a tensor of which nothing is known is dense"

    def test_annotations_that_state_nothing_change_nothing(self, array: ArrayUnderTest) -> None:
        plain, config = deep_network(), machine_with(array)
        stated = replace(plain, annotations=Annotations(operands={}))
        assert simulate(config, plain).to_json() == simulate(config, stated).to_json()
