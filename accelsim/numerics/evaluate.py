"""Right answers and gate decisions of an ONNX classifier, through onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnxruntime as ort
    from numpy.typing import NDArray

    from accelsim.workload.datasets import ImageSet, Normalisation

_BATCH = 250


@dataclass(frozen=True)
class Answers:
    """What a network said.

    Attributes
    ----------
    classes
        Class with the highest answer, (images,).
    right
        Whether it is the label, (images,).
    decisions
        Gates, (images, gates), true where something runs; no columns without gates.
    """

    classes: NDArray[np.int64]
    right: NDArray[np.bool_]
    decisions: NDArray[np.bool_]


def classify(session: ort.InferenceSession, images: ImageSet, normalisation: Normalisation) -> Answers:
    """Run a network on all images, 250 at a time (onnxruntime may round differently with other batches)."""
    names = [value.name for value in session.get_outputs()]
    parts = []
    for start in range(0, len(images), _BATCH):
        batch = normalisation.apply(images.images[start : start + _BATCH])
        made = dict(zip(names, session.run(names, {"image": batch}), strict=True))
        gates = made.get("decisions", np.zeros((len(batch), 0), np.float32))
        parts.append((made["logits"].argmax(axis=1), gates > 0.5))
    classes = np.concatenate([part[0] for part in parts])
    return Answers(classes, classes == images.labels, np.concatenate([part[1] for part in parts]))
