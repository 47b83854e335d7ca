"""How sure a network with several exits was of each image at each exit, and whether it was right, as a file.

Version 1 holds ``trace`` (JSON: network, exits, images), ``confidence`` (float32) and ``right`` (bits packed along the
last axis), each (images, exits); the last exit is the end of the network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.atomic_file import written_whole
from accelsim.errors import WorkloadError
from accelsim.workload.trace_archive import read_archive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = "accelsim-exits"
VERSION = 1


@dataclass(frozen=True, eq=False)
class ExitTrace:
    """Answers at all exits of a network.

    Attributes
    ----------
    network
        Its name.
    exits
        Their names in order, the end of the network last.
    confidence
        (images, exits), such as the largest score after softmax.
    right
        (images, exits), whether the answer there was the label.
    """

    network: str
    exits: tuple[str, ...]
    confidence: NDArray[np.float32]
    right: NDArray[np.bool_]

    def taken(self, thresholds: Sequence[float]) -> NDArray[np.int64]:
        """Per image the number of the first exit whose confidence reaches its threshold; the end takes all.

        Parameters
        ----------
        thresholds
            One for each exit but the last.
        """
        sure = np.ones(self.confidence.shape, np.bool_)
        sure[:, :-1] = self.confidence[:, :-1] >= np.asarray(thresholds, np.float64)
        taken: NDArray[np.int64] = sure.argmax(axis=1)
        return taken

    def thresholds(self, share: float) -> tuple[float, ...]:
        """Thresholds at which images leave by the exits in shares 1 : q : q^2 ..., as MSDNet and RANet set them.

        Huang et al., "Multi-scale dense networks", ICLR 2018, section 4.2: a validation set decides.

        Parameters
        ----------
        share
            q; small for early exits, above 1 for late ones.
        """
        count = self.confidence.shape[1]
        parts = share ** np.arange(count, dtype=np.float64)
        wanted = np.round(parts / parts.sum() * len(self.confidence)).astype(np.int64)
        remaining = np.ones(len(self.confidence), np.bool_)
        found = []
        for number in range(count - 1):
            left = np.flatnonzero(remaining)
            order = left[np.argsort(-self.confidence[left, number], kind="stable")]
            leave = order[: wanted[number]]
            found.append(float(self.confidence[leave[-1], number]) if len(leave) else float("inf"))
            remaining &= ~(self.confidence[:, number] >= found[-1])
        return tuple(found)


def save_exits(path: Path, trace: ExitTrace) -> None:
    """Write version 1 of the file, whole or not at all."""
    header = {"format": FORMAT, "version": VERSION, "network": trace.network, "exits": list(trace.exits),
              "images": len(trace.right)}  # fmt: skip
    with written_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            trace=np.array(json.dumps(header, separators=(",", ":"))),
            confidence=trace.confidence.astype(np.float32),
            right=np.packbits(trace.right, axis=1),
        )


def load_exits(path: Path) -> ExitTrace:
    """Read what `save_exits` wrote.

    Raises
    ------
    WorkloadError
        When the file is missing, damaged, or of another format or version.
    """
    header, (confidence, right) = read_archive(path, ("confidence", "right"), FORMAT, VERSION, "exits")
    try:
        exits, images = tuple(str(name) for name in header["exits"]), int(header["images"])
        if confidence.shape != (images, len(exits)) or not images or right.shape != (images, -(-len(exits) // 8)):
            message = f"{images} images and {len(exits)} exits, but arrays of {confidence.shape} and {right.shape}"
            raise ValueError(message)
        bits = np.unpackbits(right, axis=1, count=len(exits)).astype(np.bool_)
        return ExitTrace(str(header["network"]), exits, confidence.astype(np.float32), bits)
    except (KeyError, TypeError, ValueError) as problem:
        raise WorkloadError(f"its parts do not fit together ({problem})", where=path) from None
