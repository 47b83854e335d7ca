"""How many bit errors a network tolerates: coarse, one rate for all tensors, and fine, tensor by tensor.

Koppula et al., "EDEN", MICRO 2019, section 3.3: a search on a logarithmic scale for one rate; then a sweep that raises
the rate of one tensor after the other in equal steps for as long as the accuracy holds. Its steps are decided on a
sample of the images; many of them, each accepted because the same few images came out well, may together lose more than
was asked. So at the end all images decide how much of what the tensors gained they keep, the same share each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from accelsim.numerics.accuracy import accuracy_interval, count_right
from accelsim.numerics.rated_faults import RatedFaults

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from accelsim.numerics.number_format import Correction
    from accelsim.numerics.stored_network import StoredNetwork
    from accelsim.numerics.trial_log import TrialLog
    from accelsim.workload.image_files import LabelledImages

LOWEST_RATE, HIGHEST_RATE = 1e-7, 0.2
"""Rates between which a tolerable one is looked for; EDEN's lie between 1e-7 (fp32, uncorrected) and 0.13."""

RESOLUTION = 0.1
"""Decades within which the coarse search ends."""

FINE_STEP = 0.005
"""Step of the fine sweep (EDEN: half a percentage point)."""

PARTS = 16
"""Parts into which what the sweep gained is cut when all images decide how much of it is kept."""


@dataclass(frozen=True)
class TolerancePoint:
    """Accuracy at one rate.

    Parameters
    ----------
    rate
        Bit-error rate of all tensors.
    accuracy
        Mean over the modules.
    low, high
        Its 95 % confidence interval.
    """

    rate: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class CoarseTolerance:
    """What a network tolerates under one error model, the same rate everywhere.

    Parameters
    ----------
    kind
        Error model.
    rate
        Highest rate found that keeps the accuracy; 0 where even the lowest one tried does not.
    bounded
        Whether the highest rate that was tried still keeps it, so that the true limit lies above.
    points
        All points that were measured, by rising rate.
    """

    kind: str
    rate: float
    bounded: bool
    points: tuple[TolerancePoint, ...]


