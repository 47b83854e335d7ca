"""Row-stationary arrays: Eyeriss (Chen et al., ISCA 2016 and JSSC 2017).

An element convolves one row of a filter with one row of the input (a *primitive*). R x e elements make a *PE set*:
filter rows lie along its rows, input rows along its diagonals, and the sums of a column add up to one output row. Sets
repeat over the array for other filters (t), channels (r) and groups (g); a set that is wider than the array is cut and
stacked, one that is higher is folded over filter rows. An element holds p filters and q channels of its row.

Work goes in *passes*, in each of which the weights stay. A pass goes

1. weights in, each once over the filter network, `filter_words_per_cycle` at a time, to all elements that need it;
2. the inputs of the first window over the ifmap network;
3. window after window: every element multiplies p q S times, one a cycle, while the inputs of the next window come
   in, the sums from passes before come in, and those of the window before go out; the slowest of these sets the pace;
4. the sums of the last window out.

Padding is read and multiplied like any other input. A zero input costs its cycle, but neither the read of a weight nor
the multiplication (it is gated). Weights of the next pass wait in the filter buffer while a pass runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from accelsim.config.model import Record
from accelsim.config.pe_array import PeArrayConfig
from accelsim.errors import ConfigError, MappingError
from accelsim.hardware.pe_array.row_stationary_coding import coded_share
from accelsim.hardware.pe_array.row_stationary_costs import RowStationaryCosts
from accelsim.hardware.pe_array.row_stationary_layer import RowGeometry
from accelsim.hardware.pe_array.row_stationary_rule import BankedBuffers, ruled_layout
from accelsim.mapping.array_costs import PLAIN, StoredForm
from accelsim.units import BITS_PER_BYTE, BYTES_PER_KIB
from accelsim.workload.operators import Conv

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import ArrayLayer
    from accelsim.workload.operand_data import OperandData


class PassConfig(Record):
    """A layout given by hand, in the letters of the paper."""

    n: int = Field(ge=1)
    """Images that are worked on together."""
    m: int = Field(ge=1)
    """Filters whose sums are in the buffer together."""
    e: int = Field(ge=1)
    """Output rows of a PE set."""
    p: int = Field(ge=1)
    """Filters of an element."""
    q: int = Field(ge=1)
    """Channels of an element."""
    r: int = Field(ge=1)
    """PE sets that work on other channels."""
    t: int = Field(ge=1)
    """PE sets that work on other filters."""


class PassRuleConfig(Record):
    """How convolutions are laid out where no layout was given: see `row_stationary_rule`."""

    bank_kib: float = Field(gt=0, le=2**20)
    """Size of a bank of the buffer of feature maps and sums; a bank holds either of them."""
    ifmap_banks: int = Field(ge=1)
    """Banks that the inputs of an image take in a pass of several channels."""
    least_use: float = Field(ge=0, le=1)
    """Share of the most elements that any layout uses, which a layout has to use."""


class RowStationaryConfig(PeArrayConfig):
    """Elements with scratchpads of their own, fed by multicast networks."""

    kind: Literal["row_stationary"] = "row_stationary"
    rows: int = Field(ge=1, le=1_024)
    """Elements of a column, along which filter rows lie."""
    cols: int = Field(ge=1, le=1_024)
    """Elements of a row, along which output rows lie."""
    filter_spad_words: int = Field(ge=1, le=65_536)
    """Weights that an element holds."""
    ifmap_spad_words: int = Field(ge=1, le=65_536)
    """Inputs that an element holds: the window of each of its channels."""
    psum_spad_words: int = Field(ge=1, le=65_536)
    """Sums that an element holds: one for each of its filters."""
    filter_words_per_cycle: int = Field(ge=1, le=65_536)
    """Different weights that the filter network hands out per cycle."""
    ifmap_words_per_cycle: int = Field(ge=1, le=65_536)
    """Different inputs that the ifmap network hands out per cycle."""
    psum_words_per_cycle: int = Field(ge=1, le=65_536)
    """Sums that the psum networks bring in, and as many that they take out, per cycle."""
    compression: Literal["run_length", "none"] = "run_length"
    """How feature maps are stored in DRAM."""
    passes: dict[str, PassConfig] = Field(default_factory=dict)
    """Layouts given by hand, by layer name; names that a network does not have are passed over."""
    pass_rule: PassRuleConfig | None = None
    """Lays out the other convolutions; where there is none the mapper looks for the quickest layouts."""

    @property
    def elements(self) -> int:
        """Processing elements, each of which multiplies and accumulates once a cycle."""
        return self.rows * self.cols

    def build(self, hardware: HardwareConfig) -> RowStationary:
        """Build the array.

        Raises
        ------
        ConfigError
            When layouts are to be found by a rule for banks, and feature maps and sums share no buffer.
        """
        return RowStationary(self, hardware.name, self._banked_buffers(hardware))

    def _banked_buffers(self, hardware: HardwareConfig) -> BankedBuffers | None:
        rule = self.pass_rule
        if rule is None:
            return None
        owner = hardware.buffer_of("psum")
        if hardware.buffer_of("ifmap") != owner:
            raise ConfigError(
                "lays maps and sums out in the banks of one buffer, but they have two",
                where=hardware.name,
                key="pe_array.pass_rule",
            )
        maps, filters = hardware.sram[owner], hardware.sram[hardware.buffer_of("weight")]
        return BankedBuffers(
            banks=int(maps.capacity_kib / maps.tiles_in_flight / rule.bank_kib),
            bank_bits=int(rule.bank_kib * BYTES_PER_KIB) * BITS_PER_BYTE,
            ifmap_banks=rule.ifmap_banks,
            filter_bits=filters.capacity_bytes * BITS_PER_BYTE // filters.tiles_in_flight,
            least_use=rule.least_use,
        )


@dataclass(frozen=True)
class RowStationary:
    """A row-stationary array.

    Parameters
    ----------
    config
        Its size, spads and networks.
    hardware
        Name of the machine, for messages.
    buffers
        Room for the layouts of convolutions that are found by a rule; None where the mapper looks for them.
    """

    config: RowStationaryConfig
    hardware: str
    buffers: BankedBuffers | None = None
    reassigns_channels: ClassVar[bool] = True

    def costs(self, layer: ArrayLayer) -> RowStationaryCosts:
        """What a layer costs.

        Raises
        ------
        MappingError
            When a layout given by hand does not fit onto the array.
        """
        config = self.config
        given = config.passes.get(layer.name)
        geometry = RowGeometry.of_layer(layer, (config.rows, config.cols))
        spads = (config.filter_spad_words, config.ifmap_spad_words, config.psum_spad_words)
        layout = None
        if given is not None:
            self._check_given(layer.name, given, geometry)
            layout = (given.n, given.m, given.e, given.p, given.q, given.r, given.t)
        elif self.buffers is not None and isinstance(layer.operator, Conv):
            bits = (layer.ifmap_bits, layer.weight_bits, layer.psum_bits)
            layout = ruled_layout(geometry, layer.dims, spads, bits, self.buffers)
        return RowStationaryCosts(
            array=(config.rows, config.cols),
            spads=spads,
            rates=(config.filter_words_per_cycle, config.ifmap_words_per_cycle, config.psum_words_per_cycle),
            given=layout,
            geometry=geometry,
            dims=layer.dims,
            bits=(layer.ifmap_bits, layer.weight_bits, layer.ofmap_bits, layer.psum_bits),
            layer=layer,
        )

    def feature_map_form(self, data: OperandData, bits: int) -> StoredForm:
        """Feature maps are coded on their way to DRAM and plain on chip."""
        return PLAIN if self.config.compression == "none" else StoredForm(dram_share=coded_share(data, bits))

    def _check_given(self, name: str, given: PassConfig, geometry: RowGeometry) -> None:
        config = self.config
        height, taps = geometry.folded_height, geometry.folded_taps(config.ifmap_spad_words)
        sets = geometry.sets(given.e)
        for what, needed, there in (
            ("ifmap_spad_words", given.q * taps, config.ifmap_spad_words),
            ("filter_spad_words", given.p * given.q * taps, config.filter_spad_words),
            ("psum_spad_words", given.p, config.psum_spad_words),
            (f"PE sets of {height}x{given.e}", given.r * given.t, sets),
        ):
            if needed > there:
                raise MappingError(
                    f"needs {needed} {what}, the array has {there}",
                    where=self.hardware,
                    key=f"pe_array.passes.{name}",
                    value=given.model_dump(),
                )
