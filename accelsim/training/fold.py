"""Turns a trained PyTorch network into nodes and weights, batch normalisation folded into the convolutions."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

from accelsim.errors import RunError
from accelsim.training.gates import Decision, decide, scale_by_gate
from accelsim.training.networks import BasicBlock, ConvNorm, GlobalMean, global_mean, zero_padded_shortcut
from accelsim.workload.network_file import Network, Node, Structure

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FUNCTIONS: dict[Callable[..., Any], str] = {
    functional.relu: "relu",
    torch.sigmoid: "sigmoid",
    torch.tanh: "tanh",
    operator.add: "add",
    operator.mul: "mul",
    torch.cat: "concat",
    global_mean: "global_average",
    decide: "decide",
    scale_by_gate: "gate",
}
_MODULES: dict[type[nn.Module], str] = {
    nn.ReLU: "relu", nn.MaxPool2d: "max_pool", nn.AvgPool2d: "average_pool", nn.Flatten: "flatten",
}  # fmt: skip
_PREFIXES = {ConvNorm: "conv", BasicBlock: "block", nn.Linear: "fc", nn.MaxPool2d: "pool", GlobalMean: "average"}


def fold_network(name: str, dataset: str, model: nn.Module, input_shape: tuple[int, int, int] = (3, 32, 32)) -> Network:
    """Trace `model` as it answers (not as it trains) and fold its batch normalisations.

    Raises
    ------
    RunError
        When the model does something that no node of a `Network` stands for.
    """
    folding = _fold(model, input_shape)
    structure = Structure(name, dataset, input_shape, tuple(folding.nodes), folding.output, tuple(folding.decisions))
    return Network(structure, folding.weights, folding.biases)


@dataclass(frozen=True, eq=False)
class FoldedLayer:
    """A layer with weights, and the normalisation that is folded into them."""

    product: nn.Conv2d | nn.Linear
    norm: nn.BatchNorm2d | None = None

    @property
    def factor(self) -> Array | float:
        """What folding multiplies weights with; in float64, as the variance of a dead channel may be tiny."""
        if self.norm is None:
            return 1.0
        gain, variance = (_doubles(part) for part in (self.norm.weight, self.norm.running_var))
        factor: Array = (gain / np.sqrt(variance + self.norm.eps))[:, None, None, None]
        return factor


def folded_layers(model: nn.Module, input_shape: tuple[int, int, int] = (3, 32, 32)) -> dict[str, FoldedLayer]:
    """Layers of a model by the names that `fold_network` gives their weights.

    Raises
    ------
    RunError
        When the model does something that no node of a `Network` stands for.
    """
    return _fold(model, input_shape).layers


def _fold(model: nn.Module, input_shape: tuple[int, int, int]) -> _Folding:
    model = model.eval()
    folding = _Folding(model)
    graph = fx.Tracer().trace(model)
    shapes = _channel_counts(model, graph, input_shape)
    for node in graph.nodes:
        folding.translate(node, shapes)
    return folding


def _doubles(tensor: torch.Tensor | None) -> Array:
    return tensor.detach().cpu().numpy().astype(np.float64)  # type: ignore[union-attr] # norms here have all of them


class _Folding:
    """What has been translated so far."""

    def __init__(self, model: nn.Module) -> None:
        self.nodes: list[Node] = []
        self.layers: dict[str, FoldedLayer] = {}
        self.weights: dict[str, Any] = {}
        self.biases: dict[str, Any] = {}
        self.output = ""
        self.decisions: list[str] = []
        self._modules = dict(model.named_modules())
        self._prefixes = _readable_prefixes(model)
        self._names: dict[fx.Node, str] = {}
        self._taken = {"image"}

    def translate(self, node: fx.Node, shapes: dict[fx.Node, tuple[int, ...]]) -> None:
        """Add what a traced node computes."""
        if node.op == "placeholder":
            self._names[node] = "image"
        elif node.op == "call_module":
            self._module(node)
        elif node.op == "call_function":
            self._function(node, shapes)
        elif node.op == "output":
            self._finish(node.args[0])
        else:
            raise _unsupported(node)

    def _module(self, node: fx.Node) -> None:
        path = str(node.target)
        module = self._modules[path]
        if isinstance(module, nn.BatchNorm2d):
            self._fold_norm(node, module)
        elif isinstance(module, nn.Conv2d):
            kernel, stride, padding = (int(pair[0]) for pair in (module.kernel_size, module.stride, module.padding))
            self._product(node, "conv", path, module, {"kernel": kernel, "stride": stride, "padding": padding})
        elif isinstance(module, nn.Linear):
            self._product(node, "linear", path, module, {})
        elif type(module) in _MODULES:
            op = _MODULES[type(module)]
            attributes = {"size": int(module.kernel_size)} if op.endswith("pool") else {}
            self._add(node, op, [node.args[0]], self._readable(path), attributes)
        else:
            raise _unsupported(node)

    def _product(
        self, node: fx.Node, op: str, path: str, module: nn.Conv2d | nn.Linear, attributes: dict[str, int]
    ) -> None:
        name = self._readable(path)
        self.layers[name] = FoldedLayer(module)
        self.weights[name] = _doubles(module.weight)
        self.biases[name] = np.zeros(len(module.weight)) if module.bias is None else _doubles(module.bias)
        self._add(node, op, [node.args[0]], name, attributes, name)

    def _fold_norm(self, node: fx.Node, norm: nn.BatchNorm2d) -> None:
        """Scale the weights of the convolution before it."""
        source = node.args[0]
        if not isinstance(source, fx.Node) or len(source.users) != 1 or self._names[source] not in self.weights:
            raise _unsupported(node)
        name = self._names[source]
        layer = self.layers[name] = FoldedLayer(self.layers[name].product, norm)
        factor = layer.factor
        self.weights[name] = self.weights[name] * factor
        mean, shift = _doubles(norm.running_mean), _doubles(norm.bias)
        self.biases[name] = (self.biases[name] - mean) * np.ravel(factor) + shift
        self._names[node] = name

    def _function(self, node: fx.Node, shapes: dict[fx.Node, tuple[int, ...]]) -> None:
        function = node.target
        name = self._function_name(node)
        if function is Decision or function is torch.chunk:
            return  # read where they are used
        if function is operator.getitem:
            self._slice(node, shapes)
        elif function is zero_padded_shortcut:
            source, channels = node.args
            margin = (int(channels) - shapes[source][1]) // 2  # type: ignore[arg-type, index]
            self._add(node, "shortcut", [source], name, {"margin": margin})
        elif function in _FUNCTIONS:
            inputs = node.args[0] if function is torch.cat else node.args
            self._add(node, _FUNCTIONS[function], list(inputs), name)  # type: ignore[arg-type]
        else:
            raise _unsupported(node)

    def _slice(self, node: fx.Node, shapes: dict[fx.Node, tuple[int, ...]]) -> None:
        """One of the equal parts that ``torch.chunk`` makes of the channels."""
        chunk, index = node.args
        if not isinstance(chunk, fx.Node) or chunk.target is not torch.chunk or chunk.args[2] != 1:
            raise _unsupported(node)
        source, parts = chunk.args[0], int(chunk.args[1])  # type: ignore[arg-type]
        size = shapes[source][1] // parts  # type: ignore[index]
        start = int(index) * size  # type: ignore[arg-type]
        self._add(node, "slice", [source], node.name, {"start": start, "stop": start + size})

    def _add(
        self, node: fx.Node, op: str, inputs: list[Any], name: str, attributes: dict[str, int] | None = None,
        weights: str | None = None,
    ) -> None:  # fmt: skip
        unique, count = name, 1
        while unique in self._taken:
            unique, count = f"{name}_{count}", count + 1
        self._taken.add(unique)
        self._names[node] = unique
        self.nodes.append(Node(unique, op, tuple(self._names[source] for source in inputs), attributes or {}, weights))

    def _finish(self, answer: Any) -> None:  # noqa: ANN401 - whatever the model returns
        logits, decisions = answer if isinstance(answer, tuple) else (answer, [])
        self.output = self._names[logits]
        for decision in decisions:
            parts = [decision.kwargs["layer"], decision.kwargs["channels"]]
            self.decisions += [self._names[part] for part in parts if part is not None]
        self.weights = {name: values.astype(np.float32) for name, values in self.weights.items()}
        self.biases = {name: values.astype(np.float32) for name, values in self.biases.items()}

    def _function_name(self, node: fx.Node) -> str:
        """The operation's name after that of the module that calls it."""
        owners = list(node.meta.get("nn_module_stack", {}))
        kind = getattr(node.target, "__name__", node.name)
        return f"{self._readable(owners[-1])}.{kind}" if owners and owners[-1] else node.name

    def _readable(self, path: str) -> str:
        first, _, rest = path.partition(".")
        path = f"{self._prefixes.get(first, first)}.{rest}" if rest else self._prefixes.get(first, first)
        return path.removesuffix(".conv")


