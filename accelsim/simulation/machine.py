"""The machine at work: one process per component, fetching, computing and draining the tiles of all stages in order.

A DMA engine per operand fetches its tiles as soon as their set may enter the buffer, the data exists and there is room;
so it runs ahead into later stages where nothing forbids it. The compute process takes the steps one after the other
and waits for what a step needs; the time it waited is charged to what came last. Results leave once they are complete.

Whether a stage runs may be decided by an earlier one. An operand is then fetched before the decision is known only
where the machine speculates on it; what was fetched for a stage that does not run is dropped when it is decided.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import simpy

from accelsim.errors import DeadlockError
from accelsim.simulation.array_loader import ArrayLoader
from accelsim.simulation.progress_counter import ProgressCounter
from accelsim.simulation.stage_run import StageRun

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Sequence

    from accelsim.hardware.sram import Buffer
    from accelsim.mapping.tile_graph import StageTiles
    from accelsim.simulation.dma import Dma
    from accelsim.simulation.host_link import HostLink
    from accelsim.simulation.stage_run import TileStream
    from accelsim.simulation.trace import Trace
    from accelsim.units import Clock

STREAMS = ("ifmap", "weight", "psum", "ofmap", "miss", "prefetch")
"""Streams into the memory: three that read, the one that writes, and the reads of machines with caches."""

STALL_OF_OPERAND = {"miss": "cache_miss", "prefetch": "late_prefetch"}
"""Causes of stalls that are not named after the fetch of their operand."""


@dataclass
class StageTiming:
    """What a stage took, in cycles of the compute clock, and the bytes fetched for it in vain, by operand."""

    end_cycle: int = 0
    compute_cycles: int = 0
    wasted_bytes: dict[str, int] = field(default_factory=dict)
    stalls: dict[str, int] = field(default_factory=dict)

    def stall(self, cause: str, cycles: int) -> None:
        """Charge cycles of waiting, if any, to a cause."""
        if cycles:
            self.stalls[cause] = self.stalls.get(cause, 0) + cycles


class Machine:
    """All components, joined.

    Parameters
    ----------
    env
        The event loop.
    stages
        Tile graphs in order of execution.
    buffers
        On-chip memories by name.
    port
        What moves tiles from and to the DRAM.
    clock
        Clock of the compute units.
    trace
        Where phases are noted.
    stage_ended
        Called with the stage's index at the time each stage has computed its last step.
    speculates
        Operands that are fetched before it is known whether their stage runs.
    decision_cycles
        Cycles from the end of the stage that decides until the decision is known.
    """

    def __init__(
        self,
        env: simpy.Environment,
        stages: Sequence[StageTiles],
        buffers: dict[str, Buffer],
        port: Dma | HostLink,
        clock: Clock,
        trace: Trace,
        stage_ended: Callable[[int], None],
        speculates: Collection[str] = (),
        decision_cycles: int = 0,
    ) -> None:
        self._env = env
        self._port = port
        self._clock = clock
        self._trace = trace
        self._stage_ended = stage_ended
        self._speculates = speculates
        self._decision_cycles = decision_cycles
        self._decided: dict[int, simpy.Event] = {
            stage.decided_by: env.event() for stage in stages if stage.decided_by is not None
        }
        self._buffers = buffers
        self._runs = [StageRun(env, stage, buffers) for stage in stages]
        self._kept_until: dict[int, list[StageTiles]] = {}
        for stage in stages:
            if stage.kept_bits and not stage.closed:
                self._kept_until.setdefault(stage.kept_until, []).append(stage)
        self._waits: dict[str, str] = {}
        self._ended = ProgressCounter(env)
        self._results_passed = 0
        loads = [None if stage.closed else stage.loads for stage in stages]
        self._loader = ArrayLoader(env, clock, loads, self._wait_for_operand, self._wait_for_stages, self._end_load)
        self.timings = [StageTiming() for _ in stages]
        self.finished = False
        self._drop_closed(None)
        operands = dict.fromkeys(("ifmap", "weight")) | dict.fromkeys(name for run in self._runs for name in run.inputs)
        for operand in operands:
            env.process(self._fetch(operand))
        env.process(self._make_room())
        env.process(self._compute())

    def raise_deadlock(self) -> None:
        """Say who waits for what; called when the events have run out before the last step."""
        waits = "; ".join(f"{who} waits for {what}" for who, what in self._waits.items() if what)
        buffers = "; ".join(buffer.describe() for buffer in self._buffers.values())
        raise DeadlockError(f"the simulation stopped before its last step: {waits}; {buffers}")

    # -- data in --------------------------------------------------------------------------------------------------

    def _fetch(self, operand: str) -> Generator[simpy.Event, None, None]:
        """Fetch one operand of all stages, tile by tile in order."""
        for number, run in enumerate(self._runs):
            stream = run.inputs.get(operand)
            if stream is None:
                continue
            decided = self._open_decision(run.stage)
            if decided is not None and (run.stage.waits or operand not in self._speculates):
                self._waits[operand] = f"the decision on {run.stage.name}"
                yield decided
            if not run.stage.closed:
                yield from self._fetch_tiles(operand, number, run, stream)
            elif decided is not None and not decided.triggered:
                fetching = self._env.process(self._fetch_tiles(operand, number, run, stream))
                yield fetching | decided
                if fetching.is_alive:
                    fetching.interrupt()
            self._waits[operand] = ""

    def _open_decision(self, stage: StageTiles) -> simpy.Event | None:
        """Event of the decision on a stage; None where it is known already."""
        if stage.decided_by is None or self._decided[stage.decided_by].processed:
            return None
        return self._decided[stage.decided_by]

    def _fetch_tiles(
        self, operand: str, number: int, run: StageRun, stream: TileStream
    ) -> Generator[simpy.Event, None, None]:
        """Fetch one operand of one stage; ends early when the stage turns out not to run."""
        sets = stream.tiles.set_index.tolist()
        bits = stream.tiles.allocated_bits.tolist()
        dependences = [(self._runs[d.stage].drained, d.drained.tolist()) for d in stream.tiles.dependences]
        granted: tuple[simpy.Event, int] | None = None
        try:
            for tile in range(len(sets)):
                retired_sets = sets[tile] - stream.tiles.sets_in_flight + 1
                if stream.retired.value < retired_sets:
                    self._waits[operand] = f"set {retired_sets - 1} of {run.stage.name} to be used up"
                    yield stream.retired.reach(retired_sets)
                for drained, needed in dependences:
                    if drained.value < needed[tile]:
                        self._waits[operand] = f"{needed[tile]} results that {run.stage.name} reads"
                        yield drained.reach(needed[tile])
                if bits[tile]:
                    self._waits[operand] = f"{bits[tile]} bits of buffer {stream.buffer.name} for {run.stage.name}"
                    granted = stream.buffer.take(number, bits[tile]), bits[tile]
                    yield granted[0]
                granted = None
                self._read(operand, number, stream, tile)
        except simpy.Interrupt:
            if granted is not None and granted[0].triggered:  # room that came at the very time of the decision
                stream.buffer.give_back(granted[1])

    def _read(self, operand: str, number: int, stream: TileStream, tile: int) -> None:
        """Offer a tile's bursts to the memory; it arrives when they have."""
        addresses = stream.tiles.fetch.bursts(tile, self._port.burst_bytes)
        begin = int(self._env.now)
        closed = self._runs[number].stage.closed
        if closed:
            wasted = self.timings[number].wasted_bytes
            wasted[operand] = wasted.get(operand, 0) + stream.tiles.fetch.in_dram.bytes_of(tile)

        def arrive(now: int) -> None:
            if closed:
                stream.hold(tile)
            stream.arrive(tile, now)

        if not len(addresses):
            arrive(begin)
            return

        def completed() -> None:
            now = int(self._env.now)
            self._trace.add(f"{operand} fetch", number, stream.first_step[tile], begin, now, len(addresses))
            arrive(now)

        self._port.transfer(STREAMS.index(operand), addresses, completed)

    def _make_room(self) -> Generator[simpy.Event, None, None]:
        """Take room for the output tiles of all stages in order, and fetch the partial sums that were spilled."""
        for number, run in enumerate(self._runs):
            stream = run.output
            if run.stage.closed:
                decided = self._open_decision(run.stage)
                if decided is not None:
                    self._waits["psum"] = f"the decision on {run.stage.name}"
                    yield decided
                continue
            if run.stage.kept_bits:
                self._waits["psum"] = f"{run.stage.kept_bits} bits to keep the result of {run.stage.name}"
                yield self._buffers[run.stage.kept_in].take(number, run.stage.kept_bits)
            sets = stream.tiles.set_index.tolist()
            bits = stream.tiles.allocated_bits.tolist()
            spilled_before = run.stage.output.spilled_before.tolist()
            for tile in range(len(sets)):
                retired_sets = sets[tile] - stream.tiles.sets_in_flight + 1
                if stream.retired.value < retired_sets:
                    self._waits["psum"] = f"output set {retired_sets - 1} of {run.stage.name} to be drained"
                    yield stream.retired.reach(retired_sets)
                if run.drained.value < spilled_before[tile]:
                    self._waits["psum"] = f"partial sums of {run.stage.name} to reach the DRAM"
                    yield run.drained.reach(spilled_before[tile])
                if bits[tile]:
                    self._waits["psum"] = f"{bits[tile]} bits of buffer {stream.buffer.name} for {run.stage.name}"
                    yield stream.buffer.take(number, bits[tile])
                self._read("psum", number, stream, tile)
            self._waits["psum"] = ""

    # -- compute --------------------------------------------------------------------------------------------------

    def _compute(self) -> Generator[simpy.Event, None, None]:
        """Run the steps of all stages, one after the other."""
        cycle = 0
        for number, run in enumerate(self._runs):
            cycle = yield from self._await_decision(number, run, cycle)
            if not run.stage.closed:
                cycle = yield from self._run_steps(number, run, cycle)
                cycle = yield from self._await_results(number, run, cycle)
            self.timings[number].end_cycle = cycle
            self._waits["compute"] = ""
            self._ended.finish(number)
            self._release_kept(number)
            self._stage_ended(number)
            if number in self._decided:
                self._env.process(self._decide(number))
        self.finished = True

    def _await_decision(self, number: int, run: StageRun, cycle: int) -> Generator[simpy.Event, None, int]:
        """Wait until it is known whether a stage runs; the cycle in which it is."""
        decided = self._open_decision(run.stage)
        if decided is None:
            return cycle
        self._waits["compute"] = f"the decision on {run.stage.name}"
        yield decided
        known = max(cycle, self._clock.cycle_at(int(self._env.now)))
        self.timings[number].stall("decision", known - cycle)
        return known

    def _run_steps(self, number: int, run: StageRun, cycle: int) -> Generator[simpy.Event, None, int]:
        """Run the steps of a stage; the cycle in which the last one ends."""
        drains = _tiles_by_step(run.stage.output.last_step.tolist())
        loads = self._loader.stages[number]
        for step, cycles in enumerate(run.stage.compute_cycles.tolist()):
            for stream in run.awaited:
                yield from self._wait_for_tiles("compute", run, stream, step)
            if loads is not None:
                self._waits["compute"] = f"step {step} of {run.stage.name} to be loaded"
                yield from self._loader.wait_for(loads, step)
            start = max(cycle, self._clock.cycle_at(int(self._env.now)))
            self._charge_wait(number, step, cycle, start)
            if step == 0:
                start += self._latency(number)
            cycle = start + self._duration(number, step, cycles)
            yield from self._run_step(number, run, step, start, cycle)
            self._finish_step(number, run, step, cycle, drains.get(step, ()))
        return cycle

    def _run_step(
        self, number: int, run: StageRun, step: int, start: int, end: int
    ) -> Generator[simpy.Event, None, None]:
        """Let a step that lasts from one cycle to another pass, and hand over its stationary operand meanwhile."""
        timing, loads = self.timings[number], self._loader.stages[number]
        cycles = int(run.stage.compute_cycles[step])
        timing.compute_cycles += cycles
        self._waits["compute"] = f"step {step} of {run.stage.name} to end"
        if loads is not None:
            timing.compute_cycles -= loads.exposed_cycles[step]
            timing.stall(loads.stall, loads.exposed_cycles[step])
            yield from self._until(start + loads.handover_cycles[step])
            self._loader.hand_over(loads, step)
        yield from self._until(end)
        if cycles:
            unit = "PE array" if run.stage.on_array else "vector unit"
            self._trace.add(unit, number, step, self._clock.ps_of(start), self._clock.ps_of(end), 0)

    def _await_results(self, number: int, run: StageRun, cycle: int) -> Generator[simpy.Event, None, int]:
        """Wait until the results of a stage have left the array; the cycle in which they have."""
        self._waits["compute"] = f"the results of {run.stage.name} to leave the array"
        left = max(cycle + run.stage.drain_cycles, self._results_passed)
        self.timings[number].stall("array_drain", left - cycle)
        yield from self._until(left)
        return left

    def _until(self, cycle: int) -> Generator[simpy.Event, None, None]:
        """Wait until a cycle begins, unless it has."""
        time_ps = self._clock.ps_of(cycle)
        if time_ps > self._env.now:
            yield self._env.timeout(time_ps - int(self._env.now))

    def _wait_for_tiles(
        self, who: str, run: StageRun, stream: TileStream, step: int
    ) -> Generator[simpy.Event, None, None]:
        """Wait until the tiles of one operand that a step needs are there."""
        while (tile := stream.missing_tile(step)) is not None:
            self._waits[who] = f"{stream.tiles.operand} tile {tile} of {run.stage.name}"
            yield stream.wait_for(tile, self._env.event())

    def _latency(self, number: int) -> int:
        """Cycles before the first step of a stage until its operands have come from their buffers."""
        limits = self._runs[number].stage.limits
        slowest = max(limits, key=lambda limit: limit.latency_cycles, default=None)
        if slowest is None:
            return 0
        self.timings[number].stall(slowest.cause, slowest.latency_cycles)
        return slowest.latency_cycles

    def _duration(self, number: int, step: int, cycles: int) -> int:
        """Cycles of a step: those of the compute unit, or of what limits it."""
        for limit in self._runs[number].stage.limits:
            least = int(limit.cycles[step])
            if least > cycles:
                self.timings[number].stall(limit.cause, least - cycles)
                cycles = least
        return cycles

    def _charge_wait(self, number: int, step: int, since: int, until: int) -> None:
        """Charge the cycles before a step to what came last, those after it to the load into the array."""
        run, timing, loads = self._runs[number], self.timings[number], self._loader.stages[number]
        if until == since:
            return
        arrival_ps, cause = _last_arrival(run, step)
        arrival = until
        if loads is not None and step in loads.number:
            arrival = min(max(self._clock.cycle_at(max(arrival_ps, 0)), since), until)
            timing.stall(loads.stall, until - arrival)
        timing.stall(cause, arrival - since)

    # -- loads into the array -------------------------------------------------------------------------------------

    def _wait_for_stages(self, number: int) -> Generator[simpy.Event, None, None]:
        """Wait until the stages before one have ended."""
        if self._ended.value < number:
            self._waits["loader"] = f"{self._runs[number - 1].stage.name} to end"
            yield self._ended.reach(number)

    def _wait_for_operand(self, number: int, step: int) -> Generator[simpy.Event, None, None]:
        """Wait until the stationary operand of a step is in its buffer, and note when it came."""
        run = self._runs[number]
        stream = run.inputs.get(run.loaded_operand or "")
        if stream is not None:
            yield from self._wait_for_tiles("loader", run, stream, step)
            run.loaded_from_ps[step] = stream.last_arrival(step)[0]
        self._waits["loader"] = ""

    def _end_load(self, number: int, step: int, begin_ps: int) -> None:
        """Note a load; the room of an operand that is all in the array is free."""
        run = self._runs[number]
        self._trace.add(f"{run.loaded_operand} shift", number, step, begin_ps, int(self._env.now), 0)
        stream = run.inputs.get(run.loaded_operand or "")
        loads = self._loader.stages[number]
        if stream is not None and loads is not None and loads.handover_cycles[step] == 0:
            self._retire(stream, step)

    def _decide(self, number: int) -> Generator[simpy.Event, None, None]:
        """Make known what a stage has decided, and drop what was fetched for stages that do not run."""
        if self._decision_cycles:
            yield self._env.timeout(self._clock.ps_of(self._decision_cycles))
        self._drop_closed(number)
        self._decided[number].succeed()

    def _drop_closed(self, decided_by: int | None) -> None:
        for number, run in enumerate(self._runs):
            if run.stage.closed and run.stage.decided_by == decided_by:
                for stream in run.inputs.values():
                    stream.drop()
                for buffer in self._buffers.values():
                    buffer.forgo(number)

    def _finish_step(self, number: int, run: StageRun, step: int, cycle: int, drained: Sequence[int]) -> None:
        """Give back the input sets that the step was the last to use, send off the results that it completed."""
        for stream in run.inputs.values():
            self._retire(stream, step)
        for tile in drained:
            left = cycle + int(run.stage.output.delay_cycles[tile])
            if run.stage.output.pass_cycles is not None:
                left = max(left, self._results_passed) + int(run.stage.output.pass_cycles[tile])
                self._results_passed = left
            if left > cycle:
                self._env.process(self._drain_at(left, number, run, tile))
            else:
                self._drain(number, run, tile)

    @staticmethod
    def _retire(stream: TileStream, step: int) -> None:
        """Give back the room of a set that a step was the last to use."""
        done = stream.retired.value
        if done < len(stream.retire_step) and stream.retire_step[done] == step:
            if released := int(stream.tiles.released_bits[done]):
                stream.buffer.give_back(released)
            stream.retired.finish(done)

    def _release_kept(self, number: int) -> None:
        """Give back the feature maps kept on chip that this stage was the last to read."""
        for stage in self._kept_until.get(number, ()):
            self._buffers[stage.kept_in].give_back(stage.kept_bits)

    # -- data out -------------------------------------------------------------------------------------------------

    def _drain_at(self, cycle: int, number: int, run: StageRun, tile: int) -> Generator[simpy.Event, None, None]:
        """Send off an output tile whose last results leave the array in `cycle`."""
        yield self._env.timeout(max(self._clock.ps_of(cycle) - int(self._env.now), 0))
        self._drain(number, run, tile)

    def _drain(self, number: int, run: StageRun, tile: int) -> None:
        """Send an output tile on its way; its room is free once the memory has taken it."""
        addresses = run.stage.output.drain.bursts(tile, self._port.burst_bytes)
        begin = int(self._env.now)
        step = run.output.first_step[tile]

        def completed() -> None:
            if len(addresses):
                self._trace.add("ofmap drain", number, step, begin, int(self._env.now), len(addresses))
            bits = int(run.output.tiles.allocated_bits[tile])
            if bits:
                run.output.buffer.give_back(bits)
            set_index = int(run.output.tiles.set_index[tile])
            run.open_in_set[set_index] -= 1
            if run.open_in_set[set_index] == 0:
                run.output.retired.finish(set_index)
            run.drained.finish(run.drain_rank[tile])

        if len(addresses):
            self._port.transfer(STREAMS.index("ofmap"), addresses, completed, is_write=True)
        else:
            completed()


def _tiles_by_step(steps: list[int]) -> dict[int, list[int]]:
    tiles: dict[int, list[int]] = {}
    for tile, step in enumerate(steps):
        tiles.setdefault(step, []).append(tile)
    return tiles


def _last_arrival(run: StageRun, step: int) -> tuple[int, str]:
    """Time and cause of what a step waited for: the operand whose tile came last, or a lack of room for the output."""
    stream = max(run.awaited, key=lambda entry: entry.last_arrival(step)[0])
    arrival_ps, tile = stream.last_arrival(step)
    loaded_ps = run.loaded_from_ps.get(step, -1)
    if loaded_ps > arrival_ps:
        return loaded_ps, f"{run.loaded_operand}_fetch"
    operand = stream.tiles.operand
    if operand != "psum":
        return arrival_ps, STALL_OF_OPERAND.get(operand, f"{operand}_fetch")
    fetched = stream.tiles.fetch.offsets[tile] < stream.tiles.fetch.offsets[tile + 1]
    return arrival_ps, "psum_fetch" if fetched else "ofmap_drain"
