"""A classifier in ONNX joined with its layer graph: which ONNX tensor is which feature map, and where weights go in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from accelsim.errors import WorkloadError
from accelsim.mapping.stages import plan_stages
from accelsim.numerics.decoded_weights import decoded_arrays, replace_weights
from accelsim.numerics.session import open_session
from accelsim.workload.onnx_import import import_onnx
from accelsim.workload.onnx_reader import parse_file
from accelsim.workload.operators import Conv, Gemm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from accelsim.mapping.stages import Part, Stage
    from accelsim.workload.graph import Layer, LayerGraph

    Floats = NDArray[np.float32]

OLDEST_OPSET, OPSET = 13, 17


@dataclass(frozen=True)
class WeightInput:
    """Where a stage takes its weights.

    Parameters
    ----------
    node
        Output of the ONNX node that reads them.
    position
        Which of its inputs they are.
    tensor
        ONNX tensor that holds them.
    inputs_first
        Whether they lie as (inputs, outputs), not as (outputs, inputs).
    """

    node: str
    position: int
    tensor: str
    inputs_first: bool


@dataclass(frozen=True, eq=False)
class Classifier:
    """An ONNX model that gives one score for each class.

    Parameters
    ----------
    model
        The model; nodes are in an order in which they can be computed.
    graph
        Its layers, as `import_onnx` reads them.
    where
        File it came from, for messages.
    stages
        What a machine runs, in order.
    parts_of
        What each feature map is made of.
    """

    model: onnx.ModelProto
    graph: LayerGraph
    where: str
    stages: tuple[Stage, ...]
    parts_of: Mapping[str, tuple[Part, ...]]

    @property
    def input(self) -> onnx.ValueInfoProto:
        """The images: the one input that is not stored in the file."""
        return self._inputs[0]

    @cached_property
    def _inputs(self) -> list[onnx.ValueInfoProto]:
        return [value for value in self.model.graph.input if value.name not in self.initializers]

    @cached_property
    def initializers(self) -> dict[str, TensorProto]:
        """Stored constants by name."""
        return {tensor.name: tensor for tensor in self.model.graph.initializer}

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image as the network takes it."""
        dims = self.input.type.tensor_type.shape.dim
        return tuple(int(dim.dim_value) for dim in dims[1:])

    @property
    def output(self) -> str:
        """Tensor of the scores: the first output."""
        return str(self.model.graph.output[0].name)

    @cached_property
    def metadata(self) -> dict[str, str]:
        """What the file says about itself, such as ``dataset``, ``mean`` and ``std``."""
        return {entry.key: entry.value for entry in self.model.metadata_props}

    @cached_property
    def makers(self) -> dict[str, onnx.NodeProto]:
        """Node that makes each tensor."""
        return {name: node for node in self.model.graph.node for name in node.output if name}

    @cached_property
    def constants(self) -> set[str]:
        """Tensors that do not depend on the images."""
        names = set(self.initializers) | {""}
        for node in self.model.graph.node:
            if names.issuperset(node.input):
                names.update(node.output)
        return names

    @cached_property
    def tensor_of(self) -> dict[str, str]:
        """ONNX tensor of every feature map that owns memory."""
        known = {value.name for value in self._inputs} | set(self.makers)
        roots = [value.name for value in self.graph.inputs] + [stage.output for stage in self.stages]
        seen: dict[str, str] = {}
        for name, parts in self.parts_of.items():
            whole = len(parts) == 1 and parts[0].in_order
            if name in known and whole and self._elements(name) == self._elements(parts[0].root):
                seen.setdefault(parts[0].root, name)
        return {root: root if root in known else seen[root] for root in roots if root in known or root in seen}

    def _elements(self, tensor: str) -> int:
        return self.graph.tensors[tensor].elements

    @property
    def result(self) -> str:
        """Feature map that leaves as the network's answer, and so stays as it is computed."""
        name = self.output
        while name not in self.parts_of and name in self.makers:
            name = self.makers[name].input[0]
        return self.parts_of[name][0].root

    @cached_property
    def weights(self) -> dict[int, WeightInput]:
        """Where each stage with weights takes them, by the index of the stage."""
        return {
            stage.index: self._weight_input(stage.layer)
            for stage in self.stages
            if isinstance(stage.layer.operator, Conv | Gemm)
        }

    def _weight_input(self, layer: Layer) -> WeightInput:
        name = layer.output
        node = self.makers.get(name) or self.makers.get(name.removesuffix(".product").removesuffix(".map"))
        if node is not None and node.op_type == "Add":  # a bias that was added after the product
            node = self.makers.get(next(source for source in node.input if source not in self.constants))
        if node is None or node.op_type not in {"Conv", "Gemm", "MatMul"}:
            kind = node.op_type if node else "none"
            raise WorkloadError(f"layer {layer.name!r} takes its weights through operator {kind}", where=self.where,
                                key="accuracy", allowed="Conv, Gemm or MatMul")  # fmt: skip
        transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
        return WeightInput(node.output[0], 1, node.input[1], node.op_type != "Conv" and not transposed)

    @cached_property
    def weight_values(self) -> dict[str, Floats]:
        """Values of the weights, by ONNX tensor."""
        wanted = list(dict.fromkeys(entry.tensor for entry in self.weights.values()))
        stored = self.initializers
        values = {name: numpy_helper.to_array(stored[name]) for name in wanted if name in stored}
        values |= self._computed([name for name in wanted if name not in stored])
        for name, value in values.items():
            if value.dtype != np.float32:
                raise WorkloadError("has other weights than float32", where=self.where, key=name,
                                    value=str(value.dtype), allowed="float32")  # fmt: skip
        return values

    def _computed(self, names: list[str]) -> dict[str, Any]:
        """Values of tensors that are computed from constants alone."""
        if not names:
            return {}
        nodes = nodes_between(self.makers, names, self.constants - set(self.makers))
        graph = helper.make_graph(
            nodes, "constants", [], [helper.make_empty_tensor_value_info(name) for name in names],
            self.model.graph.initializer,
        )  # fmt: skip
        session = open_session(model_like(self.model, graph))
        return dict(zip(names, session.run(names, {}), strict=True))


