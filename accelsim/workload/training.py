"""A training step as a layer graph: forward, data gradients, weight gradients and updates, of ordinary operators.

Any machine that runs the operators runs the step. What is counted, and how:

*Gradients.* The data gradient of a convolution is one with its filters turned around, input and output channels
swapped. Where the forward one has a stride, zeros are put between the pixels of the gradient by a pass of the vector
unit; a machine that looks at values skips them (their share is stated), others multiply them. The weight gradient sums
over output pixels and batch: a matrix product where the window is one pixel, else a convolution over the input whose
filters are the output gradient, one for each output channel, dilated by the stride.

*Batch normalisation* is by the statistics of the batch, so it does not fold into the convolution before it: backward
it is a pass that sums and one that corrects.

*Feature maps* that the backward pass reads stay in DRAM until then. With `activation_bits` a copy of that width is
written for it, in a pass of the vector unit that reads the map again: no machine here drains to two places.

*SmartDeal* (arXiv 2101.01163 and its released code): weights exist only as coefficients and bases, and are rebuilt in
the forward pass and for the data gradient. The gradient dW of each slice gives dCe = dW B' and dB = Ce' dW, for the
rows alone that are not masked. Coefficients move by their signs, counted; bases by gradient descent with momentum. The
weight gradient itself is computed in full. *E2-Train* (NeurIPS 2019): a share of the batches and of the residual
blocks is dropped, the gradient has 16 bits, the weight gradient sees few bits of the activations, and weights move by
sign.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from accelsim.config.model import Record
from accelsim.errors import WorkloadError
from accelsim.workload.skippable import skippable_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.skip import Gate

Method = Literal["sgd", "smartdeal", "e2train"]
Phase = Literal["forward", "keep", "data_gradient", "weight_gradient", "update"]

_Bits = Annotated[int, Field(ge=1, le=64)]
_Share = Annotated[float, Field(ge=0, lt=1)]


class TrainingRecord(Record):
    """The key `training` of an annotated workload: by which method a step of training is simulated, and its widths."""

    method: Method
    optimizer: Literal["sgd", "momentum", "sign"] | None = None
    """What moves plain weights and bases: momentum, or by sign for e2train, where nothing is stated."""
    activation_bits: _Bits | None = None
    """Width of what is kept for the backward pass; 4 for e2train, else the machine's own."""
    gradient_bits: _Bits | None = None
    """Width of gradients; 16 for e2train (PSG), else the machine's own."""
    state_bits: _Bits = 32
    """Width of a weight and of its momentum where they are updated (assumption: single precision)."""
    counter_bits: Annotated[int, Field(ge=0, le=16)] = 2
    """Width of the counter of a coefficient's signs (assumption: its bar is 1 in SmartDeal's code)."""
    dropped_batches: _Share | None = None
    """Share of the batches that are left out (SMD); a half for e2train, else none."""
    dropped_blocks: _Share | None = None
    """Share of the residual blocks that are left out (SLU); 0.2 for e2train, else none."""

    @model_validator(mode="after")
    def _drops_for_e2train_alone(self) -> TrainingRecord:
        dropped = [name for name in ("dropped_batches", "dropped_blocks") if getattr(self, name) is not None]
        if dropped and self.method != "e2train":
            message = f"{dropped[0]} goes with method e2train alone, not with {self.method}"
            raise ValueError(message)
        if self.optimizer == "sign" and self.method == "smartdeal":
            message = "optimizer sign goes with sgd and e2train: smartdeal moves coefficients by sign, bases never"
            raise ValueError(message)
        return self

    def complete(self) -> TrainingRecord:
        """The record with what the method implies where nothing is stated."""
        e2train = self.method == "e2train"
        implied: dict[str, object] = {"optimizer": "sign" if e2train else "momentum"}
        if e2train:
            implied |= {"activation_bits": 4, "gradient_bits": 16, "dropped_batches": 0.5, "dropped_blocks": 0.2}
        missing = {name: value for name, value in implied.items() if getattr(self, name) is None}
        return self.model_copy(update=missing)

    @property
    def states_per_weight(self) -> int:
        """Numbers of `state_bits` that the optimiser holds for a plain weight: itself, and its momentum."""
        return 2 if self.optimizer == "momentum" else 1

    @property
    def executed_batches(self) -> float:
        """Share of the batches that are run."""
        return 1.0 - (self.dropped_batches or 0.0)


