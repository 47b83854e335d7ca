"""Where the operands of a stage on the array lie in DRAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from accelsim.mapping.tile_graph import OutputTiles


@dataclass(frozen=True)
class InputPart:
    """A stretch of input channels in DRAM.

    Parameters
    ----------
    address
        Where its feature map begins.
    first_channel, channels
        Place of the stretch on the channel axis of the layer's input.
    producer
        Output of the stage that makes it, with that stage's index; None for an input of the graph.
    in_order
        Whether its pixels come in the order in which the producer makes them.
    """

    address: int
    first_channel: int
    channels: int
    producer: tuple[int, OutputTiles] | None
    in_order: bool = True


@dataclass(frozen=True)
class ArrayAddresses:
    """Where the operands of one stage lie in DRAM; None for what stays on chip.

    Parameters
    ----------
    ifmap
        The parts of the input that are in DRAM.
    weight
        Address of the weights, or of the second feature map of a matrix product.
    weight_producer
        Stage that makes the second feature map of a matrix product.
    matrices
        Per group of a product of feature maps its matrix of the first and of the second one, which lie row by row;
        None for weights, which lie tile by tile.
    ofmap, psum
        Addresses of the results and of spilled partial sums.
    """

    ifmap: tuple[InputPart, ...]
    weight: int | None
    weight_producer: tuple[int, OutputTiles] | None
    matrices: tuple[NDArray[np.int64], NDArray[np.int64]] | None
    ofmap: int | None
    psum: int
