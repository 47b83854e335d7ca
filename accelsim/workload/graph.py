"""The layer graph: what a network computes, tensor by tensor, without a word about hardware.

A `LayerGraph` is immutable and checked when it is built: names are unique, every input exists, there is no cycle, and
every operator accepts the shapes it is given. Shapes are stored for the graph's own batch; `LayerGraph.with_batch`
scales the first dimension of every feature map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from accelsim.errors import WorkloadError
from accelsim.workload.annotations import NO_ANNOTATIONS
from accelsim.workload.operators import (
    Conv,
    Gemm,
    GemmDims,
    MatMul,
    Normalisation,
    Operator,
    Shape,
    ShapeError,
    View,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from accelsim.workload.annotations import Annotations

MAX_ELEMENTS = 2**40
"""Elements of the largest tensor accepted; beyond it a shape is a mistake and byte addresses leave 48 bits."""


@dataclass(frozen=True)
class Tensor:
    """A feature map or a weight array.

    Parameters
    ----------
    name
        Unique in its graph.
    shape
        Feature maps ``(N, ...)``; weights ``(out, in, ...)``.
    bits
        Stored bits per element; None takes the native precision of the hardware.
    """

    name: str
    shape: Shape
    bits: int | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layer:
    """One operator with the names of its tensors.

    Parameters
    ----------
    name
        Unique in its graph.
    operator
        What it computes.
    inputs
        Names of its feature-map inputs, in the operator's order.
    output
        Name of the feature map it makes; the layer's own name where omitted.
    weight
        Name of its weight tensor; ``<name>.weight`` where omitted.
    weight_bits, output_bits
        Stored bits of weight and output; None takes the native precision of the hardware.
    """

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    output: str = ""
    weight: str = ""
    weight_bits: int | None = None
    output_bits: int | None = None

    def __post_init__(self) -> None:
        if not self.output:
            object.__setattr__(self, "output", self.name)
        if not self.weight:
            object.__setattr__(self, "weight", f"{self.name}.weight")

    @property
    def op(self) -> str:
        """Short name of the operator, such as ``conv``."""
        return self.operator.op


@dataclass(frozen=True)
class LayerGraph:
    """A checked, acyclic graph of layers.

    Parameters
    ----------
    name
        Name shown in results.
    inputs
        The feature maps that come from outside.
    layers
        In any order; `layers` of a built graph are in topological order, ties by the order given.
    source
        File or preset it came from, used in error messages.
    description
        One line for people: what the network is and where its shapes come from.
    annotations
        What is stated beside the layers: values, statistics, images.

    Raises
    ------
    WorkloadError
        When names repeat, an input is missing, layers form a cycle or shapes do not fit; the message names the layer.
    """

    name: str
    inputs: tuple[Tensor, ...]
    layers: tuple[Layer, ...]
    source: str | None = None
    description: str | None = None
    annotations: Annotations = NO_ANNOTATIONS

    def __post_init__(self) -> None:
        self._check_names()
        object.__setattr__(self, "layers", self._sorted_layers())
        self.tensors  # noqa: B018 - computing the shapes checks them

    def _error(self, problem: str, *, key: str | None = None) -> WorkloadError:
        return WorkloadError(problem, where=self.source or self.name, key=key)

    def _check_names(self) -> None:
        if not self.layers:
            raise self._error("has no layers", key="layers")
        if not self.inputs:
            raise self._error("has no inputs", key="inputs")
        for what, names in (
            ("layer name", [layer.name for layer in self.layers]),
            ("tensor name", [tensor.name for tensor in self.inputs] + [layer.output for layer in self.layers]),
        ):
            seen: set[str] = set()
            for name in names:
                if name in seen:
                    raise self._error(f"this {what} is used more than once", key=name)
                seen.add(name)

    def _sorted_layers(self) -> tuple[Layer, ...]:
        makers = {layer.output: layer for layer in self.layers}
        outside = {tensor.name for tensor in self.inputs}
        edges = []
        for layer in self.layers:
            if not layer.inputs:
                raise self._error("has no inputs", key=layer.name)
            for name in layer.inputs:
                if name in makers:
                    edges.append((makers[name].name, layer.name))
                elif name not in outside:
                    raise self._error(
                        f"input {name!r} is made by no layer and is no input of the graph", key=layer.name
                    )
        position = {layer.name: index for index, layer in enumerate(self.layers)}
        if all(position[maker] < position[user] for maker, user in edges):
            return self.layers
        import networkx as nx  # here, for most networks come in order and its import takes as long as building them

        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(position)
        graph.add_edges_from(edges)
        by_name = {layer.name: layer for layer in self.layers}
        try:
            order = list(nx.lexicographical_topological_sort(graph, key=position.__getitem__))
        except nx.NetworkXUnfeasible:
            loop = " -> ".join([edge[0] for edge in nx.find_cycle(graph)])
            raise self._error(f"these layers form a cycle: {loop}", key="layers") from None
        return tuple(by_name[name] for name in order)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Every feature map by name: inputs first, then the outputs in the order of the layers."""
        tensors: dict[str, Tensor] = {}
        for tensor in self.inputs:
            if not tensor.shape or min(tensor.shape) < 1:
                raise self._error(
                    f"shape {tensor.shape} needs at least one dimension and none below 1", key=tensor.name
                )
            self._check_size(tensor.shape, tensor.name)
            tensors[tensor.name] = tensor
        for layer in self.layers:
            shapes = tuple(tensors[name].shape for name in layer.inputs)
            try:
                shape = layer.operator.output_shape(shapes)
            except ShapeError as error:
                raise self._error(str(error), key=layer.name) from None
            self._check_size(shape, layer.name)
            if isinstance(layer.operator, Conv | Gemm):
                self._check_size(layer.operator.weight_shape(shapes), layer.weight)
            tensors[layer.output] = Tensor(layer.output, shape, layer.output_bits)
        return tensors

    def _check_size(self, shape: Shape, key: str) -> None:
        if math.prod(shape) > MAX_ELEMENTS:
            raise self._error(f"shape {shape} has more than 2^40 elements", key=key)

    @cached_property
    def _makers(self) -> dict[str, Layer]:
        return {layer.output: layer for layer in self.layers}

    @cached_property
    def _users(self) -> dict[str, tuple[Layer, ...]]:
        users: dict[str, list[Layer]] = {name: [] for name in self.tensors}
        for layer in self.layers:
            for name in dict.fromkeys(layer.inputs):
                users[name].append(layer)
        return {name: tuple(layers) for name, layers in users.items()}

    def producer(self, tensor: str) -> Layer | None:
        """Layer that makes a feature map; None for an input of the graph."""
        return self._makers.get(tensor)

    def producers(self, layer: Layer) -> tuple[Layer, ...]:
        """Layers that make the inputs of `layer`, each once."""
        makers = (self._makers.get(name) for name in dict.fromkeys(layer.inputs))
        return tuple(maker for maker in makers if maker is not None)

    def consumers(self, tensor: str) -> tuple[Layer, ...]:
        """Layers that read a feature map, in topological order."""
        return self._users[tensor]

    @cached_property
    def outputs(self) -> tuple[Tensor, ...]:
        """Feature maps that no layer reads."""
        return tuple(self.tensors[layer.output] for layer in self.layers if not self._users[layer.output])

    def input_shapes(self, layer: Layer) -> tuple[Shape, ...]:
        """Shapes of a layer's feature-map inputs."""
        return tuple(self.tensors[name].shape for name in layer.inputs)

    def weight_tensor(self, layer: Layer) -> Tensor | None:
        """Weight array of a layer; None for operators without one (biases ride with it and are not stored apart)."""
        if not isinstance(layer.operator, Conv | Gemm):
            return None
        return Tensor(layer.weight, layer.operator.weight_shape(self.input_shapes(layer)), layer.weight_bits)

    def gemm_dims(self, layer: Layer) -> GemmDims | None:
        """The layer as matrix products; None for layers that the vector unit runs."""
        if not isinstance(layer.operator, Conv | Gemm | MatMul):
            return None
        return layer.operator.gemm_dims(self.input_shapes(layer))

    def dense_macs(self, layer: Layer) -> int:
        """Multiply-accumulates of a layer without any skipping; zero off the PE array."""
        dims = self.gemm_dims(layer)
        return dims.macs if dims else 0

    def vector_operations(self, layer: Layer) -> int:
        """Element operations of a layer off the PE array."""
        if isinstance(layer.operator, Conv | Gemm | MatMul | View) or layer.op == "concat":
            return 0
        return layer.operator.vector_operations(self.input_shapes(layer))  # type: ignore[union-attr]

    def parameters(self, layer: Layer) -> int:
        """Trained parameters of a layer: weights, biases, scales and shifts."""
        operator = layer.operator
        weight = self.weight_tensor(layer)
        if weight is not None:
            bias = weight.shape[0] if getattr(operator, "bias", False) else 0
            return weight.elements + bias
        return operator.parameters(self.input_shapes(layer)) if isinstance(operator, Normalisation) else 0

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates of the whole graph."""
        return sum(self.dense_macs(layer) for layer in self.layers)

    @property
    def total_parameters(self) -> int:
        """Trained parameters of the whole graph; a weight tensor that several layers share counts once."""
        shared = {layer.weight: layer for layer in self.layers if isinstance(layer.operator, Conv | Gemm)}
        normalisations = [layer for layer in self.layers if isinstance(layer.operator, Normalisation)]
        return sum(self.parameters(layer) for layer in (*shared.values(), *normalisations))

    @property
    def batch(self) -> int:
        """First dimension of the first input."""
        return self.inputs[0].shape[0]

    def with_batch(self, batch: int) -> LayerGraph:
        """Return the same graph with the first dimension of every feature map scaled to `batch` samples."""
        if batch < 1:
            raise WorkloadError("is below 1", where="--batch", value=batch, allowed="a whole number of at least 1")
        if batch == self.batch:
            return self

        def scaled(shape: Shape) -> Shape:
            if shape[0] * batch % self.batch:
                raise self._error(f"shape {shape} has no batch in its first dimension", key="--batch")
            return (shape[0] * batch // self.batch, *shape[1:])

        inputs = tuple(replace(tensor, shape=scaled(tensor.shape)) for tensor in self.inputs)
        layers = tuple(_with_scaled_view(layer, scaled) for layer in self.layers)
        try:
            graph = replace(self, inputs=inputs, layers=layers)
        except WorkloadError as error:
            raise self._error(f"cannot run with --batch {batch}: {error.problem}", key=error.key) from None
        shapes = {name: tensor.shape for name, tensor in graph.tensors.items()}
        return replace(graph, annotations=self.annotations.of_batch(shapes))


def _with_scaled_view(layer: Layer, scaled: Callable[[Shape], Shape]) -> Layer:
    if not isinstance(layer.operator, View):
        return layer
    return replace(layer, operator=View(scaled(layer.operator.shape)))


def chain(name: str, first: Tensor, steps: Iterable[tuple[str, Operator]]) -> LayerGraph:
    """Build the graph in which every layer reads the one before it."""
    layers: list[Layer] = []
    previous = first.name
    for layer_name, operator in steps:
        layers.append(Layer(layer_name, operator, (previous,)))
        previous = layers[-1].output
    return LayerGraph(name, (first,), tuple(layers))
