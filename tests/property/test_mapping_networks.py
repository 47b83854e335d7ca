"""Whatever the network and the machine, every tensor is written once, read where it was written, and after that."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, reject, settings
from naive_blocks import covered
from small_networks import machines, networks

from accelsim.errors import MappingError
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.pe_array import build_array
from accelsim.mapping.network import NetworkMapping, map_network
from accelsim.pipeline import memory_interface
from accelsim.simulation.simulator import run_stages

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.tile_graph import StageTiles
    from accelsim.workload.graph import LayerGraph


def mapped(graph: LayerGraph, config: HardwareConfig) -> NetworkMapping:
    try:
        return map_network(graph, config, memory_interface(config, Dram(config.dram)), build_array(config))
    except MappingError as error:
        if "by no tiling" not in str(error) and "nothing to run" not in str(error):
            raise
        reject()


def written_by(mapping: NetworkMapping, index: int) -> np.ndarray:
    """How often each byte of a stage's output is drained."""
    region = mapping.placement.regions[mapping.stages[index].output]
    tiles = mapping.tiles[index].output
    times: np.ndarray = np.sum(
        [covered(tiles.drain, tile, region.address, region.size_bytes) for tile in range(len(tiles.tiles))], axis=0
    )
    return times


@settings(max_examples=80, deadline=None)
@given(networks(), machines())
def test_every_result_in_dram_is_written_once(graph: LayerGraph, config: HardwareConfig) -> None:
    mapping = mapped(graph, config)
    for stage, tiles in zip(mapping.stages, mapping.tiles, strict=True):
        if tiles.mapping["kept_on_chip"]:
            assert stage.output not in mapping.placement.regions
            assert not tiles.output.drain.tile_bytes.sum() or f"{stage.layer.name}.psum" in mapping.placement.regions
        else:
            times = written_by(mapping, stage.index)
            assert times.min() == times.max() == 1


@settings(max_examples=80, deadline=None)
@given(networks(), machines())
def test_everything_is_read_where_and_after_it_is_written(graph: LayerGraph, config: HardwareConfig) -> None:
    mapping = mapped(graph, config)
    made_by = {stage.output: stage.index for stage in mapping.stages}
    for stage, tiles in zip(mapping.stages, mapping.tiles, strict=True):
        read = {operand.operand: operand for operand in tiles.inputs}.get("ifmap")
        roots = [root for root in stage.roots if root in mapping.placement.regions]
        if read is None:
            assert not roots, "what is in DRAM has to be fetched"
            continue
        total = 0
        for root in roots:
            region = mapping.placement.regions[root]
            per_tile = [covered(read.fetch, tile, region.address, region.size_bytes) for tile in range(len(read))]
            total += int(np.sum(per_tile))
            if root in made_by:
                _check_after(mapping.tiles[made_by[root]], region.address, region.size_bytes, tiles, per_tile)
        assert total == read.fetch.tile_bytes.sum(), "reads outside of the input"


def _check_after(maker: StageTiles, address: int, size: int, reader: StageTiles, per_tile: list[np.ndarray]) -> None:
    """Each byte that a tile covers has been drained by the drains that the tile waits for."""
    output = maker.output
    order = output.drain_order
    done_after = np.full(size, len(order) + 1)
    for rank, tile in enumerate(order):
        done_after[covered(output.drain, tile, address, size) > 0] = rank + 1
    ifmap = next(operand for operand in reader.inputs if operand.operand == "ifmap")
    waits = next(entry.drained for entry in ifmap.dependences if entry.stage == maker.index)
    for tile, times in enumerate(per_tile):
        if times.any():
            assert waits[tile] >= done_after[times > 0].max(), f"{reader.name} reads tile {tile} before it is there"


@settings(max_examples=50, deadline=None)
@given(networks(), machines())
def test_whole_inputs_are_read(graph: LayerGraph, config: HardwareConfig) -> None:
    """Vector stages and products read every byte of what they take from DRAM."""
    mapping = mapped(graph, config)
    for stage, tiles in zip(mapping.stages, mapping.tiles, strict=True):
        if stage.layer.op == "conv":
            continue
        for operand in tiles.inputs:
            for root in stage.roots:
                if operand.operand == "ifmap" and root in mapping.placement.regions:
                    region = mapping.placement.regions[root]
                    parts = [covered(operand.fetch, t, region.address, region.size_bytes) for t in range(len(operand))]
                    assert np.sum(parts, axis=0).min() >= 1, stage.layer.name


@settings(max_examples=50, deadline=None)
@given(networks(), machines())
def test_tensors_that_live_together_lie_apart(graph: LayerGraph, config: HardwareConfig) -> None:
    mapping = mapped(graph, config)
    alive: dict[str, tuple[int, int]] = {}
    last = len(mapping.stages) - 1
    results = {part.root for tensor in graph.outputs for part in mapping.parts_of[tensor.name]}
    for name in mapping.placement.regions:
        readers = [stage.index for stage in mapping.stages if name in stage.roots]
        makers = [stage.index for stage in mapping.stages if stage.output == name]
        weights = [stage for stage in mapping.stages if stage.layer.weight == name]
        sums = [stage.index for stage in mapping.stages if f"{stage.layer.name}.psum" == name]
        if weights:
            alive[name] = 0, last
        elif sums:
            alive[name] = sums[0], sums[0]
        else:
            alive[name] = makers[0] if makers else 0, last if name in results else max([*readers, *makers], default=0)
    for one, other in combinations(alive, 2):
        if alive[one][0] <= alive[other][1] and alive[other][0] <= alive[one][1]:
            a, b = mapping.placement.regions[one], mapping.placement.regions[other]
            assert a.address + a.size_bytes <= b.address or b.address + b.size_bytes <= a.address, (one, other)


@settings(max_examples=50, deadline=None)
@given(networks(), machines())
def test_results_of_the_network_reach_the_dram(graph: LayerGraph, config: HardwareConfig) -> None:
    mapping = mapped(graph, config)
    for tensor in graph.outputs:
        for part in mapping.parts_of[tensor.name]:
            assert part.root in mapping.placement.regions


@settings(max_examples=80, deadline=None)
@given(networks(), machines())
def test_machine_runs_through_within_its_buffers(graph: LayerGraph, config: HardwareConfig) -> None:
    mapping = mapped(graph, config)
    simulation = run_stages(mapping.tiles, config)
    for name, buffer in config.sram.items():
        held = simulation.occupancy[name]["bytes"]
        assert held.max() <= buffer.capacity_bytes
        assert held.min() >= 0
        assert held[-1] == 0, "everything is given back"
    for timing, tiles in zip(simulation.timings, mapping.tiles, strict=True):
        assert timing.compute_cycles == tiles.compute_cycles.sum()
    assert sum(tiles.activity.macs for tiles in mapping.tiles) == graph.total_macs
    assert simulation.end_cycle >= sum(timing.compute_cycles for timing in simulation.timings)
