"""Stand-ins for the six applications on which the first TPU was measured.

Of each, Jouppi et al. ("In-datacenter performance analysis of a tensor processing unit", ISCA 2017, table 1) publish
how many layers of which kind it has, its weights, operations per byte of weights (multiply-accumulates, by which the
ridge lies at 1350) and batch, and nothing of its shapes. The shapes here are **assumptions** that give those numbers to
within 5 % (CNN1: 6 %). What is known besides, and used:

- an application's operations per byte equal the outputs for which each weight is used: the batch where layers are fully
  connected, batch times pixels (8 x 19 x 19 = 2888) in CNN0, which therefore sees Go boards, as AlphaGo does;
- the share of useful weights in table 3 says how well matrices fill tiles of 256 x 256: wholly in LSTM0 and CNN0;
- section 7: LSTM1 has matrices of 600 x 600, of which nine tiles of 256 x 256 hold 61 % (table 3: 6.3 of 10.5 %);
- LSTMs reach half of the operations that their useful share stands for (3.7 of 92 x 0.082 = 7.5 TOPS), which is how
  fast the array multiplies 16-bit activations by 8-bit weights (section 2): their feature maps have 16 bits.

The rows of MLP1, LSTM1 and CNN1 are *recalled*, not read in a source at hand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from accelsim.workload.graph import Layer, LayerGraph, Tensor, chain
from accelsim.workload.operators import Activation, Concat, Conv, Elementwise, Gemm, Pool, View, Window

if TYPE_CHECKING:
    from accelsim.workload.operators import Operator

_WIDE = 16
"""Bits of the feature maps of the LSTMs."""

_SOURCE = "Jouppi et al., ISCA 2017, table 1; shapes are assumptions"


def _chain(name: str, first: Tensor, steps: list[tuple[str, Operator]], description: str) -> LayerGraph:
    graph = chain(name, first, steps)
    return replace(graph, source=f"zoo network {name}", description=f"{description} ({_SOURCE})")


def _mlp(name: str, batch: int, widths: tuple[int, ...], description: str) -> LayerGraph:
    steps: list[tuple[str, Operator]] = []
    for number, width in enumerate(widths[1:], start=1):
        steps += [(f"fc{number}", Gemm(width)), (f"fc{number}.relu", Activation("relu"))]
    return _chain(name, Tensor("features", (batch, widths[0])), steps, description)


def tpu_mlp0() -> LayerGraph:
    """Five fully connected layers, 20 M weights, batch 200: 5 x 2048 x 2048 = 21.0 M."""
    return _mlp("tpu_mlp0", 200, (2048,) * 6, "TPU paper's MLP0: 5 layers, 20 M weights, batch 200")


def tpu_mlp1() -> LayerGraph:
    """Four fully connected layers, 5 M weights, batch 168: 4 x 720 x 1736, 91 % of their tiles (table: 89 %)."""
    return _mlp("tpu_mlp1", 168, (720, 1736, 720, 1736, 720), "TPU paper's MLP1: 4 layers, 5 M weights, batch 168")


def tpu_lstm0() -> LayerGraph:
    """24 matrices and 34 vector layers, 52 M weights, batch 64: six cells of 1024 with four gates each, one time step.

    Each gate multiplies what enters the cell beside the state that it had: 2560 inputs in the first cell, 2048 in the
    others, together 52.4 M weights. A cell has five vector layers, and input and result two each. The functions of the
    gates are no layers of their own: they ride on the matrices.
    """
    batch, width = 64, 1024
    inputs = [Tensor("frame", (batch, 1536, 1, 1), _WIDE)]
    layers: list[Layer] = []

    def add(name: str, operator: Operator, *sources: str) -> str:
        layers.append(Layer(name, operator, sources, output_bits=_WIDE))
        return name

    entering = add("scale", Elementwise("mul"), add("centre", Elementwise("sub"), "frame"))
    for cell in range(1, 7):
        state, memory = (
            Tensor(f"state{cell}", (batch, width, 1, 1), _WIDE),
            Tensor(f"memory{cell}", (batch, width), _WIDE),
        )
        inputs += [state, memory]
        joined = add(f"cell{cell}.joined", Concat(1), entering, state.name)
        gates = {}
        for gate, function in (("input", "sigmoid"), ("forget", "sigmoid"), ("output", "sigmoid"), ("update", "tanh")):
            product = add(f"cell{cell}.{gate}", Gemm(width), joined)
            gates[gate] = add(f"cell{cell}.{gate}.{function}", Activation(function), product)
        kept = add(f"cell{cell}.kept", Elementwise("mul"), gates["forget"], memory.name)
        new = add(f"cell{cell}.new", Elementwise("mul"), gates["input"], gates["update"])
        total = add(f"cell{cell}.memory", Elementwise("add"), kept, new)
        squashed = add(f"cell{cell}.squashed", Activation("tanh"), total)
        made = add(f"cell{cell}.state", Elementwise("mul"), squashed, gates["output"])
        entering = add(f"cell{cell}.out", View((batch, width, 1, 1)), made)
    add("offset", Elementwise("add"), add("rescale", Elementwise("mul"), entering))
    description = "TPU paper's LSTM0: 24 matrices, 34 vector layers, 52 M weights, batch 64"
    return LayerGraph("tpu_lstm0", tuple(inputs), tuple(layers), "zoo network tpu_lstm0", f"{description} ({_SOURCE})")


def tpu_lstm1() -> LayerGraph:
    """37 layers of matrices and 19 vector layers, 34 M weights, batch 96: matrices of 600 x 600, 94 of them (33.8 M).

    19 layers have four such matrices, one for each gate, 18 have one, a projection; a vector layer joins four gates.
    """
    batch, width, gates = 96, 600, 4
    window, joins = Window((1, 1)), Window((1, gates))
    steps: list[tuple[str, Operator]] = []
    for number in range(1, 20):
        steps += [
            (f"gates{number}", Conv(gates * width, window, gates)),
            (f"gates{number}.sigmoid", Activation("sigmoid")),
            (f"gates{number}.split", View((batch, width, 1, gates))),
            (f"vector{number}", Pool("average", joins)),
        ]
        if number < 19:
            steps.append((f"project{number}", Conv(width, window)))
    first = Tensor("frame", (batch, gates * width, 1, 1), _WIDE)
    layers, made = [], first.name
    for name, operator in steps:
        sources = (made,)
        if name.startswith("gates") and "." not in name and made != first.name:
            layers.append(Layer(f"{name}.input", Concat(1), (made,) * gates, output_bits=_WIDE))
            sources = (f"{name}.input",)
        layers.append(Layer(name, operator, sources, output_bits=_WIDE))
        made = name
    description = "TPU paper's LSTM1: 37 layers of matrices, 19 vector layers, 34 M weights, batch 96, recalled"
    return LayerGraph("tpu_lstm1", (first,), tuple(layers), "zoo network tpu_lstm1", f"{description} ({_SOURCE})")


def tpu_cnn0() -> LayerGraph:
    """16 convolutions, 8 M weights, batch 8 of 19 x 19 boards: 2888 operations per byte.

    56 planes into 3 x 3 x 256, thirteen of 3 x 3 x 256 and two of 1 x 1 x 256: 7.93 M weights, which fill their tiles.
    """
    same = Window((3, 3), padding=(1, 1, 1, 1))
    steps: list[tuple[str, Operator]] = []
    for number in range(1, 17):
        window = same if number <= 14 else Window((1, 1))
        steps += [(f"conv{number}", Conv(256, window)), (f"conv{number}.relu", Activation("relu"))]
    description = "TPU paper's CNN0: 16 convolutions, 8 M weights, batch 8"
    return _chain("tpu_cnn0", Tensor("boards", (8, 56, 19, 19)), steps, description)


def tpu_cnn1() -> LayerGraph:
    """72 convolutions, 13 pools and 4 fully connected layers, 100 M weights, batch 32: 1750 operations per byte.

    Feature maps of 22 x 22 with 128 channels, so that some half of the array holds weights; a pool after every sixth
    convolution, and one before the fully connected layers, which hold 90 M of the weights and are used 32 times each.
    """
    steps: list[tuple[str, Operator]] = [("conv1", Conv(128, Window((8, 8), (8, 8))))]
    steps.append(("conv1.relu", Activation("relu")))
    same = Window((3, 3), padding=(1, 1, 1, 1))
    for number in range(2, 73):
        steps += [(f"conv{number}", Conv(128, same)), (f"conv{number}.relu", Activation("relu"))]
        if number % 6 == 0:
            steps.append((f"pool{number // 6}", Pool("max", same)))
    steps += [("pool13", Pool("max", Window((4, 4), (3, 3)))), ("flat", View((32, 128 * 7 * 7)))]
    for number, width in enumerate((7680, 4096, 2048, 1000), start=1):
        steps += [(f"fc{number}", Gemm(width)), (f"fc{number}.relu", Activation("relu"))]
    description = "TPU paper's CNN1: 72 convolutions, 4 fully connected layers, 100 M weights, batch 32, recalled"
    return _chain("tpu_cnn1", Tensor("image", (32, 3, 176, 176)), steps, description)
