"""Cuts a stored network into ONNX models between which words can be changed.

Every feature map that owns memory is rounded to its number format where it is made, so one model computes what the
machine does as long as no bit flips. Only where a stage reads flipped words of a map has the network to be cut: the
stage gets a copy of its own as an input, and so belongs to a later model than the stage that makes the map. Stages
between which nothing has to be changed share a model, so a network without faults is one model, and onnxruntime sees
all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from accelsim.errors import WorkloadError
from accelsim.numerics.classifier import nodes_between
from accelsim.numerics.integer_product import (
    dequantised_nodes,
    find_integer_product,
    integer_nodes,
    requantised_nodes,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from accelsim.mapping.stages import Stage
    from accelsim.numerics.number_format import NumberFormat
    from accelsim.numerics.stored_network import StoredMap, StoredNetwork

RESULT = "accelsim:scores"
_ONNX_TYPES = {"i1": TensorProto.INT8, "i2": TensorProto.INT16, "f2": TensorProto.FLOAT16, "f4": TensorProto.FLOAT}


@dataclass(frozen=True)
class Read:
    """A stage's own, flipped copy of a feature map."""

    stage: int
    root: str

    @property
    def input(self) -> str:
        """Name of the model's input."""
        return f"accelsim:read:{self.stage}:{self.root}"


@dataclass(frozen=True, eq=False)
class Segment:
    """A model of a part of the network.

    Parameters
    ----------
    model
        The model.
    reads
        Flipped copies that it takes.
    maps
        Feature maps made before that it takes as they are stored.
    weights
        Stages whose weights it takes as an input, ``accelsim:weight:<stage>``, decoded.
    made
        Feature maps that it gives out as they are stored.
    last
        Whether it gives out the scores.
    """

    model: onnx.ModelProto
    reads: tuple[Read, ...]
    maps: tuple[str, ...]
    weights: tuple[int, ...]
    made: tuple[str, ...]
    last: bool


def weight_input(stage: int) -> str:
    """Name of the input that takes the weights of a stage."""
    return f"accelsim:weight:{stage}"


def words_name(root: str) -> str:
    """Name of a feature map as it is stored, between models."""
    return f"accelsim:words:{root}"


def cut_network(
    network: StoredNetwork, reads: Collection[Read] = (), weights: Collection[int] = ()
) -> tuple[Segment, ...]:
    """Cut a network where words are changed.

    Parameters
    ----------
    network
        The network.
    reads
        Feature maps of which a stage reads flipped words.
    weights
        Stages whose weights are to be inputs rather than constants.
    """
    levels = _levels(network, {(read.stage, read.root) for read in reads})
    count = _last_level(network, levels) + 1  # what lies behind the scores is not needed
    parts = [[stage for stage in network.classifier.stages if levels[stage.index] == level] for level in range(count)]
    level_of_map = {stage.output: levels[stage.index] for stage in network.classifier.stages}
    builders = [_SegmentBuilder(network, level_of_map, level, set(reads), set(weights)) for level in range(count)]
    for builder, stages in zip(builders, parts, strict=True):
        for stage in stages:
            builder.add_stage(stage)
    builders[-1].add_result()
    needed = [{root for builder in builders[level + 1 :] for root in builder.needed} for level in range(count)]
    return tuple(builder.segment(wanted) for builder, wanted in zip(builders, needed, strict=True))


def _levels(network: StoredNetwork, reads: set[tuple[int, str]]) -> dict[int, int]:
    """Model that each stage belongs to."""
    levels: dict[int, int] = {}
    level_of_map: dict[str, int] = {}
    for stage in network.classifier.stages:
        ready = [
            level_of_map[root] + ((stage.index, root) in reads) for root in stage.roots if root in level_of_map
        ]  # inputs of the graph are there from the start, flipped or not
        levels[stage.index] = level_of_map[stage.output] = max(ready, default=0)
    return levels


def _last_level(network: StoredNetwork, levels: dict[int, int]) -> int:
    """Model that makes the scores."""
    result = network.classifier.result
    return next((levels[stage.index] for stage in network.classifier.stages if stage.output == result), 0)


