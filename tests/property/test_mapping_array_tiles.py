"""Whatever the tiling, the tile graph of a layer fetches what the blocks need and drains what they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive_blocks import covered, input_bytes, matrix_bytes, naive_cycles, walk_blocks
from tiling_cases import folding_of, problem_of, product_problem

from accelsim.mapping.array_addresses import ArrayAddresses, InputPart
from accelsim.mapping.array_stage import ArrayStage
from accelsim.mapping.blocks import BlockSequence
from accelsim.mapping.dataflow import DATAFLOWS
from accelsim.mapping.tiling import ORDERS, Tiling, TilingProblem
from accelsim.mapping.tiling_search import tiling_cost
from accelsim.units import bits_to_bytes, ceil_div
from accelsim.workload.operators import Conv, Gemm, Window

if TYPE_CHECKING:
    from accelsim.mapping.tile_graph import OperandTiles

IFMAP, WEIGHT, OFMAP, PSUM = 1 << 20, 2 << 20, 3 << 20, 4 << 20
small = st.integers(1, 3)


@dataclass(frozen=True)
class Case:
    """A layer, how it is cut, and the parts that its input is made of: (first channel, channels)."""

    problem: TilingProblem
    tiling: Tiling
    parts: tuple[tuple[int, int], ...]
    matrices: int = 0
    convolution: bool = False

    @property
    def stage(self) -> ArrayStage:
        parts = tuple(
            InputPart(IFMAP + number * (1 << 17), first, channels, None)
            for number, (first, channels) in enumerate(self.parts)
        )
        matrices = (np.arange(self.matrices),) * 2 if self.matrices else None
        addresses = ArrayAddresses(parts, WEIGHT, None, matrices, OFMAP, PSUM)
        blocks = BlockSequence(self.problem, self.tiling)
        return ArrayStage(blocks, addresses, ("a", "b", "c"), groups_are_channels=self.convolution)


@st.composite
def tilings(draw: st.DrawFn, problem: TilingProblem) -> Tiling:
    dims = problem.dims
    m, n, k = (draw(st.integers(1, extent) | st.just(extent)) for extent in (dims.m, dims.n, dims.k))
    groups = draw(st.integers(1, dims.groups)) if (n, k) == (dims.n, dims.k) else 1
    levels = draw(st.tuples(*[st.integers(0, 3)] * 3))
    return Tiling(draw(st.sampled_from(ORDERS)), groups, m, n, k, levels)


machines: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "dataflow": st.sampled_from(sorted(DATAFLOWS)),
        "rows": st.integers(1, 4),
        "cols": st.integers(1, 4),
        "bits": st.sampled_from([(8, 8, 8, 32), (16, 8, 8, 16), (4, 4, 8, 24), (8, 8, 16, 16)]),
    }
)


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    kernel, stride, dilation = (draw(st.tuples(small, small)) for _ in range(3))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    window = Window(kernel, stride, padding, dilation)
    least = [max(extent - padding[axis] - padding[axis + 2], 1) for axis, extent in enumerate(window.extent)]
    height, width = (size + draw(st.integers(0, 5)) for size in least)
    groups, channels, filters = draw(small), draw(small), draw(small)
    shape = (draw(st.integers(1, 4)), groups * channels, height, width)
    problem = problem_of(Conv(groups * filters, window, groups), shape, **draw(machines))
    cut = draw(st.integers(1, shape[1]))
    parts = ((0, cut), (cut, shape[1] - cut)) if cut < shape[1] else ((0, cut),)
    return Case(problem, draw(tilings(problem)), parts, convolution=True)


@st.composite
def products(draw: st.DrawFn) -> Case:
    m, k, n = (draw(st.integers(1, 7)) for _ in range(3))
    if draw(st.booleans()):
        problem = problem_of(Gemm(n), (m, k), **draw(machines))
        return Case(problem, draw(tilings(problem)), ((0, k),))
    batch = draw(st.integers(2, 4))
    problem = product_problem(((batch, m, k), (batch, k, n)), **draw(machines))
    return Case(problem, draw(tilings(problem)), ((0, k),), matrices=batch)


cases = convolutions() | products()


def regions_of(case: Case) -> list[tuple[int, int, int, int]]:
    """Per part of the input: address, first channel, channels, bytes."""
    grid, bits = case.problem.grid, case.problem.ifmap_bits
    pixels = grid.input_pixels if case.convolution else case.problem.dims.groups * case.problem.dims.m
    return [
        (part.address, part.first_channel, part.channels, pixels * bits_to_bytes(part.channels * bits))
        for part in case.stage.addresses.ifmap
    ]


def needed_input(case: Case, part: int) -> list[np.ndarray]:
    """Per block the bytes that it needs of a part of the input."""
    problem, (_, first, channels, region) = case.problem, regions_of(case)[part]
    blocks = walk_blocks(problem, case.tiling)
    if case.convolution:
        return [input_bytes(problem, block, first, channels, region) for block in blocks]
    shape = (problem.dims.m, problem.dims.k)
    return [matrix_bytes(b.m, b.k, list(b.groups), shape, problem.ifmap_bits, region) for b in blocks]


def carried_bits(tiles: OperandTiles) -> list[int]:
    """Per set the room that is left over from the set before, for what it finds in the buffer."""
    taken = np.bincount(tiles.set_index, weights=tiles.allocated_bits, minlength=len(tiles.retire_step))
    carried = [0]
    for allocated, released in zip(taken.astype(int).tolist(), tiles.released_bits.tolist(), strict=True):
        carried.append(carried[-1] + allocated - released)
    return carried


def narrow_map_with_column_stride() -> Case:
    """A map one pixel wide under a stride of two columns: the rows of a band lie side by side in memory."""
    problem = problem_of(Conv(2, Window((3, 1), (1, 2))), (1, 3, 6, 1))
    return Case(problem, Tiling(("m", "n", "k"), 1, 2, 2, 9, (3, 3, 3)), ((0, 3),), convolution=True)


@settings(max_examples=200, deadline=None)
@given(cases)
@example(narrow_map_with_column_stride())
def test_every_block_finds_its_input(case: Case) -> None:
    """What a block needs has been fetched for its set, or the set before leaves it in room it does not give back."""
    stage = case.stage
    tiles, steps = stage.ifmap_tiles, stage._step_of_block
    assert tiles is not None
    carried = carried_bits(tiles)
    assert carried[-1] == 0, "all room is given back"
    assert min(carried) >= 0
    stays_bits = np.zeros(len(tiles.retire_step), np.int64)
    for part, (address, _, _, region) in enumerate(regions_of(case)):
        blocks = needed_input(case, part)
        fetched = [covered(tiles.fetch, tile, address, region) > 0 for tile in range(len(tiles))]
        later = np.zeros(region, bool)  # what the sets behind need and do not fetch
        for number in reversed(range(len(tiles.retire_step))):
            first_step = tiles.retire_step[number - 1] + 1 if number else 0
            inside = [b for b in range(len(blocks)) if first_step <= steps[b] <= tiles.retire_step[number]]
            mine = [tile for tile in range(len(tiles)) if tiles.set_index[tile] == number]
            later |= np.any([blocks[b] for b in inside], axis=0)
            later &= ~np.any([fetched[tile] for tile in mine], axis=0)
            stays_bits[number] += 8 * later.sum()
            for b in inside:
                there = np.any([fetched[tile] for tile in mine if tiles.first_step[tile] <= steps[b]], axis=0)
                assert not (blocks[b] & ~there & ~later).any(), f"block {b} begins before its input is there"
        assert not later.any(), "bytes that nobody fetches"
    if case.problem.ifmap_bits >= 8:
        assert (stays_bits <= np.array(carried[:-1])).all(), "room for what stays"


@settings(max_examples=150, deadline=None)
@given(cases)
def test_no_byte_of_the_input_is_fetched_twice_within_a_set(case: Case) -> None:
    tiles = case.stage.ifmap_tiles
    assert tiles is not None
    if case.problem.ifmap_bits < 8:
        return  # neighbouring channels share bytes
    held = case.tiling.order[case.tiling.retention[0] :]
    for address, _, _, region in regions_of(case):
        for number in range(len(tiles.retire_step)):
            mine = [tile for tile in range(len(tiles)) if tiles.set_index[tile] == number]
            times = sum(covered(tiles.fetch, tile, address, region) for tile in mine)
            if case.tiling.m % case.problem.grid.out_width == 0 or "m" not in held:  # parts of a row overlap
                assert np.max(times) <= 1


@settings(max_examples=150, deadline=None)
@given(cases)
def test_every_block_finds_its_weights(case: Case) -> None:
    stage, problem, tiling = case.stage, case.problem, case.tiling
    tiles, steps, dims = stage.weight_tiles, stage._step_of_block, problem.dims
    assert carried_bits(tiles)[-1] == 0
    region = (
        stage.blocks.stored_weight_bytes
        if not case.matrices
        else dims.groups * dims.k * bits_to_bytes(dims.n * problem.weight_bits)
    )
    fetched = [covered(tiles.fetch, tile, WEIGHT, region) for tile in range(len(tiles))]
    assert tiles.fetch.tile_bytes.tolist() == [times.sum() for times in fetched], "nothing outside the tensor"
    times = np.sum(fetched, axis=0)
    assert times.min() >= 1, "every element is fetched"
    if problem.weight_bits >= 8 or not case.matrices:
        assert times.min() == times.max(), "and each as often as any other"
    place: dict[tuple[int, int, int], np.ndarray] = {}
    for number, block in enumerate(walk_blocks(problem, tiling)):
        in_set = [
            tile
            for tile in range(len(tiles))
            if tiles.first_step[tile] <= steps[number] <= tiles.retire_step[tiles.set_index[tile]]
        ]
        there = np.any([fetched[tile] > 0 for tile in in_set], axis=0)
        if case.matrices:
            shape = (dims.k, dims.n)
            needed = matrix_bytes(block.k, block.n, list(block.groups), shape, problem.weight_bits, region)
            assert not (needed & ~there).any()
            continue
        key = block.groups.start, block.n.start, block.k.start
        newest = max(
            (t for t in in_set if stage.blocks.visits["weight"].first_block[t] <= number),
            key=lambda t: (_same_weights(stage, t, key, tiling), t),
        )
        assert _same_weights(stage, newest, key, tiling)
        assert (place.setdefault(key, fetched[newest]) == fetched[newest]).all(), "one place per tile"
        elements = len(block.groups) * len(block.n) * len(block.k)
        assert fetched[newest].sum() == ceil_div(elements * problem.weight_bits, 8)
    if place:
        assert np.sum(list(place.values()), axis=0).max() == 1, "tiles do not overlap"


def _same_weights(stage: ArrayStage, tile: int, key: tuple[int, int, int], tiling: Tiling) -> bool:
    visits = stage.blocks.visits["weight"]
    return key == (
        visits.group[tile] * tiling.groups,
        visits.dims["n"][tile] * tiling.n,
        visits.dims["k"][tile] * tiling.k,
    )


def result_bytes(case: Case, block_m: range, block_n: range, groups: range, region: int) -> np.ndarray:
    """Bytes of finished results, NHWC for a convolution, matrix after matrix for a product."""
    dims, bits = case.problem.dims, case.problem.ofmap_bits
    needed = np.zeros(region, bool)
    for group in groups:
        for m in block_m:
            for n in block_n:
                if case.convolution:
                    first = m * bits_to_bytes(dims.groups * dims.n * bits) + (group * dims.n + n) * bits // 8
                else:
                    first = (group * dims.m + m) * bits_to_bytes(dims.n * bits) + n * bits // 8
                needed[first : first + bits // 8] = True
    return needed


@settings(max_examples=300, deadline=None)
@given(cases)
def test_every_result_is_summed_up_and_drained_once_to_its_place(case: Case) -> None:
    """Sums are followed through buffer and DRAM; each result has seen all of k when it leaves, and leaves once."""
    stage, problem, dims = case.stage, case.problem, case.problem.dims
    output, steps = stage.output_tiles, stage._step_of_block
    tiles = output.tiles
    assert carried_bits(tiles)[-1] == 0
    visits = stage.blocks.visits["psum"]
    summed = np.zeros((dims.groups, dims.m, dims.n), np.int64)  # of k, in the buffer
    spilled: dict[bytes, np.ndarray] = {}
    blocks = list(walk_blocks(problem, case.tiling))
    region = dims.groups * dims.m * dims.n * 2 * problem.ofmap_bits // 8
    written = np.zeros(region, np.int64)
    order = {tile: rank for rank, tile in enumerate(output.drain_order.tolist())}
    drained: list[int] = []
    for number, block in enumerate(blocks):
        ranges = np.ix_(block.groups, block.m, block.n)
        key = (block.groups.start, block.m.start, block.n.start)
        current = [
            tile
            for tile in range(len(tiles))
            if visits.first_block[tile] <= number <= visits.last_block[tile]
            and key
            == (
                visits.group[tile] * case.tiling.groups,
                visits.dims["m"][tile] * case.tiling.m,
                visits.dims["n"][tile] * case.tiling.n,
            )
        ]
        assert len(current) == 1, "every block adds to one tile"
        tile = current[0]
        assert tiles.first_step[tile] <= steps[number] <= output.last_step[tile]
        if number == visits.first_block[tile]:
            fetched = tiles.fetch.bursts(tile, 1).tobytes()
            if block.k.start:
                assert fetched in spilled, "what comes back has been spilled before"
                assert output.spilled_before[tile] > max(order[t] for t in drained if t == _same_place(visits, tile))
                summed[ranges] = spilled.pop(fetched)
            else:
                assert not fetched
                summed[ranges] = 0
        summed[ranges] += len(block.k)
        if number == visits.last_block[tile]:
            drained.append(tile)
            if block.k.stop < dims.k:
                spilled[output.drain.bursts(tile, 1).tobytes()] = summed[ranges].copy()
                continue
            assert (summed[ranges] == dims.k).all()
            times = covered(output.drain, tile, OFMAP, region)
            assert times.sum() == output.drain.tile_bytes[tile], "nothing outside the tensor"
            assert (times == result_bytes(case, block.m, block.n, block.groups, region)).all()
            written += times
    assert not spilled
    everything = result_bytes(case, range(dims.m), range(dims.n), range(dims.groups), region)
    assert (written == everything).all(), "each result once"
    assert drained == sorted(drained, key=lambda tile: order[tile])


def _same_place(visits: object, tile: int) -> int:
    """The tile of the same output block that was visited last before."""
    group, dims = visits.group, visits.dims  # type: ignore[attr-defined]
    same = (group == group[tile]) & (dims["m"] == dims["m"][tile]) & (dims["n"] == dims["n"][tile])
    return int(np.flatnonzero(same[:tile])[-1])


@settings(max_examples=200, deadline=None)
@given(cases)
def test_sums_that_wait_for_more_are_kept_at_their_full_width(case: Case) -> None:
    """Only what the array completes without ever letting go of a sum may lie in the buffer at the results' width."""
    problem, tiles = case.problem, case.stage.output_tiles.tiles
    array = folding_of(problem)
    folds_of_result: dict[tuple[int, int, int], set[int]] = {}
    for block in walk_blocks(problem, case.tiling):
        folds = folds_of_result.setdefault((block.groups.start, block.m.start, block.n.start), set())
        depth = problem.dims.k if array.dataflow.accumulates_in_array else array.rows
        folds |= set(range(block.k.start, block.k.stop, depth))
    partial = max(len(folds) for folds in folds_of_result.values()) > 1
    size, extent = case.tiling, problem.dims
    inside = case.tiling.order[case.tiling.order.index("k") + 1 :]
    stays = size.m <= array.rows and size.n <= array.cols and size.groups == 1
    if array.dataflow.accumulates_in_array and stays and all(getattr(size, d) == getattr(extent, d) for d in inside):
        partial = False  # the array goes on with the same sums
    visits, dims = case.stage.blocks.visits["psum"], problem.dims
    for tile in range(len(tiles)):
        groups = min(case.tiling.groups, dims.groups - visits.group[tile] * case.tiling.groups)
        m = min(case.tiling.m, dims.m - visits.dims["m"][tile] * case.tiling.m)
        n = min(case.tiling.n, dims.n - visits.dims["n"][tile] * case.tiling.n)
        width = problem.psum_bits if partial else problem.ofmap_bits
        assert tiles.allocated_bits[tile] == groups * m * n * width


