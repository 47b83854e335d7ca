"""Convolutions and linear layers in integers alone, as Jacob et al. have them (CVPR 2018, section 2).

The integers of a map and of the weights are multiplied and summed up exactly, the bias is an integer of the same scale,
and the sum becomes the integer that is stored by one multiplication with ``M0 * 2**-shift``, M0 an integer of 31 bits,
rounded to the nearest (halves up), and cut to the range of the format. Zero points are 0 here.

onnxruntime sums integers up in float32, which is exact as long as no sum can pass 2**24; where one could, the weights
go in two halves, the low four bits and the rest. Its own integer products saturate on some processors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from accelsim.mapping.stages import Stage
    from accelsim.numerics.stored_network import StoredMap, StoredNetwork, StoredWeights

    Floats = NDArray[np.float32]
    Integers = NDArray[np.int64]

EXACT_SUM = 1 << 24
"""Integers up to here are all float32 numbers."""

_MULTIPLIER_BITS = 31
_LARGEST_SUM = 1 << 30  # sums beyond it would not leave room for the multiplier in 64 bits
_OFFSET = 1 << 62  # added before the shift, so that what is shifted is never negative
_NIBBLE = 16.0
_VIEWS = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Transpose", "Slice"})


@dataclass(frozen=True, eq=False)
class IntegerProduct:
    """A stage that is a product, an optional rectifier, and nothing else.

    Parameters
    ----------
    stage
        The stage.
    before
        Views between the stored map and the product.
    product
        The product's node.
    bias
        What is added to each output channel.
    rectified
        Whether negative sums become 0.
    source
        The stored map.
    weights
        The stored weights.
    """

    stage: Stage
    before: tuple[onnx.NodeProto, ...]
    product: onnx.NodeProto
    bias: Floats
    rectified: bool
    source: StoredMap
    weights: StoredWeights

    @property
    def scales(self) -> NDArray[np.float64]:
        """Value of one step of the sum, by output channel."""
        weights = np.broadcast_to(self.weights.scale.reshape(-1), self.bias.shape).astype(np.float64)
        return weights * float(np.float32(self.source.scale))

    @property
    def integer_bias(self) -> Integers:
        """The bias in steps of the sum."""
        return np.rint(self.bias / self.scales).astype(np.int64)

    @property
    def length(self) -> int:
        """Products in a sum."""
        return self.weights.words.size // len(self.bias)

    @property
    def largest_sum(self) -> int:
        """Magnitude that no sum of products can pass."""
        return self.length * (1 << self.source.form.bits - 1) * (1 << self.weights.form.bits - 1)

    def by_channel(self, values: NDArray[Any]) -> NDArray[Any]:
        """Shape one value for each output channel so that it broadcasts over the product."""
        return values.reshape(1, -1, *(1,) * (self.weights.words.ndim - 2 if self.product.op_type == "Conv" else 0))


def multiplier_of(ratio: NDArray[np.float64]) -> tuple[Integers, Integers]:
    """Integers M0 of 31 bits and shifts with ``ratio = M0 * 2**-shift`` to within half a step of M0."""
    fraction, exponent = np.frexp(ratio)
    multiplier = np.rint(fraction * (1 << _MULTIPLIER_BITS)).astype(np.int64)
    return multiplier, (_MULTIPLIER_BITS - exponent).astype(np.int64)


def find_integer_product(
    network: StoredNetwork, stage: Stage, nodes: list[onnx.NodeProto], stored: dict[str, str]
) -> IntegerProduct | None:
    """Recognise a stage that can be computed in integers alone; None for any other.

    Parameters
    ----------
    network, stage
        The stage.
    nodes
        Its nodes, in order.
    stored
        Names of the stored maps by the ONNX tensor that holds them.
    """
    weights = network.weights.get(stage.index)
    if weights is None or weights.form.kind != "int" or weights.form.bits > 8:
        return None
    at = next((place for place, node in enumerate(nodes) if node.output[0] == weights.place.node), None)
    if at is None:
        return None
    constants = network.classifier.constants
    before = tuple(node for node in nodes[:at] if not constants.issuperset(node.output))
    after = [node for node in nodes[at + 1 :] if not constants.issuperset(node.output)]
    product = nodes[at]
    roots = {stored[name] for node in (*before, product) for name in node.input if name in stored}
    sources = [network.maps[root] for root in roots if root in network.maps]
    views = all(_is_view(node, network) for node in before)
    if len(sources) != 1 or not views or sources[0].form.kind != "int" or sources[0].form.bits > 8:
        return None
    bias = _bias(network, product, after, weights)
    if bias is None or any(node.op_type not in {"Relu", "Identity", "Add"} for node in after):
        return None
    rectified = any(node.op_type == "Relu" for node in after)
    found = IntegerProduct(stage, before, product, bias, rectified, sources[0], weights)
    return found if found.largest_sum + int(np.abs(found.integer_bias).max()) < _LARGEST_SUM else None


def _is_view(node: onnx.NodeProto, network: StoredNetwork) -> bool:
    """Whether a node keeps integers as they are; padding does, if it is with zeros."""
    if node.op_type != "Pad":
        return node.op_type in _VIEWS
    mode = next((entry.s for entry in node.attribute if entry.name == "mode"), b"constant")
    filled = network.classifier.initializers.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    empty = len(node.input) < 3 or not node.input[2]
    return mode == b"constant" and (empty or (filled is not None and not numpy_helper.to_array(filled).any()))


def _bias(
    network: StoredNetwork, product: onnx.NodeProto, after: list[onnx.NodeProto], weights: StoredWeights
) -> Floats | None:
    """Bias of a product, 0 without one; None where it is none of a constant for each channel."""
    if any(entry.name in {"alpha", "beta"} and entry.f != 1.0 for entry in product.attribute):
        return None
    if any(entry.name == "transA" and entry.i for entry in product.attribute):
        return None
    outputs = weights.words.shape[-1] if weights.place.inputs_first else weights.words.shape[0]
    names = list(product.input[2:3])
    for node in after:
        if node.op_type == "Add":
            names += [name for name in node.input if name in network.classifier.constants]
    total = np.zeros(outputs, np.float32)
    if len(names) > 1 or sum(node.op_type == "Add" for node in after) > 1:
        return None
    for name in names:
        tensor = network.classifier.initializers.get(name)
        if tensor is None:
            return None
        values = numpy_helper.to_array(tensor)
        if values.size not in (1, outputs) or values.dtype != np.float32:
            return None
        total = total + values.reshape(-1)
    return total


def integer_nodes(found: IntegerProduct, source: str, weight: str, name: str) -> tuple[list[onnx.NodeProto], str]:
    """Nodes of the exact sum with its bias, as int64.

    Parameters
    ----------
    found
        The stage.
    source
        Float tensor of the integers of the map, behind the views.
    weight
        Float tensor of the integers of the weights.
    name
        Prefix of all names; constants are nodes as well.

    Returns
    -------
    tuple
        The nodes, and the name of the sum.
    """
    nodes: list[onnx.NodeProto] = []
    parts = [(weight, 1)]
    if found.largest_sum >= EXACT_SUM:
        sixteen = _constant(nodes, f"{name}:sixteen", np.float32(_NIBBLE))
        high = _add(nodes, "Floor", [_add(nodes, "Div", [weight, sixteen], f"{name}:part")], f"{name}:high")
        low = _add(nodes, "Sub", [weight, _add(nodes, "Mul", [high, sixteen], f"{name}:top")], f"{name}:low")
        parts = [(low, 1), (high, int(_NIBBLE))]
    sums = []
    for number, (part, factor) in enumerate(parts):
        copy = helper.make_node(found.product.op_type, [source, part], [f"{name}:sum{number}"])
        copy.attribute.extend(found.product.attribute)
        nodes.append(copy)
        whole = _add(nodes, "Cast", [copy.output[0]], f"{name}:whole{number}", to=TensorProto.INT64)
        if factor > 1:
            whole = _add(nodes, "Mul", [whole, _constant(nodes, f"{name}:factor", np.int64(factor))], f"{name}:scaled")
        sums.append(whole)
    bias = _constant(nodes, f"{name}:bias", found.by_channel(found.integer_bias))
    total = sums[0] if len(sums) == 1 else _add(nodes, "Add", sums, f"{name}:sums")
    return nodes, _add(nodes, "Add", [total, bias], f"{name}:total")


def requantised_nodes(found: IntegerProduct, total: str, kept: StoredMap, name: str) -> list[onnx.NodeProto]:
    """Nodes that turn a sum into the words of the stored map, called `name`."""
    nodes: list[onnx.NodeProto] = []
    multiplier, shift = multiplier_of(found.scales / float(np.float32(kept.scale)))
    shift = np.minimum(shift, 61)  # a ratio below 2**-30 makes nothing of any sum
    half = np.left_shift(np.int64(1), shift - 1) + _OFFSET
    scaled = _add(nodes, "Mul", [total, _constant(nodes, f"{name}:multiplier", found.by_channel(multiplier))],
                  f"{name}:product")  # fmt: skip
    raised = _add(nodes, "Add", [scaled, _constant(nodes, f"{name}:half", found.by_channel(half))], f"{name}:raised")
    unsigned = _add(nodes, "Cast", [raised], f"{name}:unsigned", to=TensorProto.UINT64)
    amount = _constant(nodes, f"{name}:shift", found.by_channel(shift).astype(np.uint64))
    shifted = _add(nodes, "BitShift", [unsigned, amount], f"{name}:shifted", direction="RIGHT")
    signed = _add(nodes, "Cast", [shifted], f"{name}:signed", to=TensorProto.INT64)
    offset = _constant(nodes, f"{name}:offset", found.by_channel(np.right_shift(np.int64(_OFFSET), shift)))
    number = _add(nodes, "Sub", [signed, offset], f"{name}:number")
    least = _constant(nodes, f"{name}:least", np.int64(0 if found.rectified else -kept.form.largest))
    greatest = _constant(nodes, f"{name}:greatest", np.int64(kept.form.largest))
    _add(nodes, "Cast", [_add(nodes, "Clip", [number, least, greatest], f"{name}:kept")], name,
         to=TensorProto.INT8)  # fmt: skip
    return nodes


def dequantised_nodes(found: IntegerProduct, total: str, name: str) -> list[onnx.NodeProto]:
    """Nodes that turn a sum into values, called `name`, where it is not stored as an integer."""
    nodes: list[onnx.NodeProto] = []
    number = _add(nodes, "Cast", [total], f"{name}:number", to=TensorProto.FLOAT)
    scales = _constant(nodes, f"{name}:scales", found.by_channel(found.scales.astype(np.float32)))
    if found.rectified:
        number = _add(nodes, "Relu", [number], f"{name}:rectified")
    _add(nodes, "Mul", [number, scales], name)
    return nodes


def _add(nodes: list[onnx.NodeProto], op: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401
    nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
    return output


def _constant(nodes: list[onnx.NodeProto], name: str, value: Any) -> str:  # noqa: ANN401 - an array or a number
    return _add(nodes, "Constant", [], name, value=numpy_helper.from_array(np.asarray(value), name))
