"""What a user asks of the accuracy of a run; light, so that runs without accuracy pay nothing for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelsim.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.numerics.number_format import Correction
    from accelsim.numerics.stored_network import Arithmetic

IMAGES_PER_LOAD = 25
"""Images that share one read of the weights where nothing else is said."""

SAMPLES = 1_000
"""Images that a run measures accuracy on where nothing else is said."""


@dataclass(frozen=True)
class AccuracyRequest:
    """How accuracy is to be measured.

    Parameters
    ----------
    wanted
        True: it is an error where it cannot be; None: measure it where the workload has images.
    data
        Folder of datasets, npz file or folder of labelled images; None for what the workload names, and the folder
        that the environment variable ``ACCELSIM_DATA`` names.
    samples
        Images, counted from the first.
    seeds
        Modules: the run's seed and those that follow it.
    correction
        What becomes of values that cannot be right.
    images_per_load
        Images that share one read of the weights (see `accelsim.numerics.inference.Inference`).
    arithmetic
        Whether products are computed in float32 or in integers alone (see `accelsim.numerics.stored_network`).
    half_floats
        Whether tensors of 16 bits hold floats rather than integers.
    threads
        Threads of onnxruntime.
    """

    wanted: bool | None = None
    data: Path | None = None
    samples: int = SAMPLES
    seeds: int = 1
    correction: Correction = "zero"
    images_per_load: int = IMAGES_PER_LOAD
    arithmetic: Arithmetic = "float"
    half_floats: bool = False
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("samples", "seeds", "images_per_load"):
            if getattr(self, name) < 1:
                raise InputError("is below 1", where="accuracy", key=name, value=getattr(self, name),
                                 allowed="a whole number of at least 1")  # fmt: skip
