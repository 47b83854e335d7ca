"""What a translation from ONNX has made so far: layers, graph inputs, and which ONNX tensor lies in which of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from onnx import helper

from accelsim.workload.graph import Layer, Tensor
from accelsim.workload.operators import Shape, View

if TYPE_CHECKING:
    import onnx

    from accelsim.workload.onnx_model import OnnxModel
    from accelsim.workload.onnx_values import WeightUse
    from accelsim.workload.operators import Operator


class Translation:
    """Layers in the making; the feature map of an ONNX tensor has its name and its shape, unless it is an alias.

    Parameters
    ----------
    model
        The model that is translated.
    """

    def __init__(self, model: OnnxModel) -> None:
        self.model = model
        self.layers: list[Layer] = []
        self.inputs: dict[str, Tensor] = {}
        self.shapes: dict[str, Shape] = {}
        self.aliases: dict[str, str] = {}
        self.pads: dict[str, tuple[int, ...]] = {}
        self.done: set[str] = set()
        self.bits: dict[str, int | None] = {}
        self.weight_uses: dict[str, WeightUse] = {}
        self.users: dict[str, list[onnx.NodeProto | None]] = {}
        for node in model.graph.node:
            for name in dict.fromkeys(node.input):
                self.users.setdefault(name, []).append(node)
        for output in model.graph.output:
            self.users.setdefault(output.name, []).append(None)
        self._names: dict[str, int] = {}

    def is_constant(self, name: str) -> bool:
        """Whether an ONNX tensor is a constant (or left out)."""
        return name in self.model.constants

    def add_input(self, name: str, shape: Shape, bits: int | None) -> str:
        """Add a feature map that comes from outside."""
        if name not in self.inputs:
            self.inputs[name] = Tensor(name, shape, bits)
            self.shapes[name], self.bits[name] = shape, bits
        return name

    def feature_map(self, name: str, node: onnx.NodeProto) -> str:
        """Name of the feature map that holds an ONNX tensor; a constant comes in as an input of the graph."""
        name = self.aliases.get(name, name)
        if name not in self.shapes:
            shape = self.model.shape(name, node) or (1,)
            self.add_input(name, shape, self.model.bits(name))
        return name

    def dynamic_inputs(self, node: onnx.NodeProto) -> list[str]:
        """Feature maps that a node reads, without its constants."""
        return [self.feature_map(name, node) for name in node.input if not self.is_constant(name)]

    def output_shape(self, node: onnx.NodeProto, index: int = 0) -> Shape:
        """Shape that inference gives an output; scalars have one element in one dimension."""
        return self.model.shape(node.output[index], node) or (1,)

    def unique_name(self, wanted: str) -> str:
        """Name for a layer that no other layer has."""
        count = self._names.get(wanted, 0)
        self._names[wanted] = count + 1
        return self.unique_name(f"{wanted}_{count + 1}") if count else wanted

    def add(
        self,
        node: onnx.NodeProto,
        operator: Operator,
        inputs: list[str],
        *,
        output: str | None = None,
        suffix: str = "",
        weight: str = "",
    ) -> str:
        """Add the layer of a node, or one of its layers, told apart by `suffix`.

        Returns
        -------
        str
            The feature map that it makes.
        """
        name = self.unique_name((node.name or f"{node.op_type}_{len(self.layers)}") + suffix)
        made = node.output[0] if output is None else output
        # a view holds its input as that is stored; what quantises says so by a layer of its own
        bits = self.bits[inputs[0]] if isinstance(operator, View) else self.model.bits(made)
        shape = operator.output_shape(tuple(self.shapes[source] for source in inputs))
        weight_bits = self.model.bits(weight) if weight else None
        self.layers.append(Layer(name, operator, tuple(inputs), made, weight, weight_bits, bits))
        self.shapes[made], self.bits[made] = shape, bits
        return made

    def weight(self, use: WeightUse) -> str:
        """Name of the stored constant that a node takes its weights from, and a note of how it takes them."""
        name = self.model.root(use.tensor)
        self.weight_uses.setdefault(name, use)
        return name

    def view(self, node: onnx.NodeProto, source: str, shape: Shape, *, output: str, suffix: str = "") -> str:
        """Add a view of a feature map."""
        return self.add(node, View(shape), [source], output=output, suffix=suffix)

    def alias(self, output: str, source: str) -> None:
        """Let an ONNX tensor be another name of a feature map."""
        self.aliases[output] = source

    def only_user(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads a tensor; None where there are more, or where it is an output of the graph."""
        users = self.users.get(name, [])
        return users[0] if len(users) == 1 else None

    def require_unused(self, node: onnx.NodeProto, first: int = 1) -> None:
        """Refuse a node whose outputs from `first` on are read: only the ones before are modelled."""
        for name in node.output[first:]:
            if name and self.users.get(name):
                raise self.model.error(f"its output {name!r} is used, which is not supported", node)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes of a node by name, texts decoded."""
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {key: value.decode() if isinstance(value, bytes) else value for key, value in values.items()}


def snake_case(operator: str) -> str:
    """Name of an activation as a layer states it: ``HardSwish`` becomes ``hard_swish``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operator).lower()
