"""Writes a network down layer by layer, as its table in the paper reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.workload.graph import Layer, LayerGraph, Tensor
from accelsim.workload.operators import (
    Activation,
    Concat,
    Conv,
    Elementwise,
    Gemm,
    Normalisation,
    Pool,
    Shape,
    Softmax,
    Upsample,
    View,
    Window,
)

if TYPE_CHECKING:
    from accelsim.workload.operators import Operator

Padding = int | tuple[int, int, int, int]


class NetworkBuilder:
    """Collects layers; every method adds one and returns the feature map that it makes.

    Parameters
    ----------
    channels, size
        Input image: channels, and rows and columns, one number where they are equal.
    """

    def __init__(self, channels: int, size: int | tuple[int, int]) -> None:
        rows, columns = (size, size) if isinstance(size, int) else size
        self.input = Tensor("image", (1, channels, rows, columns))
        self.shapes: dict[str, Shape] = {"image": self.input.shape}
        self.layers: list[Layer] = []

    def add(self, name: str, operator: Operator, *inputs: str) -> str:
        """Add any layer."""
        self.shapes[name] = operator.output_shape(tuple(self.shapes[source] for source in inputs))
        self.layers.append(Layer(name, operator, inputs))
        return name

    def conv(
        self, name: str, source: str, out_channels: int, kernel: int, stride: int = 1, padding: Padding | None = None,
        *, groups: int = 1, bias: bool = True,
    ) -> str:  # fmt: skip
        """Add a square convolution; left out, the padding keeps the size at stride 1."""
        sides = _sides(kernel // 2 if padding is None else padding)
        window = Window((kernel, kernel), (stride, stride), sides)
        return self.add(name, Conv(out_channels, window, groups, bias), source)

    def conv_norm(
        self, name: str, source: str, out_channels: int, kernel: int, stride: int = 1, *, groups: int = 1,
        activation: str | None = "relu",
    ) -> str:  # fmt: skip
        """Add a convolution without bias, its batch normalisation and, unless None, an activation."""
        made = self.conv(name, source, out_channels, kernel, stride, groups=groups, bias=False)
        made = self.norm(f"{name}.norm", made)
        return made if activation is None else self.activation(f"{name}.{activation}", made, activation)

    def norm(self, name: str, source: str, function: str = "batch") -> str:
        """Add a normalisation."""
        return self.add(name, Normalisation(function), source)

    def activation(self, name: str, source: str, function: str = "relu") -> str:
        """Add an activation."""
        return self.add(name, Activation(function), source)

    def pool(
        self, name: str, source: str, kernel: int, stride: int | None = None, padding: Padding = 0,
        *, function: str = "max", ceil_mode: bool = False,
    ) -> str:  # fmt: skip
        """Add a square pool; left out, the stride is the kernel."""
        step = kernel if stride is None else stride
        window = Window((kernel, kernel), (step, step), _sides(padding))
        return self.add(name, Pool(function, window, ceil_mode), source)

    def global_pool(self, name: str, source: str) -> str:
        """Add the average over the whole feature map."""
        return self.add(name, Pool("average"), source)

    def gemm(self, name: str, source: str, out_features: int) -> str:
        """Add a fully connected layer with bias."""
        return self.add(name, Gemm(out_features), source)

    def sum(self, name: str, *sources: str) -> str:
        """Add the elementwise sum of feature maps."""
        return self.add(name, Elementwise("add"), *sources)

    def scale(self, name: str, source: str, factors: str) -> str:
        """Add the product with factors that broadcast."""
        return self.add(name, Elementwise("mul"), source, factors)

    def concat(self, name: str, *sources: str) -> str:
        """Join feature maps along their channels."""
        return self.add(name, Concat(1), *sources)

    def upsample(self, name: str, source: str, factor: int = 2) -> str:
        """Repeat each pixel along rows and columns."""
        return self.add(name, Upsample((factor, factor)), source)

    def softmax(self, name: str, source: str) -> str:
        """Add a softmax."""
        return self.add(name, Softmax(), source)

    def view(self, name: str, source: str, *shape: int) -> str:
        """Index a feature map another way; the batch stays."""
        return self.add(name, View((1, *shape)), source)

    def channels(self, source: str) -> int:
        """Channels of a feature map."""
        return self.shapes[source][1]

    def build(self, name: str, description: str) -> LayerGraph:
        """The graph of all layers added."""
        return LayerGraph(name, (self.input,), tuple(self.layers), f"zoo network {name}", description)


def _sides(padding: Padding) -> tuple[int, int, int, int]:
    return (padding,) * 4 if isinstance(padding, int) else padding
