"""What bit-error rates a network tolerates on a machine, and which partitions of its DRAM that allows.

Formats are those that the machine stores the tensors in; rates of partitions are those at their operating points.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from accelsim.config.dram import OperatingPoint, whole_memory_at
from accelsim.config.loader import load_hardware, origin, seen_from
from accelsim.errors import InputError
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.dram.error_tables import load_error_table
from accelsim.hardware.dram.partition_ranges import DATASHEET, partition_ranges
from accelsim.hardware.dram.read_errors import ReadErrors
from accelsim.hardware.pe_array import build_array
from accelsim.mapping.network import map_network
from accelsim.mapping.partition import OfferedPartition, TolerantTensor, assign_partitions
from accelsim.mapping.placement import ALIGNMENT_BYTES
from accelsim.numerics.accuracy import check_images, count_plain
from accelsim.numerics.accuracy_request import AccuracyRequest
from accelsim.numerics.run_accuracy import find_images, store_mapped
from accelsim.numerics.tolerance import FINE_STEP, ToleranceSearch
from accelsim.numerics.trial_log import TrialLog
from accelsim.pipeline import memory_interface, simulate
from accelsim.tolerance_result import PartitionUse, PointResult, TensorTolerance, ToleranceResult
from accelsim.units import ceil_div
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.network import NetworkMapping
    from accelsim.numerics.number_format import Correction
    from accelsim.workload.graph import LayerGraph

ErrorKind = Literal["uniform", "bitline", "wordline", "data_dependent"]
ERROR_KINDS: tuple[ErrorKind, ...] = ("uniform", "bitline", "wordline", "data_dependent")
"""EDEN's error models 0 to 3."""

CURVE_RATES = tuple(float(f"{10 ** (-6 + index / 2):.3g}") for index in range(11))
"""Rates at which accuracy is measured for the drawing: two for every decade from 1e-6 to 0.1."""


@dataclass(frozen=True)
class ToleranceRequest:
    """What is searched, and how.

    Parameters
    ----------
    kinds
        Error models; the sweep over tensors uses the first one.
    drop
        Share of right answers that may be lost.
    images, fine_images
        Images that decide, in the coarse search and in each step of the sweep (EDEN: a tenth); how much of what
        the sweep gained is kept, the former decide.
    modules
        DRAM modules over which accuracy is the mean.
    fine
        Whether to sweep over tensors.
    step
        Step of the sweep; the coarse rate where that is less.
    correction
        What becomes of values that cannot be right.
    data
        Where images are; what the workload names where left out.
    """

    kinds: tuple[ErrorKind, ...] = ("uniform",)
    drop: float = 0.01
    images: int = 1_000
    fine_images: int = 1_000
    modules: int = 2
    fine: bool = True
    step: float = FINE_STEP
    correction: Correction = "zero"
    data: Path | None = None

    def __post_init__(self) -> None:
        if not 0 < self.drop < 1:
            raise InputError("not accepted", where="--drop", value=self.drop, allowed="more than 0, less than 1")


def error_kinds(names: Sequence[str]) -> tuple[ErrorKind, ...]:
    """Check names of error models.

    Raises
    ------
    InputError
        When one does not exist.
    """
    for name in names:
        if name not in ERROR_KINDS:
            raise InputError("not accepted", where="--error-model", value=name, allowed=", ".join(ERROR_KINDS))
    return tuple(kind for kind in ERROR_KINDS if kind in names)


