"""Loads the stationary operand into the second copy that an array holds, while it computes with the first.

A load begins when its operand is in the buffer and the copy is free: when the last fold of the load before has begun.
It ends a fixed number of cycles later, and the room in the buffer is free again as soon as all of it is in the array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.simulation.progress_counter import ProgressCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    import simpy

    from accelsim.mapping.tile_graph import StepLoads
    from accelsim.units import Clock

    Wait = Generator[simpy.Event, None, None]


class StageLoads:
    """The loads of one stage while it runs.

    Parameters
    ----------
    loads
        What is loaded.
    first
        Number of its first load among those of all stages.
    """

    def __init__(self, loads: StepLoads, first: int) -> None:
        self.operand = loads.operand
        self.made_on_chip = loads.made_on_chip
        self.lead_cycles: list[int] = loads.lead_cycles.tolist()
        self.handover_cycles: list[int] = loads.handover_cycles.tolist()
        self.exposed_cycles: list[int] = loads.exposed_cycles.tolist()
        self.steps = [step for step, cycles in enumerate(self.lead_cycles) if cycles]
        self.number = {step: first + index for index, step in enumerate(self.steps)}
        self.first = first

    @property
    def stall(self) -> str:
        """Cause of the stalls that waiting for a load makes."""
        return f"{self.operand}_shift"


class ArrayLoader:
    """The process that loads, stage after stage.

    Parameters
    ----------
    env
        The event loop.
    clock
        Clock of the array.
    stages
        Per stage its loads; None where it has none.
    wait_for_operand
        Waits until what a step (of a stage, by number) needs of the operand is in the buffer.
    wait_for_stage
        Waits until all stages before one have ended.
    ended
        Called with stage, step and begin in ps of a load when it ends.
    """

    def __init__(
        self,
        env: simpy.Environment,
        clock: Clock,
        stages: Sequence[StepLoads | None],
        wait_for_operand: Callable[[int, int], Wait],
        wait_for_stage: Callable[[int], Wait],
        ended: Callable[[int, int, int], None],
    ) -> None:
        self._env = env
        self._clock = clock
        self._wait_for_operand = wait_for_operand
        self._wait_for_stage = wait_for_stage
        self._ended = ended
        self.loaded = ProgressCounter(env)
        self.handed_over = ProgressCounter(env)
        self.stages: list[StageLoads | None] = []
        first = 0
        for loads in stages:
            stage = None if loads is None else StageLoads(loads, first)
            first += len(stage.steps) if stage else 0
            self.stages.append(stage)
        if first:
            env.process(self._run())

    def wait_for(self, stage: StageLoads, step: int) -> Wait:
        """Wait until the load with which a step begins has ended."""
        number = stage.number.get(step)
        if number is not None and self.loaded.value <= number:
            yield self.loaded.reach(number + 1)

    def hand_over(self, stage: StageLoads, step: int) -> None:
        """Note that the last fold of a step's load has begun, so that the second copy is free."""
        if step in stage.number:
            self.handed_over.finish(stage.number[step])

    def _run(self) -> Wait:
        for number, stage in enumerate(self.stages):
            if stage is None:
                continue
            if stage.made_on_chip:
                yield from self._wait_for_stage(number)
            for step in stage.steps:
                yield from self._wait_for_operand(number, step)
                before = stage.number[step]
                if self.handed_over.value < before:
                    yield self.handed_over.reach(before)
                begin = self._clock.cycle_at(int(self._env.now))
                end = begin + stage.lead_cycles[step]
                yield self._env.timeout(self._clock.ps_of(end) - int(self._env.now))
                self.loaded.finish(before)
                self._ended(number, step, self._clock.ps_of(begin))
