"""ONNX operators that compute nothing: other names, other shapes, parts of a feature map; and reductions over axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from accelsim.workload.onnx_translation import attributes
from accelsim.workload.operators import Elementwise, Pool, Upsample

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    from accelsim.workload.onnx_translation import Translation
    from accelsim.workload.operators import Shape

_REDUCTIONS = {"ReduceMean": "average", "ReduceSum": "average", "ReduceMax": "max", "ReduceMin": "max", "ArgMax": "max",
               "ArgMin": "max"}  # fmt: skip


def _same(translation: Translation, node: onnx.NodeProto) -> None:
    translation.require_unused(node)
    translation.alias(node.output[0], translation.feature_map(node.input[0], node))


def _reshape(translation: Translation, node: onnx.NodeProto) -> None:
    """A shape of the same elements in the same order; none where it stays, or where a linear layer flattens anyway."""
    source = translation.feature_map(node.input[0], node)
    old, new = translation.shapes[source], translation.output_shape(node)
    flattened = new == (old[0], math.prod(old[1:])) and _only_linear_layers_read(translation, node.output[0])
    if old == new or flattened:
        translation.alias(node.output[0], source)
    else:
        translation.view(node, source, new, output=node.output[0])


def _only_linear_layers_read(translation: Translation, name: str) -> bool:
    return all(_is_linear_layer_on(translation, user, name) for user in translation.users.get(name, [None]))


def _is_linear_layer_on(translation: Translation, user: onnx.NodeProto | None, name: str) -> bool:
    if user is None or user.input[0] != name or name in user.input[1:]:
        return False
    if user.op_type in {"Identity", "Dropout", "Cast"}:
        return _only_linear_layers_read(translation, user.output[0])
    return (
        user.op_type in {"Gemm", "MatMul"}
        and translation.is_constant(user.input[1])
        and len(translation.model.shapes.get(user.input[1], ())) == 2
        and not attributes(user).get("transA")
    )


def _rearrange(translation: Translation, node: onnx.NodeProto) -> None:
    """Other order, or a part of the elements."""
    source = translation.feature_map(node.input[0], node)
    translation.view(node, source, translation.output_shape(node), output=node.output[0])


def _split(translation: Translation, node: onnx.NodeProto) -> None:
    source = translation.feature_map(node.input[0], node)
    for index, name in enumerate(node.output):
        if name and translation.users.get(name):
            shape = translation.output_shape(node, index)
            translation.view(node, source, shape, output=name, suffix=f".{index}")


def _gather(translation: Translation, node: onnx.NodeProto) -> None:
    data, indices = node.input
    if translation.is_constant(indices):
        _rearrange(translation, node)
    elif translation.is_constant(data):
        # An embedding: the rows come from memory, as an input of the graph does. The indices cost next to nothing.
        translation.add_input(node.output[0], translation.output_shape(node), translation.model.bits(data))
    else:
        raise translation.model.error("indices that are computed at run time are not supported", node)


def _expand(translation: Translation, node: onnx.NodeProto) -> None:
    """An expansion that changes nothing, or that the elementwise operators after it do by themselves."""
    source = translation.feature_map(node.input[0], node)
    users = translation.users.get(node.output[0], [None])
    broadcast = all(user is not None and user.op_type in {"Add", "Sub", "Mul", "Div", "Where"} for user in users)
    if translation.shapes[source] == translation.output_shape(node) or broadcast:
        translation.alias(node.output[0], source)
    else:
        _add_copies(translation, node, source)


def _tile(translation: Translation, node: onnx.NodeProto) -> None:
    _add_copies(translation, node, translation.feature_map(node.input[0], node))


def _resize(translation: Translation, node: onnx.NodeProto) -> None:
    """Nearest neighbour by whole factors: pixels repeated, or where it shrinks a part of the elements.

    How coordinates are rounded decides which neighbour is taken, not how many are read and written.
    """
    mode = attributes(node).get("mode", "nearest")
    if mode != "nearest":
        raise translation.model.error(f"interpolation {mode!r} is not supported, only 'nearest' is", node)
    source = translation.feature_map(node.input[0], node)
    old, new = translation.shapes[source], translation.output_shape(node)
    if math.prod(new) <= math.prod(old):
        _rearrange(translation, node)
    elif len(old) == 4 and old[:2] == new[:2] and not (new[2] % old[2] or new[3] % old[3]):
        translation.add(node, Upsample((new[2] // old[2], new[3] // old[3])), [source])
    else:  # other axes, such as those of a sequence
        _add_copies(translation, node, source, each_element=True)


def _add_copies(translation: Translation, node: onnx.NodeProto, source: str, *, each_element: bool = False) -> None:
    """Repeat along axes, one write for each element: a product with ones that broadcast, axes and copies apart."""
    wanted = translation.output_shape(node)
    shape = (1,) * (len(wanted) - len(translation.shapes[source])) + translation.shapes[source]
    if len(shape) != len(wanted) or any(new % old for new, old in zip(wanted, shape, strict=True)):
        raise translation.model.error(f"{shape} does not go into {wanted} a whole number of times", node)
    parts, copies = [shape[0]], [wanted[0]]
    for old, new in zip(shape[1:], wanted[1:], strict=True):
        parts += [old] if new == old else [old, 1] if each_element else [1, old]
        copies += [1] if new == old else [1, new // old] if each_element else [new // old, 1]
    output = node.output[0]
    made = translation.view(node, source, tuple(parts), output=f"{output}.parts", suffix=".parts")
    ones = translation.add_input(f"{output}.ones", tuple(copies), translation.bits[source])
    made = translation.add(node, Elementwise("mul"), [made, ones], output=f"{output}.copies", suffix=".copies")
    translation.view(node, made, wanted, output=output)


def _reduce(translation: Translation, node: onnx.NodeProto) -> None:
    """A reduction over any axes but the batch is a pool over the whole map, seen the right way round."""
    source = translation.feature_map(node.input[0], node)
    shape = translation.shapes[source]
    axes = _axes(translation, node, len(shape))
    if 0 in axes:
        raise translation.model.error("a reduction over the batch is not supported", node)
    operator = Pool(_REDUCTIONS[node.op_type])
    reduced = math.prod(shape[axis] for axis in axes)
    output, wanted = node.output[0], translation.output_shape(node)
    if axes != (2, 3) or len(shape) != 4:
        folded: Shape = (shape[0], math.prod(shape[1:]) // reduced, 1, reduced)
        source = translation.view(node, source, folded, output=f"{output}.rows", suffix=".rows")
    if (*translation.shapes[source][:2], 1, 1) == wanted:
        translation.add(node, operator, [source])
        return
    made = translation.add(node, operator, [source], output=f"{output}.map")
    translation.view(node, made, wanted, output=output, suffix=".flat")


def _axes(translation: Translation, node: onnx.NodeProto, rank: int) -> tuple[int, ...]:
    given = attributes(node)
    if node.op_type.startswith("Arg"):
        return (int(given.get("axis", 0)) % rank,)
    axes = given.get("axes")
    if axes is None and len(node.input) > 1 and node.input[1]:
        axes = translation.model.value(node.input[1])
        if axes is None:
            raise translation.model.error("axes that are computed at run time are not supported", node)
    if axes is None or len(axes) == 0:
        return tuple(range(rank))
    return tuple(sorted({int(axis) % rank for axis in axes}))


VIEW_TRANSLATORS: dict[str, Callable[[Translation, onnx.NodeProto], None]] = {
    **dict.fromkeys(("Identity", "Dropout", "Cast", "CastLike", "DequantizeLinear"), _same),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(("Transpose", "Slice", "DepthToSpace", "SpaceToDepth"), _rearrange),
    **dict.fromkeys(_REDUCTIONS, _reduce),
    "Split": _split,
    "Gather": _gather,
    "Expand": _expand,
    "Tile": _tile,
    "Resize": _resize,
    "Upsample": _resize,
}
