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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.workload.channel_skip import ChannelGate

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
