"""What a run reports of samples that differ: frozen records, from and to JSON with those of `accelsim.result`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Distribution:
    """A quantity over samples."""

    mean: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Histogram:
    """A quantity counted in bins.

    Parameters
    ----------
    edges
        Borders of the bins, one more than there are bins.
    counts
        Samples in each; the last one holds its upper border too.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class ExitResult:
    """What an inference costs that leaves the network by an exit where nothing is skipped before it.

    Parameters
    ----------
    name
        The exit; ``end`` for the end of the network.
    latency_ns, energy_pj
        Up to there.
    share
        Share of the samples that leave by it.
    accuracy
        Share of all samples whose answer there is right; None where that is not known.
    """

    name: str
    latency_ns: float
    energy_pj: float
    share: float
    accuracy: float | None = None


@dataclass(frozen=True)
class SamplesResult:
    """What differs between samples that skip different layers.

    Parameters
    ----------
    count
        Samples.
    latency_ns, energy_pj, effective_macs
        Their distributions.
    distinct
        Different rows of decisions, each of which was simulated once.
    wasted_dram_bytes
        Bytes fetched for layers that then did not run, mean over the samples.
    execution_rates
        Per gate the share of the samples for which its layers ran.
    accuracy
        Share of the samples whose answer was right, where the decisions come with that.
    latency_histogram
        Latencies in ns.
    exits
        Exits of the network and what they cost; empty where it has none.
    stopped_at
        Exit past which the budget lets no sample go; None without a budget.
    """

    count: int
    latency_ns: Distribution
    energy_pj: Distribution
    effective_macs: Distribution
    distinct: int
    wasted_dram_bytes: float
    execution_rates: dict[str, float]
    accuracy: float | None
    latency_histogram: Histogram
    exits: tuple[ExitResult, ...] = ()
    stopped_at: str | None = None

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SamplesResult:
        """Build the record from its JSON form."""
        histogram = record["latency_histogram"]
        nested = {name: Distribution(**record[name]) for name in ("latency_ns", "energy_pj", "effective_macs")}
        bins = Histogram(tuple(histogram["edges"]), tuple(histogram["counts"]))
        exits = tuple(ExitResult(**entry) for entry in record.get("exits", ()))
        return cls(**{**record, **nested, "latency_histogram": bins, "exits": exits})