def _readable_prefixes(model: nn.Module) -> dict[str, str]:
    """Names such as ``conv1`` or ``block3`` for the numbered parts of a sequence."""
    prefixes: dict[str, str] = {}
    counts: dict[str, int] = {}
    for number, part in model.named_children() if isinstance(model, nn.Sequential) else ():
        kind = _PREFIXES.get(type(part), type(part).__name__.lower())
        counts[kind] = counts.get(kind, 0) + 1
        prefixes[number] = f"{kind}{counts[kind]}"
    return prefixes


class _ShapeReader(fx.Interpreter):
    """Notes the shape of every tensor while the model runs."""

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        super().__init__(fx.GraphModule(model, graph))
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401 - as the base class has it
        made = super().run_node(n)
        if isinstance(made, torch.Tensor):
            self.shapes[n] = tuple(made.shape)
        return made


def _channel_counts(
    model: nn.Module, graph: fx.Graph, input_shape: tuple[int, int, int]
) -> dict[fx.Node, tuple[int, ...]]:
    """Shape of every tensor of the traced model, by its name in the graph."""
    reader = _ShapeReader(model, graph)
    with torch.no_grad():
        reader.run(torch.zeros(1, *input_shape, device=next(model.parameters()).device))
    by_name = {node.name: shape for node, shape in reader.shapes.items()}
    return {node: by_name[node.name] for node in graph.nodes if node.name in by_name}


def _unsupported(node: fx.Node) -> RunError:
    return RunError(f"the network does what no exported network can: {node.format_node()}")
