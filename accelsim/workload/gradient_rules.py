"""The derivative of each operator, as layers of ordinary operators."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.operators import Conv, Elementwise, Gemm, MatMul, Pool, View, Window
from accelsim.workload.pot.operand import StatedPotOperand
from accelsim.workload.pot.reshaping import plain_reason, slice_layout

if TYPE_CHECKING:
    from accelsim.workload.gradients import StepBuilder
    from accelsim.workload.graph import Layer
    from accelsim.workload.operators import Normalisation, Shape, Upsample

_FROM_OUTPUT = frozenset({"relu", "relu6", "clip", "sigmoid", "tanh", "hard_sigmoid"})
"""Activations whose derivative follows from their result."""


def of_convolution(step: StepBuilder, layer: Layer, operator: Conv, gradient: str) -> None:
    """A convolution with filters turned around; a product or a convolution that sums over pixels and batch."""
    _convolution_weights(step, layer, operator, gradient)
    source, name = layer.inputs[0], f"{layer.name}.data_gradient"
    if not step.learns(source):
        return
    window, shape = operator.window, step.shapes[source]
    batch, channels, rows, columns = step.shapes[gradient]
    if window.stride != (1, 1):
        spread = ((rows - 1) * window.stride[0] + 1, (columns - 1) * window.stride[1] + 1)
        gradient = step.expanded(name, gradient, (batch, channels, *spread))
    before, behind = window.padding[:2], window.padding[2:]
    left_over = _left_over(window, shape)
    turned = [window.extent[axis] - 1 - before[axis] for axis in (0, 1)]
    turned += [window.extent[axis] - 1 - behind[axis] + left_over[axis] for axis in (0, 1)]
    if min(turned) < 0:
        raise step.refuse(layer.name, f"its padding {window.padding} is larger than its window {window.extent}")
    turned_window = Window(
        window.kernel, padding=(turned[0], turned[1], turned[2], turned[3]), dilation=window.dilation
    )
    transposed = Conv(shape[1], turned_window, operator.groups, bias=False)
    step.pass_on(source, _with_transposed_weights(step, layer, transposed, gradient, operator.groups))


def _left_over(window: Window, shape: Shape) -> tuple[int, int]:
    """Rows and columns of the padded input behind the last window."""
    sizes = [shape[2 + axis] + window.padding[axis] + window.padding[2 + axis] - window.extent[axis] for axis in (0, 1)]
    return sizes[0] % window.stride[0], sizes[1] % window.stride[1]


def _convolution_weights(step: StepBuilder, layer: Layer, operator: Conv, gradient: str) -> None:
    window, source = operator.window, step.kept(layer.inputs[0])
    batch, channels, height, width = step.shapes[source]
    rows, columns = step.shapes[gradient][2:]
    name = f"{layer.name}.weight_gradient"
    if window.kernel == (1, 1) and not any(window.padding) and operator.groups == 1:
        made = _product(step, name, gradient, source, operator.out_channels, batch * rows * columns, channels)
        step.weight_gradients.setdefault(layer.weight, []).append(made)
        return
    left_over = _left_over(window, step.shapes[source])
    padding = list(window.padding)
    size = [height, width]
    for axis in (0, 1):  # rows behind the last window take no part
        cut = min(left_over[axis], padding[2 + axis])
        padding[2 + axis] -= cut
        size[axis] -= left_over[axis] - cut
    groups = operator.groups
    seen = step.view("weight_gradient", f"{name}.ifmap", source, (channels // groups, groups * batch, size[0], size[1]))
    over_pixels = Window(
        (rows, columns), window.dilation, (padding[0], padding[1], padding[2], padding[3]), window.stride
    )
    filters = f"{layer.name}.output_gradient"
    if gradient in step.operands:
        step.operands[filters] = step.operands[gradient]
    made = step.add(
        "weight_gradient", name, Conv(operator.out_channels, over_pixels, groups, bias=False), seen,
        bits=step.record.gradient_bits, weight=filters, weight_bits=step.record.gradient_bits,
    )  # fmt: skip
    step.weight_gradients.setdefault(layer.weight, []).append(made)


def _product(step: StepBuilder, name: str, gradient: str, source: str, outputs: int, pixels: int, inputs: int) -> str:
    """Output gradient, transposed, times input: the sum over all pixels of the batch."""
    left = step.view("weight_gradient", f"{name}.gradient", gradient, (outputs, pixels))
    right = step.view("weight_gradient", f"{name}.ifmap", source, (pixels, inputs))
    return step.add("weight_gradient", name, MatMul(), left, right, bits=step.record.gradient_bits)


def _with_transposed_weights(step: StepBuilder, layer: Layer, operator: Conv | Gemm, source: str, groups: int) -> str:
    """A layer over the same weights, read in another order."""
    weight = f"{layer.weight}.transposed"
    shape = operator.weight_shape((step.shapes[source],))
    if layer.weight in step.operands:
        step.operands[weight] = transposed_data(step.operands[layer.weight], shape, groups)
    return step.add(
        "data_gradient", f"{layer.name}.data_gradient", operator, source,
        bits=step.record.gradient_bits, weight=weight, weight_bits=layer.weight_bits,
    )  # fmt: skip


def transposed_data(data: OperandData, shape: Shape, groups: int) -> OperandData:
    """What is known of weights whose input and output channels change places.

    Decomposed ones are as sparse; their slices are counted as those of the new shape, though the machine reads the old
    ones in another order.
    """
    if data.pot is None:
        load = None if data.load is None else partial(_transposed, data, shape, groups)
        return OperandData(data.statistics, load, data.stated)
    rows = data.pot.row_density
    statistics = OperandStatistics(density=rows, vector_density=rows)
    if plain_reason(shape) is not None:
        return OperandData(statistics, stated=True)
    held = data.pot.layout.filters * data.pot.layout.filter_weights * rows
    inside = min(1.0, data.pot.nonzeros / held) if held else 1.0
    shared = data.pot.shared_filters if isinstance(data.pot, StatedPotOperand) else 1
    pot = StatedPotOperand(slice_layout(shape), data.pot.index, rows, inside, shared)
    return OperandData(statistics, stated=True, pot=pot)


def _transposed(data: OperandData, shape: Shape, groups: int) -> np.ndarray[Any, np.dtype[np.integer[Any]]]:
    values = data.values
    if values is None:
        message = "these weights are not known"
        raise ValueError(message)
    outputs, inputs = values.shape[0] // groups, values.shape[1]
    by_group = values.reshape(groups, outputs, inputs, -1).swapaxes(1, 2)[..., ::-1]  # the last axis turns the window
    return np.ascontiguousarray(by_group.reshape(shape))


def of_gemm(step: StepBuilder, layer: Layer, operator: Gemm, gradient: str) -> None:
    """Two products."""
    source = layer.inputs[0]
    dims = operator.gemm_dims((step.shapes[source],))
    name = f"{layer.name}.weight_gradient"
    made = _product(step, name, gradient, step.kept(source), dims.n, dims.m, dims.k)
    step.weight_gradients.setdefault(layer.weight, []).append(made)
    if step.learns(source):
        matrix = step.view("data_gradient", f"{layer.name}.rows", gradient, (dims.m, dims.n))
        made = _with_transposed_weights(step, layer, Gemm(dims.k, bias=False), matrix, 1)
        step.pass_on(source, step.view("data_gradient", f"{made}.shaped", made, step.shapes[source]))


def of_product(step: StepBuilder, layer: Layer, gradient: str) -> None:
    """Two products, each with the other factor transposed."""
    left, right = layer.inputs
    shapes = step.shapes[left], step.shapes[right]
    m, k, n = shapes[0][-2], shapes[0][-1], shapes[1][-1]
    shared = math.prod(shapes[1][:-2]) == 1
    if shapes[0][:-2] != shapes[1][:-2] and not shared:
        raise step.refuse(layer.name, f"its factors {shapes[0]} and {shapes[1]} have different leading dimensions")
    lead = () if shared else shapes[0][:-2]
    m = math.prod(shapes[0][:-1]) if shared else m
    name = f"{layer.name}.data_gradient"

    def product(one: str, other: str, result: str, sizes: tuple[Shape, Shape]) -> None:
        views = [
            step.view("data_gradient", f"{name}.{result}.{side}", source, (*lead, *size))
            for side, source, size in zip(("left", "right"), (one, other), sizes, strict=True)
        ]
        target = left if result == "left" else right
        if step.learns(target):
            made = step.gradient(f"{name}.{result}", MatMul(), *views)
            step.pass_on(target, step.view("data_gradient", f"{made}.shaped", made, step.shapes[target]))

    product(gradient, step.kept(right), "left", ((m, n), (n, k)))
    product(step.kept(left), gradient, "right", ((k, m), (m, n)))


def of_pool(step: StepBuilder, layer: Layer, operator: Pool, gradient: str) -> None:
    """Each gradient goes to its window; that of a maximum to where it was, which the input says."""
    source, name = layer.inputs[0], f"{layer.name}.data_gradient"
    if not step.learns(source):
        return
    made = step.expanded(name, gradient, step.shapes[source])
    if operator.function == "max":
        made = step.gradient(f"{name}.place", Elementwise("select"), made, step.kept(source))
    step.pass_on(source, made)


def of_upsample(step: StepBuilder, layer: Layer, operator: Upsample, gradient: str) -> None:
    """The sum over the copies of each pixel."""
    source = layer.inputs[0]
    if step.learns(source):
        copies = Pool("average", Window(operator.scale, operator.scale))
        step.pass_on(source, step.gradient(f"{layer.name}.data_gradient", copies, gradient))


def of_normalisation(step: StepBuilder, layer: Layer, operator: Normalisation, gradient: str) -> None:
    """A pass over gradient and input that sums, one that corrects; local response has no statistics to correct for."""
    source, name = layer.inputs[0], f"{layer.name}.data_gradient"
    shape = step.shapes[source]
    if operator.function != "local_response":
        for what, tensor in (("gradient", gradient), ("input", step.kept(source))):
            map_shape = shape if len(shape) == 4 else (shape[0], math.prod(shape[1:]), 1, 1)
            seen = step.view("weight_gradient", f"{layer.name}.{what}_column", tensor, map_shape)
            step.add(
                "weight_gradient", f"{layer.name}.{what}_sum", Pool("average"), seen, bits=step.record.gradient_bits
            )
    if step.learns(source):
        step.pass_on(source, step.gradient(name, Elementwise("sub"), gradient, step.kept(source)))


def of_function(step: StepBuilder, layer: Layer, gradient: str) -> None:
    """Functions of one element, and softmax: from the result where the derivative follows from it."""
    source = layer.inputs[0]
    if not step.learns(source):
        return
    function = getattr(layer.operator, "function", "softmax")
    from_output = function in _FROM_OUTPUT or function == "softmax"
    is_loss = function == "softmax" and not step.graph.consumers(layer.output)
    other = layer.output if is_loss else step.kept(layer.output if from_output else source)
    made = step.gradient(f"{layer.name}.data_gradient", Elementwise("sub" if is_loss else "select"), gradient, other)
    data = step.operands.get(layer.output)
    if function in {"relu", "relu6"} and data is not None:  # zero wherever the result was
        step.state_density(made, data.density, data)
    step.pass_on(source, made)


def of_elementwise(step: StepBuilder, layer: Layer, operator: Elementwise, gradient: str) -> None:
    """A sum hands its gradient on; a product multiplies it with the other factors; what was broadcast is summed up."""
    if operator.function == "compare":
        return  # a decision has no gradient
    for index, source in enumerate(layer.inputs):
        if not step.learns(source):
            continue
        name = f"{layer.name}.data_gradient{index or ''}"
        made = gradient
        others = [other for position, other in enumerate(layer.inputs) if position != index]
        if operator.function not in {"add", "sub"}:
            made = step.gradient(
                name, Elementwise(operator.function), gradient, *(step.kept(other) for other in others)
            )
        shape = step.shapes[source]
        if step.shapes[made] != shape:
            if len(shape) != 4 or shape[2:] != (1, 1) or shape[:2] != step.shapes[made][:2]:
                raise step.refuse(
                    layer.name, f"{source} of shape {shape} is broadcast along more than rows and columns"
                )
            made = step.gradient(f"{name}.sum", Pool("average"), made)
        step.pass_on(source, made)


def of_concat(step: StepBuilder, layer: Layer, gradient: str) -> None:
    """Slices of the gradient."""
    for index, source in enumerate(layer.inputs):
        if step.learns(source):
            name = f"{layer.name}.data_gradient{index}"
            step.pass_on(source, step.add("data_gradient", name, View(step.shapes[source]), gradient))
