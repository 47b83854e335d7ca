"""What single stages of a run and its memory come to, for the records of one run and for the sums over many rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.ideal_memory import IdealMemory
from accelsim.mapping.tile_graph import Activity
from accelsim.result import DramResult
from accelsim.units import BITS_PER_BYTE, PS_PER_NS, bandwidth_gb_per_s

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelsim.hardware.dram.activity import DramActivity
    from accelsim.hardware.dram.controller import Dram
    from accelsim.mapping.tile_graph import StageTiles


def is_skipped(stage: StageTiles) -> bool:
    """Whether a layer does not run, or a move takes its place."""
    return stage.closed or "stands_for" in stage.mapping


def closed_channels(stage: StageTiles) -> float:
    """Share of the channels around a gate that are closed."""
    channels = stage.mapping.get("channels")
    return 1 - channels["open"] / channels["of"] if isinstance(channels, dict) else 0.0


def result_share(stage: StageTiles) -> float:
    """Share of its results that a layer makes, where it skips some of its channels."""
    channels = stage.mapping.get("channels")
    return channels["run"] / channels["of"] if isinstance(channels, dict) and channels["results"] else 1.0


def dram_bytes(stage: StageTiles) -> tuple[int, int]:
    """Bytes that a stage reads from and writes to DRAM by its mapping; none where it does not run."""
    if stage.closed:
        return 0, 0
    read = sum(int(tiles.fetch.in_dram.tile_bytes.sum()) for tiles in (*stage.inputs, stage.output.tiles))
    return read, int(stage.output.drain.in_dram.tile_bytes.sum())


def wasted_activity(stage: StageTiles, wasted_bytes: Mapping[str, int]) -> Activity:
    """What was done on chip for a stage that then did not run: its tiles were written into their buffers."""
    buffer_of = {tiles.operand: tiles.buffer for tiles in stage.inputs}
    written: dict[str, int] = {}
    for operand, wasted in wasted_bytes.items():
        name = buffer_of[operand]
        written[name] = written.get(name, 0) + wasted * BITS_PER_BYTE
    return Activity(sram_write_bits=written, interconnect_bits=sum(written.values()))


def dram_result(
    memory: Dram | IdealMemory, total: DramActivity | None, moved: tuple[int, int], end_ps: int, bits_flipped: int
) -> DramResult:
    """What a memory did in a run.

    Parameters
    ----------
    memory
        The memory.
    total
        What it did by the end; None for an ideal one.
    moved
        Bursts read and written.
    end_ps
        Length of the run.
    bits_flipped
        Bits that flipped.
    """
    reads, writes = moved
    moved_bytes = (reads + writes) * memory.burst_bytes
    bandwidth = bandwidth_gb_per_s(moved_bytes, end_ps)
    if total is None or isinstance(memory, IdealMemory):
        return DramResult(reads=reads, writes=writes, bandwidth_gb_per_s=bandwidth)
    busy_ps = int(moved_bytes / memory.peak_bandwidth_gb_per_s * PS_PER_NS)
    return DramResult(
        row_hits=total.row_hits,
        row_misses=total.row_misses,
        row_conflicts=total.row_conflicts,
        activates=total.activates,
        precharges=total.precharges,
        reads=reads,
        writes=writes,
        refreshes=total.refreshes,
        busy_ns=busy_ps / PS_PER_NS,
        bandwidth_gb_per_s=bandwidth,
        bits_flipped=bits_flipped,
    )
