"""The key `skip` of an annotated workload: where the gates are, and where their decisions come from.

::

    skip:
      gates: rnn                      # rnn, feedforward, or none: decisions that are known beforehand and cost nothing
      blocks: [layer1.1, layer1.2]    # optional; every block that may be skipped but the first
      trace: decisions.npz            # of `accelsim trace-skips`, or a parquet table with a column for each gate; or
      rate: 0.7                       # share of the samples for which a block runs, or {block: share}
      channels: 0.5                   # optional, with a rate: share of the samples for which a channel between the two
                                      # convolutions of a block is computed, or {block: share}; a trace has its own
      samples: 1000                   # drawn at the rate
      seed: 0
      exits:                          # optional
        - {name: exit1, test: exit1.confidence}
      exit_trace: exits.npz           # how sure the network was at each exit, and whether it was right; then either
      confidence: [0.9, 0.8]          # what each exit but the end asks for, or
      exit_share: 0.8                 # q: images leave by the exits in shares 1 : q : q^2, thresholds set
      calibration: validation.npz     # on these images; on those of the trace where omitted
      budget: {latency_us: 100, energy_uj: 50}   # optional; the last exit that fits is where every inference ends
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from accelsim.config.model import Record
from accelsim.errors import WorkloadError
from accelsim.workload.channel_skip import channel_gate
from accelsim.workload.decision_trace import RIGHT, load_trace
from accelsim.workload.exit_trace import load_exits
from accelsim.workload.gates import with_gates
from accelsim.workload.skip import Budget, SkipPlan, drawn_decisions
from accelsim.workload.skippable import checked_gate, early_exit, skippable_blocks
from accelsim.workload.yaml_records import Name

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from accelsim.workload.channel_skip import ChannelGate
    from accelsim.workload.decision_trace import DecisionTrace
    from accelsim.workload.exit_trace import ExitTrace
    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.skip import Gate

Rate = Annotated[float, Field(ge=0, le=1)]


class ExitRecord(Record):
    """An exit: its name, and the layer that tests whether it is taken."""

    name: Name
    test: Name


class BudgetRecord(Record):
    """What an inference may take at most."""

    latency_us: Annotated[float, Field(gt=0)] | None = None
    energy_uj: Annotated[float, Field(gt=0)] | None = None


class SkipRecord(Record):
    """Gates, exits and their decisions."""

    gates: Literal["rnn", "feedforward", "none"] = "none"
    blocks: tuple[Name, ...] | None = None
    trace: str | None = None
    rate: Rate | dict[Name, Rate] | None = None
    channels: Rate | dict[Name, Rate] | None = None
    samples: Annotated[int, Field(ge=1, le=10_000_000)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0
    exits: tuple[ExitRecord, ...] = ()
    exit_trace: str | None = None
    confidence: tuple[float, ...] | None = None
    exit_share: Annotated[float, Field(gt=0, le=100)] | None = None
    calibration: str | None = None
    budget: BudgetRecord | None = None

    @model_validator(mode="after")
    def _decisions_come_from_one_place(self) -> SkipRecord:
        exits_alone = self.exit_trace is not None and self.trace is None and self.rate is None
        if (self.trace is None) == (self.rate is None) and not exits_alone:
            message = "needs either a trace or a rate"
            raise ValueError(message)
        settings = (self.confidence, self.exit_share, self.calibration)
        if self.exit_trace is None and any(entry is not None for entry in settings):
            message = "confidence, exit_share and calibration belong to an exit_trace"
            raise ValueError(message)
        if self.exit_trace is not None and self.confidence is not None and self.exit_share is not None:
            message = "takes either confidence or exit_share"
            raise ValueError(message)
        if self.trace is not None and self.channels is not None:
            message = "channels: a trace says itself which channels are computed"
            raise ValueError(message)
        return self


def with_skips(graph: LayerGraph, record: SkipRecord, path: Path) -> tuple[LayerGraph, SkipPlan]:
    """Put the gates into a network, and join them with their decisions.

    Parameters
    ----------
    graph
        The network.
    record
        What the workload states.
    path
        Its file, for messages and for what it names.

    Raises
    ------
    WorkloadError
        When a block does not exist or may not be skipped, or the decisions are those of other gates.
    """
    exits_alone = record.trace is None and record.rate is None
    blocks = () if exits_alone else _chosen_blocks(graph, record, path)
    trace = _load_npz(record, path)
    widths = _channel_widths(graph, blocks, record, trace, path)
    if record.gates != "none":
        graph, blocks = with_gates(graph, record.gates, blocks, widths)
    exits = [early_exit(graph, entry.name, entry.test) for entry in record.exits]
    position = {layer.name: index for index, layer in enumerate(graph.layers)}
    gates = sorted((checked_gate(graph, gate) for gate in (*blocks, *exits)), key=lambda gate: position[gate.layers[0]])
    if not gates:
        raise WorkloadError("has neither a block that may be skipped nor an exit", where=path, key="skip")
    right: NDArray[np.bool_] | None
    seen = _seen_exits(gates, record, path)
    if seen is not None:
        skipped = [gate for gate in gates if gate.kind == "layer_skip"]
        decisions, right, exit_right = _left(gates, skipped, seen, record, trace, path)
    else:
        decisions, right = _decisions(gates, record, trace, path)
        exit_right = None
    channel_gates = tuple(channel_gate(graph, gate) for gate in gates if widths.get(gate.name))
    origin: Literal["trace", "rate"] = "rate" if record.trace is None else "trace"
    channels = _channels(channel_gates, record, trace)
    budget = None if record.budget is None else Budget(**record.budget.model_dump())
    return graph, SkipPlan(tuple(gates), decisions, origin, right, channel_gates, channels, exit_right, budget)


def _seen_exits(gates: list[Gate], record: SkipRecord, path: Path) -> ExitTrace | None:
    """The trace of the exits, whose names are those of the gates, the end of the network behind them."""
    if record.exit_trace is None:
        return None
    file = path.parent / record.exit_trace
    seen = load_exits(file)
    names = tuple(gate.name for gate in gates if gate.kind == "early_exit")
    if seen.exits[:-1] != names:
        raise WorkloadError(
            "is of other exits than the workload has", where=file, value=", ".join(seen.exits),
            allowed=", ".join((*names, "the end")),
        )  # fmt: skip
    return seen


def _left(
    gates: list[Gate], skipped: list[Gate], seen: ExitTrace, record: SkipRecord, trace: DecisionTrace | None, path: Path
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Decisions of all gates, whether answers are right, and whether they are at each exit."""
    taken = seen.taken(_thresholds(seen, record, path))
    samples = len(taken)
    decisions = np.ones((samples, len(gates)), np.bool_)
    exits = [column for column, gate in enumerate(gates) if gate.kind == "early_exit"]
    for number, column in enumerate(exits):
        decisions[:, column] = taken != number
    if skipped:
        drawn = record.model_copy(update={"samples": samples})
        blocks, _ = _decisions(skipped, drawn, trace, path)
        if len(blocks) != samples:
            raise WorkloadError(
                f"holds {len(blocks)} samples, the trace of the exits {samples}", where=path, key="skip.trace"
            )
        decisions[:, [column for column, gate in enumerate(gates) if gate.kind == "layer_skip"]] = blocks
    return decisions, seen.right[np.arange(samples), taken], seen.right


