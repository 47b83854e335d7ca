"""Which elements of which tensors lie in weak cells, and what one read of them makes of their words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from accelsim.hardware.dram.word_kernel import NO_CORRECTION, SATURATE, ZERO, flip_words, mend_all, mend_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.element_order import ElementOrder
    from accelsim.mapping.stages import Stage
    from accelsim.numerics.number_format import Correction, NumberFormat

CORRECTIONS: dict[Correction, int] = {"none": NO_CORRECTION, "zero": ZERO, "saturate": SATURATE}

FAULT_CELL_DTYPE = np.dtype(
    [
        ("element", "i8"), ("bit", "u1"), ("access", "i8"), ("bank", "i4"), ("row", "i4"), ("column", "i4"),
        ("flip_one", "f8"), ("flip_zero", "f8"),
    ]
)  # fmt: skip
"""A weak cell that holds a bit of a tensor: element (through all images of a pass) and bit in it, number of the access
within the pass that reads it, its place, and its flip probabilities by the bit stored."""


@dataclass(frozen=True, eq=False)
class FaultCells:
    """The weak cells that one stage reads of one tensor.

    Parameters
    ----------
    cells
        Array of `FAULT_CELL_DTYPE`.
    seed
        Names the module.
    batch
        Images in a pass.
    accesses
        Accesses to the memory in a pass: the k-th of pass p has the number ``p * accesses + k``.
    """

    cells: NDArray[np.void]
    seed: int
    batch: int
    accesses: int

    def __len__(self) -> int:
        return len(self.cells)


class FaultSource(Protocol):
    """What decides which cells hold a tensor and how often they flip."""

    def weight_cells(self, stage: Stage) -> FaultCells | None:
        """Weak cells that a stage reads of its weights; None where none can flip."""

    def map_cells(self, stage: Stage, root: str) -> FaultCells | None:
        """Weak cells that a stage reads of a feature map, named by the tensor that owns its memory."""


@dataclass(frozen=True)
class Plausible:
    """What a controller takes for plausible words of a tensor, and what it does with the others.

    Parameters
    ----------
    low, high
        Range as `NumberFormat.range_of` gives it.
    correction
        What becomes of words outside of it.
    """

    low: int
    high: int
    correction: Correction


@dataclass(frozen=True)
class FlipCount:
    """Bits that flipped in reads of a tensor, words that were corrected, and in how many passes."""

    flipped: int
    corrected: int
    passes: int

    def __add__(self, other: FlipCount) -> FlipCount:
        return FlipCount(self.flipped + other.flipped, self.corrected + other.corrected, self.passes + other.passes)


def fault_cells(
    order: ElementOrder, weak: NDArray[np.void], access_of_byte: NDArray[np.int64], *, seed: int, batch: int,
    accesses: int,
) -> FaultCells | None:  # fmt: skip
    """Join the weak cells of a tensor's region with its elements and with the accesses that read them.

    Parameters
    ----------
    order
        How the tensor lies in its region.
    weak
        Its weak cells (`accelsim.hardware.dram.bit_flips.WEAK_CELL_DTYPE`).
    access_of_byte
        Access within the pass that reads each byte of the region first; -1 where none does.
    seed, batch, accesses
        As of `FaultCells`.
    """
    weak = weak[weak["byte"] < len(access_of_byte)]
    access = access_of_byte[weak["byte"]]
    element, bit = order.elements_at(weak["byte"] * 8 + weak["bit"])
    read = (access >= 0) & (element >= 0)
    cells = np.zeros(int(read.sum()), FAULT_CELL_DTYPE)
    cells["element"], cells["bit"], cells["access"] = element[read], bit[read], access[read]
    for name in ("bank", "row", "column", "flip_one", "flip_zero"):
        cells[name] = weak[name][read]
    return FaultCells(cells, seed, batch, accesses) if len(cells) else None


def read_words(
    words: NDArray[np.unsignedinteger[Any]], faults: FaultCells | None, form: NumberFormat, plausible: Plausible,
    first_pass: int,
) -> tuple[FlipCount, NDArray[np.int64]]:  # fmt: skip
    """Turn stored words into what is read of them, in place.

    Parameters
    ----------
    words
        Shape (images, elements of an image), images in order from the first of pass `first_pass`; one row for weights.
    faults
        Their weak cells.
    form, plausible
        Their number format and what is plausible.
    first_pass
        Number of the pass.

    Returns
    -------
    tuple
        What happened, and the words whose bits flipped, (image, element) each, for every bit.
    """
    mode = CORRECTIONS[plausible.correction]
    flipped, passes, touched = 0, len(words), np.zeros((0, 2), np.int64)
    if faults is not None:
        passes = -(-len(words) // faults.batch)
        touched = np.empty((len(faults) * passes, 2), np.int64)  # memory that nobody writes to costs nothing
        flipped = flip_words(
            words, faults.cells, np.uint64(faults.seed), first_pass, faults.batch, faults.accesses, touched
        )
        touched = touched[:flipped]
    floating = form.kind == "float"
    corrected = mend_words(words, touched, form.bits, floating, plausible.low, plausible.high, mode)
    if floating and mode:
        corrected += mend_all(words, form.bits, plausible.low, plausible.high, mode)
    return FlipCount(flipped, corrected, passes), touched
