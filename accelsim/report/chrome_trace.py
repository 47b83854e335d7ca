"""``trace.json``: the run as a Chrome trace, which Perfetto (ui.perfetto.dev) and chrome://tracing open.

One track per component with a complete event per phase, one track with the layers, counter tracks for the DRAM
bandwidth and the buffers. Times are microseconds with six decimals, so every picosecond is kept.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from accelsim.report.time_figures import latency_ps, layer_times_ps
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
    events = [_process_name(f"{result.run.workload} on {result.run.hardware}")]
    events += _layer_track(result)
    if result.profile is not None:
        events += _component_tracks(result.profile)
        events += _bandwidth_counter(result.profile, latency_ps(result))
        events += _occupancy_counters(result.profile)
    about = json.dumps({"run_id": result.run.run_id, "config_hash": result.run.config_hash})
    return f'{{"displayTimeUnit":"ns","otherData":{about},"traceEvents":[\n' + ",\n".join(events) + "\n]}\n"


def lanes(start_ps: NDArray[np.int64], end_ps: NDArray[np.int64]) -> list[int]:
    """Deal phases, ordered by start, onto as few lanes as keep those of a lane from overlapping."""
    if bool(np.all(start_ps[1:] >= np.maximum.accumulate(end_ps)[:-1])):
        return [0] * len(start_ps)
    busy_until: list[int] = []
    chosen = []
    for start, end in zip(start_ps.tolist(), end_ps.tolist(), strict=True):
        for lane, free in enumerate(busy_until):
            if free <= start:
                busy_until[lane] = end
                break
        else:
            lane = len(busy_until)
            busy_until.append(end)
        chosen.append(lane)
    return chosen


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


def _component_tracks(profile: Profile) -> Iterator[str]:
    names = [json.dumps(name) for name in profile.layers]
    tid = _LAYER_TID
    for component, label in enumerate(profile.components):
        phases = profile.phases[profile.phases["component"] == component]
        lane_of = lanes(phases["start_ps"], phases["end_ps"])
        first = tid + 1
        for lane in range(max(lane_of, default=0) + 1):
            tid = first + lane
            yield from _track(tid, label if lane == 0 else f"{label} #{lane + 1}")
        category = json.dumps(label).replace("%", "%%")
        form = (
            f'{{"ph":"X","pid":{_PID},"tid":%d,"name":%s,"cat":{category},"ts":%d.%06d,"dur":%d.%06d,'
            f'"args":{{"layer":%s,"step":%d,"bytes":%d}}}}'
        )  # one conversion for each event: long runs have half a million
        layer = [names[number] for number in phases["layer"].tolist()]
        start = np.divmod(phases["start_ps"], PS_PER_US)
        length = np.divmod(phases["end_ps"] - phases["start_ps"], PS_PER_US)
        times = [part.tolist() for part in (*start, *length)]
        tids = [first + lane for lane in lane_of]
        rows = zip(tids, layer, *times, layer, phases["step"].tolist(), phases["bytes"].tolist(), strict=True)
        yield from [form % row for row in rows]


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


def _occupancy_counters(profile: Profile) -> Iterator[str]:
    for buffer, changes in profile.buffer_occupancy.items():
        name = json.dumps(f"{buffer} buffer (bytes)").replace("%", "%%")
        form = f'{{"ph":"C","pid":{_PID},"name":{name},"ts":%d.%06d,"args":{{"bytes":%d}}}}'
        whole, rest = np.divmod(changes["time_ps"], PS_PER_US)
        yield from [form % row for row in zip(whole.tolist(), rest.tolist(), changes["bytes"].tolist(), strict=True)]