def _thresholds(seen: ExitTrace, record: SkipRecord, path: Path) -> tuple[float, ...]:
    count = len(seen.exits) - 1
    if record.exit_share is not None:
        known = seen if record.calibration is None else load_exits(path.parent / record.calibration)
        if known.exits != seen.exits:
            raise WorkloadError("is of other exits than exit_trace", where=path, key="skip.calibration")
        return known.thresholds(record.exit_share)
    if record.confidence is None:
        return (float("inf"),) * count
    if len(record.confidence) != count:
        raise WorkloadError(
            "has not one threshold for each exit but the end", where=path, key="skip.confidence",
            value=len(record.confidence), allowed=str(count),
        )  # fmt: skip
    return record.confidence


def _load_npz(record: SkipRecord, path: Path) -> DecisionTrace | None:
    if record.trace is None or record.trace.endswith(".parquet"):
        return None
    return load_trace(path.parent / record.trace)


def _channel_widths(
    graph: LayerGraph, blocks: tuple[Gate, ...], record: SkipRecord, trace: DecisionTrace | None, path: Path
) -> dict[str, int]:
    """By block the channels that are decided on."""
    if trace is not None:
        if not any(block.channels for block in trace.blocks) or len(trace.blocks) != len(blocks):
            return {}
        widths = {gate.name: entry.channels for gate, entry in zip(blocks, trace.blocks, strict=True)}
        for gate in blocks:
            found = channel_gate(graph, gate).width if widths[gate.name] else 0
            if found != widths[gate.name]:
                raise WorkloadError(
                    f"decides on {widths[gate.name]} channels of {gate.name!r}, which has {found}", where=path,
                    key="skip.trace", value=record.trace,
                )  # fmt: skip
        return {name: width for name, width in widths.items() if width}
    if record.channels is None:
        return {}
    named = record.channels if isinstance(record.channels, dict) else {gate.name: record.channels for gate in blocks}
    by_name = {gate.name: gate for gate in blocks}
    for name in named:
        if name not in by_name:
            allowed = ", ".join(list(by_name)[:20])
            raise WorkloadError("is no gated block", where=path, key=f"skip.channels.{name}", allowed=allowed)
    return {name: channel_gate(graph, by_name[name]).width for name in named}