def tolerate(
    hardware: str | Path | HardwareConfig,
    workload: str | Path | LayerGraph,
    request: ToleranceRequest | None = None,
    *,
    overrides: Sequence[str] = (),
    log: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> ToleranceResult:
    """Search what a network tolerates on a machine.

    Parameters
    ----------
    hardware, workload, overrides
        As for `accelsim.simulate`.
    request
        What is searched.
    log
        File that keeps every trial; a search that was stopped goes on with it.
    progress
        Called with a description of each trial.

    Raises
    ------
    InputError
        When machine, network or images are wrong or missing.
    """
    asked = ToleranceRequest() if request is None else request
    config, place = load_hardware(hardware, overrides), origin(hardware, overrides)
    with seen_from(place, "dram"):
        dram = Dram(config.dram)
        offered = _offered(config, dram)
    graph = load_workload(workload)
    found = find_images(graph, AccuracyRequest(wanted=True, data=asked.data))
    if found is None:
        raise InputError("has no images to measure accuracy on", where=graph.source or graph.name)
    mapping = map_network(graph, config, memory_interface(config, dram), build_array(config))
    network = store_mapped(mapping, found, asked.images)
    samples = found.head(asked.images)
    check_images(network.classifier, samples)
    formats = {entry.name: str(entry.form.bits) for entry in network.weights.values()}
    formats |= {root: str(entry.form.bits) for root, entry in network.maps.items()}
    subject = json.dumps([_content(graph), samples.where, sorted(formats.items())])
    search = ToleranceSearch(
        network, samples, asked.drop, range(asked.modules), asked.correction,
        TrialLog(log, hashlib.sha256(subject.encode()).hexdigest()), progress=progress,
        exposed={name.partition("@")[0] for name in mapping.placement.regions},
    )  # fmt: skip
    coarse = tuple(search.coarse(kind, CURVE_RATES) for kind in asked.kinds)
    rates = dict.fromkeys(search.tensors, coarse[0].rate)
    if asked.fine and coarse[0].rate:
        step = min(asked.step, coarse[0].rate)
        rates = search.fine(coarse[0].kind, coarse[0].rate, min(asked.fine_images, asked.images), step)
    tensors, partitions = _assigned(mapping, rates, offered)
    return ToleranceResult(
        hardware=config.name,
        workload=graph.name,
        metric="top1",
        baseline=count_plain(network.classifier, samples).top1,
        clean=search.clean,
        target=search.target,
        images=len(samples),
        modules=asked.modules,
        coarse=coarse,
        tensors=tensors,
        partitions=partitions,
        formats=formats,
        points=_points(config, dram, graph, search, asked.kinds[0]),
    )


def _points(
    config: HardwareConfig, dram: Dram, graph: LayerGraph, search: ToleranceSearch, kind: ErrorKind
) -> tuple[PointResult, ...]:
    """Accuracy, energy and latency with the whole memory at each operating point of the machine's error table."""
    asked = config.dram.bit_errors
    if asked is None:
        return ()
    table = load_error_table(asked.table)
    vendor = asked.vendor or table.vendors[0]
    nominal_ps = dram.spec.timings[0]["RCD"] * dram.clock_ps
    errors = ReadErrors(dram.spec, asked, 0)
    points = []
    for axis, nominal, steps in (
        ("vdd_v", dram.spec.device.nominal_v, table.reductions("vdd_v", vendor)),
        ("tRCD_ps", nominal_ps, table.reductions("trcd_ps", vendor)),
    ):
        for step in steps:
            setting = round(nominal - step, 6) if axis == "vdd_v" else int(nominal - step)
            if setting <= 0:
                continue
            point = OperatingPoint.model_validate({axis: setting})
            rate = errors.rate_of(point)
            found = search.point(kind, min(rate, search.highest_rate))
            changes = [whole_memory_at(point), "dram.bit_errors=null", "mapping.partitions={}"]
            run = simulate(config, graph, accuracy=False, overrides=changes)
            points.append(
                PointResult(
                    axis, setting, rate, found.accuracy, found.low, found.high, run.totals.dram_energy_pj,
                    run.totals.latency_ns, found.accuracy >= search.target,
                )
            )  # fmt: skip
    return tuple(points)


def _content(graph: LayerGraph) -> str:
    """Hash of the model file, so that trials of another network are not taken for this one's."""
    model = graph.annotations.model
    return hashlib.sha256(model.read_bytes() if model else graph.name.encode()).hexdigest()


def _offered(config: HardwareConfig, dram: Dram) -> tuple[OfferedPartition, ...]:
    """Partitions of the memory, the datasheet's own first."""
    if not config.dram.partitions:
        return (OfferedPartition(DATASHEET, dram.spec.capacity_bytes, 0.0, 0.0),)
    if config.dram.bit_errors is None:
        raise InputError("is missing: without it nobody knows the errors of the partitions", key="bit_errors")
    errors = ReadErrors(dram.spec, config.dram.bit_errors, 0)
    ranges = partition_ranges(dram.spec, ALIGNMENT_BYTES)
    room = {name: sum(end - begin for begin, end in stretches) for name, stretches in ranges.items()}
    offered = [OfferedPartition(DATASHEET, room[DATASHEET], 0.0, 0.0)]
    for partition in config.dram.partitions:
        point = partition.operating_point
        rate = errors.rate_of(point)
        offered.append(OfferedPartition(partition.name, room[partition.name], rate, _saving(point, dram)))
    return tuple(offered)


def _saving(point: OperatingPoint, dram: Dram) -> float:
    """Figure of merit of an operating point: how far voltage and activation time lie below the datasheet's, added up.

    Both are shares; a machine that cares for one of them only has partitions that differ in that one.
    """
    nominal_ps = dram.spec.timings[0]["RCD"] * dram.clock_ps
    volts = 0.0 if point.vdd_v is None else 1 - point.vdd_v / dram.spec.device.nominal_v
    time = 0.0 if point.tRCD_ps is None else 1 - point.tRCD_ps / nominal_ps
    return volts + time


def _assigned(
    mapping: NetworkMapping, rates: Mapping[str, float], offered: Sequence[OfferedPartition]
) -> tuple[tuple[TensorTolerance, ...], tuple[PartitionUse, ...]]:
    """Assign the tensors that travel to DRAM; the others need no partition."""
    regions = mapping.placement.regions
    sizes: dict[str, int] = {}
    for name, region in regions.items():
        tensor = name.partition("@")[0]
        if tensor in rates:
            whole = ceil_div(region.size_bytes, ALIGNMENT_BYTES) * ALIGNMENT_BYTES
            sizes[tensor] = sizes.get(tensor, 0) + whole
    chosen, _ = assign_partitions([TolerantTensor(name, size, rates[name]) for name, size in sizes.items()], offered)
    tensors = tuple(
        TensorTolerance(name, sizes.get(name, 0), rate, chosen.get(name, DATASHEET)) for name, rate in rates.items()
    )
    used: dict[str, int] = {}
    for entry in tensors:
        used[entry.partition] = used.get(entry.partition, 0) + entry.size_bytes
    return tensors, tuple(
        PartitionUse(part.name, part.rate, part.saving, part.capacity_bytes, used.get(part.name, 0)) for part in offered
    )
