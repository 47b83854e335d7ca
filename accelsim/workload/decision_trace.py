"""Which blocks and channels a gated network ran for each image, as a file.

Version 1 holds ``trace`` (JSON: network, gates, shares of the work), ``decisions`` and ``right``, bits packed along the
last axis. As a parquet table a trace has a row for each image, and truth values for each column of the decisions and
for ``right``; channels are called ``BLOCK.channelN``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.atomic_file import written_whole
from accelsim.errors import WorkloadError
from accelsim.workload.trace_archive import read_archive

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = "accelsim-decisions"
VERSION = 1

RIGHT = "right"
"""Column of a table that says whether the answer was the label."""


@dataclass(frozen=True)
class GatedBlock:
    """A block that a gate decides on.

    Attributes
    ----------
    name
        As in the network.
    share
        Its part of the multiply-accumulates of the whole network.
    channels
        Channels between its convolutions that are decided on one by one; 0 where the block runs or does not.
    """

    name: str
    share: float
    channels: int = 0


@dataclass(frozen=True)
class DecisionTrace:
    """Decisions on many images.

    Attributes
    ----------
    network
        Name of the network.
    blocks
        In the order of the columns: one column for a block, then one for each of its channels that has a gate.
    decisions
        (images, columns), true where something runs.
    right
        (images,), whether the answer was the label.
    """

    network: str
    blocks: tuple[GatedBlock, ...]
    decisions: NDArray[np.bool_]
    right: NDArray[np.bool_]

    def executed_shares(self) -> NDArray[np.float64]:
        """Share of the network's multiply-accumulates that each image took, gates included."""
        work = np.full(len(self.decisions), 1.0 - sum(block.share for block in self.blocks))
        column = 0
        for block in self.blocks:
            runs = self.decisions[:, column].astype(np.float64)
            if block.channels:
                runs *= self.decisions[:, column + 1 : column + 1 + block.channels].mean(axis=1)
            work += block.share * runs
            column += 1 + block.channels
        return work

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the decisions."""
        names = []
        for block in self.blocks:
            names += [block.name, *(f"{block.name}.channel{index}" for index in range(block.channels))]
        return names

    @property
    def is_block(self) -> NDArray[np.bool_]:
        """Per column whether it decides on a whole block, not on a channel."""
        return np.array([index == 0 for block in self.blocks for index in range(1 + block.channels)], np.bool_)

    def execution_rates(self) -> NDArray[np.float64]:
        """Share of the images for which each block ran."""
        starts = np.cumsum([0, *(1 + block.channels for block in self.blocks[:-1])])
        rates: NDArray[np.float64] = self.decisions[:, starts].mean(axis=0)
        return rates


def save_trace(path: Path, trace: DecisionTrace) -> None:
    """Write version 1 of the file, whole or not at all."""
    header = {"format": FORMAT, "version": VERSION, "network": trace.network, "images": len(trace.right),
              "blocks": [asdict(block) for block in trace.blocks]}  # fmt: skip
    with written_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            trace=np.array(json.dumps(header, separators=(",", ":"))),
            decisions=np.packbits(trace.decisions, axis=1),
            right=np.packbits(trace.right),
        )


def save_table(path: Path, trace: DecisionTrace) -> None:
    """Write a trace as a parquet table, whole or not at all.

    Raises
    ------
    WorkloadError
        When no library is there that writes parquet.
    """
    import pandas as pd

    table = pd.DataFrame(trace.decisions, columns=trace.columns)
    table[RIGHT] = trace.right
    with written_whole(path) as part:
        try:
            table.to_parquet(part)
        except ImportError:
            raise WorkloadError("needs pyarrow to be written: pip install 'accelsim[explore]'", where=path) from None


def load_trace(path: Path) -> DecisionTrace:
    """Read what `save_trace` wrote.

    Raises
    ------
    WorkloadError
        When the file is missing, damaged, or of another format or version.
    """
    header, (decisions, right) = read_archive(path, ("decisions", "right"), FORMAT, VERSION, "decisions")
    try:
        return _unpacked(header, decisions, right)
    except (KeyError, TypeError, ValueError) as problem:
        raise WorkloadError(f"its parts do not fit together ({problem})", where=path) from None


def _unpacked(header: dict[str, Any], decisions: NDArray[np.uint8], right: NDArray[np.uint8]) -> DecisionTrace:
    blocks = tuple(GatedBlock(**block) for block in header["blocks"])
    columns = sum(1 + block.channels for block in blocks)
    images = int(header["images"])
    if decisions.shape != (images, -(-columns // 8)) or right.shape != (-(-images // 8),):
        message = f"{images} images and {columns} gates, but arrays of {decisions.shape} and {right.shape}"
        raise ValueError(message)
    bits = np.unpackbits(decisions, axis=1, count=columns).astype(np.bool_)
    return DecisionTrace(header["network"], blocks, bits, np.unpackbits(right, count=images).astype(np.bool_))