def _channels(
    gates: tuple[ChannelGate, ...], record: SkipRecord, trace: DecisionTrace | None
) -> NDArray[np.bool_] | None:
    """Decisions on channels, (samples, channels of all gates)."""
    if not gates:
        return None
    if trace is not None:
        return trace.decisions[:, ~trace.is_block]
    rates = record.channels if isinstance(record.channels, dict) else dict.fromkeys(
        (gate.name for gate in gates), record.channels or 0.0
    )  # fmt: skip
    columns = [rates[gate.name] for gate in gates for _ in range(gate.width)]
    return drawn_decisions(columns, record.samples, record.seed + 1)


def _chosen_blocks(graph: LayerGraph, record: SkipRecord, path: Path) -> tuple[Gate, ...]:
    found = skippable_blocks(graph)
    if record.blocks is None:
        return found[1:]
    by_name = {gate.name: gate for gate in found}
    for name in record.blocks:
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, n=1)
            allowed = f"blocks with a way around, such as {(near or list(by_name))[0]!r}" if by_name else None
            raise WorkloadError(
                "is no block that may be skipped", where=path, key="skip.blocks", value=name, allowed=allowed
            )
    return tuple(by_name[name] for name in dict.fromkeys(record.blocks))


def _decisions(
    gates: list[Gate], record: SkipRecord, trace: DecisionTrace | None, path: Path
) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Decisions, (samples, gates), and whether the answers were right where that is known."""
    if record.trace is not None:
        file = path.parent / record.trace
        return _from_table(gates, file) if trace is None else _traced(gates, trace, file, path)
    if isinstance(record.rate, dict):
        names = [gate.name for gate in gates]
        for name in record.rate:
            if name not in names:
                raise WorkloadError("is no gate", where=path, key=f"skip.rate.{name}", allowed=", ".join(names[:20]))
        rates = [record.rate.get(name, 1.0) for name in names]
    else:
        rates = [record.rate if record.rate is not None else 1.0] * len(gates)
    return drawn_decisions(rates, record.samples, record.seed), None


def _traced(
    gates: list[Gate], trace: DecisionTrace, file: Path, path: Path
) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None]:
    if len(trace.blocks) != len(gates):
        raise WorkloadError(
            f"holds decisions of {len(trace.blocks)} gates, the network has {len(gates)}", where=path, key="skip.trace",
            value=file.name,
        )  # fmt: skip
    return trace.decisions[:, trace.is_block], trace.right


def _from_table(gates: list[Gate], file: Path) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Decisions of a parquet table: a column of truth values for each gate, a row for each sample.

    Columns are told by their names; where they have the names of no gate, as in a table of `accelsim trace-skips` whose
    network calls its blocks otherwise, by their order.
    """
    import pandas as pd

    try:
        table = pd.read_parquet(file)
    except ImportError:
        raise WorkloadError("needs pyarrow to be read: pip install 'accelsim[explore]'", where=file) from None
    except (OSError, ValueError) as error:
        raise WorkloadError(f"cannot be read as parquet: {error}", where=file) from None
    names = [gate.name for gate in gates]
    columns = [name for name in table.columns if name != RIGHT]
    if len(columns) == len(gates) and not set(columns) & set(names):
        table = table.rename(columns=dict(zip(columns, names, strict=True)))
    for name in names:
        if name not in table.columns:
            raise WorkloadError("has no column for this gate", where=file, key=name)
    for name in [*names, *({RIGHT} & set(table.columns))]:
        if table[name].dtype != np.bool_:
            kind = str(table[name].dtype)
            raise WorkloadError("holds no truth values", where=file, key=name, value=kind, allowed="bool")
    if not len(table):
        raise WorkloadError("has no rows", where=file)
    right = table[RIGHT].to_numpy(np.bool_) if RIGHT in table.columns else None
    return table[names].to_numpy(np.bool_), right
