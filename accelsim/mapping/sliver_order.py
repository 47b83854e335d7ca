"""At which bit of their region the weights of a blocked product lie on a machine that packs them for its own loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.units import bits_to_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class SliverOrder:
    """Weights slice by slice along k, in a slice sliver by sliver of output channels.

    Within a sliver the output channels of one element of k lie side by side. Along k the pixels of the kernel follow
    one another row by row, and within one the input channels, as they do in a feature map. Groups lie one behind the
    other.

    Parameters
    ----------
    groups, n
        Groups, and output channels of a group.
    channels, taps
        Input channels of a group, and pixels of the kernel.
    slice_k, sliver_n
        Extent of a whole slice along k and of a whole sliver along n; the last ones may be cut.
    bits
        Bits per element.
    """

    groups: int
    n: int
    channels: int
    taps: int
    slice_k: int
    sliver_n: int
    bits: int

    @property
    def _per_group(self) -> int:
        return self.n * self.channels * self.taps

    @property
    def size_bytes(self) -> int:
        """Bytes of the region."""
        return bits_to_bytes(self.groups * self._per_group * self.bits)

    def elements_at(self, bit_offset: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Element that holds each bit of the region, row-major in ``(output, input channels, kernel)``, and bit in it.

        -1 behind the last element.
        """
        place, bit = np.divmod(bit_offset, self.bits)
        group, inside = np.divmod(place, self._per_group)
        number, inside = np.divmod(inside, self.slice_k * self.n)
        depth = np.minimum(self.slice_k, self.channels * self.taps - number * self.slice_k)
        sliver, inside = np.divmod(inside, depth * self.sliver_n)
        within, column = np.divmod(inside, np.minimum(self.sliver_n, self.n - sliver * self.sliver_n))
        tap, channel = np.divmod(number * self.slice_k + within, self.channels)
        output = group * self.n + sliver * self.sliver_n + column
        element = (output * self.channels + channel) * self.taps + tap
        return np.where(place < self.groups * self._per_group, element, -1), bit
