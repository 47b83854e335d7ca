"""Unit factors and rounding: the only place where time, clocks and sizes are converted.

Time is integer picoseconds between components and integer cycles inside a clock domain. Every conversion that cannot be
exact rounds up, so that nothing ever happens earlier than it could.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PS_PER_NS = 1_000
PS_PER_US = 1_000_000
PS_PER_S = 1_000_000_000_000
KHZ_PER_MHZ = 1_000
BITS_PER_BYTE = 8
BYTES_PER_KIB = 1_024
BYTES_PER_MIB = 1_024 * BYTES_PER_KIB
BYTES_PER_GB = 1_000_000_000

_PS_TIMES_KHZ = 1_000_000_000  # one cycle lasts this many picoseconds at one kilohertz


def ceil_div(numerator: int, denominator: int) -> int:
    """Divide integers, rounding towards positive infinity."""
    return -(-numerator // denominator)


def bits_to_bytes(bits: int) -> int:
    """Bytes that hold `bits`, rounded up to whole bytes."""
    return ceil_div(bits, BITS_PER_BYTE)


def bandwidth_gb_per_s(size_bytes: float, duration_ps: int) -> float:
    """Mean bandwidth in 10^9 bytes per second; zero when no time has passed."""
    return size_bytes * PS_PER_S / BYTES_PER_GB / duration_ps if duration_ps else 0.0


def milliwatts_to_pj(power_mw: float, duration_ps: int) -> float:
    """Energy in picojoules of a constant power over a duration (1 mW for 1 ns is 1 pJ)."""
    return power_mw * duration_ps / PS_PER_NS


@dataclass(frozen=True)
class Clock:
    """A clock domain; edge number `n` lies at the first whole picosecond not before ``n`` periods.

    The edges of a clock whose period is no whole number of picoseconds (700 MHz) therefore never drift, and
    ``cycle_at(ps_of(n)) == n`` for every `n`.
    """

    frequency_khz: int

    @classmethod
    def from_mhz(cls, frequency_mhz: float) -> Clock:
        """Build the clock of a frequency in MHz, kept to the whole kilohertz."""
        return cls(round(frequency_mhz * KHZ_PER_MHZ))

    def ps_of(self, cycle: int) -> int:
        """Time of the edge that begins `cycle`, in picoseconds."""
        return ceil_div(cycle * _PS_TIMES_KHZ, self.frequency_khz)

    def ps_of_all(self, cycles: NDArray[np.int64]) -> NDArray[np.int64]:
        """Times of many edges, without leaving 64 bits on the way."""
        milliseconds, rest = divmod(cycles, self.frequency_khz)
        times: NDArray[np.int64] = milliseconds * _PS_TIMES_KHZ - -(rest * _PS_TIMES_KHZ) // self.frequency_khz
        return times

    def cycle_at(self, time_ps: int) -> int:
        """Cycle of the first edge that is not before `time_ps`."""
        return (time_ps - 1) * self.frequency_khz // _PS_TIMES_KHZ + 1
