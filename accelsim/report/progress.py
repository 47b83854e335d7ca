"""Progress of a long run on standard error: nothing for the first second, nothing where nobody watches."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress

_PATIENCE_S = 1.0
_STEPS = 1_000


class StageProgress:
    """A bar that appears once the work has lasted over a second and standard error is a terminal.

    Used as a context manager; `update` is the callback for the work.
    """

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty()
        self._begin = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, stage: str, fraction: float) -> None:
        """Show how far a stage has come.

        Parameters
        ----------
        stage
            What is being done.
        fraction
            How much of it, from 0 to 1.
        """
        if not self._watched or time.monotonic() - self._begin < _PATIENCE_S:
            return
        if self._bar is None:
            self._bar = self._start()
        self._bar.update(self._bar.task_ids[0], description=stage, completed=round(fraction * _STEPS))

    def note(self, doing: str) -> None:
        """Show what is being done, where nobody knows how much is left."""
        if not self._watched or time.monotonic() - self._begin < _PATIENCE_S:
            return
        if self._bar is None:
            self._bar = self._start()
        self._bar.update(self._bar.task_ids[0], description=doing, total=None)

    def _start(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        bar = Progress(*columns, console=Console(stderr=True), transient=True)
        bar.add_task("", total=_STEPS)
        bar.start()
        return bar
