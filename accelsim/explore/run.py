"""Runs a study from a space file: opens the storage, starts the workers, and lets the head work."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.atomic_file import naming_the_path
from accelsim.errors import InputError, StudyInterruptedError
from accelsim.explore.space import Space
from accelsim.explore.space_file import load_space

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelsim.explore.fidelity import FidelityPlan
    from accelsim.explore.study import Progress, StudyResult

STUDIES_FOLDER = Path("reports") / "studies"
"""Where studies go, relative to the current directory, unless the user says otherwise."""


@dataclass(frozen=True)
class StudyOptions:
    """How a study is run; nothing here but `plan` and `trials` changes what it finds.

    Parameters
    ----------
    name
        Name of the study; that of the space file where left out.
    trials
        Points to evaluate, instead of what the space file says.
    storage
        URL, or path of an SQLite file; a file in the folder of the study where left out.
    resume
        Whether a study that exists is continued.
    workers
        Processes on this machine; one per processor where left out.
    dask
        Address of a Dask scheduler, whose workers are used instead.
    plan
        Estimates, full simulations, or both; full simulations where left out.
    cache
        Folder of the cache; the user's cache folder where left out.
    use_cache
        Whether there is a cache on disk.
    """

    name: str | None = None
    trials: int | None = None
    storage: str | None = None
    resume: bool = False
    workers: int | None = None
    dask: str | None = None
    plan: FidelityPlan | None = None
    cache: Path | None = None
    use_cache: bool = True


def default_folder(name: str) -> Path:
    """Folder of a study for which the user named none."""
    return STUDIES_FOLDER / name


def run_study(
    source: str | Path | Space,
    options: StudyOptions | None = None,
    *,
    hardware: str | None = None,
    report: Callable[[Progress], None] | None = None,
) -> StudyResult:
    """Explore a design space.

    Parameters
    ----------
    source
        Space file, name of a space that ships with accelsim, or a space.
    options
        How to run the study.
    hardware
        Machine to vary, instead of the one in the space file.
    report
        Called after every evaluation.

    Raises
    ------
    InputError
        When the space, the storage or an option is wrong.
    RunError
        When workers or storage fail in the middle, or the user interrupts; what has finished is stored, and `resume`
        continues.
    """
    chosen = options or StudyOptions()
    space = source if isinstance(source, Space) else load_space(source, hardware)
    if chosen.trials is not None:
        space = replace(space, trials=chosen.trials)
    check_installed()
    from accelsim.explore.fidelity import FidelityPlan
    from accelsim.explore.preparation import check_space, study_record
    from accelsim.explore.storage import open_study
    from accelsim.explore.study import Head

    plan = chosen.plan or FidelityPlan()
    check_space(space, plan)
    name = chosen.name or space.name
    storage = open_study(
        chosen.storage or str(default_folder(name) / "study.db"),
        name, study_record(name, space, plan), space.objectives, resume=chosen.resume,
    )  # fmt: skip
    try:
        with _workers(chosen) as workers:
            return Head(space, storage, workers, plan, _cache(chosen), space.seed, report).run()
    except KeyboardInterrupt:
        raise StudyInterruptedError("interrupted; --resume continues the study") from None
    finally:
        storage.close()


def _workers(options: StudyOptions) -> Any:  # noqa: ANN401 - a context manager that gives `Workers`
    from accelsim.explore.local_workers import LocalWorkers

    if options.dask is None:
        return LocalWorkers(options.workers or _processors())
    from accelsim.explore.dask_workers import DaskWorkers

    return DaskWorkers(options.dask)


def _processors() -> int:
    """Processors that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cache(options: StudyOptions) -> dict[str, Any] | None:
    """Where workers find the cache, as data; a folder that cannot be written is told before the study begins."""
    if not options.use_cache:
        return None
    from accelsim.explore.cache import DEFAULT_LIMIT_BYTES, StageCache, default_cache_folder

    folder = (options.cache or default_cache_folder()).absolute()
    if options.cache is not None:
        with naming_the_path(folder, "--cache"):
            folder.mkdir(parents=True, exist_ok=True)
    StageCache(folder, DEFAULT_LIMIT_BYTES).trim()
    return {"folder": str(folder), "limit_bytes": DEFAULT_LIMIT_BYTES}


def check_installed() -> None:
    """Find out whether the packages of the extra are there.

    Raises
    ------
    InputError
        When one is missing.
    """
    try:
        import optuna  # noqa: F401 - whether it is there
        import pyarrow  # noqa: F401 - as above
        import sklearn  # noqa: F401 - as above
    except ImportError as problem:
        raise InputError(
            f"needs the package {problem.name}: pip install 'accelsim[explore]'", where="accelsim explore"
        ) from None