def nodes_between(makers: dict[str, onnx.NodeProto], wanted: Iterable[str], given: set[str]) -> list[onnx.NodeProto]:
    """Nodes that make `wanted` from `given`, in an order in which they can be computed."""
    nodes: list[onnx.NodeProto] = []
    done = set(given) | {""}
    waiting = list(wanted)[::-1]
    while waiting:
        name = waiting[-1]
        if name in done or name not in makers:
            waiting.pop()
            continue
        missing = [source for source in makers[name].input if source not in done and source in makers]
        if missing:
            waiting += missing[::-1]
        else:
            nodes.append(makers[name])
            done.update(makers[name].output)
            waiting.pop()
    return nodes


def model_like(model: onnx.ModelProto, graph: onnx.GraphProto) -> onnx.ModelProto:
    """Model of another graph, with the operators that `model` may use."""
    made = helper.make_model(graph, opset_imports=model.opset_import)
    made.ir_version = model.ir_version
    made.functions.extend(model.functions)
    return made


Plan: TypeAlias = "tuple[tuple[Stage, ...], Mapping[str, tuple[Part, ...]]]"
"""Stages, and what each feature map is made of, as `accelsim.mapping.stages.plan_stages` finds them."""


def load_classifier(
    source: Path | onnx.ModelProto,
    graph: LayerGraph | None = None,
    plan: Plan | None = None,
    *,
    decoded: bool = True,
) -> Classifier:
    """Read a classifier.

    Parameters
    ----------
    source
        ONNX file, or a model.
    graph
        Its layers, where they have been read before.
    plan
        How they are run, where they have been mapped before.
    decoded
        Whether weights that the graph has as sparse powers of two take the place of those in the file.

    Raises
    ------
    WorkloadError
        When the model cannot be read, takes anything but one float32 tensor of images, or gives no scores.
    """
    if isinstance(source, Path):
        model, where = parse_file(source), str(source)
        graph = graph or import_onnx(source)
        onnx.load_external_data_for_model(model, str(source.parent))
        if decoded:
            replace_weights(model, source, decoded_arrays(graph))
    else:
        model, where = onnx.ModelProto(), source.graph.name or "model"
        model.CopyFrom(source)
        if graph is None:
            with TemporaryDirectory() as folder:
                path = Path(folder) / "model.onnx"
                path.write_bytes(model.SerializeToString())
                graph = import_onnx(path)
    graph = graph.with_batch(1)
    stages, parts_of = plan or plan_stages(graph, dict.fromkeys(graph.tensors, 0))
    classifier = Classifier(_modern(model, where), graph, where, stages, parts_of)
    _check(classifier)
    return classifier


def _modern(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Bring old files to operators that know integers, and free the batch."""
    version = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=OPSET)
    if version < OLDEST_OPSET:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except (RuntimeError, ValueError, onnx.onnx_cpp2py_export.version_converter.ConvertError) as problem:
            reason = str(problem).splitlines()[0]
            raise WorkloadError(f"cannot be brought to newer operators: {reason}", where=where, key="opset",
                                value=version, allowed=f"{OLDEST_OPSET} or newer") from None  # fmt: skip
    model.ir_version = max(model.ir_version, 8)
    return model


def _check(classifier: Classifier) -> None:
    where, inputs = classifier.where, classifier._inputs  # noqa: SLF001 - same module
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        raise WorkloadError("accuracy needs a network of one input, float32 images", where=where, key="inputs",
                            value=", ".join(value.name for value in inputs))  # fmt: skip
    scores = classifier.graph.tensors[classifier.result]
    if scores.shape[0] != 1 or scores.elements < 2 or math.prod(scores.shape[2:]) != 1:
        raise WorkloadError("accuracy needs a network that gives one score for each class", where=where,
                            key=classifier.output, value=scores.shape)  # fmt: skip
