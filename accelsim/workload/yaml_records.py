"""The layers of a native workload file: one strict record for each operator, to and from the operator itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PlainValidator

from accelsim.config.model import Record
from accelsim.workload.operators import (
    Activation,
    Concat,
    Conv,
    Elementwise,
    Gemm,
    MatMul,
    Normalisation,
    Operator,
    Pool,
    Softmax,
    Upsample,
    View,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Count = Annotated[int, Field(ge=1, le=2**40)]
Bits = Annotated[int, Field(ge=1, le=64)]
Name = Annotated[str, Field(min_length=1, max_length=1000)]


def _whole_numbers(value: object, counts: tuple[int, ...], least: int, forms: str) -> tuple[int, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    whole = all(isinstance(entry, int) and not isinstance(entry, bool) and least <= entry <= 2**40 for entry in values)
    if not whole or len(values) not in counts:
        message = f"takes whole numbers of at least {least}: {forms}"
        raise ValueError(message)
    return tuple(values)


def _pair(value: object) -> tuple[int, int]:
    values = _whole_numbers(value, (1, 2), 1, "one, or [rows, columns]")
    return values[0], values[-1]


def _sides(value: object) -> tuple[int, int, int, int]:
    values = _whole_numbers(value, (1, 2, 4), 0, "one, [rows, columns] or [top, left, bottom, right]")
    top, left, bottom, right = values * (4 // len(values))
    return top, left, bottom, right


Pair = Annotated[tuple[int, int], PlainValidator(_pair)]
Padding = Annotated[tuple[int, int, int, int], PlainValidator(_sides)]


class LayerRecord(Record):
    """What every layer has; `inputs` left out means the layer before (or the only input of the graph)."""

    name: Name
    op: str
    inputs: tuple[Name, ...] | None = None
    output: Name | None = None
    output_bits: Bits | None = None

    def operator(self) -> Operator:
        """The operator of the layer."""
        raise NotImplementedError


class WeightedRecord(LayerRecord):
    """A layer with weights."""

    weight: Name | None = None
    weight_bits: Bits | None = None
    bias: bool = True


class WindowRecord(LayerRecord):
    """A layer with a window: one number for both directions, or rows and columns.

    `padding` is one number for all sides, ``[rows, columns]`` or ``[top, left, bottom, right]``.
    """

    kernel: Pair | None = None
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)

    def window(self, kernel: tuple[int, int]) -> Window:
        """The window."""
        return Window(kernel, self.stride, self.padding, self.dilation)


class ConvRecord(WeightedRecord, WindowRecord):
    """A convolution."""

    op: Literal["conv"]
    out_channels: Count
    kernel: Pair
    groups: Count = 1

    def operator(self) -> Operator:
        """The convolution."""
        return Conv(self.out_channels, self.window(self.kernel), self.groups, self.bias)


class GemmRecord(WeightedRecord):
    """A fully connected layer."""

    op: Literal["gemm"]
    out_features: Count
    per_position: bool = False

    def operator(self) -> Operator:
        """The fully connected layer."""
        return Gemm(self.out_features, self.bias, self.per_position)


class PoolRecord(WindowRecord):
    """A pool; without `kernel` over the whole feature map."""

    op: Literal["pool"]
    function: Literal["max", "average"]
    ceil_mode: bool = False

    def operator(self) -> Operator:
        """The pool."""
        return Pool(self.function, None if self.kernel is None else self.window(self.kernel), self.ceil_mode)


class ElementwiseRecord(LayerRecord):
    """Arithmetic on feature maps."""

    op: Literal["elementwise"]
    function: Literal["add", "sub", "mul", "div", "max", "min", "pow", "select", "compare"] = "add"

    def operator(self) -> Operator:
        """The arithmetic."""
        return Elementwise(self.function)


class NormalisationRecord(LayerRecord):
    """A normalisation."""

    op: Literal["normalisation"]
    function: Literal["batch", "layer", "group", "instance", "local_response"] = "batch"

    def operator(self) -> Operator:
        """The normalisation."""
        return Normalisation(self.function)


class ActivationRecord(LayerRecord):
    """A function of each element."""

    op: Literal["activation"]
    function: Name = "relu"

    def operator(self) -> Operator:
        """The activation."""
        return Activation(self.function)


class ConcatRecord(LayerRecord):
    """A joining of feature maps."""

    op: Literal["concat"]
    axis: int = 1

    def operator(self) -> Operator:
        """The joining."""
        return Concat(self.axis)


class MatMulRecord(LayerRecord):
    """A product of two feature maps."""

    op: Literal["matmul"]

    def operator(self) -> Operator:
        """The product."""
        return MatMul()


class SoftmaxRecord(LayerRecord):
    """A softmax over the last axis."""

    op: Literal["softmax"]

    def operator(self) -> Operator:
        """The softmax."""
        return Softmax()


class UpsampleRecord(LayerRecord):
    """A repetition of pixels; `scale` is one number for both directions, or rows and columns."""

    op: Literal["upsample"]
    scale: Pair = (2, 2)

    def operator(self) -> Operator:
        """The repetition."""
        return Upsample(self.scale)


class ViewRecord(LayerRecord):
    """Another way to index a feature map."""

    op: Literal["view"]
    shape: tuple[Count, ...]

    def operator(self) -> Operator:
        """The view."""
        return View(self.shape)


RECORDS: dict[str, type[LayerRecord]] = {
    "conv": ConvRecord,
    "gemm": GemmRecord,
    "matmul": MatMulRecord,
    "pool": PoolRecord,
    "elementwise": ElementwiseRecord,
    "concat": ConcatRecord,
    "activation": ActivationRecord,
    "normalisation": NormalisationRecord,
    "softmax": SoftmaxRecord,
    "upsample": UpsampleRecord,
    "view": ViewRecord,
}
"""Record of each operator, by its short name."""


def operator_fields(operator: Operator) -> dict[str, Any]:
    """Plain data of an operator as its record takes it, without what has its default value."""
    return _FIELDS[type(operator)](operator)


def _short(values: tuple[int, ...]) -> int | list[int]:
    return values[0] if len(set(values)) == 1 else list(values)


def _window_fields(window: Window) -> dict[str, Any]:
    fields: dict[str, Any] = {"kernel": _short(window.kernel)}
    if window.stride != (1, 1):
        fields["stride"] = _short(window.stride)
    if any(window.padding):
        fields["padding"] = _short(window.padding)
    if window.dilation != (1, 1):
        fields["dilation"] = _short(window.dilation)
    return fields


def _conv_fields(conv: Conv) -> dict[str, Any]:
    fields = {"out_channels": conv.out_channels, **_window_fields(conv.window)}
    if conv.groups != 1:
        fields["groups"] = conv.groups
    return fields if conv.bias else {**fields, "bias": False}


def _gemm_fields(gemm: Gemm) -> dict[str, Any]:
    fields: dict[str, Any] = {"out_features": gemm.out_features}
    if gemm.per_position:
        fields["per_position"] = True
    return fields if gemm.bias else {**fields, "bias": False}


def _pool_fields(pool: Pool) -> dict[str, Any]:
    fields = {"function": pool.function, **({} if pool.window is None else _window_fields(pool.window))}
    return {**fields, "ceil_mode": True} if pool.ceil_mode else fields


_FIELDS: dict[type[Operator], Callable[[Any], dict[str, Any]]] = {
    Conv: _conv_fields,
    Gemm: _gemm_fields,
    Pool: _pool_fields,
    MatMul: lambda _: {},
    Softmax: lambda _: {},
    Elementwise: lambda operator: {"function": operator.function},
    Activation: lambda operator: {"function": operator.function},
    Normalisation: lambda operator: {"function": operator.function},
    Concat: lambda operator: {"axis": operator.axis},
    Upsample: lambda operator: {"scale": _short(operator.scale)},
    View: lambda operator: {"shape": list(operator.shape)},
}
