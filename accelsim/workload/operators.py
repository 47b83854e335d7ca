"""What a layer computes: one frozen record per kind of operator, with its output shape and its work.

Feature maps are ``(N, C, H, W)`` or any shape whose first dimension is the batch. A record knows nothing of names or
buffers; `accelsim.workload.graph.Layer` joins it with its tensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from accelsim.units import ceil_div

Shape = tuple[int, ...]


class ShapeError(ValueError):
    """The operator cannot take inputs of these shapes; the text says why, the caller adds where."""


def _require(condition: bool, problem: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise ShapeError(problem)


@dataclass(frozen=True)
class GemmDims:
    """A layer as matrix products: `groups` independent products of ``(m, k)`` with ``(k, n)``.

    For a convolution `m` counts output pixels over the batch, `n` filters per group and `k` the
    weights of one filter.
    """

    groups: int
    m: int
    n: int
    k: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all groups."""
        return self.groups * self.m * self.n * self.k


@dataclass(frozen=True)
class Window:
    """A sliding window: kernel, stride, dilation and padding, rows before columns.

    `padding` is ``(top, left, bottom, right)``, the order of ONNX.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        _require(min(self.kernel) >= 1, f"kernel {self.kernel} has a side below 1")
        _require(min(self.stride) >= 1, f"stride {self.stride} has a side below 1")
        _require(min(self.dilation) >= 1, f"dilation {self.dilation} has a side below 1")
        _require(min(self.padding) >= 0, f"padding {self.padding} has a negative side")

    @property
    def extent(self) -> tuple[int, int]:
        """Input rows and columns that one dilated window spans."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    def output_size(self, height: int, width: int, *, ceil_mode: bool = False) -> tuple[int, int]:
        """Output rows and columns for an input of `height` x `width`.

        Raises
        ------
        ShapeError
            When the window is larger than the padded input.
        """
        top, left, bottom, right = self.padding
        sizes = []
        for axis, (size, before, after) in enumerate(((height, top, bottom), (width, left, right))):
            room = size + before + after - self.extent[axis]
            _require(
                room >= 0, f"window of {self.extent[axis]} is larger than the padded input of {size + before + after}"
            )
            steps = ceil_div(room, self.stride[axis]) if ceil_mode else room // self.stride[axis]
            if ceil_mode and steps * self.stride[axis] >= size + before:
                steps -= 1  # a window may not begin in the padding after the input (the rule of ONNX and PyTorch)
            sizes.append(steps + 1)
        return sizes[0], sizes[1]


