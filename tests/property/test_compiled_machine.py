"""The compiled machine and the processes on SimPy: the same steps at the same times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from small_networks import machine, machines, networks

from accelsim.config.loader import load_hardware
from accelsim.errors import DeadlockError, MappingError
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.interconnect import build_interconnect
from accelsim.hardware.pe_array import build_array
from accelsim.mapping.address_pattern import AddressPattern, runs_of
from accelsim.mapping.decisions import DecidedStages
from accelsim.mapping.network import map_network
from accelsim.mapping.tile_graph import Activity, Dependence, OperandTiles, OutputTiles, StageTiles, StepLoads
from accelsim.mapping.traffic import StepLimit
from accelsim.pipeline import memory_interface
from accelsim.simulation.compiled.machine import CompiledMachine, supports
from accelsim.simulation.simulator import Simulation, build_memory, run_processes, run_stages
from accelsim.workload.annotations import Annotations
from accelsim.workload.gates import with_gates
from accelsim.workload.skip import SkipPlan
from accelsim.workload.skippable import skippable_blocks
from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.network import NetworkMapping
    from accelsim.workload.graph import LayerGraph

PRESETS = Path(__file__).parents[2] / "hw_configs" / "accelerators"
BUFFERS = {"ifmap": "maps", "weight": "weights", "psum": "sums", "miss": "weights", "prefetch": "maps"}
MEMORIES: tuple[dict[str, Any], ...] = (
    {"kind": "ideal"},
    {"kind": "ideal", "ideal_bandwidth_gb_per_s": 3.7, "ideal_latency_ns": 12.5},
    {"kind": "command"},
    {"kind": "command", "channels": 2, "page_policy": "closed"},
)


def assert_same(compiled: Simulation, processes: Simulation) -> None:
    assert compiled.timings == processes.timings
    for one, other in zip(compiled.timings, processes.timings, strict=True):
        assert list(one.stalls) == list(other.stalls), "in the same order, too"
        assert list(one.wasted_bytes) == list(other.wasted_bytes)
    for name in ("end_cycle", "end_ps", "reads", "writes"):
        assert getattr(compiled, name) == getattr(processes, name), name
    assert (compiled.dram_activity is None) == (processes.dram_activity is None)
    if compiled.dram_activity is not None and processes.dram_activity is not None:
        for name in compiled.dram_activity.__dataclass_fields__:
            one, other = getattr(compiled.dram_activity, name), getattr(processes.dram_activity, name)
            np.testing.assert_array_equal(one, other, err_msg=name)
    if isinstance(compiled.memory, Dram) and isinstance(processes.memory, Dram):
        np.testing.assert_array_equal(compiled.memory.channel_counters(), processes.memory.channel_counters())
        np.testing.assert_array_equal(compiled.memory.read_latencies(), processes.memory.read_latencies())
    names = list(range(len(compiled.timings)))
    np.testing.assert_array_equal(compiled.trace.phases(names), processes.trace.phases(names))
    assert list(compiled.occupancy) == list(processes.occupancy)
    for name, changes in compiled.occupancy.items():
        np.testing.assert_array_equal(changes, processes.occupancy[name])


def check(stages: Sequence[StageTiles], config: HardwareConfig) -> bool:
    """Compare both; False where the stages block each other, in both."""
    assert supports(config)
    try:
        expected = run_processes(stages, config)
    except DeadlockError:
        memory = build_memory(config)
        assert CompiledMachine(config, memory.burst_bytes, logged=True).run(stages, memory) is None
        return False
    assert_same(run_stages(stages, config), expected)
    return True


# -- tile graphs drawn at random ---------------------------------------------------------------------------------------


class Draw:
    """Tile graphs that a seed decides on."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def number(self, low: int, high: int) -> int:
        return int(self._rng.integers(low, high + 1))

    def numbers(self, low: int, high: int, count: int) -> NDArray[np.int64]:
        return self._rng.integers(low, high + 1, count)

    def happens(self, share: float = 0.5) -> bool:
        return bool(self._rng.random() < share)

    def pattern(self, tiles: int, base: int) -> AddressPattern:
        """Runs of any lengths for some of the tiles, nested ones among them, with gaps and overlaps."""
        owner = np.sort(self.numbers(0, tiles - 1, self.number(0, 2 * tiles)))
        count = len(owner)
        inner = self.numbers(1, 3, count), self.numbers(1, 200, count)
        start, size = base + self.numbers(0, 3000, count), self.numbers(1, 400, count)
        return AddressPattern.gather([(owner, runs_of(start, size, inner, (self.number(1, 2), 700)))], tiles)

    def tiles(self, operand: str, steps: int, base: int) -> OperandTiles:
        """Tiles in sets of one or more, each of which retires before the next set is needed."""
        count = self.number(1, steps + 1)
        first = np.sort(self.numbers(0, steps - 1, count))
        first[0] = 0
        begins_set = np.concatenate([[False], (np.diff(first) > 0) & (self.numbers(0, 1, count - 1) > 0)])
        sets = np.cumsum(begins_set)
        bits = 8 * self.numbers(0, 40, count)
        number = int(sets[-1]) + 1
        begins = np.array([first[sets == index][0] for index in range(number)])
        return OperandTiles(
            operand=operand,
            buffer=BUFFERS[operand],
            first_step=first,
            set_index=sets,
            allocated_bits=bits,
            released_bits=np.array([bits[sets == index].sum() for index in range(number)]),
            retire_step=np.append(begins[1:] - 1, steps - 1),
            sets_in_flight=self.number(1, 3),
            fetch=self.pattern(count, base),
        )

    def output(self, steps: int, base: int) -> OutputTiles:
        tiles = self.tiles("psum", steps, base)
        count = len(tiles)
        last = np.array([self.number(int(step), steps - 1) for step in tiles.first_step])
        spilled = np.array([self.number(0, max(tile - 3, 0)) for tile in range(count)])
        return OutputTiles(
            tiles=tiles,
            last_step=np.maximum.accumulate(last) if self.happens() else last,
            delay_cycles=self.numbers(0, 9, count) * self.number(0, 1),
            drain=self.pattern(count, base + 2**16),
            spilled_before=spilled * self.number(0, 1),
            first_pixel=np.arange(count),
            output_pixels=count,
            pass_cycles=self.numbers(0, 9, count) if self.happens(0.3) else None,
        )

    def loads(self, operand: str, cycles: NDArray[np.int64]) -> StepLoads:
        lead = self.numbers(0, 6, len(cycles))
        handover, exposed = self._rng.integers(0, cycles + 1), self._rng.integers(0, cycles // 2 + 1)
        return StepLoads(operand, lead, handover, exposed, made_on_chip=self.happens(0.3))

    def limit(self, steps: int) -> StepLimit:
        cause = "interconnect" if self.happens() else "buffer_bandwidth"
        return StepLimit(cause, self.numbers(0, 40, steps), self.number(0, 3))

    def inputs(self, steps: int, stages: Sequence[StageTiles]) -> Iterator[OperandTiles]:
        """Operands, some of which depend on stages before."""
        for name in ("ifmap", "weight", "miss", "prefetch"):
            if self.happens(0.3 if name in ("miss", "prefetch") else 0.8):
                tiles = self.tiles(name, steps, 2**18 * len(stages))
                makers = [entry for entry in stages if not entry.closed and self.happens(0.4)]
                counts = [np.sort(self.numbers(0, len(maker.output.tiles), len(tiles))) for maker in makers]
                yield tiles.after(
                    *(Dependence(maker.index, count) for maker, count in zip(makers, counts, strict=True))
                )

    def stage(self, stages: Sequence[StageTiles], last: int) -> StageTiles:
        index, steps = len(stages), self.number(1, 7)
        cycles = self.numbers(0, 30, steps) * self.number(0, 3)
        closed = index > 0 and self.happens(0.4)
        decided_by = self.number(0, index - 1) if index and self.happens(0.6) else None
        loaded = "weight" if self.happens(0.7) else "ifmap"
        return StageTiles(
            index=index,
            name=f"stage{index}",
            on_array=self.happens(),
            compute_cycles=cycles[: 0 if closed else steps],
            inputs=tuple(self.inputs(steps, stages)),
            output=self.output(steps, 2**18 * index + 2**15),
            kept_bits=0 if closed or self.happens(0.7) else 64,
            kept_in="maps",
            kept_until=min(index + self.number(0, 2), last),
            activity=Activity(),
            mapping_efficiency=1.0,
            mapping={},
            decided_by=decided_by,
            closed=closed,
            waits=decided_by is not None and self.happens(0.2),
            loads=self.loads(loaded, cycles) if self.happens(0.4) else None,
            drain_cycles=self.number(0, 1) * 5,
            limits=tuple(self.limit(steps) for _ in range(self.number(0, 2))),
        )

    def stages(self) -> list[StageTiles]:
        """A few stages that depend on each other, some of which others decide on."""
        stages: list[StageTiles] = []
        number = self.number(1, 7)
        for _ in range(number):
            stages.append(self.stage(stages, number - 1))
        return stages


def drawn_machine(seed: int) -> HardwareConfig:
    draw = Draw(seed)
    kib = (0.0625, 0.125, 0.5, 64)[draw.number(0, 3)]
    sram = {
        "maps": {"capacity_kib": 2 * kib, "operands": ["ifmap", "ofmap"]},
        "weights": {"capacity_kib": kib, "operands": ["weight"]},
        "sums": {"capacity_kib": kib, "operands": ["psum"]},
    }
    clock_mhz = (700, 1000, 333.333)[draw.number(0, 2)]
    config = machine(sram, dram=MEMORIES[draw.number(0, len(MEMORIES) - 1)], clock_mhz=clock_mhz)
    prefetch = ("wait", "speculate", "speculate_weights")[draw.number(0, 2)]
    delay = (0, 0, 7, 500)[draw.number(0, 3)]
    control = config.control.model_copy(update={"prefetch": prefetch, "decision_cycles": delay})
    changed: HardwareConfig = config.model_copy(update={"control": control})
    return changed


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_tile_graphs(seed: int) -> None:
    check(Draw(seed).stages(), drawn_machine(seed + 1))


def test_many_random_tile_graphs_run_to_their_end() -> None:
    """The others block each other, which both have to find."""
    ended = [check(Draw(seed).stages(), machine(dram=MEMORIES[1])) for seed in range(20)]
    assert sum(ended) > len(ended) // 4


# -- networks ----------------------------------------------------------------------------------------------------------


def mapped(graph: LayerGraph, config: HardwareConfig) -> NetworkMapping:
    memory = memory_interface(config, Dram(config.dram))
    return map_network(graph, config, memory, build_array(config), interconnect=build_interconnect(config.interconnect))


@settings(max_examples=30, deadline=None)
@given(networks(), machines(), st.sampled_from(MEMORIES))
def test_random_networks(graph: LayerGraph, config: HardwareConfig, memory: dict[str, Any]) -> None:
    config = config.model_copy(update={"dram": config.dram.model_copy(update=memory)})
    try:
        mapping = mapped(graph, config)
    except MappingError:
        reject()
    assert check(mapping.tiles, config)


def small_network() -> LayerGraph:
    """A residual block, a depthwise convolution, pooling and a classifier, on images of 12 by 12."""
    net = NetworkBuilder(3, 12)
    stem = net.conv_norm("stem", "image", 8, 3)
    inner = net.conv_norm("inner", stem, 8, 3)
    made = net.activation("relu", net.sum("add", net.conv_norm("outer", inner, 8, 3, activation=None), stem))
    net.gemm("fc", net.global_pool("pool", net.conv_norm("wide", made, 24, 3, stride=2)), 10)
    return net.build("small", "for tests")


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_presets(preset: str) -> None:
    config = load_hardware(preset)
    if not supports(config):
        pytest.skip("has a link to a host, which the compiled machine leaves to the processes")
    assert check(mapped(small_network(), config).tiles, config)


@settings(max_examples=10, deadline=None)
@given(
    policy=st.sampled_from(["wait", "speculate", "speculate_weights"]),
    form=st.sampled_from(["rnn", "feedforward"]),
    small=st.booleans(),
    data=st.data(),
)
def test_gated_networks(policy: str, form: Any, small: bool, data: st.DataObject) -> None:  # noqa: ANN401, FBT001
    overrides = [f"control.prefetch={policy}"]
    if small:
        overrides += ["sram.scratchpad.capacity_kib=3", "sram.accumulator.capacity_kib=2"]
    config = load_hardware("edge_16x16", overrides)
    net = NetworkBuilder(3, 12)
    made = net.conv_norm("stem", "image", 8, 3)
    for block in range(4):
        inner = net.conv_norm(f"b{block}.conv1", made, 8, 3)
        outer = net.conv_norm(f"b{block}.conv2", inner, 8, 3, activation=None)
        made = net.activation(f"b{block}.relu", net.sum(f"b{block}.add", outer, made))
    net.gemm("fc", net.global_pool("pool", made), 10)
    plain = net.build("residual", "for tests")
    graph, gates = with_gates(plain, form, skippable_blocks(plain))
    rows = np.array([data.draw(st.lists(st.booleans(), min_size=len(gates), max_size=len(gates)))])
    plan = SkipPlan(gates, rows, "trace")
    annotated = replace(graph, annotations=Annotations(skip=plan))
    assert check(DecidedStages(mapped(annotated, config), plan).stages(rows[0]), config)
