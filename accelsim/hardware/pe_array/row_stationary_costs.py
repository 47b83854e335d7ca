"""What blocks of a layer cost on a row-stationary array: cycles, traffic, accesses of spads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.pe_array.dense import PlainCosts
from accelsim.hardware.pe_array.row_stationary_account_kernel import WORK_DTYPE, account
from accelsim.hardware.pe_array.row_stationary_kernel import GEOMETRY_DTYPE, SHAPE_DTYPE, estimate
from accelsim.hardware.pe_array.row_stationary_layer import even_shares, nonzero_macs
from accelsim.mapping.array_costs import PLAIN, ArrayWork, Ports, StoredForm
from accelsim.mapping.dataflow import DIMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.hardware.pe_array.row_stationary_layer import RowGeometry
    from accelsim.mapping.array_costs import ArrayLayer
    from accelsim.mapping.blocks import BlockSequence
    from accelsim.mapping.dataflow import Dim
    from accelsim.workload.operators import GemmDims

HOP = "psum_hop_bit"
"""Operation that the energy table prices: a bit of a sum that goes from one element to the next."""


@dataclass(frozen=True)
class RowStationaryCosts(PlainCosts):
    """Costs of a layer; they depend on its extents alone, energy on its zeros, too.

    Parameters
    ----------
    array
        Rows and columns of elements.
    spads
        Words of filter, ifmap and psum spad.
    rates
        Words per cycle of filter, ifmap and psum network.
    given
        n, m, e, p, q, r, t where the layout was given by hand or by a rule.
    geometry
        Rows, columns and window.
    dims
        The layer as matrix products.
    bits
        Of ifmap, weight, ofmap and psum.
    layer
        All that is known of it.
    """

    array: tuple[int, int]
    spads: tuple[int, int, int]
    rates: tuple[int, int, int]
    given: tuple[int, int, int, int, int, int, int] | None
    geometry: RowGeometry
    dims: GemmDims
    bits: tuple[int, int, int, int]
    layer: ArrayLayer = field(compare=False, repr=False)

    @property
    def completes_sums(self) -> bool:
        """Sums over channels go through the buffer between passes."""
        return False

    @property
    def weight_form(self) -> StoredForm:
        """Stored as they are; of a block whose sums stay on chip the buffer holds the weights of one pass."""
        if self.given is None:
            return PLAIN
        _, m, _, p, _, _, t = self.given
        return StoredForm(buffer_share=min(p * t / m, 1.0)) if m < self.dims.n else PLAIN

    def block_sizes(self, dim: Dim) -> Sequence[int] | None:
        """Strips of rows that use the array well, even shares of the filters and channels; smaller ones to fit."""
        if self.given is not None:
            return [self._given_sizes[dim]]
        if dim == "m":
            return self.geometry.strips(self.dims.m)
        if dim == "n":
            return even_shares(self.dims.n)
        window = self.geometry.window
        channels = self.dims.k // window
        sizes = {channels, *(-(-channels // parts) for parts in _PARTS), *(size for size in _SMALL if size < channels)}
        return sorted({size * window for size in sizes} | {1, self.geometry.taps})

    @property
    def _given_sizes(self) -> dict[Dim, int]:
        """Block of a layout given by hand; weights come pass by pass where the sums of all filters are on chip."""
        n, m, e, p, q, r, t = self.given or (1,) * 7
        pixels = min(e, self.geometry.out_height) * self.geometry.out_width
        filters = m if m < self.dims.n else p * t
        return {"m": n * pixels, "n": min(filters, self.dims.n), "k": q * r * self.geometry.window}

    @property
    def _record(self) -> NDArray[np.void]:
        """The layer on the array, as the kernels take it."""
        record = np.zeros(1, GEOMETRY_DTYPE)
        geometry = self.geometry
        record["rows"], record["cols"] = self.array
        record["filter_spad"], record["ifmap_spad"], record["psum_spad"] = self.spads
        record["filter_rate"], record["ifmap_rate"], record["psum_rate"] = self.rates
        record["out_height"], record["out_width"] = geometry.out_height, geometry.out_width
        record["height"], record["taps"] = geometry.height, geometry.taps
        record["stride_y"], record["stride_x"] = geometry.stride
        record["dilation_y"], record["dilation_x"] = geometry.dilation
        if self.given is not None:
            record["given"] = self.given[2:]
        return record

    def estimated_cycles(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Cycles of blocks of these extents."""
        extents = np.broadcast_arrays(groups, m, n, k)
        blocks = self.geometry.blocks(*(extent.ravel() for extent in extents))
        cycles = np.empty(len(blocks), np.int64)
        estimate(self._record, blocks, cycles)  # type: ignore[no-untyped-call]
        return cycles.reshape(extents[0].shape)

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """Every block pass by pass; equal blocks are looked at once, and laid out for where they lie."""
        left = self.geometry.rows_before_next_image(blocks.index_per_block["m"] * blocks.tiling.m)
        extents = np.stack([blocks.block_groups, *(blocks.extents_per_block[dim] for dim in DIMS), left])
        kinds, kind, repeats = np.unique(extents, axis=1, return_inverse=True, return_counts=True)
        kind = kind.ravel()
        works, shapes = np.zeros(len(repeats), WORK_DTYPE), np.zeros(len(repeats), SHAPE_DTYPE)
        busy = np.zeros(self.array)
        records = self.geometry.blocks(*kinds[:-1])
        records["first_rows"] = np.minimum(records["rows"], kinds[-1])
        account(self._record, records, repeats, works, shapes, busy)  # type: ignore[no-untyped-call]
        cycles = works["cycles"][kind]
        total = {name: int(works[name] @ repeats) for name in WORK_DTYPE.names or ()}
        passes = total["element_passes"] / (total["passes"] * self.array[0] * self.array[1])
        return ArrayWork(
            cycles=cycles,
            cycles_behind=np.zeros_like(cycles),
            macs=self.dims.macs,
            efficiency=passes,
            read_bits=self._read_bits(total),
            written_bits=self._written_bits(total),
            register_file_bits=self._spad_bits(total),
            gated_macs=self.dims.macs - self._nonzero_macs,
            operations={HOP: total["psum_hops"] * self.bits[3]},
            busy_cycles=busy,
            ports=self._ports(shapes[kind[0]]),
            description=self._description(shapes[kind[0]], total),
        )

    def _ports(self, shape: np.void) -> dict[str, Ports]:
        """Where the multicast networks end, a bus for each row of elements that hangs on one for all rows.

        A weight goes to the elements of a row that belong to one set, an input to all rows of a set, along whose
        diagonals it lies; sums enter at the lower end of a column and leave at its upper end.
        """
        rows, cols = self.array
        return {
            "weight": Ports(rows * cols, min(int(shape["e"]), cols)),
            "ifmap": Ports(rows, int(shape["height"])),
            "psum": Ports(cols),
        }

    @property
    def _nonzero_macs(self) -> int:
        return nonzero_macs(self.layer)

    @property
    def _results(self) -> int:
        return self.dims.groups * self.dims.m * self.dims.n

    def _read_bits(self, total: dict[str, int]) -> dict[str, int]:
        """Bits from buffers to the array: sums return in all passes but the first over each output."""
        ifmap_bits, weight_bits, _, psum_bits = self.bits
        return {
            "ifmap": total["ifmap_words"] * ifmap_bits,
            "weight": total["weight_words"] * weight_bits,
            "psum": (total["psum_words"] - self._results) * psum_bits,
        }

    def _written_bits(self, total: dict[str, int]) -> dict[str, int]:
        """Bits from the array to buffers: sums in all passes but the last over each output, which makes results."""
        _, _, ofmap_bits, psum_bits = self.bits
        return {"psum": (total["psum_words"] - self._results) * psum_bits + self._results * ofmap_bits}

    def _spad_bits(self, total: dict[str, int]) -> int:
        """Bits read and written in spads: operands and sum of every product, of a gated one the input alone."""
        ifmap_bits, weight_bits, _, psum_bits = self.bits
        read = self.dims.macs * ifmap_bits + self._nonzero_macs * (weight_bits + 2 * psum_bits)
        filled = total["filter_spad_writes"] * weight_bits + total["ifmap_spad_writes"] * ifmap_bits
        return read + filled + total["psum_additions"] * psum_bits

    def _description(self, shape: np.void, total: dict[str, int]) -> dict[str, object]:
        height, e = int(shape["height"]), int(shape["e"])
        letters = {name: int(shape[name]) for name in ("e", "p", "q", "r", "t", "g")}
        return {
            "operands": {"ifmap": self.layer.ifmap.known, "weight": self.layer.weight.known},
            "pass": letters,
            "passes": total["passes"],
            "active_elements": height * e * letters["r"] * letters["t"] * letters["g"],
            "words": {name: total[f"{name}_words"] for name in ("ifmap", "weight", "psum")},
        }


_PARTS = (2, 3, 4, 5, 6, 8, 12, 16)
"""Even shares of the channels that are tried."""

_SMALL = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)
"""Channels that are tried."""
