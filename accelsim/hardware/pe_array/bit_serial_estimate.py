"""Expected cycles of the bit-serial array, from distributions of Booth digits and shares of zeros.

A step waits for the slowest of its lanes and a pass for the slowest of its lines, so what is computed is the expected
maximum of each, not the maximum of the means. Activations count as independent of each other, and so do rows; lines of
different selectors, which see the same activations, too.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.pe_array.bit_content import booth_digits, booth_distribution
from accelsim.hardware.pe_array.bit_serial_geometry import activations, occurrences
from accelsim.hardware.pe_array.expectation import (
    Distribution,
    certain,
    counted,
    maximum_of,
    mixture,
    sum_of,
    whole_cycles,
)
from accelsim.units import ceil_div

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from accelsim.hardware.pe_array.bit_serial import BitSerialCosts
    from accelsim.hardware.pe_array.bit_serial_geometry import PixelTiles


class Estimate:
    """Expected cycles of one layer; each figure is computed once.

    Parameters
    ----------
    costs
        The layer on its array.
    """

    def __init__(self, costs: BitSerialCosts) -> None:
        self._costs = costs
        self._rows: dict[int, Distribution] = {}
        self._lines: dict[tuple[int, int, float, int], Distribution] = {}
        self._tiles: dict[int, dict[int, float]] = {}
        self._passes: dict[tuple[int, int], float] = {}

    # -- activations ----------------------------------------------------------------------------------------------

    @cached_property
    def activation_digits(self) -> NDArray[np.uint8] | None:
        """Nonzero Booth digits of each activation, (images, channels, height, width); None where none is known."""
        layer = self._costs.layer
        values = activations(layer, self._costs.geometry)
        if values is None:
            return None
        bits = layer.ifmap_bits
        unsigned = values.size > 0 and int(values.max()) >= 1 << (bits - 1)
        return booth_digits(values, bits + unsigned)  # an unsigned number has a digit more

    @cached_property
    def digits(self) -> Distribution:
        """Nonzero Booth digits of an activation."""
        known = self.activation_digits
        if known is not None:
            return counted(known)
        return booth_distribution(self._costs.layer.ifmap.statistics, self._costs.layer.ifmap_bits)

    @property
    def density(self) -> float:
        """Share of activations that are not zero."""
        return 1.0 - _chance_of_zero(self.digits)

    @cached_property
    def _stated_row_share(self) -> float | None:
        """Share of the rows of activations with any nonzero, where it is known."""
        geometry, known = self._costs.geometry, self.activation_digits
        if known is None:
            return self._costs.layer.ifmap.statistics.vector_density
        nonzero = known > 0
        if geometry.is_flat:
            nonzero = nonzero.reshape(*nonzero.shape[:2], -1)
        parts = np.arange(0, nonzero.shape[-1], self._costs.lanes)
        nonzero = np.logical_or.reduceat(nonzero, parts, axis=-1)
        if geometry.spans_channels:
            nonzero = np.logical_or.reduceat(nonzero, np.arange(0, nonzero.shape[1], geometry.row_length), axis=1)
        return float(nonzero.mean())

    def columns(self, lanes: int) -> int:
        """Input pixels of a row of one channel that this many neighbouring pixels need."""
        window = self._costs.geometry.window
        taps = window.kernel[1]
        return min((lanes - 1) * window.stride[1] + (taps - 1) * window.dilation[1] + 1, lanes * taps)

    def row_share(self, lanes: int) -> float:
        """Share of the rows that meet any activation that is not zero."""
        if self._stated_row_share is not None:
            return max(self._stated_row_share, self.density)
        channels = int(self._costs.geometry.row_channels[0])
        return float(1.0 - _chance_of_zero(self.digits) ** (self.columns(lanes) * channels))

    def row(self, lanes: int) -> Distribution:
        """Cycles of a row that the weights need: 0 where it meets zeros only."""
        if lanes not in self._rows:
            share = self.row_share(lanes)
            if share <= 0:
                return certain(0)
            least, within = self._costs.least_row_cycles, self.density / share
            digits = mixture([(certain(0), 1 - within), (_without_zero(self.digits), within)])
            step = maximum_of([(digits, lanes)]).of(lambda numbers: np.maximum(numbers, 1))
            taken = sum_of([(step, self._costs.geometry.row_length)]).of(lambda numbers: np.maximum(numbers, least))
            self._rows[lanes] = mixture([(certain(0), 1 - share), (taken, share)])
        return self._rows[lanes]

    # -- passes ---------------------------------------------------------------------------------------------------

    def _line(self, lanes: int, rows: int, needed: float, bases: int) -> Distribution:
        """Cycles of a line with so many rows, each needed by the weights with this chance.

        Where it loads `bases` without anything to hide that, its rows fall into as many runs, none much longer than
        others; a run without any row to work on loads nothing.
        """
        key = lanes, rows, needed, bases
        if key not in self._lines:
            row = self.row(lanes)
            each = row if needed >= 1 else mixture([(row, needed), (certain(0), 1 - needed)])
            if not bases:
                self._lines[key] = sum_of([(each, rows)])
            else:
                load, (length, longer) = self._costs.config.basis_load_cycles, divmod(rows, bases)
                runs = [(length, bases - longer), (length + 1, longer)]
                self._lines[key] = sum_of(
                    [
                        (sum_of([(each, rows)]).of(lambda numbers: numbers + load * (numbers > 0)), times)
                        for rows, times in runs
                        if rows
                    ]
                )
        return self._lines[key]

    def pass_cycles(self, lanes: int, lines: Mapping[int, int], needed: float, bases: int, delivered: float) -> float:
        """Expected cycles of a pass.

        Parameters
        ----------
        lanes
            Lanes in use.
        lines
            How many lines have how many rows: number of lines by number of rows.
        needed
            Chance that a row is needed by the weights.
        bases
            Bases that the rows belong to where nothing hides their load, else 0.
        delivered
            Rows of activations of one channel each that the input delivers, before those of zeros are left out.
        """
        busy = [(self._line(lanes, rows, needed, bases), times) for rows, times in lines.items() if rows]
        slowest = maximum_of(busy).mean if busy else 0.0
        port = delivered * self.row_share(lanes) * self.columns(lanes) / self._costs.config.input_bytes_per_cycle
        return max(slowest, port)

    @property
    def side_by_side(self) -> int:
        """Groups that share a pass."""
        geometry = self._costs.geometry
        return min(max(self._costs.config.slices // geometry.filters, 1), geometry.groups)

    @cached_property
    def _needed(self) -> tuple[float, float]:
        """Chance that a row is needed by the filters of a selector, and by those of a pass."""
        pot, config = self._costs.layer.weight.pot, self._costs.config
        if pot is None:
            return 1.0, 1.0
        filters = min(config.slices, self._costs.geometry.filters)
        return pot.shared_row_density(min(filters, config.selector_slices)), pot.shared_row_density(filters)

    def mean_pass(self, k: int, lanes: int) -> float:
        """Expected cycles of a pass over the first `k` weights of each filter, weights as dense as on average."""
        if (k, lanes) not in self._passes:
            costs = self._costs
            geometry, config = costs.geometry, costs.config
            first, end = geometry.row_range(0, k)
            per_line = np.bincount(geometry.lines_of(first, end, costs.lines), minlength=costs.lines)
            units = self.side_by_side * ceil_div(min(geometry.filters, config.slices), config.selector_slices)
            by_selector, by_pass = self._needed
            self._passes[k, lanes] = self.pass_cycles(
                lanes,
                {rows: times * units for rows, times in occurrences(per_line).items()},
                by_selector,
                bases_loaded(costs, first, end),
                self.side_by_side * by_pass * float(geometry.row_channels[first:end].sum()),
            )
        return self._passes[k, lanes]

    # -- blocks ---------------------------------------------------------------------------------------------------

    def tiles_of_block(self, m: int) -> dict[int, float]:
        """Tiles of a block of `m` pixels by the lanes that they use, on average over the blocks."""
        if m not in self._tiles:
            tiles = self._costs.geometry.tiles(m, self._costs.lanes)
            count = tiles.count
            blocks = ceil_div(self._costs.geometry.pixels, m)
            if self._costs.geometry.pixels % m:  # the last block is cut: look at the whole ones
                blocks = max(blocks - 1, 1)
                count = count[tiles.block < blocks]
            self._tiles[m] = {lanes: times / blocks for lanes, times in occurrences(count).items()}
        return self._tiles[m]

    def block_cycles(self, passes: NDArray[np.int64], m: NDArray[np.int64], k: NDArray[np.int64]) -> NDArray[np.int64]:
        """Expected cycles of blocks of these extents, which broadcast against each other."""
        m_sizes, m_index = np.unique(m, return_inverse=True)
        k_sizes, k_index = np.unique(k, return_inverse=True)
        one_pass = np.array(
            [
                [sum(times * self.mean_pass(k_size, lanes) for lanes, times in self.tiles_of_block(m_size).items())
                 for k_size in k_sizes.tolist()]
                for m_size in m_sizes.tolist()
            ]
        )  # fmt: skip
        cycles = passes * one_pass[m_index.reshape(m.shape), k_index.reshape(k.shape)]
        return self.rounded(cycles)

    def rounded(self, cycles: NDArray[np.float64]) -> NDArray[np.int64]:
        """Whole cycles of blocks, their start included."""
        return whole_cycles(cycles) + self._costs.block_start_cycles

    def lanes_per_block(self, tiles: PixelTiles) -> tuple[list[int], NDArray[np.int64]]:
        """Numbers of lanes that are in use at one time, and how many tiles of each a block has, (blocks, numbers)."""
        lanes, kind = np.unique(tiles.count, return_inverse=True)
        table = np.zeros((int(tiles.block[-1]) + 1, len(lanes)), np.int64)
        np.add.at(table, (tiles.block, kind), 1)
        return lanes.tolist(), table


def bases_loaded(costs: BitSerialCosts, first: int, end: int) -> int:
    """Bases of a block's rows where nothing hides their load, else 0."""
    pot = costs.layer.weight.pot
    if pot is None or not costs.is_clustered or not costs.config.basis_load_cycles:
        return 0
    return ceil_div(end, pot.layout.rows) - first // pot.layout.rows


def _chance_of_zero(distribution: Distribution) -> float:
    return float(distribution.probabilities[0]) if distribution.first == 0 else 0.0


def _without_zero(distribution: Distribution) -> Distribution:
    if distribution.first > 0:
        return distribution
    rest = distribution.probabilities[1:]
    return Distribution(rest / rest.sum(), 1) if rest.sum() else certain(1)
