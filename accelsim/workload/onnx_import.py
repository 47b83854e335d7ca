"""Imports ONNX models as layer graphs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.errors import WorkloadError
from accelsim.workload.annotations import Annotations
from accelsim.workload.graph import LayerGraph
from accelsim.workload.onnx_cleanup import fold_quantisers, join_views
from accelsim.workload.onnx_model import DOMAINS, LARGEST_VALUE
from accelsim.workload.onnx_operators import TRANSLATORS
from accelsim.workload.onnx_reader import load_model
from accelsim.workload.onnx_translation import Translation
from accelsim.workload.onnx_values import OnnxWeights, weight_data
from accelsim.workload.operators import ShapeError

if TYPE_CHECKING:
    import onnx

    from accelsim.workload.onnx_model import OnnxModel


def import_onnx(path: str | Path) -> LayerGraph:
    """Read an ONNX model.

    Shapes come from ONNX's own inference, helped by the values of constants where it needs them; weights are read
    when something asks for them.
    A symbolic or missing batch becomes 1. A node that only renames or reshapes becomes a `View` or vanishes, as does
    everything that depends on constants alone. Integer tensors keep their width in bits; floating-point ones take the
    native precision of the hardware. An embedding lookup becomes an input of the graph, its rows being fetched from
    memory; so does a constant that no operator has a place for (a class token that is joined to a sequence).

    Parameters
    ----------
    path
        The ``.onnx`` file.

    Raises
    ------
    WorkloadError
        When the file is unreadable or inconsistent, a dimension besides the batch is unknown, or an operator is not
        supported; the message names the file and the node or tensor.
    """
    path = Path(path)
    model = load_model(path)
    translation = Translation(model)
    for value in model.graph.input:
        if value.name not in model.initializers and translation.users.get(value.name):
            translation.add_input(value.name, model.shapes[value.name] or (1,), model.bits(value.name))
    for node in _needed_nodes(model):
        _translate(translation, node)
    return _finish(translation)


def _needed_nodes(model: OnnxModel) -> list[onnx.NodeProto]:
    """Nodes that an output of the graph depends on and that depend on an input of it."""
    if not model.graph.output:
        raise WorkloadError("its graph has no outputs", where=model.path)
    needed = {value.name for value in model.graph.output}
    nodes = []
    for node in reversed(model.graph.node):
        if not needed.isdisjoint(name for name in node.output if name) and not model.constants.issuperset(node.output):
            needed.update(node.input)
            nodes.append(node)
    return nodes[::-1]


def _translate(translation: Translation, node: onnx.NodeProto) -> None:
    constants = translation.model.constants
    if constants.issuperset(node.input):  # only now: the scales that a dynamic quantiser finds are taken for constants
        constants.update(node.output)
    if node.output[0] in translation.done or constants.issuperset(node.output):
        return
    translate = TRANSLATORS.get(node.op_type) if node.domain in DOMAINS else None
    if translate is None:
        raise translation.model.error(f"operator {node.op_type} is not supported", node)
    try:
        translate(translation, node)
    except ShapeError as problem:
        raise translation.model.error(str(problem), node) from None
    except (ValueError, KeyError, IndexError, TypeError):  # an attribute or input that the operator has to have
        raise translation.model.error("its inputs or attributes are not those of this operator", node) from None


def _finish(translation: Translation) -> LayerGraph:
    model = translation.model
    outputs = {translation.aliases.get(value.name, value.name) for value in model.graph.output}
    inputs, layers = fold_quantisers(translation.inputs.values(), translation.layers, outputs)
    layers = join_views(layers, outputs)
    read = {name for layer in layers for name in layer.inputs}
    used = tuple(tensor for tensor in inputs if tensor.name in read)
    graph = LayerGraph(model.path.stem, used, tuple(layers), str(model.path))
    for name, tensor in graph.tensors.items():
        inferred = model.shapes.get(name, tensor.shape) or (1,)
        if inferred != tensor.shape:
            problem = f"has shape {tensor.shape} by its layer but {inferred} by the file"
            raise model.error(problem, key=f"tensor {name!r}")
    small = {name: tensor for name, tensor in model.initializers.items() if math.prod(tensor.dims) <= LARGEST_VALUE}
    weights = OnnxWeights(model.path, model.makers, model.shapes, small)
    operands = weight_data(graph, translation.weight_uses, weights, model.initializers)
    return replace(graph, annotations=Annotations(operands=operands, model=model.path))
