"""Worker processes on this machine: each imports accelsim once, takes a task at a time, and is replaced if it dies."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from accelsim.errors import RunError
from accelsim.explore.worker import EVALUATE

if TYPE_CHECKING:
    from accelsim.explore.evaluation import Outcome, Task

_START = "from accelsim.explore.worker import serve; serve({function!r})"
_MOST_FAILED_STARTS = 3
_MOST_ATTEMPTS = 2
_READ_BYTES = 1 << 16
_PATIENCE_S = 5.0


@dataclass
class _Process:
    """A worker process and what it is at."""

    process: subprocess.Popen[bytes]
    ready: bool = False
    task: tuple[int, Task, int] | None = None
    """Number, task and how often it has been tried before."""
    received: bytearray = field(default_factory=bytearray)


class LocalWorkers:
    """A pool of worker processes.

    Used as a context manager, which ends them.

    Parameters
    ----------
    workers
        How many.
    function
        What they hand each task to, as ``module:name``.
    """

    def __init__(self, workers: int, function: str = EVALUATE) -> None:
        self._command = _START.format(function=function)
        self.capacity = workers
        self._waiting: deque[tuple[int, Task, int]] = deque()
        self._selector = selectors.DefaultSelector()
        self._processes: list[_Process] = []
        self._lost: deque[tuple[int, Outcome]] = deque()
        self._failed_starts = 0
        self._workers = workers

    def __enter__(self) -> Self:
        for _ in range(self._workers):
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._processes:
            worker.process.kill()
        for worker in self._processes:
            worker.process.wait(_PATIENCE_S)
            for pipe in (worker.process.stdin, worker.process.stdout):
                if pipe is not None:
                    _close(pipe)
        self._processes.clear()
        self._selector.close()

    @property
    def outstanding(self) -> int:
        """Tasks whose outcome has not been told."""
        return len(self._waiting) + len(self._lost) + sum(worker.task is not None for worker in self._processes)

    @property
    def process_ids(self) -> list[int]:
        """Identifiers of the worker processes."""
        return [worker.process.pid for worker in self._processes]

    def submit(self, number: int, task: Task) -> None:
        """Queue a task; its outcome comes from `next_outcomes` under its number."""
        self._waiting.append((number, task, 0))
        self._hand_out()

    def next_outcomes(self, timeout_s: float | None = None) -> list[tuple[int, Outcome]]:
        """Wait for outcomes; a task whose worker died is tried once more, and then told as failed.

        Raises
        ------
        RunError
            When no worker process comes up.
        """
        outcomes: list[tuple[int, Outcome]] = []
        while self._lost:
            outcomes.append(self._lost.popleft())
        if outcomes:
            return outcomes
        for key, _ in self._selector.select(timeout_s):
            outcomes += self._read(key.data)
        while self._lost:
            outcomes.append(self._lost.popleft())
        self._hand_out()
        return outcomes

    def _start(self) -> None:
        package = str(Path(__file__).parents[2])
        known = os.environ.get("PYTHONPATH")
        environment = os.environ | {"PYTHONPATH": f"{package}{os.pathsep}{known}" if known else package}
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            [sys.executable, "-P", "-c", self._command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment,
        )  # fmt: skip
        worker = _Process(process)
        self._processes.append(worker)
        assert process.stdout is not None  # noqa: S101 - as asked for above
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)

    def _hand_out(self) -> None:
        for worker in list(self._processes):
            if not self._waiting:
                return
            if worker.ready and worker.task is None:
                worker.task = self._waiting.popleft()
                line = json.dumps(worker.task[1], allow_nan=False).encode() + b"\n"
                try:
                    _write_all(worker, line)
                except BrokenPipeError:
                    self._replace(worker)

    def _read(self, worker: _Process) -> list[tuple[int, Outcome]]:
        assert worker.process.stdout is not None  # noqa: S101 - as asked for when it was started
        block = os.read(worker.process.stdout.fileno(), _READ_BYTES)
        if not block:
            self._replace(worker)
            return []
        worker.received += block
        outcomes = []
        while (end := worker.received.find(b"\n")) >= 0:
            record: dict[str, Any] = json.loads(worker.received[:end])
            del worker.received[: end + 1]
            if not worker.ready:
                worker.ready = True
                self._failed_starts = 0
            elif worker.task is not None:
                outcomes.append((worker.task[0], record))
                worker.task = None
        return outcomes

    def _replace(self, worker: _Process) -> None:
        """Note what a dead worker leaves behind, and start another one."""
        if worker not in self._processes:
            return
        self._processes.remove(worker)
        assert worker.process.stdout is not None  # noqa: S101 - as asked for when it was started
        self._selector.unregister(worker.process.stdout)
        code = worker.process.wait(_PATIENCE_S)
        for pipe in (worker.process.stdin, worker.process.stdout):
            if pipe is not None:
                _close(pipe)
        if worker.task is not None:
            number, task, attempts = worker.task
            if attempts + 1 < _MOST_ATTEMPTS:
                self._waiting.appendleft((number, task, attempts + 1))
            else:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                self._lost.append((number, {"error": f"its worker process died twice ({how})", "wall_s": 0.0}))
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _MOST_FAILED_STARTS:
                message = f"worker processes do not come up (exit code {code}); what they say stands above"
                raise RunError(message)
        self._start()


def _write_all(worker: _Process, line: bytes) -> None:
    """Write a line to the unbuffered input of a worker, which may take it in pieces."""
    assert worker.process.stdin is not None  # noqa: S101 - as asked for when it was started
    view = memoryview(line)
    while view:
        view = view[worker.process.stdin.write(view) :]


def _close(pipe: Any) -> None:  # noqa: ANN401 - any file
    try:
        pipe.close()
    except OSError:  # what was still to be written went to nobody
        return
