"""Workers of a Dask cluster that runs already: on this machine, or wherever its scheduler has them."""

from __future__ import annotations

import logging
import queue
from typing import TYPE_CHECKING, Any, Self

from accelsim.errors import InputError, RunError
from accelsim.explore.evaluation import evaluate

if TYPE_CHECKING:
    from accelsim.explore.evaluation import Outcome, Task

_log = logging.getLogger(__name__)
_PATIENCE = "10s"
_CHECK_S = 2.0
_MOST_ATTEMPTS = 2


class DaskWorkers:
    """The workers of a cluster.

    The scheduler gives the task of a worker that has died to another one by itself; a task that takes several workers
    with it, which Dask reports as killing its worker, is tried once more and then told as failed.

    Used as a context manager, which cancels what is still queued; the cluster goes on.

    Parameters
    ----------
    address
        Of the scheduler, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    InputError
        When no scheduler answers there.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise InputError(
                "needs the package distributed: pip install 'accelsim[dask]'", where="--dask", value=address
            ) from None
        try:
            client: Any = Client  # its types are incomplete
            self._client = client(address, timeout=_PATIENCE, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as problem:
            reason = " ".join(str(problem).split()) or "no answer"
            raise InputError(f"no Dask scheduler answers ({reason})", where="--dask", value=address) from None
        self._address = address
        self._warned = False
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tasks: dict[str, tuple[Any, int, Task, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.cancel([future for future, *_ in self._tasks.values()])
        self._client.close()

    @property
    def capacity(self) -> int:
        """Threads of all workers that are there now; at least one, so that tasks wait for workers to come."""
        threads: dict[str, int] = self._client.nthreads()
        return max(sum(threads.values()), 1)

    @property
    def outstanding(self) -> int:
        """Tasks whose outcome has not been told."""
        return len(self._tasks)

    def submit(self, number: int, task: Task) -> None:
        """Queue a task; its outcome comes from `next_outcomes` under its number."""
        self._submit(number, task, 0)

    def _submit(self, number: int, task: Task, attempts: int) -> None:
        future = self._client.submit(evaluate, task, pure=False)
        self._tasks[future.key] = (future, number, task, attempts)
        future.add_done_callback(self._done.put)

    def next_outcomes(self, timeout_s: float | None = None) -> list[tuple[int, Outcome]]:
        """Wait for outcomes.

        Raises
        ------
        RunError
            When the scheduler is gone.
        """
        waited = 0.0
        while True:
            try:
                future = self._done.get(timeout=min(_CHECK_S, timeout_s or _CHECK_S))
            except queue.Empty:
                waited += _CHECK_S
                if self._client.status not in ("running", "connecting"):
                    message = f"the Dask scheduler is gone (client is {self._client.status})"
                    raise RunError(message) from None
                self._warn_without_workers()
                if timeout_s is not None and waited >= timeout_s:
                    return []
                continue
            if future.key not in self._tasks:
                continue
            outcome = self._outcome(future)
            return [] if outcome is None else [outcome]

    def _warn_without_workers(self) -> None:
        """Say once that nobody is there to do the work: a queue may start them later, or never."""
        if not self._warned and not self._client.nthreads():
            self._warned = True
            _log.warning("the Dask cluster at %s has no workers yet; waiting for some", self._address)

    def _outcome(self, future: Any) -> tuple[int, Outcome] | None:  # noqa: ANN401 - its types are incomplete
        """Outcome of a task that has ended; None where it is tried again."""
        _, number, task, attempts = self._tasks.pop(future.key)
        if future.status == "finished":
            result: dict[str, Any] = future.result()
            return number, result
        reason: object = future.status
        if future.status == "error":
            reason = future.exception()
        if attempts + 1 < _MOST_ATTEMPTS:
            self._submit(number, task, attempts + 1)
            return None
        text = " ".join(f"{type(reason).__name__}: {reason}".split())
        return number, {"error": f"the cluster gave it up twice: {text}", "wall_s": 0.0}
