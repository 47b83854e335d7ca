"""Accuracy of a network: clean, and while bits flip, with confidence intervals."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import InputError
from accelsim.numerics.accuracy_request import IMAGES_PER_LOAD
from accelsim.numerics.inference import Inference
from accelsim.numerics.session import open_session
from accelsim.numerics.stored_network import batches, fixed_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from accelsim.numerics.classifier import Classifier
    from accelsim.numerics.faults import FaultSource
    from accelsim.numerics.number_format import Correction
    from accelsim.numerics.stored_network import StoredNetwork
    from accelsim.workload.image_files import LabelledImages

Z95 = 1.959964
"""Quantile of the normal distribution of which 95 % lie within plus and minus."""

_CHUNK = 1_000  # images that are normalised at a time
_PLAIN_BATCH = 125


@dataclass(frozen=True, eq=False)
class Counts:
    """Which images came out right.

    Parameters
    ----------
    first
        Whether the class with the highest score is the label, (images,).
    among_five
        Whether the label is among the five with the highest scores, (images,).
    flips
        Bits flipped in one pass, on average, by layer and tensor.
    corrected
        Implausible words corrected in one pass, likewise.
    """

    first: NDArray[np.bool_]
    among_five: NDArray[np.bool_]
    flips: Mapping[tuple[str, str], float] = field(default_factory=dict)
    corrected: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @property
    def right(self) -> int:
        """Images whose label has the highest score."""
        return int(self.first.sum())

    @property
    def top1(self) -> float:
        """Share of them."""
        return float(self.first.mean())

    @property
    def top5(self) -> float:
        """Share of the images whose label is among the five highest scores."""
        return float(self.among_five.mean())


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Accuracy over repeated seeds.

    Parameters
    ----------
    counts
        One for each seed.
    """

    counts: tuple[Counts, ...]

    @property
    def top1(self) -> float:
        """Mean share of right answers."""
        return float(np.mean([count.top1 for count in self.counts]))

    @property
    def top5(self) -> float:
        """Mean share of labels among the five highest scores."""
        return float(np.mean([count.top5 for count in self.counts]))

    @property
    def images(self) -> int:
        """Images that were classified with each seed."""
        return len(self.counts[0].first)

    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of `top1`."""
        return accuracy_interval([count.top1 for count in self.counts], self.images)

    def flips_per_pass(self) -> dict[tuple[str, str], float]:
        """Mean number of bits flipped in one pass, by layer and tensor."""
        total: dict[tuple[str, str], float] = defaultdict(float)
        for count in self.counts:
            for key, flips in count.flips.items():
                total[key] += flips / len(self.counts)
        return dict(total)


def wilson_interval(share: float, count: float) -> tuple[float, float]:
    """95 % confidence interval of a share seen in `count` independent trials (Wilson 1927)."""
    weight = Z95**2 / count
    middle = (share + weight / 2) / (1 + weight)
    half = Z95 / (1 + weight) * math.sqrt(max(share * (1 - share) / count + weight / (4 * count), 0.0))
    return max(0.0, middle - half), min(1.0, middle + half)


def accuracy_interval(shares: Sequence[float], images: int) -> tuple[float, float]:
    """95 % confidence interval of an accuracy measured with several seeds on the same images.

    The images are a sample of all images, the seeds one of all modules: the variance of the mean is p (1 - p) over the
    number of images plus the variance between seeds over their number. Wilson's interval is taken for as many
    independent trials as have this variance. One seed says nothing of other modules.
    """
    mean = float(np.mean(shares))
    binomial = mean * (1 - mean) / images
    between = float(np.var(shares, ddof=1)) / len(shares) if len(shares) > 1 else 0.0
    return wilson_interval(mean, images * binomial / (binomial + between) if binomial else float(images))


def count_plain(classifier: Classifier, images: LabelledImages, threads: int = 1) -> Counts:
    """Classify images with the network as its file has it, through onnxruntime."""
    check_images(classifier, images)
    session = open_session(classifier.model, threads)
    name, fixed = classifier.input.name, fixed_batch(classifier)
    parts = []
    for start in range(0, len(images), _CHUNK):
        cut = batches(images.values(start, start + _CHUNK), fixed, _PLAIN_BATCH)
        parts += [session.run([classifier.output], {name: batch})[0].reshape(len(batch), -1) for batch in cut]
    return _counted(np.concatenate(parts), images)


def count_right(
    network: StoredNetwork,
    images: LabelledImages,
    faults: FaultSource | None = None,
    *,
    correction: Correction = "zero",
    images_per_load: int = IMAGES_PER_LOAD,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Counts:
    """Classify images with a network as a machine stores it.

    Parameters
    ----------
    network
        The network.
    images
        Labelled images; the first one belongs to pass 0.
    faults
        Which bits may flip; none where left out.
    correction
        What becomes of values that cannot be right.
    images_per_load
        Images that share one read of the weights (see `Inference`).
    threads
        Threads of onnxruntime.
    progress
        Called with the share of the images that are done.

    Raises
    ------
    InputError
        When the images are of another shape than the network takes.
    """
    check_images(network.classifier, images)
    inference = Inference(network, faults, correction, images_per_load, threads)
    chunk = -(-_CHUNK // inference.batch) * inference.batch
    parts = []
    for start in range(0, len(images), chunk):
        values = images.values(start, start + chunk)
        parts.append(inference.scores(values, start // inference.pass_images))
        if progress:
            progress(min(start + chunk, len(images)) / len(images))
    counts = _counted(np.concatenate(parts), images)
    flips = {key: count.flipped / count.passes for key, count in inference.flips.items()}
    corrected = {key: count.corrected / count.passes for key, count in inference.flips.items()}
    return Counts(counts.first, counts.among_five, flips, corrected)


def measure_accuracy(
    network: StoredNetwork,
    images: LabelledImages,
    faults_of_seed: Callable[[int], FaultSource | None],
    seeds: Sequence[int] = (0,),
    *,
    correction: Correction = "zero",
    images_per_load: int = IMAGES_PER_LOAD,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Accuracy:
    """Measure accuracy with one module after the other.

    Parameters
    ----------
    network, images, correction, images_per_load, threads
        As for `count_right`.
    faults_of_seed
        Faults of the module with a seed.
    seeds
        Modules.
    progress
        Called with the share of the work that is done.
    """
    if not seeds:
        raise InputError("needs at least one seed", where="accuracy", key="seeds")

    def part(number: int) -> Callable[[float], None] | None:
        return None if progress is None else lambda share: progress((number + share) / len(seeds))

    return Accuracy(
        tuple(
            count_right(
                network, images, faults_of_seed(seed), correction=correction, images_per_load=images_per_load,
                threads=threads, progress=part(number),
            )
            for number, seed in enumerate(seeds)
        )
    )  # fmt: skip


def check_images(classifier: Classifier, images: LabelledImages) -> None:
    """Refuse images of another shape than the network takes, or too few of them.

    Raises
    ------
    InputError
        When they are.
    """
    wanted, shape = classifier.image_shape, images.shape
    if len(wanted) != len(shape) or any(want not in (0, size) for want, size in zip(wanted, shape, strict=True)):
        raise InputError("images of another shape than the network takes", where=images.where, key="images",
                         value=shape, allowed=f"{wanted} (channels, height, width)")  # fmt: skip
    fewest = fixed_batch(classifier) or 1
    if len(images) < fewest:
        raise InputError("fewer images than the model takes at a time", where=images.where, value=len(images),
                         allowed=f"at least {fewest}")  # fmt: skip


def _counted(scores: NDArray[np.float32], images: LabelledImages) -> Counts:
    labels = images.labels[: len(scores)]  # a model of a fixed batch leaves out what does not fill one
    if labels.max() >= scores.shape[1]:
        raise InputError("no such class", where=images.where, key="labels", value=int(labels.max()),
                         allowed=f"0 to {scores.shape[1] - 1}")  # fmt: skip
    best = np.argsort(-np.nan_to_num(scores, nan=-np.inf), axis=1, kind="stable")[:, :5]
    return Counts(best[:, 0] == labels, (best == labels[:, None]).any(axis=1))