@dataclass(frozen=True)
class TrainingStep:
    """A step of training.

    Parameters
    ----------
    graph
        Its layers, in an order in which they can run; those of the network keep their names.
    phase_of
        What each layer belongs to, by its name.
    kept
        Feature maps that the backward pass reads, as they are stored for it.
    state_bits
        Bits of weights and optimiser state between steps.
    executed_batches
        Share of the batches for which a step is run.
    """

    graph: LayerGraph
    phase_of: Mapping[str, Phase]
    kept: tuple[str, ...]
    state_bits: int
    executed_batches: float

    def macs(self, phase: Phase) -> int:
        """Multiply-accumulates of a phase."""
        return sum(self.graph.dense_macs(layer) for layer in self.graph.layers if self.phase_of[layer.name] == phase)


def training_step(graph: LayerGraph, record: TrainingRecord | None = None) -> TrainingStep:
    """Turn an inference graph into a step of training, at the batch that it has.

    Parameters
    ----------
    graph
        The network; weights that its annotations have as decomposed are trained so by smartdeal.
    record
        How to train; the annotation `training` of the graph where left out.

    Raises
    ------
    WorkloadError
        When the network has layers without a gradient, gates, or, for smartdeal, no decomposed weights.
    """
    from accelsim.workload.gradients import StepBuilder

    stated = record or graph.annotations.training
    if stated is None:
        raise WorkloadError("says nothing of how it is trained", where=graph.source or graph.name, key="training")
    complete = stated.complete()
    if graph.annotations.skip is not None:
        raise WorkloadError(
            "a network is trained or its gates decide, not both", where=graph.source or graph.name, key="training"
        )
    if complete.dropped_blocks:
        graph = without_blocks(graph, complete.dropped_blocks)
    return StepBuilder(graph, complete).step()


def without_blocks(graph: LayerGraph, share: float) -> LayerGraph:
    """Leave out a share of the residual blocks, spread evenly over those that may be skipped."""
    blocks = [gate for gate in skippable_blocks(graph) if gate.result not in {tensor.name for tensor in graph.outputs}]
    wanted = round(share * len(blocks))
    if not wanted:
        return graph
    dropped = [blocks[(2 * number + 1) * len(blocks) // (2 * wanted)] for number in range(wanted)]
    return _bypassed(graph, dropped)


def _bypassed(graph: LayerGraph, blocks: list[Gate]) -> LayerGraph:
    inside = {name for block in blocks for name in block.layers}
    instead = {block.result: block.source for block in blocks}

    def source_of(name: str) -> str:
        while name in instead:
            name = instead[name]
        return name

    layers = tuple(
        replace(layer, inputs=tuple(source_of(name) for name in layer.inputs))
        for layer in graph.layers
        if layer.name not in inside
    )
    return replace(graph, layers=layers)


def lifetimes(graph: LayerGraph) -> dict[str, tuple[int, int]]:
    """First and last layer, counted in order of execution, between which each feature map exists.

    What comes from outside is there from the first layer on, what nothing reads until the last.
    """
    last = len(graph.layers) - 1
    read = {name: index for index, layer in enumerate(graph.layers) for name in layer.inputs}
    lives = {tensor.name: (0, read.get(tensor.name, last)) for tensor in graph.inputs}
    lives |= {layer.output: (index, read.get(layer.output, last)) for index, layer in enumerate(graph.layers)}
    return lives