@dataclass(frozen=True)
class Conv:
    """Two-dimensional convolution; depthwise when `groups` equals the input channels."""

    out_channels: int
    window: Window
    groups: int = 1
    bias: bool = True
    op: ClassVar[str] = "conv"

    def __post_init__(self) -> None:
        _require(self.out_channels >= 1, f"out_channels {self.out_channels} is below 1")
        _require(self.groups >= 1, f"groups {self.groups} is below 1")
        _require(
            self.out_channels % self.groups == 0, f"groups {self.groups} do not divide out_channels {self.out_channels}"
        )

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape ``(N, out_channels, P, Q)``."""
        _require(len(inputs) == 1, f"takes 1 input, has {len(inputs)}")
        _require(len(inputs[0]) == 4, f"takes an input (N, C, H, W), has {inputs[0]}")
        batch, channels, height, width = inputs[0]
        _require(channels % self.groups == 0, f"groups {self.groups} do not divide the {channels} input channels")
        return (batch, self.out_channels, *self.window.output_size(height, width))

    def weight_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape ``(out_channels, C / groups, R, S)``."""
        return (self.out_channels, inputs[0][1] // self.groups, *self.window.kernel)

    def gemm_dims(self, inputs: tuple[Shape, ...]) -> GemmDims:
        """The convolution as ``im2col`` products, one per group."""
        batch, _, rows, cols = self.output_shape(inputs)
        return GemmDims(
            groups=self.groups,
            m=batch * rows * cols,
            n=self.out_channels // self.groups,
            k=math.prod(self.weight_shape(inputs)[1:]),
        )


@dataclass(frozen=True)
class Gemm:
    """Fully connected layer: all input dimensions but the batch times a weight matrix.

    With `per_position` the product runs over the last input dimension alone, once per leading position, as the
    linear layers of a transformer do.
    """

    out_features: int
    bias: bool = True
    per_position: bool = False
    op: ClassVar[str] = "gemm"

    def __post_init__(self) -> None:
        _require(self.out_features >= 1, f"out_features {self.out_features} is below 1")

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape of the input with its features replaced by `out_features`."""
        _require(len(inputs) == 1, f"takes 1 input, has {len(inputs)}")
        _require(len(inputs[0]) >= 2, f"takes an input of at least 2 dimensions, has {inputs[0]}")
        kept = inputs[0][:-1] if self.per_position else inputs[0][:1]
        return (*kept, self.out_features)

    def weight_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape ``(out_features, in_features)``."""
        return (self.out_features, inputs[0][-1] if self.per_position else math.prod(inputs[0][1:]))

    def gemm_dims(self, inputs: tuple[Shape, ...]) -> GemmDims:
        """One product of ``(positions, in_features)`` with ``(in_features, out_features)``."""
        out_features, in_features = self.weight_shape(inputs)
        return GemmDims(groups=1, m=math.prod(inputs[0]) // in_features, n=out_features, k=in_features)


@dataclass(frozen=True)
class MatMul:
    """Product of two feature maps ``(..., m, k)`` and ``(..., k, n)``, their leading dimensions broadcast."""

    op: ClassVar[str] = "matmul"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape ``(..., m, n)``."""
        _require(len(inputs) == 2, f"takes 2 inputs, has {len(inputs)}")
        left, right = inputs
        _require(min(len(left), len(right)) >= 2, f"takes inputs of at least 2 dimensions, has {left} and {right}")
        _require(left[-1] == right[-2], f"inner dimensions differ: {left} times {right}")
        return (*broadcast_shape(left[:-2], right[:-2]), left[-2], right[-1])

    def gemm_dims(self, inputs: tuple[Shape, ...]) -> GemmDims:
        """One product per element of the broadcast leading dimensions; a single one where all share the right side."""
        output = self.output_shape(inputs)
        if math.prod(inputs[1][:-2]) == 1:
            return GemmDims(groups=1, m=math.prod(output[:-1]), n=output[-1], k=inputs[0][-1])
        return GemmDims(groups=math.prod(output[:-2]), m=output[-2], n=output[-1], k=inputs[0][-1])


@dataclass(frozen=True)
class Pool:
    """Maximum or average over a window; over the whole feature map where `window` is None."""

    function: str
    window: Window | None = None
    ceil_mode: bool = False
    op: ClassVar[str] = "pool"
    functions: ClassVar[tuple[str, ...]] = ("max", "average")

    def __post_init__(self) -> None:
        _require(self.function in self.functions, f"function {self.function!r} is none of {', '.join(self.functions)}")

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape ``(N, C, P, Q)``."""
        _require(len(inputs) == 1, f"takes 1 input, has {len(inputs)}")
        _require(len(inputs[0]) == 4, f"takes an input (N, C, H, W), has {inputs[0]}")
        batch, channels, height, width = inputs[0]
        if self.window is None:
            return (batch, channels, 1, 1)
        return (batch, channels, *self.window.output_size(height, width, ceil_mode=self.ceil_mode))

    def vector_operations(self, inputs: tuple[Shape, ...]) -> int:
        """One comparison or addition per window element."""
        if self.window is None:
            return math.prod(inputs[0])
        return math.prod(self.output_shape(inputs)) * math.prod(self.window.kernel)


@dataclass(frozen=True)
class Elementwise:
    """Arithmetic on feature maps of broadcastable shapes, such as the sum that closes a residual block."""

    function: str = "add"
    op: ClassVar[str] = "elementwise"
    functions: ClassVar[tuple[str, ...]] = ("add", "sub", "mul", "div", "max", "min", "pow", "select", "compare")

    def __post_init__(self) -> None:
        _require(self.function in self.functions, f"function {self.function!r} is none of {', '.join(self.functions)}")

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Broadcast shape of the inputs; a single input meets a constant of its own shape."""
        _require(len(inputs) >= 1, "takes at least 1 input")
        shape = inputs[0]
        for other in inputs[1:]:
            shape = broadcast_shape(shape, other)
        return shape

    def vector_operations(self, inputs: tuple[Shape, ...]) -> int:
        """One operation per output element and further input."""
        return math.prod(self.output_shape(inputs)) * max(1, len(inputs) - 1)


@dataclass(frozen=True)
class Concat:
    """Joins feature maps along `axis`; it moves no data where producers write into the joined tensor."""

    axis: int = 1
    op: ClassVar[str] = "concat"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape of the first input, its `axis` summed over all inputs."""
        _require(len(inputs) >= 1, "takes at least 1 input")
        first = inputs[0]
        _require(-len(first) <= self.axis < len(first), f"axis {self.axis} is outside shape {first}")
        axis = self.axis % len(first)
        for other in inputs[1:]:
            same = len(other) == len(first) and other[:axis] == first[:axis] and other[axis + 1 :] == first[axis + 1 :]
            _require(same, f"shapes {first} and {other} differ outside axis {axis}")
        return (*first[:axis], sum(shape[axis] for shape in inputs), *first[axis + 1 :])


@dataclass(frozen=True)
class Activation:
    """A function applied to each element; it rides on the drain of the layer before it where it can."""

    function: str = "relu"
    op: ClassVar[str] = "activation"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape of the input."""
        _require(len(inputs) == 1, f"takes 1 input, has {len(inputs)}")
        return inputs[0]

    def vector_operations(self, inputs: tuple[Shape, ...]) -> int:
        """One operation per element."""
        return math.prod(inputs[0])


@dataclass(frozen=True)
class Normalisation:
    """Batch, layer, group, instance or local-response normalisation over a feature map."""

    function: str = "batch"
    op: ClassVar[str] = "normalisation"
    operations_per_element: ClassVar[dict[str, int]] = {
        "batch": 2,  # scale and shift, folded from four parameters
        "layer": 5,  # two reductions, subtract, scale, shift
        "group": 5,
        "instance": 5,
        "local_response": 7,  # square, five-tap sum folded to one running add, scale, power, product
    }

    def __post_init__(self) -> None:
        known = ", ".join(self.operations_per_element)
        _require(self.function in self.operations_per_element, f"function {self.function!r} is none of {known}")

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape of the input."""
        _require(len(inputs) == 1, f"takes 1 input, has {len(inputs)}")
        return inputs[0]

    def parameters(self, inputs: tuple[Shape, ...]) -> int:
        """Scale and shift per channel; none for local response."""
        if self.function == "local_response":
            return 0
        return 2 * (inputs[0][-1] if self.function == "layer" else inputs[0][1])

    def vector_operations(self, inputs: tuple[Shape, ...]) -> int:
        """Operations per element as `operations_per_element` lists them."""
        return math.prod(inputs[0]) * self.operations_per_element[self.function]


@dataclass(frozen=True)
class Softmax:
    """Exponentials normalised to a sum of one along the last axis."""

    op: ClassVar[str] = "softmax"
    operations_per_element: ClassVar[int] = 5  # maximum, subtract, exponential, sum, divide

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape of the input."""
        _require(len(inputs) == 1, f"takes 1 input, has {len(inputs)}")
        return inputs[0]

    def vector_operations(self, inputs: tuple[Shape, ...]) -> int:
        """Operations of the three passes over the data."""
        return math.prod(inputs[0]) * self.operations_per_element


@dataclass(frozen=True)
class Upsample:
    """Repeats each pixel `scale` times, rows before columns: the nearest neighbour where a map grows by whole factors.

    Nothing is computed, but every element of the larger map is written.
    """

    scale: tuple[int, int] = (2, 2)
    op: ClassVar[str] = "upsample"

    def __post_init__(self) -> None:
        _require(min(self.scale) >= 1, f"scale {self.scale} has a side below 1")

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Shape ``(N, C, H * scale, W * scale)``."""
        _require(len(inputs) == 1, f"takes 1 input, has {len(inputs)}")
        _require(len(inputs[0]) == 4, f"takes an input (N, C, H, W), has {inputs[0]}")
        batch, channels, height, width = inputs[0]
        return (batch, channels, height * self.scale[0], width * self.scale[1])

    def vector_operations(self, inputs: tuple[Shape, ...]) -> int:  # noqa: ARG002 - whatever is copied
        """None: a copy occupies lanes, and computes nothing."""
        return 0


@dataclass(frozen=True)
class View:
    """Another way to index the same data (reshape, flatten, transpose, slice, split, shuffle): addresses, no work."""

    shape: Shape
    op: ClassVar[str] = "view"

    def __post_init__(self) -> None:
        _require(len(self.shape) >= 1 and min(self.shape) >= 1, f"shape {self.shape} has a dimension below 1")

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The stated shape, its batch replaced by that of the input."""
        _require(len(inputs) == 1, f"takes 1 input, has {len(inputs)}")
        elements, wanted = math.prod(inputs[0]), math.prod(self.shape)
        _require(
            wanted <= elements,
            f"a view of shape {self.shape} needs {wanted} elements, the input {inputs[0]} has {elements}",
        )
        return self.shape


Operator = Conv | Gemm | MatMul | Pool | Elementwise | Concat | Activation | Normalisation | Softmax | Upsample | View
MatrixOperator = Conv | Gemm | MatMul
OPERATORS: dict[str, type[Operator]] = {
    kind.op: kind
    for kind in (Conv, Gemm, MatMul, Pool, Elementwise, Concat, Activation, Normalisation, Softmax, Upsample, View)
}


def broadcast_shape(left: Shape, right: Shape) -> Shape:
    """Shape that two shapes broadcast to, by the rule of NumPy.

    Raises
    ------
    ShapeError
        When a dimension differs and neither side of it is 1.
    """
    rank = max(len(left), len(right))
    padded = [(1,) * (rank - len(shape)) + shape for shape in (left, right)]
    for one, other in zip(*padded, strict=True):
        _require(one == other or 1 in (one, other), f"shapes {left} and {right} do not broadcast")
    return tuple(max(one, other) for one, other in zip(*padded, strict=True))
