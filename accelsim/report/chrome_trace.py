"""``trace.json``: the run as a Chrome trace, which Perfetto (ui.perfetto.dev) and chrome://tracing open.

One track per component with a complete event per phase, one track with the layers, counter tracks for the DRAM
bandwidth and the buffers. Times are microseconds with six decimals, so every picosecond is kept.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from accelsim.report.time_figures import latency_ps, layer_times_ps, phases_of_components
from accelsim.report.trace_kernel import NAME, NUMBER, TIME, deal, write_events
from accelsim.units import PS_PER_US, bandwidth_gb_per_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from accelsim.result import Profile, RunResult

_PID = 1
_LAYER_TID = 0


def chrome_trace(result: RunResult) -> str:
    """Write a run that has a profile as a Chrome trace.

    Parameters
    ----------
    result
        The run; without a profile the trace holds the layers alone.

    Returns
    -------
    str
        The JSON text.
    """
    return b"".join(map(bytes, trace_parts(result))).decode("ascii")


def trace_parts(result: RunResult) -> Iterator[bytes | memoryview]:
    """Write the same text in parts, each to be used before the next: a long run has a hundred megabytes."""
    about = json.dumps({"run_id": result.run.run_id, "config_hash": result.run.config_hash})
    yield f'{{"displayTimeUnit":"ns","otherData":{about},"traceEvents":[\n'.encode("ascii")
    yield _process_name(f"{result.run.workload} on {result.run.hardware}").encode("ascii")
    for events in _events(result):
        yield b",\n"
        if isinstance(events, str):
            yield events.encode("ascii")
        else:
            yield from events
    yield b"\n]}\n"


def _events(result: RunResult) -> Iterator[str | Iterator[memoryview]]:
    """Events one by one or by the thousand, with commas between them."""
    yield from _layer_track(result)
    if result.profile is not None:
        yield from _component_tracks(result.profile)
        yield from _bandwidth_counter(result.profile, latency_ps(result))
        yield from _occupancy_counters(result.profile)


def lanes(start_ps: NDArray[np.int64], end_ps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Deal phases, ordered by start, onto as few lanes as keep those of a lane from overlapping."""
    if bool(np.all(start_ps[1:] >= np.maximum.accumulate(end_ps)[:-1])):
        return np.zeros(len(start_ps), np.int64)
    return deal(np.ascontiguousarray(start_ps), np.ascontiguousarray(end_ps))


def _process_name(name: str) -> str:
    return f'{{"ph":"M","pid":{_PID},"tid":0,"name":"process_name","args":{{"name":{json.dumps(name)}}}}}'


def _track(tid: int, name: str) -> list[str]:
    head = f'{{"ph":"M","pid":{_PID},"tid":{tid},"name":'
    return [
        f'{head}"thread_name","args":{{"name":{json.dumps(name)}}}}}',
        f'{head}"thread_sort_index","args":{{"sort_index":{tid}}}}}',
    ]


def _microseconds(time_ps: int) -> str:
    whole, rest = divmod(time_ps, PS_PER_US)
    return f"{whole}.{rest:06d}"


def _layer_track(result: RunResult) -> list[str]:
    events = _track(_LAYER_TID, "layers")
    for layer, (start, end) in zip(result.layer_results, layer_times_ps(result), strict=True):
        if start == end:
            continue
        args = json.dumps(
            {
                "op": layer.op,
                "cycles": layer.total_cycles,
                "stall_cycles": layer.stall_cycles,
                "macs": layer.effective_macs,
            }
        )
        events.append(
            f'{{"ph":"X","pid":{_PID},"tid":{_LAYER_TID},"name":{json.dumps(layer.name)},"cat":"layer",'
            f'"ts":{_microseconds(start)},"dur":{_microseconds(end - start)},"args":{args}}}'
        )
    return events


def _component_tracks(profile: Profile) -> Iterator[str | Iterator[memoryview]]:
    """One track per component, or several where its phases overlap; events have the names of their layers."""
    names = [json.dumps(name) for name in profile.layers]
    tid = _LAYER_TID
    for label, phases in zip(profile.components, phases_of_components(profile), strict=True):
        start, end = (np.ascontiguousarray(phases[key]) for key in ("start_ps", "end_ps"))
        lane_of = lanes(start, end)
        first = tid + 1
        for lane in range(int(lane_of.max(initial=0)) + 1):
            tid = first + lane
            yield from _track(tid, label if lane == 0 else f"{label} #{lane + 1}")
        if len(phases):
            columns = (first + lane_of, phases["layer"], start, end - start, phases["step"], phases["bytes"])
            yield write_events(_PHASE_PIECES, _PHASE_FIELDS, columns, names)


_PHASE_FIELDS = (NUMBER, NAME, TIME, TIME, NUMBER, NUMBER)
_PHASE_PIECES = (
    f'{{"ph":"X","pid":{_PID},"tid":', ',"name":', ',"ts":', ',"dur":', ',"args":{"step":', ',"bytes":', "}}",
)  # fmt: skip


def _counter(name: str, time_ps: int, args: str) -> str:
    return f'{{"ph":"C","pid":{_PID},"name":{name},"ts":{_microseconds(time_ps)},"args":{{{args}}}}}'


def _bandwidth_counter(profile: Profile, end_ps: int) -> Iterator[str]:
    name = json.dumps("DRAM bandwidth (GB/s)")
    bins = profile.dram_traffic.tolist()
    ends = [row[0] for row in bins[1:]] + [max(end_ps, bins[-1][0])] if bins else []
    for (start, read, write), end in zip(bins, ends, strict=True):
        rates = (bandwidth_gb_per_s(size, end - start) for size in (read, write))
        yield _counter(
            name, start, ",".join(f'"{key}":{rate:.6g}' for key, rate in zip(("read", "write"), rates, strict=True))
        )
    if bins:
        yield _counter(name, ends[-1], '"read":0,"write":0')


def _occupancy_counters(profile: Profile) -> Iterator[Iterator[memoryview]]:
    """Bytes held by each buffer; a counter keeps its value until the next event, so only other values are written."""
    for buffer, changes in profile.buffer_occupancy.items():
        if len(changes):
            sizes = changes["bytes"]
            changed = changes[np.concatenate([[True], sizes[1:] != sizes[:-1]])]
            name = json.dumps(f"{buffer} buffer (bytes)")
            pieces = (f'{{"ph":"C","pid":{_PID},"name":{name},"ts":', ',"args":{"bytes":', "}}")
            yield write_events(pieces, (TIME, NUMBER), (changed["time_ps"], changed["bytes"]))
