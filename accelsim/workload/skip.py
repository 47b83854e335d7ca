"""Dynamic inference: which layers an input may skip, what decides it, and what was decided for each sample.

A *gate* stands before a stretch of layers that keeps the shape of what enters it: where the gate is closed, the
entering feature map takes the place of the stretch's result. A layer of a DenseNet, which joins new channels to what
enters it, makes zeros of them where its gate is closed. An *exit* ends the inference early: where it is taken,
nothing after it runs. Decisions come from a trace, or are drawn at a stated rate.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.workload.operators import Activation, Concat, Elementwise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.workload.channel_skip import ChannelGate
    from accelsim.workload.graph import Layer, LayerGraph

GateKind = Literal["layer_skip", "early_exit"]


@dataclass(frozen=True)
class Gate:
    """A point at which it is decided whether layers run.

    Parameters
    ----------
    name
        Name of the stretch of layers, or of the exit.
    kind
        ``layer_skip`` or ``early_exit``.
    layers
        Layers that do not run where the gate is closed, in the order of the graph.
    source, result
        Feature map that stands for the result of the stretch where it does not run, empty where zeros do, and the one
        that it makes; both empty for an exit.
    decided_by
        Layer at whose end the decision is known; None where it is known before the inference begins.
    """

    name: str
    kind: GateKind
    layers: tuple[str, ...]
    source: str = ""
    result: str = ""
    decided_by: str | None = None


@dataclass(frozen=True)
class Budget:
    """What an inference may take at most, in microseconds and microjoules; None for as much as it needs."""

    latency_us: float | None = None
    energy_uj: float | None = None

    def __str__(self) -> str:
        parts = {"us": self.latency_us, "uJ": self.energy_uj}
        return ", ".join(f"{value:g} {unit}" for unit, value in parts.items() if value is not None)


@dataclass(frozen=True, eq=False)
class SkipPlan:
    """Gates of a network and what they decided.

    Parameters
    ----------
    gates
        In the order of the graph.
    decisions
        ``(samples, gates)``, true where the gate is open and its layers run. An exit is open where it is not taken.
    origin
        Where the decisions come from: ``trace`` or ``rate``.
    right
        ``(samples,)``, whether the network's answer under these decisions was the label; None where that is not known.
    channel_gates
        Gates on channels, in the order of the graph.
    channels
        ``(samples, channels of all such gates)``, true where a channel is computed; None without such gates.
    exit_right
        ``(samples, exits)``, whether the answer at each exit was the label, the end of the network being the last one;
        None where that is not known.
    budget
        What each inference may take at most; None for as much as it needs.
    """

    gates: tuple[Gate, ...]
    decisions: NDArray[np.bool_]
    origin: Literal["trace", "rate"]
    right: NDArray[np.bool_] | None = None
    channel_gates: tuple[ChannelGate, ...] = ()
    channels: NDArray[np.bool_] | None = None
    exit_right: NDArray[np.bool_] | None = None
    budget: Budget | None = None

    @property
    def exit_columns(self) -> list[int]:
        """Columns of the exits."""
        return [column for column, gate in enumerate(self.gates) if gate.kind == "early_exit"]

    @property
    def taken_exits(self) -> NDArray[np.int64]:
        """Per sample the number of the exit that it takes, the end of the network being the last one."""
        stays = np.zeros((self.samples, len(self.exit_columns) + 1), np.bool_)
        stays[:, :-1] = self.decisions[:, self.exit_columns]
        taken: NDArray[np.int64] = stays.argmin(axis=1)
        return taken

    def stopped_at(self, number: int) -> SkipPlan:
        """The plan where no sample goes past an exit; answers are those that are there by then."""
        columns = self.exit_columns
        decisions = self.decisions.copy()
        if number < len(columns):
            decisions[:, columns[number]] = False
        plan = replace(self, decisions=decisions)
        if self.exit_right is None:
            return replace(plan, right=self.right if number == len(columns) else None)
        return replace(plan, right=self.exit_right[np.arange(self.samples), plan.taken_exits])

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.decisions)

    @cached_property
    def distinct(self) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """The different rows of decisions that matter, and per sample the number of its row."""
        rows, which = np.unique(self._in_effect, axis=0, return_inverse=True)
        return rows, which.reshape(-1).astype(np.int64)

    @property
    def _in_effect(self) -> NDArray[np.bool_]:
        """Decisions with all gates closed that an exit before them has made void."""
        decisions = self.decisions.copy()
        for column, gate in enumerate(self.gates):
            if gate.kind == "early_exit":
                decisions[:, column + 1 :] &= decisions[:, column, None]
        return decisions

    @property
    def digest(self) -> str:
        """Hash of gates and decisions."""
        content = repr(self.gates).encode() + np.packbits(self.decisions).tobytes()
        if self.channels is not None:
            content += repr(self.channel_gates).encode() + np.packbits(self.channels).tobytes()
        if self.budget is not None:
            content += repr(self.budget).encode()
        return hashlib.sha256(content).hexdigest()

    def closed_gates(self, row: NDArray[np.bool_]) -> list[Gate]:
        """Gates that are closed under one row of decisions."""
        return [gate for gate, runs in zip(self.gates, row, strict=True) if not runs]

    def execution_rates(self) -> dict[str, float]:
        """Per gate the share of the samples for which its layers ran."""
        return {gate.name: float(rate) for gate, rate in zip(self.gates, self._in_effect.mean(axis=0), strict=True)}

    def channels_of(self, number: int) -> NDArray[np.bool_]:
        """Decisions of one gate on channels, ``(samples, channels)``; all are open where its block is closed."""
        gate = self.channel_gates[number]
        if self.channels is None:
            return np.ones((self.samples, gate.width), np.bool_)
        begin = sum(entry.width for entry in self.channel_gates[:number])
        part = self.channels[:, begin : begin + gate.width]
        governing = [column for column, entry in enumerate(self.gates) if gate.first in entry.layers]
        runs = np.asarray(self._in_effect[:, governing].all(axis=1))
        return part | ~runs[:, None]


def skippable_blocks(graph: LayerGraph) -> tuple[Gate, ...]:
    """Find the blocks that may be skipped: residual ones, and layers that join new channels to what they read.

    Of a sum of which one addend can stand for the whole, skipped is what only the other addend needs, and the sum
    itself; a projection on the way around still runs. A function of one element that follows the sum belongs to the
    block, as in SkipNet (Wang et al., ECCV 2018). Of a concatenation of a feature map and what is made of it alone, as
    in a DenseNet, skipped is what is made; its channels are zeros then.
    """
    position = {layer.name: index for index, layer in enumerate(graph.layers)}
    blocks = []
    for layer in graph.layers:
        if len(layer.inputs) != 2:
            continue
        ways = [(source, _layers_only_for(graph, branch)) for source, branch in (layer.inputs, layer.inputs[::-1])]
        source, inside = max(ways, key=lambda way: sum(graph.dense_macs(entry) for entry in way[1]))
        if not any(graph.dense_macs(entry) for entry in inside):
            continue
        last: Layer | None = None
        if isinstance(layer.operator, Elementwise) and layer.operator.function == "add":
            last, stands_for = _with_follower(graph, layer), source
            if graph.tensors[source].shape != graph.tensors[layer.output].shape:
                continue
            inside += [layer, last]
        elif isinstance(layer.operator, Concat) and layer.operator.axis == 1 and _sources(inside) == {source}:
            last, stands_for = graph.producer(next(name for name in layer.inputs if name != source)), ""
        if last is not None:
            names = {entry.name for entry in inside}
            ordered = tuple(sorted(names, key=position.__getitem__))
            blocks.append(Gate(_block_name(layer.name), "layer_skip", ordered, stands_for, last.output))
    return tuple(blocks)


def _sources(layers: Sequence[Layer]) -> set[str]:
    """Feature maps that layers read and do not make."""
    made = {layer.output for layer in layers}
    return {name for layer in layers for name in layer.inputs} - made


def _layers_only_for(graph: LayerGraph, tensor: str) -> list[Layer]:
    """Layers of whose results nothing but `tensor` is made, and that are read by one reader of it."""
    if len(graph.consumers(tensor)) != 1:
        return []
    inside: dict[str, Layer] = {}
    waiting = [graph.producer(tensor)]
    while waiting:
        maker = waiting.pop()
        if maker is None or maker.name in inside:
            continue
        if inside and not all(reader.name in inside for reader in graph.consumers(maker.output)):
            continue
        inside[maker.name] = maker
        waiting += [graph.producer(name) for name in maker.inputs]
    return list(inside.values())


def _with_follower(graph: LayerGraph, layer: Layer) -> Layer:
    readers = graph.consumers(layer.output)
    alone = len(readers) == 1 and isinstance(readers[0].operator, Activation)
    return readers[0] if alone else layer


def _block_name(name: str) -> str:
    return name.rpartition(".")[0] or name


def early_exit(graph: LayerGraph, name: str, test: str) -> Gate:
    """Build the gate of an exit whose confidence test is the layer `test`: what comes after it in the graph closes.

    Layers between the test and the end that only the exit's own head needs do not exist: a test has no readers.

    Raises
    ------
    WorkloadError
        When there is no such layer, or others read what it makes.
    """
    by_name = {layer.name: index for index, layer in enumerate(graph.layers)}
    if test not in by_name:
        raise WorkloadError("is no layer of the network", where=graph.source or graph.name, key=name, value=test)
    layer = graph.layers[by_name[test]]
    if graph.consumers(layer.output):
        raise WorkloadError(
            "cannot be a confidence test, for other layers read its result",
            where=graph.source or graph.name, key=name, value=test,
        )  # fmt: skip
    later = tuple(entry.name for entry in graph.layers[by_name[test] + 1 :])
    return Gate(name, "early_exit", later, decided_by=test)


def checked_gate(graph: LayerGraph, gate: Gate) -> Gate:
    """Check that a network keeps its shapes where a gate is closed; return the gate.

    Raises
    ------
    WorkloadError
        When a layer does not exist, the stretch is fed or read from elsewhere, or changes the shape.
    """
    where = graph.source or graph.name
    known = {layer.name: layer for layer in graph.layers}
    for name in (*gate.layers, *([gate.decided_by] if gate.decided_by else [])):
        if name not in known:
            raise WorkloadError("is no layer of the network", where=where, key=gate.name, value=name)
    if gate.kind == "early_exit":
        return gate
    _check_stand_in(graph, gate)
    for name in gate.layers:
        made = known[name].output
        outside = [reader.name for reader in graph.consumers(made) if reader.name not in gate.layers]
        if made != gate.result and outside:
            raise WorkloadError(
                f"cannot be skipped, for {outside[0]!r} reads {made!r} inside it", where=where, key=gate.name
            )
    position = {layer.name: index for index, layer in enumerate(graph.layers)}
    first = min(gate.layers, key=position.__getitem__)
    if gate.decided_by is not None and position[gate.decided_by] >= position[first]:
        raise WorkloadError(
            f"decides too late: {first!r} runs before it", where=where, key=gate.name, value=gate.decided_by
        )
    return gate


def _check_stand_in(graph: LayerGraph, gate: Gate) -> None:
    """Check that what stands for the result of a closed stretch exists and has its shape; zeros always do."""
    where = graph.source or graph.name
    for tensor in (gate.source, gate.result) if gate.source else (gate.result,):
        if tensor not in graph.tensors:
            raise WorkloadError("is no feature map of the network", where=where, key=gate.name, value=tensor)
    if not gate.source:
        return
    shapes = graph.tensors[gate.source].shape, graph.tensors[gate.result].shape
    if shapes[0] != shapes[1]:
        raise WorkloadError(
            f"cannot be skipped, for it makes {shapes[1]} of {shapes[0]}", where=where, key=gate.name,
            allowed="layers that keep the shape",
        )  # fmt: skip
    made = {layer.output for layer in graph.layers if layer.name in gate.layers}
    if gate.source in made:
        raise WorkloadError("cannot stand for what it is made of", where=where, key=gate.name, value=gate.source)


def drawn_decisions(
    rates: Sequence[float], samples: int, seed: int, weights: Sequence[float] | None = None
) -> NDArray[np.bool_]:
    """Draw decisions, ``(samples, gates)``: of every gate its rate of the samples, in random order.

    A rate that is no whole number of samples is rounded up or down such that the sum over the gates, each with its
    weight, comes closest to what the rates say: few samples then imply the same computation as many.
    """
    decisions = np.zeros((samples, len(rates)), np.bool_)
    generator = np.random.Generator(np.random.Philox(seed))
    owed = 0.0
    for column, (rate, weight) in enumerate(zip(rates, weights or [1.0] * len(rates), strict=True)):
        exact = round(rate * samples, 9)
        runs = min(max(round(exact + owed / weight), math.floor(exact)), math.ceil(exact))
        owed += (exact - runs) * weight
        decisions[:runs, column] = True
        generator.shuffle(decisions[:, column])
    return decisions
