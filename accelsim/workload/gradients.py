"""Reverse-mode differentiation of a layer graph: the layers that a step of training adds to those of inference.

Shapes, traffic and work are exact where the operators can say them; see `accelsim.workload.training` for what is taken
how. Feature maps of gradients lie in memory as those that they are gradients of.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from accelsim.errors import WorkloadError
from accelsim.workload.graph import Layer, LayerGraph, Tensor
from accelsim.workload.operand_data import OperandData, OperandStatistics
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
    Shape,
    Softmax,
    Upsample,
    View,
    Window,
)
from accelsim.workload.training import TrainingStep
from accelsim.workload.updates import Updates

if TYPE_CHECKING:
    from accelsim.workload.training import Phase, TrainingRecord


class StepBuilder:
    """Builds a step of training layer by layer.

    Parameters
    ----------
    graph
        The network.
    record
        How it is trained, complete.
    """

    def __init__(self, graph: LayerGraph, record: TrainingRecord) -> None:
        self.graph = graph
        self.record = record
        self.inputs: list[Tensor] = list(graph.inputs)
        self.shapes: dict[str, Shape] = {name: tensor.shape for name, tensor in graph.tensors.items()}
        self.operands: dict[str, OperandData] = dict(graph.annotations.operands)
        self.backward: list[Layer] = []
        self.phases: dict[str, Phase] = {}
        self.weight_gradients: dict[str, list[str]] = {}
        self._learning = self._tensors_that_learn()
        self._kept: dict[str, str] = {}
        self._copies: dict[str, Layer] = {}
        self._sums: dict[str, list[str]] = {}

    def step(self) -> TrainingStep:
        """Differentiate the network and add the updates."""
        for tensor in self.graph.outputs:
            self._begin_at(tensor)
        for layer in reversed(self.graph.layers):
            if layer.output in self._sums:
                self._differentiate(layer, self._total(layer.output))
        updates = Updates(self)
        updates.add_all()
        layers = (*self._forward(), *self.backward)
        annotations = replace(
            self.graph.annotations, operands=self.operands, images=None, model=None, skip=None, training=None
        )
        graph = replace(
            self.graph,
            name=f"{self.graph.name} {self.record.method}",
            inputs=tuple(self.inputs),
            layers=layers,
            annotations=annotations,
        )
        phases = {layer.name: self.phases.get(layer.name, "forward") for layer in layers}
        copies = {copy.name for copy in self._copies.values()}
        kept = tuple(name for name in self._kept.values() if self.phases.get(name) != "keep" or name in copies)
        return TrainingStep(graph, phases, kept, updates.state_bits, self.record.executed_batches)

    # --- what the rules are made of ---

    def add(
        self, phase: Phase, name: str, operator: Operator, *sources: str, bits: int | None = None, weight: str = "",
        weight_bits: int | None = None,
    ) -> str:  # fmt: skip
        """Add a layer of the backward pass or the update; its result has the layer's name."""
        layer = Layer(name, operator, sources, weight=weight, weight_bits=weight_bits, output_bits=bits)
        self.shapes[name] = operator.output_shape(tuple(self.shapes[source] for source in sources))
        self.backward.append(layer)
        self.phases[name] = phase
        return name

    def view(self, phase: Phase, name: str, source: str, shape: Shape) -> str:
        """Index a map another way; the map itself where it has the shape."""
        return source if self.shapes[source] == shape else self.add(phase, name, View(shape), source)

    def outside(self, name: str, shape: Shape, bits: int | None = None) -> str:
        """Add a tensor that is there before the step."""
        self.inputs.append(Tensor(name, shape, bits))
        self.shapes[name] = shape
        return name

    def refuse(self, layer: str, problem: str) -> WorkloadError:
        """What to raise for a layer that cannot be trained."""
        return WorkloadError(f"cannot be trained: {problem}", where=self.graph.source or self.graph.name, key=layer)

    def gradient(self, name: str, operator: Operator, *sources: str) -> str:
        """Add a layer of the data gradient."""
        return self.add("data_gradient", name, operator, *sources, bits=self.record.gradient_bits)

    def expanded(self, name: str, source: str, shape: Shape) -> str:
        """A gradient with zeros between or behind its elements: one pass that reads them and writes the larger map.

        Seen as a column of numbers the pass is a pool of 1 x 1 with padding behind.
        """
        batch, elements = self.shapes[source][0], math.prod(self.shapes[source][1:])
        wanted = math.prod(shape) // batch
        if wanted <= elements:
            return self.view("data_gradient", f"{name}.view", source, shape)
        column = self.view("data_gradient", f"{name}.column", source, (batch, 1, elements, 1))
        pad = Pool("average", Window((1, 1), padding=(0, 0, wanted - elements, 0)))
        spread = self.gradient(f"{name}.zeros", pad, column)
        before = self.operands[source].density if source in self.operands else 1.0
        self.state_density(spread, before * elements / wanted)
        return self.view("data_gradient", f"{name}.spread", spread, shape)

    def state_density(self, tensor: str, density: float, like: OperandData | None = None) -> None:
        """State the share of nonzeros of a map, and that of the vectors of a map with the same zeros."""
        vectors = like.statistics.vector_density if like is not None and like.load is None else None
        self.operands[tensor] = OperandData(OperandStatistics(density, vectors), stated=True)

    def kept(self, tensor: str) -> str:
        """A forward feature map as the backward pass reads it."""
        if tensor not in self._kept:
            self._kept[tensor] = self._keep(tensor)
        return self._kept[tensor]

    def _keep(self, tensor: str) -> str:
        bits, maker = self.record.activation_bits, self.graph.producer(tensor)
        if bits is None or maker is None:
            return tensor
        if isinstance(maker.operator, View):  # what it shows is kept, and shown again
            return self.add("keep", f"{tensor}.kept", maker.operator, self.kept(maker.inputs[0]))
        copy = Layer(f"{tensor}.kept", Activation("quantise"), (tensor,), output_bits=bits)
        self._copies[tensor], self.phases[copy.name] = copy, "keep"
        self.shapes[copy.name] = self.shapes[tensor]
        if tensor in self.operands:  # zeros stay zero; what is known of digits no longer holds
            self.state_density(copy.name, self.operands[tensor].density, self.operands[tensor])
        return copy.name

    # --- order and reach ---

    def _tensors_that_learn(self) -> set[str]:
        """Feature maps that depend on a trained parameter: those alone need a gradient."""
        learning: set[str] = set()
        for layer in self.graph.layers:
            if self.graph.parameters(layer) or learning.intersection(layer.inputs):
                learning.add(layer.output)
        return learning

    def learns(self, tensor: str) -> bool:
        """Whether a feature map needs a gradient."""
        return tensor in self._learning

    def pass_on(self, tensor: str, gradient: str) -> None:
        """Add to the gradient of a feature map, if it needs one."""
        if self.learns(tensor):
            self._sums.setdefault(tensor, []).append(gradient)

    def _total(self, tensor: str) -> str:
        parts = self._sums[tensor]
        return parts[0] if len(parts) == 1 else self.gradient(f"{tensor}.gradient", Elementwise("add"), *parts)

    def _begin_at(self, tensor: Tensor) -> None:
        """The gradient of the loss, from a result and what it should be; a softmax has that in its own rule."""
        target = self.outside(f"{tensor.name}.target", tensor.shape, tensor.bits)
        maker = self.graph.producer(tensor.name)
        if maker is None or not isinstance(maker.operator, Softmax):
            target = self.gradient(f"{tensor.name}.loss_gradient", Elementwise("sub"), tensor.name, target)
        self.pass_on(tensor.name, target)

    def _differentiate(self, layer: Layer, gradient: str) -> None:
        from accelsim.workload import gradient_rules as rules

        operator = layer.operator
        if isinstance(operator, Conv):
            rules.of_convolution(self, layer, operator, gradient)
        elif isinstance(operator, Gemm):
            rules.of_gemm(self, layer, operator, gradient)
        elif isinstance(operator, MatMul):
            rules.of_product(self, layer, gradient)
        elif isinstance(operator, Pool):
            rules.of_pool(self, layer, operator, gradient)
        elif isinstance(operator, Normalisation):
            rules.of_normalisation(self, layer, operator, gradient)
        elif isinstance(operator, Elementwise):
            rules.of_elementwise(self, layer, operator, gradient)
        elif isinstance(operator, Concat):
            rules.of_concat(self, layer, gradient)
        elif isinstance(operator, Upsample):
            rules.of_upsample(self, layer, operator, gradient)
        elif isinstance(operator, View):
            shape = self.shapes[layer.inputs[0]]
            self.pass_on(layer.inputs[0], self.expanded(f"{layer.name}.data_gradient", gradient, shape))
        else:
            rules.of_function(self, layer, gradient)

    def _forward(self) -> list[Layer]:
        """Forward layers, with the statistics that batch normalisation needs and the copies that are kept."""
        layers: list[Layer] = []
        for layer in self.graph.layers:
            if isinstance(layer.operator, Normalisation) and layer.operator.function == "batch":
                source = layer.inputs[0]
                shape = self.shapes[source]
                if len(shape) != 4:
                    column = Layer(f"{layer.name}.column", View((shape[0], math.prod(shape[1:]), 1, 1)), (source,))
                    layers.append(column)
                    source = column.output
                layers.append(Layer(f"{layer.name}.statistics", Pool("average"), (source,)))
            layers.append(layer)
            if layer.output in self._copies:
                layers.append(self._copies[layer.output])
        return layers
