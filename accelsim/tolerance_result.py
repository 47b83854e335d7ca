"""What a search of tolerable bit-error rates found: frozen records, to JSON and to the overlay of a hardware config."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelsim.numerics.tolerance import CoarseTolerance


@dataclass(frozen=True)
class TensorTolerance:
    """One tensor: its size, the rate that it tolerates, and the partition that it may lie in."""

    name: str
    size_bytes: int
    rate: float
    partition: str


@dataclass(frozen=True)
class PartitionUse:
    """A partition: its rate, what it saves, its room and what the assignment puts there."""

    name: str
    rate: float
    saving: float
    capacity_bytes: int
    used_bytes: int


@dataclass(frozen=True)
class PointResult:
    """What lowering one setting of the whole memory does.

    Parameters
    ----------
    axis
        ``vdd_v`` or ``tRCD_ps``.
    setting
        The lowered value, in volts or picoseconds.
    rate
        Bit-error rate there.
    accuracy, low, high
        Accuracy, and its 95 % confidence interval.
    dram_energy_pj, latency_ns
        Of one inference.
    accepted
        Whether the accuracy is.
    """

    axis: str
    setting: float
    rate: float
    accuracy: float
    low: float
    high: float
    dram_energy_pj: float
    latency_ns: float
    accepted: bool


@dataclass(frozen=True)
class ToleranceResult:
    """What a network tolerates.

    Parameters
    ----------
    hardware, workload
        Names.
    metric
        ``top1``.
    baseline
        Accuracy of the network as its file has it.
    clean
        As the machine stores it, without bit errors.
    target
        Least accuracy accepted.
    images, modules
        What accuracies are measured on.
    coarse
        One for each error model.
    tensors
        Tolerance and partition of every tensor.
    partitions
        The machine's partitions; the one without a name is memory at the datasheet's operating point.
    formats
        Bits of each tensor.
    points
        Operating points of the whole memory, first by voltage, then by tRCD, where the machine names an error table.
    """

    hardware: str
    workload: str
    metric: str
    baseline: float
    clean: float
    target: float
    images: int
    modules: int
    coarse: tuple[CoarseTolerance, ...]
    tensors: tuple[TensorTolerance, ...] = ()
    partitions: tuple[PartitionUse, ...] = ()
    formats: dict[str, str] = field(default_factory=dict)
    points: tuple[PointResult, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"schema": 1, **asdict(self)}

    def overlay(self) -> dict[str, Any]:
        """Return the part of a hardware config that puts every tensor where it may lie."""
        return {"mapping": {"partitions": {entry.name: entry.partition for entry in self.tensors if entry.partition}}}
