"""ONNX models with gates: which nodes each decision lets run, and their share of the work.

Such a model has an output ``decisions``, (images, columns) of ones and zeros, joined from the decisions one by one.
Each decision multiplies a feature map: one on a whole stretch of layers, (images, 1), its result; one on channels,
(images, channels), the map between two convolutions of the stretch whose decision stands before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import onnx

from accelsim.errors import WorkloadError
from accelsim.workload.decision_trace import GatedBlock

if TYPE_CHECKING:
    from pathlib import Path

    Shapes = dict[str, tuple[int, ...]]

DECISIONS = "decisions"
_ON_THE_WAY = {"Unsqueeze", "Cast", "Reshape", "Identity"}
_WEIGHTED = {"Conv", "Gemm", "MatMul"}


@dataclass(frozen=True, eq=False)
class GatedModel:
    """A model that says what it has decided.

    Parameters
    ----------
    model
        Its nodes stand in an order in which they can be computed.
    where
        File it came from, for messages.

    Raises
    ------
    WorkloadError
        When it has no such output.
    """

    model: onnx.ModelProto
    where: Path

    def __post_init__(self) -> None:
        if DECISIONS not in {value.name for value in self.model.graph.output}:
            raise WorkloadError(
                "has no gates: none of its outputs is called 'decisions'", where=self.where,
                allowed="a model that gives out its decisions, (images, gates), beside its answers",
            )  # fmt: skip

    @cached_property
    def _makers(self) -> dict[str, onnx.NodeProto]:
        return {name: node for node in self.model.graph.node for name in node.output}

    @cached_property
    def _readers(self) -> dict[str, list[onnx.NodeProto]]:
        readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.model.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        return readers

    @cached_property
    def _shapes(self) -> Shapes:
        """Shapes as far as they are known, the batch counted as 1."""
        graph = onnx.shape_inference.infer_shapes(self.model).graph
        values = (*graph.input, *graph.value_info, *graph.output)
        shapes = {
            value.name: tuple(int(dim.dim_value) or 1 for dim in value.type.tensor_type.shape.dim) for value in values
        }
        return shapes | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}

    @property
    def _columns(self) -> list[tuple[str, int]]:
        """Tensor and width of each decision."""
        joined = self._makers[DECISIONS]
        names = list(joined.input) if joined.op_type == "Concat" else [DECISIONS]
        return [(name, self._shapes.get(name, (1, 1))[-1]) for name in names]

    @cached_property
    def total_macs(self) -> int:
        """Multiply-accumulates of one image where everything runs."""
        return sum(self._macs(node) for node in self.model.graph.node)

    def blocks(self) -> tuple[GatedBlock, ...]:
        """What the decisions are about, in the order of the columns.

        Raises
        ------
        WorkloadError
            When a decision multiplies no feature map, or one on channels has no stretch before it.
        """
        found: list[GatedBlock] = []
        for name, width in self._columns:
            if width > 1:
                if not found or found[-1].channels:
                    raise WorkloadError(
                        "decides on channels without a decision on their layers before it", where=self.where, key=name
                    )
                found[-1] = GatedBlock(found[-1].name, found[-1].share, width)
                continue
            inside = self._inside(name)
            share = sum(self._macs(node) for node in inside) / self.total_macs
            found.append(GatedBlock(_common_name([node.name or node.output[0] for node in inside]) or name, share))
        return tuple(found)

    def _inside(self, decision: str) -> list[onnx.NodeProto]:
        """Products that nothing but the map that a decision multiplies is made of."""
        gated = next((map_ for map_ in self._multiplied(decision)), None)
        if gated is None:
            raise WorkloadError("is a decision that multiplies no feature map", where=self.where, key=decision)
        inside: dict[str, onnx.NodeProto] = {}
        waiting = [gated]
        while waiting:
            name = waiting.pop()
            maker = self._makers.get(name)
            if maker is None or name in inside:
                continue
            if inside and not all(reader.output[0] in inside for reader in self._readers[name]):
                continue
            inside[maker.output[0]] = maker
            waiting += maker.input
        return [node for node in reversed(inside.values()) if node.op_type in _WEIGHTED]

    def _multiplied(self, decision: str) -> list[str]:
        """Feature maps that a decision multiplies, past changes of shape and type."""
        maps = []
        for node in self._readers.get(decision, ()):
            if node.op_type in _ON_THE_WAY and node.output[0] != DECISIONS:
                maps += self._multiplied(node.output[0])
            elif node.op_type == "Mul":
                maps += [name for name in node.input if name != decision]
        return maps

    def _macs(self, node: onnx.NodeProto) -> int:
        """Multiply-accumulates of a node for one image; 0 for nodes of other kinds."""
        if node.op_type not in _WEIGHTED:
            return 0
        made, weight = self._shapes.get(node.output[0]), self._shapes.get(self._stored_weight(node.input[1]))
        if made is None or weight is None:
            raise WorkloadError("has a shape that cannot be inferred", where=self.where, key=node.output[0])
        if node.op_type == "Conv":
            return math.prod(made) * math.prod(weight[1:])
        return math.prod(made) * math.prod(weight) // made[-1]

    def _stored_weight(self, name: str) -> str:
        """Name of the tensor that has a weight's shape: before its dequantisation where there is one."""
        maker = self._makers.get(name)
        return maker.input[0] if maker is not None and maker.op_type == "DequantizeLinear" else name


def _common_name(names: list[str]) -> str:
    """Leading parts, between dots, that all names have in common."""
    split = [name.replace("/", ".").strip(".").split(".") for name in names]
    common = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return ".".join(common)