@dataclass(frozen=True, eq=False)
class ToleranceSearch:
    """Searches what one stored network tolerates.

    Parameters
    ----------
    network
        The network.
    images
        Images that decide.
    drop
        Share of right answers that may be lost against the network without errors.
    seeds
        Modules over which accuracy is the mean.
    correction
        What becomes of values that cannot be right.
    log
        Trials that are known from before; those that are made are added.
    images_per_load, threads
        As for `accelsim.numerics.accuracy.count_right`.
    progress
        Called with a description of every trial before it is made.
    highest_rate
        Rate above which none is tried.
    exposed
        Tensors that may have errors; all where left out.
    """

    network: StoredNetwork
    images: LabelledImages
    drop: float
    seeds: Sequence[int]
    correction: Correction
    log: TrialLog
    images_per_load: int = 125
    threads: int = 1
    progress: Callable[[str], None] | None = None
    highest_rate: float = HIGHEST_RATE
    exposed: Collection[str] | None = None

    @cached_property
    def clean(self) -> float:
        """Accuracy without errors."""
        return self._measured("uniform", {}, len(self.images))[0]

    @property
    def target(self) -> float:
        """Least accuracy that is accepted."""
        return self.clean - self.drop

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of the tensors that may have errors, weights first."""
        every = RatedFaults(self.network, 0.0).tensors
        return every if self.exposed is None else tuple(name for name in every if name in self.exposed)

    def point(self, kind: str, rates: float | Mapping[str, float], images: int | None = None) -> TolerancePoint:
        """Measure accuracy at one rate, or at rates by tensor."""
        count = len(self.images) if images is None else min(images, len(self.images))
        by_tensor = dict.fromkeys(self.tensors, rates) if isinstance(rates, float | int) else dict(rates)
        shares = self._measured(kind, by_tensor, count)
        low, high = accuracy_interval(shares, count)
        rate = max(by_tensor.values(), default=0.0)
        return TolerancePoint(rate, sum(shares) / len(shares), low, high)

    def _measured(self, kind: str, rates: Mapping[str, float], images: int) -> list[float]:
        """Accuracy with each module; without errors all modules are alike."""
        faulty = any(rates.values())
        return [self._trial(kind, rates, images, seed) for seed in (self.seeds if faulty else self.seeds[:1])]

    def _trial(self, kind: str, rates: Mapping[str, float], images: int, seed: int) -> float:
        key = {
            "kind": kind,
            "rates": {name: rate for name, rate in sorted(rates.items()) if rate},
            "images": images,
            "seed": seed,
            "correction": self.correction,
            "images_per_load": self.images_per_load,
        }
        known = self.log.find(key)
        if known is not None:
            return known
        if self.progress:
            self.progress(f"{kind}, rate up to {max(rates.values(), default=0.0):.2g}, module {seed}")
        faults = RatedFaults(self.network, dict(rates), kind, seed) if any(rates.values()) else None
        counts = count_right(
            self.network, self.images.head(images), faults, correction=self.correction,
            images_per_load=self.images_per_load, threads=self.threads,
        )  # fmt: skip
        self.log.add(key, counts.top1)
        return counts.top1

    def coarse(self, kind: str, curve: Sequence[float] = ()) -> CoarseTolerance:
        """Search for the highest rate of all tensors that keeps the accuracy.

        Parameters
        ----------
        kind
            Error model.
        curve
            Further rates to measure, for a drawing.
        """
        points = {rate: self.point(kind, rate) for rate in curve if rate <= self.highest_rate}

        def holds(exponent: float) -> bool:
            rate = float(f"{10**exponent:.6g}")
            points[rate] = self.point(kind, rate)
            return points[rate].accuracy >= self.target

        low, high = math.log10(LOWEST_RATE), math.log10(self.highest_rate)
        bounded = holds(high)
        if bounded:
            low = high
        elif not holds(low):
            low = -math.inf
        else:
            while high - low > RESOLUTION:
                middle = (low + high) / 2
                low, high = (middle, high) if holds(middle) else (low, middle)
        rate = 0.0 if math.isinf(low) else float(f"{10**low:.6g}")
        return CoarseTolerance(kind, rate, bounded, tuple(points[entry] for entry in sorted(points)))

    def fine(self, kind: str, start: float, images: int, step: float = FINE_STEP) -> dict[str, float]:
        """Raise the rate of one tensor after the other for as long as the accuracy holds, on few images and on all.

        Parameters
        ----------
        kind
            Error model.
        start
            Rate at which every tensor begins: the coarse one.
        images
            Images that decide on a step (EDEN: a tenth of the validation set).
        step
            How much a rate is raised.

        Returns
        -------
        dict
            Rate by tensor.
        """
        rates = dict.fromkeys(self.tensors, start)
        target = self.point(kind, {}, images).accuracy - self.drop
        raising = list(rates)
        while raising:
            still = []
            for tensor in raising:
                raised = rates | {tensor: float(f"{rates[tensor] + step:.6g}")}
                if raised[tensor] <= self.highest_rate and self.point(kind, raised, images).accuracy >= target:
                    rates = raised
                    still.append(tensor)
            raising = still
        return rates if images >= len(self.images) else self._held(kind, start, rates)

    def _held(self, kind: str, start: float, rates: Mapping[str, float]) -> dict[str, float]:
        """Bisect for the share of their raises that the tensors may keep on all images; none of it they may."""

        def shortened(parts: int) -> dict[str, float]:
            return {name: float(f"{start + (rate - start) * parts / PARTS:.6g}") for name, rate in rates.items()}

        held, lost = 0, PARTS + 1
        tried = PARTS
        while lost - held > 1:
            if self.point(kind, shortened(tried)).accuracy >= self.target:
                held = tried
            else:
                lost = tried
            tried = (held + lost) // 2
        return shortened(held)
