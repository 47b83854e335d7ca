"""Turns decisions into the stages that a machine runs: closed ones, and new dependences around them.

A network is mapped once, with everything in it. For a row of decisions the closed stages stay in their places, without
work. The feature map that stands for a closed block's result is known under the result's name from then on: readers
find it where that was planned to be, so no byte is moved and none is read from elsewhere. Only where one of the two was
planned to be on chip and the other in DRAM, or where zeros stand for the result, a *move* takes the block's place.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.mapping.tile_graph import Activity, Dependence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from accelsim.mapping.network import NetworkMapping
    from accelsim.mapping.tile_graph import OperandTiles, StageTiles
    from accelsim.workload.skip import Gate, SkipPlan


@dataclass(frozen=True, eq=False)
class DecidedStages:
    """The stages of a mapped network under any decisions.

    Parameters
    ----------
    mapping
        The network with everything in it.
    plan
        Its gates.

    Raises
    ------
    WorkloadError
        When the network is mapped for more than one sample: each would have decisions of its own.
    """

    mapping: NetworkMapping
    plan: SkipPlan
    _known: dict[tuple[object, ...], StageTiles] = field(default_factory=dict)
    _alive: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        graph = self.mapping.graph
        if graph.batch != 1:
            raise WorkloadError(
                "cannot be run together where each sample skips layers of its own",
                where=graph.source or graph.name, key="batch", value=graph.batch, allowed="1",
            )  # fmt: skip

    @cached_property
    def _stage_of_layer(self) -> dict[str, int]:
        """Stage that runs each layer, fused ones included."""
        return {layer.name: stage.index for stage in self.mapping.stages for layer in (stage.layer, *stage.fused)}

    @cached_property
    def _stage_of_root(self) -> dict[str, int]:
        return {stage.output: stage.index for stage in self.mapping.stages}

    def _members(self, gate: Gate) -> set[int]:
        """Stages that do not run where a gate is closed."""
        named = {stage.layer.name for stage in self.mapping.stages} & set(gate.layers)
        return {self._stage_of_layer[name] for name in named}

    @cached_property
    def _governed(self) -> list[tuple[Gate, set[int], int | None]]:
        """Per gate its stages, and the stage that decides."""
        return [
            (gate, self._members(gate), None if gate.decided_by is None else self._stage_of_layer[gate.decided_by])
            for gate in self.plan.gates
        ]

    def stages(
        self,
        row: NDArray[np.bool_],
        narrowed: Mapping[int, StageTiles] | None = None,
        deciders: Mapping[int, str] | None = None,
    ) -> tuple[StageTiles, ...]:
        """Stages under one row of decisions.

        Parameters
        ----------
        row
            Decisions on blocks and exits.
        narrowed
            Stages that take the place of planned ones, for some of their channels are skipped.
        deciders
            Layers that decide on the channels of such stages.
        """
        closed, decided_by = self._closed(row), self._decided_by(row)
        instead = narrowed or {}
        for index, layer in (deciders or {}).items():
            if index not in closed:
                decided_by[index] = max(decided_by.get(index, -1), self._stage_of_layer[layer])
        moves = self._moves(row, closed)
        stands_for = self._stands_for(row, closed, moves)
        keeps = self._kept_longer(stands_for)
        changed = {*stands_for, *moves, *instead}
        stages = []
        for planned in self.mapping.tiles:
            index = planned.index
            decider = decided_by.get(index, planned.decided_by)
            if index in closed and index not in moves:
                key: tuple[object, ...] = (index, "closed", decider, id(instead.get(index)))
                known = self._known.get(key)
                if known is None:
                    tiles = instead.get(index, planned)
                    known = self._keep(key, _closed_stage(replace(tiles, decided_by=decider)), tiles)
                stages.append(known)
                continue
            makers = _makers_of(instead[index].inputs) if index in instead else self._makers[index]
            rewired = tuple(
                (maker, *((end, end in moves, id(instead.get(end))) for end in stands_for.get(maker, (maker,))))
                for maker in makers
                if maker in changed
            )
            key = (index, index in moves, decider, keeps.get(index), id(instead.get(index)), rewired)
            known = self._known.get(key)
            if known is None:
                made = self._open_stage(planned, decider, keeps.get(index), stands_for, moves, instead)
                known = self._keep(key, made, tuple(instead.values()))
            stages.append(known)
        return tuple(stages)

    def _keep(self, key: tuple[object, ...], stage: StageTiles, alive: object) -> StageTiles:
        """Remember a stage, so that rows which agree on it share it; `alive` is what the key knows by its identity."""
        self._known[key] = stage
        self._alive.append(alive)
        return stage

    @cached_property
    def _makers(self) -> list[tuple[int, ...]]:
        """Per stage those that it, or the move that may take its place, reads from."""
        makers = []
        for planned in self.mapping.tiles:
            move = self.mapping.moves.get(self.mapping.stages[planned.index].output)
            inputs = planned.inputs if move is None else (*planned.inputs, *move.inputs)
            makers.append(_makers_of(inputs))
        return makers

    def _open_stage(
        self,
        planned: StageTiles,
        decided_by: int | None,
        keep: int | None,
        stands_for: dict[int, list[int]],
        moves: set[int],
        instead: Mapping[int, StageTiles],
    ) -> StageTiles:
        """A stage that runs, or the move in its place."""
        tiles = instead.get(planned.index, planned)
        if planned.index in moves:
            tiles = self.mapping.moves[self.mapping.stages[planned.index].output]
            keep = tiles.kept_until
        inputs = tuple(self._rewired(operand, stands_for, moves, instead) for operand in tiles.inputs)
        kept_until = tiles.kept_until if keep is None else keep
        same = all(map(operator.is_, inputs, tiles.inputs))
        if same and (kept_until, decided_by) == (tiles.kept_until, tiles.decided_by):
            return tiles
        return replace(tiles, inputs=inputs, kept_until=kept_until, decided_by=decided_by)

    def _closed(self, row: NDArray[np.bool_]) -> set[int]:
        closed: set[int] = set()
        for (_, members, _), runs in zip(self._governed, row, strict=True):
            if not runs:
                closed |= members
        return closed

    def _decided_by(self, row: NDArray[np.bool_]) -> dict[int, int]:
        """Per stage the stage that decides: of those that close it the first, of those that let it run the last."""
        open_until: dict[int, int] = {}
        closed_from: dict[int, int] = {}
        for (_, members, decider), runs in zip(self._governed, row, strict=True):
            for index in members:
                known = -1 if decider is None else decider
                if runs:
                    open_until[index] = max(known, open_until.get(index, -1))
                else:
                    closed_from[index] = min(known, closed_from.get(index, known))
        return {index: known for index, known in (open_until | closed_from).items() if known >= 0}

    def _moves(self, row: NDArray[np.bool_], closed: set[int]) -> set[int]:
        """Closed stages that a move takes the place of; what is behind an exit has no readers."""
        moves = set()
        for gate, runs in zip(self.plan.gates, row, strict=True):
            if not runs and gate.kind == "layer_skip":
                index = self._stage_of_layer[gate.layers[-1]]
                if self.mapping.stages[index].output in self.mapping.moves:
                    moves.add(index)
        return moves - self._behind_exit(row) & closed

    def _behind_exit(self, row: NDArray[np.bool_]) -> set[int]:
        behind: set[int] = set()
        for (gate, members, _), runs in zip(self._governed, row, strict=True):
            if not runs and gate.kind == "early_exit":
                behind |= members
        return behind

    def _stands_for(self, row: NDArray[np.bool_], closed: set[int], moves: set[int]) -> dict[int, list[int]]:
        """Per closed stage whose result is read the stages whose results stand for it; none for inputs of the graph."""
        direct: dict[int, list[int]] = {}
        for gate, runs in zip(self.plan.gates, row, strict=True):
            if not runs and gate.source:
                index = self._stage_of_layer[gate.layers[-1]]
                roots = [part.root for part in self.mapping.parts_of[gate.source]]
                direct[index] = [self._stage_of_root[root] for root in roots if root in self._stage_of_root]
        found: dict[int, list[int]] = {}
        for index in sorted(direct):
            if index in moves:
                continue
            found[index] = [end for start in direct[index] for end in found.get(start, [start])]
        return {index: ends for index, ends in found.items() if index in closed}

    def _kept_longer(self, stands_for: dict[int, list[int]]) -> dict[int, int]:
        """Last stages that read feature maps on chip which stand for others."""
        keeps: dict[int, int] = {}
        for index, ends in stands_for.items():
            closed = self.mapping.tiles[index]
            for end in ends:
                kept = self.mapping.tiles[end]
                if closed.kept_bits and kept.kept_bits:
                    keeps[end] = max(keeps.get(end, kept.kept_until), closed.kept_until)
        return keeps

    def _rewired(
        self,
        operand: OperandTiles,
        stands_for: dict[int, list[int]],
        moves: set[int],
        instead: Mapping[int, StageTiles],
    ) -> OperandTiles:
        """Let tiles that waited for a closed stage wait for as large a part of what stands for its result."""
        changed = {*stands_for, *moves, *instead}
        if not any(entry.stage in changed for entry in operand.dependences):
            return operand
        needed: dict[int, NDArray[np.int64]] = {}
        for entry in operand.dependences:
            planned = len(self.mapping.tiles[entry.stage].output.tiles)
            for end in stands_for.get(entry.stage, [entry.stage]):
                root = self.mapping.stages[end].output
                maker = self.mapping.moves[root] if end in moves else instead.get(end, self.mapping.tiles[end])
                drains = len(maker.output.tiles)
                drained = entry.drained if drains == planned else -(-entry.drained * drains // planned)
                needed[end] = np.maximum(needed.get(end, 0), drained)
        return operand.after(*(Dependence(end, drained) for end, drained in needed.items()))


def _makers_of(inputs: Iterable[OperandTiles]) -> tuple[int, ...]:
    """Stages that make what some operands are."""
    return tuple(dict.fromkeys(entry.stage for tiles in inputs for entry in tiles.dependences))


def _closed_stage(tiles: StageTiles) -> StageTiles:
    """The stage without its work; its tiles stay, for some may be fetched before it is known that nobody needs them."""
    return replace(
        tiles,
        closed=True,
        compute_cycles=np.zeros(0, np.int64),
        kept_bits=0,
        activity=Activity(),
        mapping={"closed": True},
        busy_cycles=None,
    )


def mixed_blocks(
    gates: Iterable[Gate], roots_kept: dict[str, bool], roots_of: dict[str, tuple[str, ...]]
) -> list[Gate]:
    """Gates whose closing needs a move: their result and what stands for it were planned to lie in different memories.

    Zeros lie nowhere until somebody writes them.

    Parameters
    ----------
    gates
        Gates of the network.
    roots_kept
        Per feature map that owns memory whether it stays on chip.
    roots_of
        Per feature map the owners of the memory that it lies in.
    """
    mixed = []
    for gate in gates:
        if gate.kind != "layer_skip":
            continue
        roots = (*roots_of[gate.source], *roots_of[gate.result]) if gate.source else ()
        if not roots or len({roots_kept[root] for root in roots}) > 1:
            mixed.append(gate)
    return mixed
