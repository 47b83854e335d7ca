"""Runs the stages of a network on SIMD cores: which loops, at which costs, and the tile graph that follows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.pe_array import simd_loops as loops
from accelsim.hardware.pe_array.simd import SHARED_MEMORY
from accelsim.hardware.pe_array.simd_blocking import LANE_BITS, packed_blocking, staged_blocking
from accelsim.hardware.pe_array.simd_lowering import (
    is_lowered,
    lowered,
    matrix_bytes,
    matrix_words,
    run_lowering_by_pixel,
)
from accelsim.hardware.pe_array.simd_product import BlockedProduct
from accelsim.hardware.pe_array.simd_repeats import spread
from accelsim.hardware.pe_array.simd_row_product import RowProduct
from accelsim.hardware.pe_array.simd_row_run import run_row_product
from accelsim.hardware.pe_array.simd_staged import run_staged
from accelsim.hardware.pe_array.simd_steps import StageSteps, merge_cores
from accelsim.hardware.pe_array.simd_streams import run_stream, run_windows, window_map, window_planes
from accelsim.mapping.array_costs import PLAIN
from accelsim.mapping.sliver_order import SliverOrder
from accelsim.mapping.stages import channels_of
from accelsim.mapping.tile_graph import Activity, StageTiles
from accelsim.units import BITS_PER_BYTE, BYTES_PER_KIB, bits_to_bytes, ceil_div
from accelsim.workload.operators import Conv, Pool, Softmax

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelsim.hardware.cache.hierarchy import MemoryTraffic
    from accelsim.hardware.cache.layout import Caches
    from accelsim.hardware.pe_array.simd import SimdConfig
    from accelsim.hardware.pe_array.simd_blocking import Blocking
    from accelsim.hardware.pe_array.simd_repeats import Repeat
    from accelsim.mapping.array_costs import StoredForm
    from accelsim.mapping.cached_network import CachedStage
    from accelsim.mapping.element_order import ElementOrder
    from accelsim.mapping.layer_tiler import MemoryInterface
    from accelsim.workload.operand_data import OperandData

STREAM_CHUNK_BYTES = 4_096
"""Bytes of the largest map that a core reads or writes in turn when maps stream past it."""

COPY_INSTRUCTIONS = 3
"""Instructions per vector that is gathered: load, store, and the address."""


@dataclass(frozen=True)
class SimdCores:
    """The cores of a machine.

    Parameters
    ----------
    config
        Cores and caches.
    lanes
        Element operations per cycle over all cores, outside of matrix products.
    """

    config: SimdConfig
    lanes: int

    def feature_map_form(self, data: OperandData, bits: int) -> StoredForm:  # noqa: ARG002 - nothing is compressed
        """Feature maps are stored as they are."""
        return PLAIN

    def begin(self, memory: MemoryInterface) -> SimdRun:
        """Begin a run, the caches empty."""
        return SimdRun(self.config, self.lanes, memory.latency_cycles, memory.capacity_bytes)


@dataclass(frozen=True)
class StageProgram:
    """What the cores do for a stage.

    Parameters
    ----------
    run
        Issues the loads and stores, given the caches and where to count what the cores do.
    macs
        Multiply-accumulates.
    description
        Loops and blocks, for the report.
    settle
        Brings in what was not run access by access.
    """

    run: Callable[[Caches, lo.Words], None]
    macs: int
    description: dict[str, object]
    settle: Callable[[MemoryTraffic], MemoryTraffic] = field(default=lambda traffic: traffic)


class SimdRun:
    """The cores while they run a network.

    Parameters
    ----------
    config, lanes
        As `SimdCores` takes them.
    memory_latency_cycles
        Cycles from a read of a closed row to its data.
    memory_bytes
        Bytes of the memory.
    """

    def __init__(self, config: SimdConfig, lanes: int, memory_latency_cycles: int, memory_bytes: int) -> None:
        self._config = config
        self._lanes = lanes
        self._hierarchy = config.hierarchy(memory_latency_cycles, memory_bytes)
        self._records = np.zeros((loops.BATCH, lo.N_RECORD), np.int64)

    # -- what the mapper asks ------------------------------------------------------------------------------------

    def scratch_bytes(self, stage: CachedStage) -> int:
        """Packed blocks of every core, and partial sums where they are wider than the results."""
        if not stage.on_array:
            return 0
        if self._config.loops == "row_streaming":
            return RowProduct(self._config, stage).scratch_bytes
        if is_depthwise(stage):
            return 0
        matrix = matrix_bytes(stage) if self._is_lowered(stage) else 0
        return matrix + self._product(stage).scratch_bytes

    def weight_order(self, stage: CachedStage) -> ElementOrder:
        """How the weights lie: as the loops read them."""
        if self._config.loops == "row_streaming":
            return RowProduct(self._config, stage).weight_order
        return self._window_weights(stage) if is_depthwise(stage) else self._product(stage).weight_order

    def tiles(self, stage: CachedStage) -> StageTiles:
        """Run a stage."""
        program = self._program(stage)
        tally = np.zeros(loops.N_TALLY, np.int64)

        def run(caches: Caches) -> None:
            tally[:] = 0
            program.run(caches, tally)

        traffic = program.settle(self._hierarchy.run(run))
        steps = merge_cores(traffic)
        pixels = int(np.prod(stage.output_shape)) // channels_of(stage.output_shape)
        config = self._config
        graph = StageSteps(
            steps, config.line_bytes, config.window_cycles, config.path_cycles, list(config.caches)[-1], pixels
        )
        cycles = graph.compute_cycles
        busiest = max(int(cycles.sum()), 1)
        return StageTiles(
            index=stage.index,
            name=stage.name,
            on_array=stage.on_array,
            compute_cycles=cycles,
            inputs=graph.inputs,
            output=graph.output,
            kept_bits=0,
            kept_in=list(config.caches)[-1],
            kept_until=stage.index,
            activity=self._activity(stage, program, traffic, tally),
            mapping_efficiency=min(program.macs / (busiest * self._peak(stage)), 1.0) if stage.on_array else 0.0,
            mapping=program.description | self._cache_counts(traffic) | {"steps": len(cycles), "kept_on_chip": False},
            busy_cycles=np.array([[ticks.sum() / lo.TICKS for ticks in traffic.ticks]]) if stage.on_array else None,
        )

    def _peak(self, stage: CachedStage) -> int:
        """Multiply-accumulates of all cores per cycle at the width of a stage."""
        width = self._config.width_class(max(stage.ifmap_bits, stage.weight_bits))
        return self._config.cores * self._config.macs_per_cycle[width]

    # -- loops ---------------------------------------------------------------------------------------------------

    def _program(self, stage: CachedStage) -> StageProgram:
        if self._config.loops == "row_streaming" and stage.on_array:
            return self._row_program(stage)
        if stage.on_array and not is_depthwise(stage):
            return self._matrix_program(stage)
        if isinstance(stage.operator, Conv) or (isinstance(stage.operator, Pool) and stage.operator.window):
            return self._window_program(stage)
        return self._stream_program(stage)

    def _product(self, stage: CachedStage) -> BlockedProduct:
        choose = packed_blocking if self._config.shared_memory_kib is None else staged_blocking
        blocking: Blocking = choose(self._config, stage.products, stage.ifmap_bits, stage.weight_bits)
        return BlockedProduct(self._config, stage, blocking)

    def _is_lowered(self, stage: CachedStage) -> bool:
        return self._config.lowered_in_memory and is_lowered(stage)

    def _matrix_program(self, stage: CachedStage) -> StageProgram:
        """Multiply block by block, from the map or from the matrix into which it is copied first."""
        whole = self._product(stage)
        product = self._product(lowered(stage)) if self._is_lowered(stage) else whole
        run = loops.run_packed if self._config.shared_memory_kib is None else run_staged
        copy = np.array([self._config.vector_bits // BITS_PER_BYTE, COPY_INSTRUCTIONS, self._config.issue_width])

        def program(caches: Caches, tally: lo.Words) -> None:
            for group in range(product.dims.groups if product is not whole else 0):
                every, _ = replace(whole, blocking=replace(whole.blocking, kc=whole.dims.k)).segments(group)
                matrix = matrix_words(stage, group)
                run_lowering_by_pixel(
                    whole.dims.m, whole.grid_words, every, matrix, copy, self._records, tally, caches
                )  # fmt: skip
            for group in range(product.dims.groups):
                segments, slices = product.segments(group)
                run(
                    product.words(group), product.grid_words, segments, slices, copy, self._records, tally, caches
                )  # fmt: skip

        return StageProgram(program, product.dims.macs, product.description | {"lowered": product is not whole})

    def _row_program(self, stage: CachedStage) -> StageProgram:
        """Multiply row by row."""
        product = RowProduct(self._config, stage)
        repeats: list[Repeat] = []
        described = product.description

        def program(caches: Caches, tally: lo.Words) -> None:
            tally[[loops.TA_INSTRUCTIONS, loops.TA_LOADS, loops.TA_STORES]] = product.tally
            repeats[:] = run_row_product(product, self._records, caches)

        def settle(traffic: MemoryTraffic) -> MemoryTraffic:
            if repeats:
                described["rows_repeated"] = sum(repeat.times for repeat in repeats)
            return spread(traffic, repeats, self._config.line_bytes)

        return StageProgram(program, product.dims.macs, described, settle)

    def _window_program(self, stage: CachedStage) -> StageProgram:
        """Slide a window over the rows: depthwise convolutions and pools, the channels in the lanes, or one by one."""
        grid = stage.grid
        if grid is None:
            message = f"{stage.name} has no window"
            raise TypeError(message)
        window = grid.window
        maps = window_planes(stage, grid) if self._config.loops == "row_streaming" else [window_map(stage, grid)]
        total = sum(int(rows.prod()) for rows, _, _ in maps)
        macs = stage.dims.macs if stage.dims else 0
        operations = macs or stage.vector_operations
        vectors = self._vectors(operations)
        per_cycle = self._peak(stage) if macs else self._lanes
        cost = self._cost(operations / per_cycle, vectors, total)
        weights = np.array([stage.weight, self._window_weights(stage).size_bytes if macs else 0])
        fixed = (window.kernel[0], window.stride[0], window.dilation[0], window.padding[0], grid.height)
        stores = ceil_div(sum(int(output[1] * rows.prod()) for rows, _, output in maps), self._vector_bytes)

        def program(caches: Caches, tally: lo.Words) -> None:
            self._count_vectors(tally, vectors, stores)
            for rows, inputs, output in maps:
                run_windows(rows, *fixed, weights, inputs, output, cost, self._records, caches)

        return StageProgram(program, macs, {"loops": "windows"})

    def _window_weights(self, stage: CachedStage) -> SliverOrder:
        """Weights of a depthwise convolution: per pixel of the kernel the filters of all channels side by side."""
        dims = stage.products
        filters = dims.groups * dims.n
        return SliverOrder(1, filters, 1, dims.k, dims.k, filters, stage.weight_bits)

    def _stream_program(self, stage: CachedStage) -> StageProgram:
        """Read every input from end to end and write the output."""
        parts = {(part.address, part.size_bytes) for parts in stage.inputs for part in parts}
        inputs = np.array(sorted(parts), np.int64)
        elements = int(np.prod(stage.output_shape))
        output = np.array([stage.output, bits_to_bytes(elements * stage.ofmap_bits)])
        kibs = (int(inputs[:, 1].sum()) + int(output[1])) / BYTES_PER_KIB
        operations = max(stage.vector_operations, elements)
        vectors = self._vectors(operations)
        passes = 2 if isinstance(stage.operator, Softmax) else 1  # the sum has to be known before it divides
        cost = self._cost(operations / self._lanes, vectors, kibs * passes)

        def program(caches: Caches, tally: lo.Words) -> None:
            self._count_vectors(tally, vectors, ceil_div(int(output[1]), self._vector_bytes))
            for _ in range(passes):
                run_stream(inputs, output, STREAM_CHUNK_BYTES, cost, self._records, caches)

        return StageProgram(program, 0, {"loops": "stream"})

    @property
    def _vector_bytes(self) -> int:
        return self._config.vector_bits // BITS_PER_BYTE

    def _vectors(self, operations: int) -> int:
        """Vectors that so many element operations take."""
        return ceil_div(operations, self._config.vector_bits // LANE_BITS)

    def _count_vectors(self, tally: lo.Words, vectors: int, stores: int) -> None:
        """Count one load and one operation per vector, and the stores."""
        tally[[loops.TA_INSTRUCTIONS, loops.TA_LOADS, loops.TA_STORES]] += 2 * vectors + stores, vectors, stores

    def _cost(self, cycles: float, vectors: int, pieces: float) -> int:
        """Ticks per piece of a stage that takes all cores so many cycles to compute, and a load per vector."""
        config = self._config
        issue = 2 * vectors / (config.cores * config.issue_width)
        loads = vectors / (config.cores * config.loads_per_cycle)
        return math.ceil(max(cycles, issue, loads) * config.cores * lo.TICKS / pieces)

    # -- accounts ------------------------------------------------------------------------------------------------

    def _activity(self, stage: CachedStage, program: StageProgram, traffic: MemoryTraffic, tally: lo.Words) -> Activity:
        """Accesses of every level: vectors at the first, lines at the others; a line that comes in is written."""
        config = self._config
        line, vector = config.line_bytes * BITS_PER_BYTE, config.vector_bits
        reads: dict[str, int] = {}
        writes: dict[str, int] = {}
        for number, (name, counts) in enumerate(zip(config.caches, traffic.counts, strict=True)):
            fills = counts.misses + counts.prefetches
            if number == 0 and config.shared_memory_kib is None:
                reads[name] = int(tally[loops.TA_LOADS]) * vector
                writes[name] = int(tally[loops.TA_STORES]) * vector + fills * line
            else:
                reads[name] = counts.reads * line
                writes[name] = (counts.writes + fills) * line
        if config.shared_memory_kib is not None:
            reads[SHARED_MEMORY] = int(tally[loops.TA_SHARED]) * BITS_PER_BYTE
            writes[SHARED_MEMORY] = 0
        moved = sum(counts.reads + counts.writes for counts in traffic.counts[1:]) + len(traffic.events)
        return Activity(
            macs=program.macs,
            operand_bits=(stage.ifmap_bits, stage.weight_bits) if stage.on_array else (0, 0),
            array_operations={"instruction": int(tally[loops.TA_INSTRUCTIONS])},
            vector_operations=0 if stage.on_array else stage.vector_operations,
            sram_read_bits=reads,
            sram_write_bits=writes,
            interconnect_bits=moved * line,
        )

    def _cache_counts(self, traffic: MemoryTraffic) -> dict[str, object]:
        """Requests and misses per level, for the report."""
        counts = {
            name: {
                "reads": level.reads,
                "writes": level.writes,
                "misses": level.misses,
                "prefetches": level.prefetches,
                "covered": level.covered,
            }
            for name, level in zip(self._config.caches, traffic.counts, strict=True)
        }
        kinds = np.bincount(traffic.events[:, lo.EV_KIND], minlength=3).tolist()
        return {"caches": counts, "memory_lines": dict(zip(("demand", "ahead", "written"), kinds, strict=True))}


def is_depthwise(stage: CachedStage) -> bool:
    """Whether each filter sees one channel: no reuse over filters, so that it runs as a window does."""
    operator = stage.operator
    return isinstance(operator, Conv) and operator.groups > 1 and operator.groups == stage.input_shapes[0][1]
