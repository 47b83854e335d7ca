"""ONNX operators with a sliding window (convolutions and pools, in one and two dimensions) and the padding before."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from accelsim.units import ceil_div
from accelsim.workload.onnx_translation import attributes
from accelsim.workload.onnx_values import WeightUse
from accelsim.workload.operators import Conv, Pool, View, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    from accelsim.workload.onnx_translation import Translation
    from accelsim.workload.operators import Shape

_WINDOWED = {"Conv", "ConvInteger", "QLinearConv", "MaxPool", "AveragePool", "LpPool"}


def _conv(
    translation: Translation, node: onnx.NodeProto, weight: int = 1, bias: int = 2, zero_point: int | None = None
) -> None:
    model = translation.model
    name = node.input[weight]
    if not translation.is_constant(name):
        raise model.error(f"its weight {name!r} is computed at run time, which is not supported", node)
    shape = model.shape(name, node)
    source = _rows(translation, node)
    channels = translation.shapes[source][1]
    groups = int(attributes(node).get("group", 1))
    if groups < 1 or shape[1] * groups != channels:
        problem = f"weight {name!r} of shape {shape} with {groups} groups does not fit {channels} input channels"
        raise model.error(problem, node)
    window = _window(translation, node, shape[2:])
    has_bias = len(node.input) > bias and bool(node.input[bias])
    zero = node.input[zero_point] if zero_point is not None and len(node.input) > zero_point else ""
    stored = translation.weight(WeightUse(name, zero_point=zero))
    _add_windowed(translation, node, source, Conv(shape[0], window, groups, has_bias), stored)


def _pool(translation: Translation, node: onnx.NodeProto, function: str) -> None:
    translation.require_unused(node)
    source = _rows(translation, node)
    given = attributes(node)
    window = _window(translation, node, tuple(given["kernel_shape"]))
    _add_windowed(translation, node, source, Pool(function, window, bool(given.get("ceil_mode", 0))))


def _global_pool(translation: Translation, node: onnx.NodeProto, function: str) -> None:
    _add_windowed(translation, node, _rows(translation, node), Pool(function))


def _rows(translation: Translation, node: onnx.NodeProto) -> str:
    """Input of a windowed node as ``(N, C, H, W)``; a sequence ``(N, C, L)`` has one row."""
    source = translation.feature_map(node.input[0], node)
    shape = translation.shapes[source]
    if len(shape) == 4:
        return source
    if len(shape) != 3:
        raise translation.model.error(f"input of shape {shape}: only 1 and 2 spatial dimensions are supported", node)
    batch, channels, length = shape
    rows = (batch, channels, 1, length)
    return translation.view(node, source, rows, output=f"{node.output[0]}.rows", suffix=".rows")


def _add_windowed(
    translation: Translation, node: onnx.NodeProto, source: str, operator: Conv | Pool, weight: str = ""
) -> None:
    shape = translation.output_shape(node)
    if len(shape) == 4:
        translation.add(node, operator, [source], weight=weight)
        return
    made = translation.add(node, operator, [source], output=f"{node.output[0]}.map", weight=weight)
    translation.bits[made] = translation.model.bits(node.output[0])
    translation.view(node, made, shape, output=node.output[0], suffix=".flat")


def _window(translation: Translation, node: onnx.NodeProto, kernel: Shape) -> Window:
    """Window of a node; the padding of a `Pad` node before it comes on top."""
    given = attributes(node)
    rank = len(kernel)
    if rank != len(translation.model.shape(node.input[0], node)) - 2 or rank not in {1, 2}:
        raise translation.model.error(f"kernel {kernel} does not fit its input", node)
    stride = tuple(given.get("strides", (1,) * rank))
    dilation = tuple(given.get("dilations", (1,) * rank))
    size = translation.model.shape(node.input[0], node)[2:]
    padding = _padding(given, kernel, stride, dilation, size)
    before = translation.pads.get(node.input[0])
    if before is not None:
        padding = tuple(one + other for one, other in zip(padding, before, strict=True))
    if not len(stride) == len(dilation) == rank or len(padding) != 2 * rank:
        raise translation.model.error(f"strides, dilations or pads do not fit kernel {kernel}", node)
    if rank == 1:
        kernel, stride, dilation = (1, *kernel), (1, *stride), (1, *dilation)
        padding = (0, padding[0], 0, padding[1])
    return Window(_pair(kernel), _pair(stride), (padding[0], padding[1], padding[2], padding[3]), _pair(dilation))


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return int(values[0]), int(values[1])


def _padding(given: dict[str, Any], kernel: Shape, stride: Shape, dilation: Shape, size: Shape) -> tuple[int, ...]:
    """Padding before and after every spatial dimension, in ONNX's order: all befores, then all afters."""
    mode = given.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return tuple(given.get("pads", (0,) * 2 * len(kernel)))
    if mode == "VALID":
        return (0,) * 2 * len(kernel)
    totals = [
        max(0, (ceil_div(length, step) - 1) * step + (side - 1) * spread + 1 - length)
        for length, step, side, spread in zip(size, stride, kernel, dilation, strict=True)
    ]
    smaller, larger = [total // 2 for total in totals], [ceil_div(total, 2) for total in totals]
    return (*smaller, *larger) if mode == "SAME_UPPER" else (*larger, *smaller)


def _pad(translation: Translation, node: onnx.NodeProto) -> None:
    source = translation.feature_map(node.input[0], node)
    pads = _pads(translation, node)
    rank = len(pads) // 2
    if not any(pads):
        translation.alias(node.output[0], source)
        return
    spatial_only = rank in {3, 4} and not any((*pads[:2], *pads[rank : rank + 2]))
    if spatial_only and min(pads) >= 0 and _only_windows_read(translation, node.output[0]):
        translation.alias(node.output[0], source)
        translation.pads[node.output[0]] = (*pads[2:rank], *pads[rank + 2 :])
        return
    _add_padded_copy(translation, node, source, pads)


def _pads(translation: Translation, node: onnx.NodeProto) -> tuple[int, ...]:
    """Elements added before and after every dimension, those of the left-out `axes` filled in with 0."""
    model = translation.model
    given = attributes(node)
    stated = given.get("pads", given.get("paddings"))
    if stated is None:
        value = model.value(node.input[1])
        if value is None:
            raise model.error(f"its pads {node.input[1]!r} are computed at run time, which is not supported", node)
        stated = [int(entry) for entry in value]
    rank = len(model.shape(node.input[0], node))
    if len(node.input) < 4 or not node.input[3]:
        return tuple(stated)
    axes = model.value(node.input[3])
    if axes is None:
        raise model.error(f"its axes {node.input[3]!r} are computed at run time, which is not supported", node)
    pads = [0] * 2 * rank
    for position, axis in enumerate(axes):
        pads[int(axis) % rank] = stated[position]
        pads[int(axis) % rank + rank] = stated[position + len(axes)]
    return tuple(pads)


def _only_windows_read(translation: Translation, name: str) -> bool:
    return all(
        user is not None
        and user.op_type in _WINDOWED
        and user.input[0] == name
        and attributes(user).get("auto_pad", "NOTSET") in {"NOTSET", "VALID"}
        for user in translation.users.get(name, [None])
    )


def _add_padded_copy(translation: Translation, node: onnx.NodeProto, source: str, pads: tuple[int, ...]) -> None:
    """A padding that no window takes in is a copy into a larger map: a pool of 1 x 1 with that padding."""
    rank = len(pads) // 2
    padded = [axis for axis in range(rank) if pads[axis] or pads[axis + rank]]
    last_two = rank >= 3 and padded == [rank - 2, rank - 1]
    if min(pads) < 0 or 0 in padded or not (len(padded) == 1 or last_two):
        raise translation.model.error(f"padding {pads} is not supported", node)
    shape = translation.shapes[source]
    first = padded[0]
    rows, cols = shape[first], math.prod(shape[first + 1 :])
    right = (pads[first + 1], pads[first + 1 + rank]) if len(padded) == 2 else (0, 0)
    window = Window((1, 1), padding=(pads[first], right[0], pads[first + rank], right[1]))
    output = node.output[0]
    folded = (shape[0], math.prod(shape[1:first]), rows, cols)
    if folded != shape:
        source = translation.view(node, source, folded, output=f"{output}.rows", suffix=".rows")
    made = translation.add(node, Pool("average", window), [source], output=f"{output}.map", suffix=".copy")
    translation.add(node, View(translation.output_shape(node)), [made])


WINDOW_TRANSLATORS: dict[str, Callable[[Translation, onnx.NodeProto], None]] = {
    "Conv": _conv,
    "ConvInteger": partial(_conv, bias=4, zero_point=3),  # has zero points there and never a bias
    "QLinearConv": partial(_conv, weight=3, bias=8, zero_point=5),
    "MaxPool": partial(_pool, function="max"),
    "AveragePool": partial(_pool, function="average"),
    "LpPool": partial(_pool, function="average"),
    "GlobalMaxPool": partial(_global_pool, function="max"),
    "GlobalAveragePool": partial(_global_pool, function="average"),
    "GlobalLpPool": partial(_global_pool, function="average"),
    "Pad": _pad,
}
