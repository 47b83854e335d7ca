"""Gates as layers: what deciding costs in multiply-accumulates, weights and time.

`with_gates` puts a gate before every block that may be skipped, as SkipNet (Wang et al., ECCV 2018) and the released
code of E2-Train and dual dynamic inference have them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from accelsim.workload.graph import Layer, LayerGraph
from accelsim.workload.operators import Activation, Concat, Conv, Elementwise, Gemm, Pool, View, Window
from accelsim.workload.skippable import skippable_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelsim.workload.operators import Operator
    from accelsim.workload.skip import Gate

GateForm = Literal["rnn", "feedforward"]

LSTM_WIDTH = 10
"""State of the shared LSTM, and width of the embedding before it (SkipNet; E2-Train's code)."""

LSTM_FUNCTIONS = 4
"""Input, forget and output gate, and the candidate of the cell."""


@dataclass
class _Writer:
    """Layers of one gate as they are added."""

    prefix: str
    layers: list[Layer]

    def add(self, name: str, operator: Operator, *inputs: str, weight: str = "", bits: int | None = None) -> str:
        full = f"{self.prefix}.{name}"
        self.layers.append(Layer(full, operator, inputs, weight=weight, output_bits=bits))
        return full


def with_gates(
    graph: LayerGraph,
    form: GateForm = "rnn",
    blocks: tuple[Gate, ...] | None = None,
    channels: Mapping[str, int] | None = None,
) -> tuple[LayerGraph, tuple[Gate, ...]]:
    """Put a gate before blocks of a network.

    Parameters
    ----------
    graph
        The network, of batch 1 or more.
    form
        ``rnn``: global average pool, 1x1 embedding to 10, one LSTM(10) whose weights and state all gates share, linear,
        sigmoid. ``feedforward``: SkipNet's FFGate-II, a 3x3 convolution of stride 2, pool, linear, sigmoid.
    blocks
        Blocks to put gates before; where omitted all that may be skipped but the first, which always runs.
    channels
        By block the channels that its gate decides on as well, in a head of its own (dual dynamic inference).

    Returns
    -------
    tuple
        The network with the gates' layers, and the gates, each decided by its last layer.
    """
    chosen = skippable_blocks(graph)[1:] if blocks is None else blocks
    extra: list[Layer] = []
    gates: list[Gate] = []
    state: tuple[str, str] | None = None
    for block in chosen:
        writer = _Writer(f"{block.name}.gate", [])
        width = (channels or {}).get(block.name, 0)
        if form == "rnn":
            decision, state = _rnn_gate(writer, graph, _entrance(graph, block), state, width)
        else:
            decision = _feedforward_gate(writer, graph, _entrance(graph, block), width)
        extra += writer.layers
        gates.append(replace(block, decided_by=decision))
    return _woven(graph, extra, gates), tuple(gates)


def _entrance(graph: LayerGraph, block: Gate) -> str:
    """Feature map that enters a block: what the gate looks at."""
    first = next(layer for layer in graph.layers if layer.name == block.layers[0])
    return first.inputs[0]


def _rnn_gate(
    writer: _Writer, graph: LayerGraph, source: str, state: tuple[str, str] | None, channels: int
) -> tuple[str, tuple[str, str]]:
    """SkipNet's recurrent gate; returns the decision and the LSTM's state (hidden, cell) for the next gate."""
    batch = graph.tensors[source].shape[0]
    pooled = writer.add("pool", Pool("average"), source)
    embedded = writer.add("embed", _linear(LSTM_WIDTH), pooled)
    seen = writer.add("embed_relu", Activation("relu"), embedded)
    weight = "gate.lstm_first.weight"  # of the shared matrix the columns of the embedding: there is no state yet
    if state is not None:
        seen, weight = writer.add("lstm_seen", Concat(), seen, state[0]), "gate.lstm.weight"
    sums = writer.add("lstm", _linear(LSTM_FUNCTIONS * LSTM_WIDTH), seen, weight=weight)
    gated = writer.add("lstm_functions", Activation("sigmoid"), sums)
    parts = writer.add("lstm_parts", View((batch, 1, LSTM_FUNCTIONS, LSTM_WIDTH)), gated)
    cell = writer.add("lstm_cell", _mix(), parts)
    cell = writer.add("lstm_state", View((batch, LSTM_WIDTH, 1, 1)), cell)
    if state is not None:
        cell = writer.add("lstm_forget", Elementwise("add"), cell, state[1])
    hidden = writer.add("lstm_tanh", Activation("tanh"), cell)
    decision = writer.add("linear", _linear(1), hidden, weight="gate.linear.weight")
    decision = writer.add("sigmoid", Activation("sigmoid"), decision, bits=8)
    return _with_channels(writer, hidden, decision, channels, shared=True), (hidden, cell)


def _linear(outputs: int) -> Conv:
    """A matrix, as a convolution of one pixel: vectors that are channels can be joined without being moved."""
    return Conv(outputs, Window((1, 1)))


def _with_channels(writer: _Writer, source: str, decision: str, channels: int, *, shared: bool) -> str:
    """The head that decides on channels, where there is one; returns the last decision."""
    if not channels:
        return decision
    weight = f"gate.channels{channels}.weight" if shared else ""
    made = writer.add("channels", _linear(channels) if shared else Gemm(channels), source, weight=weight)
    return writer.add("channels_sigmoid", Activation("sigmoid"), made, bits=8)


def _mix() -> Pool:
    """Products of the four functions, written as one weighted sum over them for each element of the state."""
    return Pool("average", Window((LSTM_FUNCTIONS, 1)))


def _feedforward_gate(writer: _Writer, graph: LayerGraph, source: str, channels: int) -> str:
    batch, width = graph.tensors[source].shape[:2]
    made = writer.add("conv", Conv(width, Window((3, 3), (2, 2), (1, 1, 1, 1))), source)
    made = writer.add("relu", Activation("relu"), made)
    made = writer.add("pool", Pool("average"), made)
    flat = writer.add("flat", View((batch, width)), made)
    made = writer.add("linear", Gemm(1), flat)
    decision = writer.add("sigmoid", Activation("sigmoid"), made, bits=8)
    return _with_channels(writer, flat, decision, channels, shared=False)


def _woven(graph: LayerGraph, extra: list[Layer], gates: list[Gate]) -> LayerGraph:
    """The network with every gate right before its block, in an order that the graph keeps among its ties."""
    before: dict[str, list[Layer]] = {}
    for gate in gates:
        first = gate.layers[0]
        prefix = f"{gate.name}.gate."
        before[first] = [layer for layer in extra if layer.name.startswith(prefix)]
    layers = [entry for layer in graph.layers for entry in (*before.get(layer.name, ()), layer)]
    return replace(graph, layers=tuple(layers))
