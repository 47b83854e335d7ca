"""Figures over time, data first: phases, DRAM bandwidth and buffer occupancy, thinned out to what a page can show.

Thinning is explicit: every record says below which time it has merged, and ``trace.json`` keeps everything.
`accelsim.report.plots` draws the records.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.units import PS_PER_NS, Clock, bandwidth_gb_per_s, ceil_div

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.result import Profile, RunResult

MAX_SEGMENTS = 3_000
"""Bars of the timeline; beyond it a browser takes more than a blink to draw them."""
MAX_POINTS = 800
"""Points of a curve over time: about one per pixel."""


@dataclass(frozen=True)
class Segment:
    """Phases of one component and one layer, drawn as one bar.

    Parameters
    ----------
    busy
        Fraction of the bar's length in which the component really worked: 1 for a single phase.
    """

    component: int
    layer: int
    first_step: int
    last_step: int
    start_ps: int
    end_ps: int
    size_bytes: int
    busy: float


@dataclass(frozen=True)
class Timeline:
    """Who worked when.

    Parameters
    ----------
    layer_times_ps
        Begin and end of every layer, without gaps.
    phases
        Number of phases before merging.
    merged_gap_ps
        Phases of one layer that are no further apart than this are one bar; None where every phase has its own.
    """

    components: tuple[str, ...]
    layers: tuple[str, ...]
    layer_times_ps: tuple[tuple[int, int], ...]
    segments: tuple[Segment, ...]
    latency_ps: int
    phases: int
    merged_gap_ps: int | None


@dataclass(frozen=True)
class BandwidthOverTime:
    """Mean DRAM bandwidth of consecutive time bins; `time_ps` has one entry more than the rates."""

    time_ps: tuple[int, ...]
    read_gb_per_s: tuple[float, ...]
    write_gb_per_s: tuple[float, ...]
    peak_gb_per_s: float


@dataclass(frozen=True)
class BufferOccupancy:
    """Bytes held by one buffer from each time on.

    Parameters
    ----------
    interval_ps
        Each point is the maximum of an interval of this length; 0 where every change is kept.
    """

    buffer: str
    capacity_bytes: int
    time_ps: tuple[int, ...]
    size_bytes: tuple[int, ...]
    interval_ps: int


def latency_ps(result: RunResult) -> int:
    """Time from the first fetch to the last drain."""
    return round(result.totals.latency_ns * PS_PER_NS)


def layer_times_ps(result: RunResult) -> tuple[tuple[int, int], ...]:
    """Begin and end of every layer; they follow one another without a gap, as their cycles add up to the total."""
    clock = Clock.from_mhz(result.machine.clock_mhz)
    times, cycle = [], 0
    for layer in result.layer_results:
        times.append((clock.ps_of(cycle), clock.ps_of(cycle + layer.total_cycles)))
        cycle += layer.total_cycles
    return tuple(times)


def phases_of_components(profile: Profile) -> list[NDArray[np.void]]:
    """Phases of each component, ordered by start."""
    component = np.ascontiguousarray(profile.phases["component"])
    return [profile.phases.compress(component == index) for index in range(len(profile.components))]


def timeline(result: RunResult, profile: Profile) -> Timeline:
    """Turn phases into at most about `MAX_SEGMENTS` bars, merging neighbours of the same component and layer.

    Those nearest to one another are merged first. More bars remain only where there are that many layers; fewer where
    many gaps are equally long.
    """
    by_component = phases_of_components(profile)
    gap = _gap_to_merge(by_component, len(profile.phases) - MAX_SEGMENTS)
    return Timeline(
        components=profile.components,
        layers=profile.layers,
        layer_times_ps=layer_times_ps(result),
        segments=tuple(segment for phases in by_component for segment in _merge(phases, gap)),
        latency_ps=latency_ps(result),
        phases=len(profile.phases),
        merged_gap_ps=gap,
    )


def _idle_before(phases: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Time without work before each phase but the first, and whether its layer is that of the phase before."""
    idle = phases["start_ps"][1:] - np.maximum.accumulate(phases["end_ps"])[:-1]
    return idle, phases["layer"][1:] == phases["layer"][:-1]