@dataclass
class _SegmentBuilder:
    """One model under construction."""

    network: StoredNetwork
    level_of_map: dict[str, int]
    level: int
    reads: set[Read]
    weights: set[int]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    inputs: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    taken_reads: list[Read] = field(default_factory=list)
    taken_weights: list[int] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    last: bool = False

    def add_stage(self, stage: Stage) -> None:
        """Add what computes a stage from what it reads, and round what it makes."""
        classifier = self.network.classifier
        wanted = classifier.tensor_of.get(stage.output)
        if wanted is None:
            return  # only a view of it has a name in the file; whoever reads that computes it along
        kept = self.network.maps.get(stage.output)
        if not self._add_integers_alone(stage, wanted, kept):
            made = self._add_nodes(wanted, f"{stage.index}", stage)
            if kept is None:
                self._node("Identity", [made], self._value(stage.output))
            else:
                self._add_rounding(kept, made)
        if kept is not None:
            self.made.append(stage.output)

    def _add_integers_alone(self, stage: Stage, wanted: str, kept: StoredMap | None) -> bool:
        """Compute a stage in integers, if that is asked for and possible; tell whether it was."""
        if self.network.arithmetic == "float" or (kept is not None and (kept.form.kind, kept.form.bits > 8) != _SMALL):
            return False
        classifier = self.network.classifier
        stored, nodes = self._nodes_of(wanted, stage)
        found = find_integer_product(self.network, stage, nodes, stored)
        if found is None:
            return False
        name = f"accelsim:{stage.index}"
        read = self._read(found.source.root, stage)
        names = {found.source.tensor: self._node("Round", [self._in_steps(read, found.source.scale)], f"{name}:steps")}
        for node in nodes:
            if node in found.before or classifier.constants.issuperset(node.output):
                self._copy(node, names, f"{stage.index}")
        scale = self._number(f"{name}:weight_scale", found.weights.scale)
        weight = self._node("Div", [self._weight(stage.index), scale], f"{name}:weight_steps")
        integers = self._node("Round", [weight], f"{name}:weight_numbers")
        summed, total = integer_nodes(found, names[found.product.input[0]], integers, name)
        self.nodes += summed
        if kept is None:
            self.nodes += dequantised_nodes(found, total, self._value(stage.output))
        else:
            self.nodes += requantised_nodes(found, total, kept, words_name(kept.root))
            self._add_value(kept, words_name(kept.root), self._value(kept.root))
        return True

    def _in_steps(self, value: str, scale: float) -> str:
        """Values over their scale: whole numbers but for rounding."""
        return self._node(
            "Div", [value, self._number(f"{value}:scale", np.float32(scale))], f"{value}:{len(self.nodes)}"
        )

    def _copy(self, node: onnx.NodeProto, names: dict[str, str], scope: str) -> onnx.NodeProto:
        """Add a copy of a node; `names` says what its inputs are called here, and gets its outputs."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for position, source in enumerate(node.input):
            copy.input[position] = names.get(source) or self._constant(source)
        for position, name in enumerate(node.output):
            names[name] = f"accelsim:{scope}:{name}" if name else ""
            copy.output[position] = names[name]
        copy.name = f"accelsim:{scope}:{node.name or node.output[0]}"
        self.nodes.append(copy)
        return copy

    def add_result(self) -> None:
        """Add what computes the scores."""
        made = self._add_nodes(self.network.classifier.output, "scores", None)
        self._node("Identity", [made], RESULT)
        self.last = True

    def _add_nodes(self, wanted: str, scope: str, stage: Stage | None) -> str:
        """Copy the nodes between stored tensors and `wanted`, under names of their own; return the name of that."""
        stored, nodes = self._nodes_of(wanted, stage)
        place = self.network.weights.get(stage.index) if stage else None
        names: dict[str, str] = {}
        for node in nodes:
            for source in node.input:
                if source in stored and source not in names:
                    names[source] = self._read(stored[source], stage)
            copy = self._copy(node, names, scope)
            if place is not None and stage is not None and node.output[0] == place.place.node:
                copy.input[place.place.position] = self._weight(stage.index)
        return names[wanted] if wanted in names else self._read(stored[wanted], stage)

    def _nodes_of(self, wanted: str, stage: Stage | None) -> tuple[dict[str, str], list[onnx.NodeProto]]:
        """Stored maps by their ONNX tensor, and the nodes between them and `wanted`."""
        classifier = self.network.classifier
        stored = {
            tensor: root
            for root, tensor in classifier.tensor_of.items()
            if stage is None or (tensor != wanted and root in self.network.maps)
        }
        given = set(stored) | (classifier.constants - set(classifier.makers))
        return stored, nodes_between(classifier.makers, [wanted], given)

    def _read(self, root: str, stage: Stage | None) -> str:
        """Name of the value that a stage reads of a stored tensor."""
        read = Read(stage.index, root) if stage else None
        if read in self.reads and read is not None:
            if read not in self.taken_reads:
                self.taken_reads.append(read)
                self._take(read.input, self.network.maps[root])
                self._add_value(self.network.maps[root], read.input, f"{read.input}:value")
            return f"{read.input}:value"
        if self.level_of_map.get(root, -1) != self.level and root not in self.needed:
            self.needed.append(root)
            stored = self.network.maps[root]
            self._take(words_name(root), stored)
            self._add_value(stored, words_name(root), self._value(root))
        return self._value(root)

    def _value(self, root: str) -> str:
        return f"accelsim:value:{root}"

    def _take(self, name: str, stored: StoredMap) -> None:
        shape = self.network.classifier.graph.tensors[stored.tensor].shape
        kind = _ONNX_TYPES[stored.form.value_dtype.str[1:]]
        self.inputs[name] = helper.make_tensor_value_info(name, kind, ["batch", *shape[1:]])

    def _weight(self, stage: int) -> str:
        name, stored = weight_input(stage), self.network.weights[stage]
        if stage not in self.weights:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(stored.values), name)
        elif name not in self.inputs:
            self.taken_weights.append(stage)
            self.inputs[name] = helper.make_tensor_value_info(name, TensorProto.FLOAT, stored.words.shape)
        return name

    def _constant(self, name: str) -> str:
        """Name of a constant of the file."""
        stored = self.network.classifier.initializers.get(name)
        if stored is not None:
            self.constants[name] = stored
        elif name:
            raise WorkloadError("is read before it is made", where=self.network.classifier.where, key=name)
        return name

    def _number(self, name: str, value: object) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def _node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def _add_rounding(self, stored: StoredMap, made: str) -> None:
        """Turn values into words, and those into the values that others read."""
        words, form = words_name(stored.root), stored.form
        if form.kind == "float":
            self._node("Identity" if form.bits == 32 else "Cast", [made], words,
                       **({} if form.bits == 32 else {"to": TensorProto.FLOAT16}))  # fmt: skip
        else:
            self._add_integers(stored, made, words)
        self._add_value(stored, words, self._value(stored.root))

    def _add_integers(self, stored: StoredMap, made: str, words: str) -> None:
        form = stored.form
        scale = self._number(f"{words}:scale", np.float32(stored.scale))
        if form.bits > 8:
            steps = self._node("Round", [self._node("Div", [made, scale], f"{words}:exact")], f"{words}:steps")
            ends = [self._number(f"{words}:{end}", np.float32(sign * form.largest)) for end, sign in _ENDS]
            self._node("Cast", [self._node("Clip", [steps, *ends], f"{words}:kept")], words, to=TensorProto.INT16)
            return
        zero = self._number("accelsim:zero", np.int8(0))
        if form.bits == 8 and stored.low >= 0:  # nothing reaches -128, which is left out
            self._node("QuantizeLinear", [made, scale, zero], words)
            return
        steps = self._node("QuantizeLinear", [made, scale, zero], f"{words}:steps")
        ends = [self._number(f"{words}:{end}", np.int8(sign * form.largest)) for end, sign in _ENDS]
        self._node("Clip", [steps, *ends], words)

    def _add_value(self, stored: StoredMap, words: str, value: str) -> None:
        """Turn words into values."""
        form: NumberFormat = stored.form
        if form.kind == "float":
            self._node("Identity" if form.bits == 32 else "Cast", [words], value,
                       **({} if form.bits == 32 else {"to": TensorProto.FLOAT}))  # fmt: skip
            return
        scale = self._number(f"{words_name(stored.root)}:scale", np.float32(stored.scale))
        if form.bits > 8:
            number = self._node("Cast", [words], f"{value}:number", to=TensorProto.FLOAT)
            self._node("Mul", [number, scale], value)
        else:
            self._node("DequantizeLinear", [words, scale, self._number("accelsim:zero", np.int8(0))], value)

    def segment(self, wanted: set[str]) -> Segment:
        """Finish the model; `wanted` are the maps that later ones read or that are flipped on the way."""
        later = {read.root for read in self.reads if self.level_of_map.get(read.root) == self.level}
        made = tuple(root for root in self.made if root in wanted | later)
        outputs = [*(words_name(root) for root in made), *([RESULT] if self.last else [])]
        graph = helper.make_graph(
            self.nodes, f"accelsim_{self.level}", list(self.inputs.values()),
            [helper.make_empty_tensor_value_info(name) for name in outputs], list(self.constants.values()),
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=self.network.classifier.model.opset_import)
        model.ir_version = self.network.classifier.model.ir_version
        model.functions.extend(self.network.classifier.model.functions)
        return Segment(model, tuple(self.taken_reads), tuple(self.needed), tuple(self.taken_weights), made, self.last)


_SMALL = ("int", False)
_ENDS: tuple[tuple[str, int], ...] = (("least", -1), ("greatest", 1))
