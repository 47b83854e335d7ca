"""One run from end to end, the stages in order: load, map, simulate, account. The file to read first."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from accelsim.accounting import Account
from accelsim.budgets import exit_results, within
from accelsim.config.loader import load_hardware, origin, seen_from
from accelsim.energy.table import load_energy_table
from accelsim.errors import InputError
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.dram.partition_ranges import DATASHEET, partition_ranges
from accelsim.hardware.dram.read_errors import ReadErrors
from accelsim.hardware.interconnect import build_interconnect
from accelsim.hardware.pe_array import build_array
from accelsim.mapping.channel_variants import ChannelVariants
from accelsim.mapping.layer_tiler import MemoryInterface
from accelsim.mapping.network import map_network
from accelsim.mapping.placement import ALIGNMENT_BYTES, Rooms
from accelsim.numerics.accuracy_request import AccuracyRequest
from accelsim.row_figures import RowAccounts
from accelsim.samples import SampleRuns, run_samples
from accelsim.simulation.closed_form import estimate_stages
from accelsim.simulation.compiled.machine import supports
from accelsim.simulation.simulator import run_stages
from accelsim.units import BYTES_PER_GB
from accelsim.workload.loader import load_workload
from accelsim.workload.training import training_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accelsim.config.schema import HardwareConfig
    from accelsim.energy.table import EnergyTable
    from accelsim.hardware.dram.device import Device
    from accelsim.mapping.layer_tiler import TilingSolutions
    from accelsim.mapping.network import NetworkMapping
    from accelsim.numerics.run_accuracy import CleanAccuracies
    from accelsim.result import RunResult
    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.image_files import LabelledImages
    from accelsim.workload.skip import Budget

DEFAULT_HARDWARE = "systolic_32x32"
DEFAULT_WORKLOAD = "fashion_cnn"


def simulate(
    hardware: str | Path | HardwareConfig = DEFAULT_HARDWARE,
    workload: str | Path | LayerGraph = DEFAULT_WORKLOAD,
    *,
    overrides: Sequence[str] = (),
    batch: int | None = None,
    seed: int = 0,
    accuracy: bool | AccuracyRequest | None = None,
    data: str | Path | None = None,
    progress: Callable[[str, float], None] | None = None,
    solutions: TilingSolutions | None = None,
    fidelity: Literal["full", "estimate"] = "full",
    clean_accuracies: CleanAccuracies | None = None,
    workers: int = 1,
    budget: Budget | None = None,
) -> RunResult:
    """Simulate a network on a machine.

    Parameters
    ----------
    hardware
        Preset name, path of a YAML file, or a config.
    workload
        Name of a network, path of an ONNX, CSV or YAML file, or a layer graph.
    overrides
        Changes to the config, each ``a.b=value``.
    batch
        Samples per run; the workload's own batch where omitted.
    seed
        Seed of everything that is drawn.
    accuracy
        Whether to measure accuracy, or how; where omitted it is measured if the workload has images.
    data
        Folder of datasets, npz file or folder of labelled images; what the workload names where omitted.
    progress
        Called with the name of the stage of work and the share of it that is done.
    solutions
        Tilings that are known from before; those that are found are added.
    fidelity
        ``full`` simulates; ``estimate`` computes a closed form of the same mapping, which is quicker and knows nothing
        of what events decide.
    clean_accuracies
        Accuracies without errors that are known from before; those that are measured are added.
    workers
        Processes that simulate samples whose decisions differ; the result is the same for any number.
    budget
        What an inference may take at most; the workload's own where omitted.

    Returns
    -------
    RunResult
        Cycles, energy and what happened when.

    Raises
    ------
    InputError
        When the hardware config or the workload is wrong, or the one does not fit the other.
    RunError
        When a correct input cannot be simulated to its end.
    """
    config = load_hardware(hardware, overrides)
    place = origin(hardware, overrides)
    with seen_from(place):
        table = load_energy_table(config.energy.table)
    with seen_from(place, "dram"):
        dram = Dram(config.dram)
        errors = _read_errors(config, dram, seed)
    graph = load_workload(workload)
    if batch is not None:
        graph = graph.with_batch(batch)
    if graph.annotations.training is not None:
        graph = training_step(graph).graph
    if budget is not None:
        graph = with_budget(graph, budget)
    if seed < 0:
        raise InputError("is negative", where="--seed", value=seed, allowed="a whole number of at least 0")
    request = _accuracy_request(accuracy, data)
    images = _images(graph, request)
    memory, interconnect = memory_interface(config, dram), build_interconnect(config.interconnect)
    known: TilingSolutions = {} if solutions is None else solutions
    with seen_from(place, name=config.name):
        array = build_array(config)
        mapping = map_network(graph, config, memory, array, _part_of(progress, "mapping"), known, interconnect)
    run = MachineRun(config, table, dram.spec.device, errors, _peak_bandwidth(config, dram), seed, fidelity)
    simulating = _part_of(progress, "simulation")
    skip = graph.annotations.skip
    if skip is not None:
        variants = None
        if skip.channel_gates:
            variants = ChannelVariants(mapping, skip, config, memory, array, interconnect, known)
        return _run_plan(SampleRuns(mapping, skip, run, variants), skip.budget, simulating, workers)
    result = run(mapping, simulating)
    if images is None:
        return result
    from accelsim.numerics.run_accuracy import measure_run

    measuring = _part_of(progress, "accuracy")
    return replace(result, accuracy=measure_run(mapping, errors, images, request, measuring, clean_accuracies))


def with_budget(graph: LayerGraph, budget: Budget) -> LayerGraph:
    """The network with a budget for each of its inferences.

    Raises
    ------
    InputError
        When nothing in it is decided at run time.
    """
    plan = graph.annotations.skip
    if plan is None:
        raise InputError("has no exits at which a budget could stop it", where=graph.source or graph.name, key="skip")
    return replace(graph, annotations=replace(graph.annotations, skip=replace(plan, budget=budget)))


def _run_plan(
    runs: SampleRuns, budget: Budget | None, progress: Callable[[float], None] | None, workers: int
) -> RunResult:
    """Simulate samples that decide for themselves, and hold them to a budget."""
    exits, stopped_at = exit_results(runs), None
    if budget is not None:
        plan, stopped_at = within(runs.plan, exits, budget)
        variants = None if runs.variants is None else replace(runs.variants, plan=plan)
        runs = replace(runs, plan=plan, variants=variants)
        exits = tuple(
            replace(entry, share=float((plan.taken_exits == number).mean())) for number, entry in enumerate(exits)
        )
    result = run_samples(runs, progress, workers)
    if result.samples is None or not exits:
        return result
    return replace(result, samples=replace(result.samples, exits=exits, stopped_at=stopped_at))


@dataclass(frozen=True)
class MachineRun:
    """Simulates mapped networks on a machine; can be handed to another process.

    Parameters
    ----------
    config, table, device, errors
        The machine, its energy table, its DRAM device and what flips there.
    peak_gb_per_s
        Bandwidth of the memory.
    seed
        Seed of the run.
    fidelity
        Whether to simulate or to estimate.
    """

    config: HardwareConfig
    table: EnergyTable
    device: Device
    errors: ReadErrors | None
    peak_gb_per_s: float
    seed: int
    fidelity: Literal["full", "estimate"]

    def __call__(
        self, mapped: NetworkMapping, report: Callable[[float], None] | None = None, *, with_profile: bool = True
    ) -> RunResult:
        """Run a mapped network."""
        if self.fidelity == "estimate":
            simulation = estimate_stages(mapped.tiles, self.config)
        else:
            simulation = run_stages(mapped.tiles, self.config, report)
        account = Account(self.config, self.table, self.device, mapped, simulation, self.errors, self.peak_gb_per_s)
        return account.result(self.seed, with_profile=with_profile and self.fidelity == "full")

    def accounts(self, mapping: NetworkMapping) -> RowAccounts | None:
        """What simulates rows of decisions on a mapping quickly; None where only single runs can."""
        if self.fidelity == "estimate" or not supports(self.config):
            return None
        return RowAccounts(self.config, self.table, self.errors, mapping)


def _accuracy_request(accuracy: bool | AccuracyRequest | None, data: str | Path | None) -> AccuracyRequest:  # noqa: FBT001
    request = accuracy if isinstance(accuracy, AccuracyRequest) else AccuracyRequest(accuracy)
    return request if data is None else replace(request, data=Path(data))


def _images(graph: LayerGraph, request: AccuracyRequest) -> LabelledImages | None:
    """Images to measure accuracy on; None where it is not to be measured. Networks of shapes alone pay no import."""
    if request.wanted is False or (not request.wanted and request.data is None and graph.annotations.model is None):
        return None
    from accelsim.numerics.run_accuracy import find_images

    return find_images(graph, request)


def _part_of(progress: Callable[[str, float], None] | None, name: str) -> Callable[[float], None] | None:
    return None if progress is None else lambda share: progress(name, share)


def memory_interface(config: HardwareConfig, device: Dram) -> MemoryInterface:
    """Read off the DRAM what the mapper has to know; an ideal memory counts as the device it stands for.

    Mapping and traffic are therefore the same for both kinds, unless the ideal one states a bandwidth of its own.
    """
    cycles_per_s = config.pe_array.clock.frequency_khz * 1_000
    stated = config.dram.ideal_bandwidth_gb_per_s if config.dram.kind == "ideal" else None
    bytes_per_cycle = (stated or device.peak_bandwidth_gb_per_s) * BYTES_PER_GB / cycles_per_s
    timings = device.spec.timings[0]
    latency_ps = (timings["RCD"] + timings["CL"] + timings["BL"]) * device.clock_ps
    latency_cycles = config.pe_array.clock.cycle_at(latency_ps)
    return MemoryInterface(
        bytes_per_cycle, device.burst_bytes, latency_cycles, device.capacity_bytes, _rooms(config, device)
    )


def _rooms(config: HardwareConfig, device: Dram) -> Rooms | None:
    """Where tensors may lie; None where none is assigned to a partition."""
    assigned = config.mapping.partitions
    if not assigned:
        return None
    ranges = partition_ranges(device.spec, ALIGNMENT_BYTES)
    return Rooms(assigned, ranges, ranges[DATASHEET])


def _read_errors(config: HardwareConfig, memory: Dram, seed: int) -> ReadErrors | None:
    """Build the error models of all partitions; None where the config asks for no errors."""
    if config.dram.bit_errors is None or config.dram.kind == "ideal":
        return None
    errors = ReadErrors(memory.spec, config.dram.bit_errors, seed)
    errors.models  # noqa: B018 - a setting outside of the table is to be told before the simulation
    return errors


def _peak_bandwidth(config: HardwareConfig, device: Dram) -> float:
    """Bandwidth in GB/s that the simulated memory can reach; infinite for an ideal one without a limit."""
    if config.dram.kind == "command":
        return device.peak_bandwidth_gb_per_s
    return config.dram.ideal_bandwidth_gb_per_s or math.inf