def _gap_to_merge(by_component: list[NDArray[np.void]], excess: int) -> int | None:
    """Return the shortest gap whose merging takes `excess` bars away; None where there is no excess."""
    if excess <= 0:
        return None
    gaps = np.concatenate([idle[same] for idle, same in map(_idle_before, by_component)])
    if not len(gaps):
        return None
    return max(int(np.partition(gaps, min(excess, len(gaps)) - 1)[min(excess, len(gaps)) - 1]), 0)


def _first_of_segments(phases: NDArray[np.void], gap_ps: int | None) -> NDArray[np.intp]:
    """Positions of the phases at which a new bar begins."""
    if gap_ps is None:
        return np.arange(len(phases))
    idle, same_layer = _idle_before(phases)
    return np.concatenate([[0], np.flatnonzero((idle > gap_ps) | ~same_layer) + 1])


def _merge(phases: NDArray[np.void], gap_ps: int | None) -> list[Segment]:
    if not len(phases):
        return []
    first = _first_of_segments(phases, gap_ps)
    start = phases["start_ps"][first]
    end = np.maximum.reduceat(phases["end_ps"], first)
    worked = np.add.reduceat(phases["end_ps"] - phases["start_ps"], first)
    busy = np.minimum(worked / np.maximum(end - start, 1), 1.0)
    columns = (
        phases["component"][first],
        phases["layer"][first],
        np.minimum.reduceat(phases["step"], first),
        np.maximum.reduceat(phases["step"], first),
        start,
        end,
        np.add.reduceat(phases["bytes"], first),
        busy,
    )
    return [Segment(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def bandwidth_over_time(result: RunResult, profile: Profile) -> BandwidthOverTime | None:
    """Bandwidth in at most `MAX_POINTS` bins, joined whole, so the bytes are the run's; None where nobody counted."""
    traffic = profile.dram_traffic
    peak = result.machine.peak_dram_gb_per_s
    if not len(traffic):
        return None
    first = np.arange(0, len(traffic), ceil_div(len(traffic), MAX_POINTS))
    starts = traffic["time_ps"][first].tolist()
    bin_ps = int(traffic["time_ps"][1] - traffic["time_ps"][0]) if len(traffic) > 1 else 1
    times = [*starts, max(latency_ps(result), int(traffic["time_ps"][-1]) + bin_ps)]
    spans = [end - start for start, end in itertools.pairwise(times)]
    rates = {
        key: tuple(
            bandwidth_gb_per_s(size, span)
            for size, span in zip(np.add.reduceat(traffic[key], first).tolist(), spans, strict=True)
        )
        for key in ("read_bytes", "write_bytes")
    }
    return BandwidthOverTime(tuple(times), rates["read_bytes"], rates["write_bytes"], peak)


def buffer_occupancies(result: RunResult, profile: Profile) -> tuple[BufferOccupancy, ...]:
    """Occupancy of every buffer in at most `MAX_POINTS` points, each the maximum of its interval."""
    end = latency_ps(result)
    return tuple(
        _occupancy(name, changes, profile.buffer_capacity_bytes[name], end)
        for name, changes in profile.buffer_occupancy.items()
    )


def _occupancy(buffer: str, changes: NDArray[np.void], capacity: int, end_ps: int) -> BufferOccupancy:
    times = np.concatenate([[0], changes["time_ps"], [end_ps]])
    sizes = np.concatenate([[0], changes["bytes"], changes["bytes"][-1:] if len(changes) else [0]])
    if len(times) <= MAX_POINTS:
        return BufferOccupancy(buffer, capacity, tuple(times.tolist()), tuple(sizes.tolist()), 0)
    interval = ceil_div(end_ps, MAX_POINTS)
    starts = np.arange(0, end_ps, interval)
    first = np.searchsorted(times, starts, side="left")
    before = sizes[np.maximum(first - 1, 0)]  # what the interval begins with
    inside = np.maximum.reduceat(sizes, np.minimum(first, len(sizes) - 1))
    empty = first == np.append(first[1:], len(times))
    peaks = np.where(empty, before, np.maximum(before, inside))
    return BufferOccupancy(buffer, capacity, (*starts.tolist(), end_ps), (*peaks.tolist(), int(peaks[-1])), interval)
