"""How each ONNX operator becomes a layer; `TRANSLATORS` has one function for each operator that is supported."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from accelsim.workload.onnx_cleanup import QUANTISER
from accelsim.workload.onnx_translation import attributes, snake_case
from accelsim.workload.onnx_values import WeightUse
from accelsim.workload.onnx_views import VIEW_TRANSLATORS
from accelsim.workload.onnx_windows import WINDOW_TRANSLATORS
from accelsim.workload.operators import (
    Activation,
    Concat,
    Elementwise,
    Gemm,
    MatMul,
    Normalisation,
    Softmax,
    broadcast_shape,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    from accelsim.workload.onnx_translation import Translation

_ACTIVATIONS = (  # noqa: SIM905 - reads better than forty quoted words
    "Abs Acos Asin Atan BitwiseNot Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish IsInf IsNaN "
    "LeakyRelu Log Mish Neg Not PRelu Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt "
    "Swish Tan Tanh ThresholdedRelu"
).split()
_ELEMENTWISE = {
    "Add": "add", "Sum": "add", "Mean": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Mod": "div", "Max": "max",
    "Min": "min", "Pow": "pow", "Where": "select", "Equal": "compare", "Greater": "compare", "Less": "compare",
    "GreaterOrEqual": "compare", "LessOrEqual": "compare", "And": "compare", "Or": "compare", "Xor": "compare",
}  # fmt: skip
_NORMALISATIONS = {
    "BatchNormalization": "batch",
    "LayerNormalization": "layer",
    "InstanceNormalization": "instance",
    "GroupNormalization": "group",
    "LRN": "local_response",
}


def _gemm(translation: Translation, node: onnx.NodeProto) -> None:
    given = attributes(node)
    model = translation.model
    left, right, *rest = node.input
    source = translation.feature_map(left, node)
    if given.get("transA"):
        rows, cols = translation.shapes[source]
        source = translation.view(node, source, (cols, rows), output=f"{node.output[0]}.rows", suffix=".rows")
    has_addend = bool(rest and rest[0])
    plain = has_addend and translation.is_constant(rest[0])
    product = node.output[0] if plain or not has_addend else f"{node.output[0]}.product"
    if translation.is_constant(right):
        size_k, size_n = model.shape(right, node)[:: -1 if given.get("transB") else 1]
        use = WeightUse(right, inputs_first=not given.get("transB"))
        _add_gemm(translation, node, source, use, size_k, Gemm(size_n, bias=plain), product)
    else:
        other = translation.feature_map(right, node)
        if given.get("transB"):
            shape = translation.shapes[other][::-1]
            other = translation.view(node, other, shape, output=f"{node.output[0]}.right", suffix=".right")
        translation.add(node, MatMul(), [source, other], output=product)
    if has_addend and not plain:
        inputs = [product, translation.feature_map(rest[0], node)]
        translation.add(node, Elementwise("add"), inputs, suffix=".add")


def _add_gemm(
    translation: Translation,
    node: onnx.NodeProto,
    source: str,
    weight: WeightUse,
    size_k: int,
    operator: Gemm,
    output: str,
) -> None:
    expected = operator.weight_shape((translation.shapes[source],))[1]
    if expected != size_k:
        problem = f"weight {weight.tensor!r} takes {size_k} features, the input has {expected}"
        raise translation.model.error(problem, node)
    translation.add(node, operator, [source], output=output, weight=translation.weight(weight))


def _matmul(
    translation: Translation, node: onnx.NodeProto, left: int = 0, right: int = 1, zero_point: int | None = None
) -> None:
    model = translation.model
    left_name, right_name = node.input[left], node.input[right]
    right_shape = model.shape(right_name, node)
    rank = len(model.shape(left_name, node))
    lone_matrix = len(right_shape) >= 2 and all(size == 1 for size in right_shape[:-2])
    if not (translation.is_constant(right_name) and lone_matrix and rank >= max(2, len(right_shape))):
        pair = [translation.feature_map(name, node) for name in (left_name, right_name)]
        translation.add(node, MatMul(), pair)
        return
    size_k, size_n = right_shape[-2:]
    follower = _bias_addition(translation, node, size_n)
    operator = Gemm(size_n, bias=follower is not None, per_position=rank > 2)
    output = follower.output[0] if follower is not None else node.output[0]
    zero = node.input[zero_point] if zero_point is not None and len(node.input) > zero_point else ""
    use = WeightUse(right_name, inputs_first=True, zero_point=zero)
    _add_gemm(translation, node, translation.feature_map(left_name, node), use, size_k, operator, output)


def _bias_addition(translation: Translation, node: onnx.NodeProto, size_n: int) -> onnx.NodeProto | None:
    """The addition of a constant vector that alone reads a product: how exporters write a linear layer's bias."""
    user = translation.only_user(node.output[0])
    if user is None or user.op_type != "Add":
        return None
    constant = next((name for name in user.input if name != node.output[0]), node.output[0])
    shape = translation.model.shapes.get(constant, ())
    if not translation.is_constant(constant) or shape[-1:] != (size_n,) or any(size != 1 for size in shape[:-1]):
        return None
    if len(shape) > len(translation.model.shape(node.output[0], node)):
        return None
    translation.done.add(user.output[0])
    return user


def _elementwise(translation: Translation, node: onnx.NodeProto) -> None:
    operator = Elementwise(_ELEMENTWISE[node.op_type])
    inputs = translation.dynamic_inputs(node)
    shape = translation.shapes[inputs[0]]
    for name in inputs[1:]:
        shape = broadcast_shape(shape, translation.shapes[name])
    if shape != translation.output_shape(node):  # a constant widens the result: it is fetched like a feature map
        inputs = [translation.feature_map(name, node) for name in node.input if name]
    translation.add(node, operator, inputs)


def _activation(translation: Translation, node: onnx.NodeProto) -> None:
    function = "prelu" if node.op_type == "PRelu" else snake_case(node.op_type)
    translation.add(node, Activation(function), [translation.feature_map(node.input[0], node)])


def _normalisation(translation: Translation, node: onnx.NodeProto) -> None:
    translation.require_unused(node)
    operator = Normalisation(_NORMALISATIONS[node.op_type])
    translation.add(node, operator, [translation.feature_map(node.input[0], node)])


def _softmax(translation: Translation, node: onnx.NodeProto) -> None:
    translation.add(node, Softmax(), [translation.feature_map(node.input[0], node)])


def _concat(translation: Translation, node: onnx.NodeProto) -> None:
    names = [name for name in node.input if 0 not in translation.model.shape(name, node)]
    inputs = [translation.feature_map(name, node) for name in names]
    translation.add(node, Concat(int(attributes(node).get("axis", 1))), inputs)


def _quantise(translation: Translation, node: onnx.NodeProto) -> None:
    translation.add(node, QUANTISER, [translation.feature_map(node.input[0], node)])
    translation.model.constants.update(node.output[1:])  # the scale and zero point that DynamicQuantizeLinear finds


TRANSLATORS: dict[str, Callable[[Translation, onnx.NodeProto], None]] = {
    **WINDOW_TRANSLATORS,
    **VIEW_TRANSLATORS,
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(_ACTIVATIONS, _activation),
    **dict.fromkeys(_NORMALISATIONS, _normalisation),
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": partial(_matmul, zero_point=3),
    "QLinearMatMul": partial(_matmul, left=0, right=3, zero_point=5),
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Concat": _concat,
    "QuantizeLinear": _quantise,
    "DynamicQuantizeLinear": _quantise,
}
"""By operator type; each adds the layers of one node whose inputs are not all constant."""