@settings(max_examples=200, deadline=None)
@given(cases)
def test_cycles_are_those_of_a_plain_loop_over_folds(case: Case) -> None:
    stage = case.stage
    expected = naive_cycles(case.problem, case.tiling)
    assert stage.compute_cycles.sum() == expected
    assert tiling_cost(case.problem, case.tiling).compute_cycles == expected


@settings(max_examples=300, deadline=None)
@given(cases)
def test_search_ranks_by_the_traffic_that_the_tiles_have(case: Case) -> None:
    problem, stage = case.problem, case.stage
    cost = tiling_cost(problem, case.tiling)
    assert stage.ifmap_tiles is not None
    if problem.ifmap_bits >= 8:
        assert cost.ifmap_bytes == stage.ifmap_tiles.fetch.tile_bytes.sum()
    if problem.weight_bits >= 8:
        assert cost.weight_bytes == stage.weight_tiles.fetch.tile_bytes.sum()
    output = stage.output_tiles
    moved = output.tiles.fetch.tile_bytes.sum() + output.drain.tile_bytes.sum()
    assert cost.result_bytes + cost.psum_bytes == moved


@settings(max_examples=200, deadline=None)
@given(cases)
def test_search_reserves_the_room_that_the_tiles_take(case: Case) -> None:
    """The sets in flight never hold more than the search has counted for the operand."""
    stage, cost = case.stage, tiling_cost(case.problem, case.tiling)
    assert stage.ifmap_tiles is not None
    for tiles, held in zip(
        (stage.ifmap_tiles, stage.weight_tiles, stage.output_tiles.tiles), cost.held_bits, strict=True
    ):
        taken = np.bincount(tiles.set_index, weights=tiles.allocated_bits, minlength=len(tiles.retire_step))
        carried = carried_bits(tiles)
        for number in range(len(taken)):
            in_flight = carried[number] + taken[number : number + tiles.sets_in_flight].sum()
            assert in_flight <= held
