"""Builds the components of a machine, runs the tile graphs on them, and gathers what happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import simpy

from accelsim.hardware.dram.activity import ActivitySeries
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.ideal_memory import IdealMemory
from accelsim.hardware.sram import Buffer
from accelsim.simulation.compiled.machine import CompiledMachine, supports
from accelsim.simulation.dma import Dma
from accelsim.simulation.host_link import HostLink
from accelsim.simulation.machine import Machine, StageTiming
from accelsim.simulation.memory_port import MemoryPort
from accelsim.simulation.trace import Trace
from accelsim.units import BITS_PER_BYTE, BYTES_PER_KIB, PS_PER_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.hardware.dram.activity import DramActivity
    from accelsim.mapping.tile_graph import StageTiles
    from accelsim.simulation.compiled.run import CompiledRun


@dataclass(frozen=True)
class Simulation:
    """What a simulation found out.

    Parameters
    ----------
    timings
        Per stage its cycles and stalls.
    end_cycle, end_ps
        When the last drain had left, in cycles of the array and in time.
    dram_activity
        What the DRAM had done when each stage ended, and at the very end; None for an ideal memory.
    reads, writes
        Bursts moved.
    trace
        Phases.
    occupancy
        Per buffer the bytes held over time.
    memory
        The memory after the run, for its histograms.
    """

    timings: tuple[StageTiming, ...]
    end_cycle: int
    end_ps: int
    dram_activity: ActivitySeries | None
    reads: int
    writes: int
    trace: Trace
    occupancy: dict[str, NDArray[np.void]]
    memory: Dram | IdealMemory


def build_memory(hardware: HardwareConfig) -> Dram | IdealMemory:
    """Build the memory that a config asks for; an ideal one keeps the burst size of its device."""
    config = hardware.dram
    if config.kind == "command":
        return Dram(config)
    device = Dram(config)
    latency_ps = round(config.ideal_latency_ns * PS_PER_NS)
    return IdealMemory(device.burst_bytes, latency_ps, config.ideal_bandwidth_gb_per_s)


def run_stages(
    stages: Sequence[StageTiles], hardware: HardwareConfig, progress: Callable[[float], None] | None = None
) -> Simulation:
    """Run the stages of a network.

    Parameters
    ----------
    stages
        Tile graphs in order of execution.
    hardware
        The machine.
    progress
        Called with the share of the stages that have ended.

    Raises
    ------
    DeadlockError
        When no event is left before the last step.

    Notes
    -----
    The compiled machine runs what it supports. It does what `run_processes` does, event by event, so that all figures
    are equal; where stages block each other the processes run once more, for they can say who waits for what.
    """
    if supports(hardware):
        memory = build_memory(hardware)
        run = CompiledMachine(hardware, memory.burst_bytes, logged=True).run(stages, memory, progress)
        if run is not None:
            return _read_off(run, hardware, memory)
    return run_processes(stages, hardware, progress)


def _read_off(run: CompiledRun, hardware: HardwareConfig, memory: Dram | IdealMemory) -> Simulation:
    """What happened on the compiled machine."""
    end = run.end(hardware.pe_array.clock, memory)
    occupancy = {name: run.occupancy(number) for number, name in enumerate(hardware.on_chip) if name in hardware.sram}
    return Simulation(
        timings=tuple(run.timings()),
        end_cycle=end.cycle,
        end_ps=end.time_ps,
        dram_activity=end.activity,
        reads=end.reads,
        writes=end.writes,
        trace=Trace(memory.burst_bytes, run.phases(memory.burst_bytes)),
        occupancy=occupancy,
        memory=memory,
    )


def run_processes(
    stages: Sequence[StageTiles], hardware: HardwareConfig, progress: Callable[[float], None] | None = None
) -> Simulation:
    """Run the stages of a network as processes on SimPy, one per component: any machine, and the measure of the other.

    Parameters
    ----------
    stages
        Tile graphs in order of execution.
    hardware
        The machine.
    progress
        Called with the share of the stages that have ended.

    Raises
    ------
    DeadlockError
        When no event is left before the last step.
    """
    env = simpy.Environment()
    memory = build_memory(hardware)
    port = MemoryPort(env, memory)
    dma = _dma(env, port, hardware)
    trace = Trace(memory.burst_bytes)
    buffers = {
        name: Buffer(env, name, int(memory.capacity_kib * BYTES_PER_KIB) * BITS_PER_BYTE, _requests(stages, name))
        for name, memory in hardware.on_chip.items()
    }
    snapshots: list[DramActivity] = []

    def stage_ended(number: int) -> None:
        if isinstance(memory, Dram):
            port.synchronise()
            snapshots.append(memory.activity(int(env.now)))
        if progress:
            progress((number + 1) / len(stages))

    clock = hardware.pe_array.clock
    control = hardware.control
    machine = Machine(env, stages, buffers, dma, clock, trace, stage_ended, control.speculates, control.decision_cycles)
    env.run()
    if not machine.finished or dma.outstanding:
        machine.raise_deadlock()
    last_step_cycle = machine.timings[-1].end_cycle
    end_ps = max(clock.ps_of(last_step_cycle), int(env.now), memory.finish())
    end_cycle = max(last_step_cycle, clock.cycle_at(end_ps))
    activity, reads, writes = _activity(memory, snapshots, end_ps)
    return Simulation(
        timings=tuple(machine.timings),
        end_cycle=end_cycle,
        end_ps=end_ps,
        dram_activity=activity,
        reads=reads,
        writes=writes,
        trace=trace,
        occupancy={name: buffer.occupancy for name, buffer in buffers.items() if name in hardware.sram},
        memory=memory,
    )


def _dma(env: simpy.Environment, port: MemoryPort, hardware: HardwareConfig) -> Dma | HostLink:
    """What moves tiles: the DMA, behind a link where inputs and results belong to a host."""
    engine = Dma(env, port, hardware.pe_array.clock, hardware.dma)
    return engine if hardware.host.bandwidth_gb_per_s is None else HostLink(env, engine, hardware.host)


def _activity(
    memory: Dram | IdealMemory, snapshots: Sequence[DramActivity], end_ps: int
) -> tuple[ActivitySeries | None, int, int]:
    """What the DRAM had done at the end of each stage, the last one up to the very end, and all bursts moved."""
    if not isinstance(memory, Dram):
        return None, memory.reads, memory.writes
    memory.advance(end_ps)
    final = memory.activity(end_ps)
    moved = final.read_bytes // memory.burst_bytes, final.write_bytes // memory.burst_bytes
    return ActivitySeries.of([*snapshots[:-1], final]), *moved


def _requests(stages: Sequence[StageTiles], buffer: str) -> list[int]:
    """Per stage the number of times it will take room in a buffer."""
    counts = []
    for stage in stages:
        operands = [*stage.inputs, stage.output.tiles]
        count = sum(int((tiles.allocated_bits > 0).sum()) for tiles in operands if tiles.buffer == buffer)
        kept = stage.kept_bits > 0 and stage.kept_in == buffer
        counts.append(count + kept)
    return counts
