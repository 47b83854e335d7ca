"""How the values of a tensor are stored: bytes to values and back, and which stored values cannot be right.

A format turns values into *words*, one for each element, of which the low `bits` bits lie in DRAM. What flips is a bit
of a word; what a network computes with is the value that the word then stands for. Integers are symmetric: value =
integer times scale, the scale of a tensor or of each output channel (Jacob et al., CVPR 2018, without zero points).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from accelsim.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Words = NDArray[np.unsignedinteger[Any]]

Correction = Literal["zero", "saturate", "none"]
"""What becomes of a value that cannot be right: 0 (EDEN), the nearest value that can, or nothing."""


@dataclass(frozen=True)
class NumberFormat:
    """A number format.

    Parameters
    ----------
    kind
        ``float`` (IEEE 754 binary32 or binary16) or ``int`` (two's complement).
    bits
        Bits per element.
    """

    kind: Literal["float", "int"]
    bits: int

    def __post_init__(self) -> None:
        allowed = (16, 32) if self.kind == "float" else range(2, 17)
        if self.bits not in allowed:
            wanted = "16 or 32" if self.kind == "float" else "2 to 16"
            raise ConfigError("no such number format", key=f"bits of a {self.kind}", value=self.bits, allowed=wanted)

    @property
    def name(self) -> str:
        """Such as ``fp32`` or ``int8``."""
        return f"{'fp' if self.kind == 'float' else 'int'}{self.bits}"

    @property
    def word_dtype(self) -> np.dtype[Any]:
        """Unsigned integers wide enough for a word."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16 if self.bits <= 16 else np.uint32)

    @property
    def value_dtype(self) -> np.dtype[Any]:
        """Type of the numbers as a computer handles them: int8, int16, float16 or float32, one for each word."""
        return np.dtype(f"{'f' if self.kind == 'float' else 'i'}{self.word_dtype.itemsize}")

    @property
    def largest(self) -> int:
        """Largest magnitude that is used of integers: the least number is left out, so that signs are even."""
        return (1 << self.bits - 1) - 1

    def scale_of(self, peak: NDArray[np.floating[Any]] | float) -> Floats:
        """Value of one step, so that the magnitude `peak` is the largest integer; 1 for floats."""
        peaks = np.asarray(peak, np.float32)
        if self.kind == "float":
            return np.ones_like(peaks)
        return np.where(peaks > 0, peaks / np.float32(self.largest), 1.0).astype(np.float32)

    def encode(self, values: Floats, scale: Floats | float = 1.0) -> Words:
        """Round values to words; `scale` broadcasts."""
        if self.kind == "float":
            with np.errstate(over="ignore"):
                return values.astype(self.value_dtype).view(self.word_dtype)
        steps = np.clip(np.rint(values / np.asarray(scale, np.float32)), -self.largest, self.largest)
        return steps.astype(self.value_dtype).view(self.word_dtype)

    def decode(self, words: Words, scale: Floats | float = 1.0) -> Floats:
        """Values that words stand for, as float32."""
        numbers = words.view(self.value_dtype).astype(np.float32)
        return numbers if self.kind == "float" else numbers * np.asarray(scale, np.float32)

    def range_of(self, low: float, high: float) -> tuple[int, int]:
        """Range of plausible words for values seen from `low` to `high`, as the kernels want it.

        Integers: the least and the greatest that the scale allows, negative ones only where any were seen. Floats: the
        greatest magnitude below and above zero as a word, rounded up to the whole of its power of two, since the
        controller compares exponents (EDEN, section 4).
        """
        if self.kind == "int":
            return -self.largest if low < 0 else 0, self.largest if high > 0 else 0
        return self._whole_power(max(-low, 0.0)), self._whole_power(max(high, 0.0))

    def _whole_power(self, magnitude: float) -> int:
        if magnitude == 0.0:
            return 0
        word = int(np.asarray(magnitude, np.float32).astype(self.value_dtype).view(self.word_dtype))
        return word | ((1 << (10 if self.bits == 16 else 23)) - 1)


FP32, FP16 = NumberFormat("float", 32), NumberFormat("float", 16)
INT16, INT8, INT4 = (NumberFormat("int", bits) for bits in (16, 8, 4))
FORMATS = {entry.name: entry for entry in (FP32, FP16, INT16, INT8, INT4)}
"""All formats, by name."""


def format_of_bits(bits: int, *, half_floats: bool = False) -> NumberFormat:
    """Format of elements of so many bits: fp32 for 32, fp16 for 16 with `half_floats`, else integers."""
    if bits == 32:
        return FP32
    return FP16 if bits == 16 and half_floats else NumberFormat("int", bits)
