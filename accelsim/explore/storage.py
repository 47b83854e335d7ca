"""The storage of a study: Optuna's own tables, written by the head alone.

A trial is stored as running before it is handed out and changed to its final state once, so that whatever the moment
at which the head dies, a trial is either finished with all its figures or running and to be run again.
"""

from __future__ import annotations

import json
import sqlite3
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import sqlalchemy.event
import sqlalchemy.exc
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from accelsim.errors import InputError
from accelsim.explore.metrics import METRICS
from accelsim.explore.parameter import Choice, Parameter
from accelsim.explore.storage_errors import told_clearly
from accelsim.explore.trial import COMPLETE, FAILED, PRUNED, RUNNING, TrialRecord
from accelsim.explore.trial_rows import add_running, finish_running

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from accelsim.explore.space import Space

_STATES = {COMPLETE: TrialState.COMPLETE, FAILED: TrialState.FAIL, PRUNED: TrialState.PRUNED,
           RUNNING: TrialState.RUNNING}  # fmt: skip
_NAMES = {state: name for name, state in _STATES.items()}
_RECORD = "accelsim"
"""Attribute of the study that says what it is a study of."""
_CONSTRAINT = "constraints:"
"""Prefix of the attributes in which Optuna keeps how far a trial's constraints are from being met."""
_LOCK_PATIENCE_S = 10


def distribution(parameter: Parameter) -> BaseDistribution:
    """Optuna's form of a parameter."""
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.values)
    if parameter.whole:
        step = 1 if parameter.log else int(parameter.step or 1)
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log, step=step)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)


def storage_url(storage: str) -> str:
    """URL of a storage; a plain path is that of an SQLite file."""
    return storage if "://" in storage else f"sqlite:///{storage}"


@dataclass
class StudyStorage:
    """An open study.

    Parameters
    ----------
    url
        Where it is stored.
    name
        Its name there.
    """

    url: str
    name: str
    _storage: RDBStorage
    _study_id: int
    _lock: TextIO | None
    _running: dict[int, int]
    _own: set[int] = field(default_factory=set)
    _distributions: dict[str, tuple[BaseDistribution, str]] = field(default_factory=dict)

    @property
    def record(self) -> dict[str, Any]:
        """What the study is a study of."""
        with told_clearly(self.url):
            found: dict[str, Any] = self._storage.get_study_user_attrs(self._study_id).get(_RECORD, {})
        return found

    def trials(self) -> list[TrialRecord]:
        """All trials, in the order in which they were proposed."""
        with told_clearly(self.url):
            found = self._storage.get_all_trials(self._study_id, deepcopy=False)
        records = {}
        for trial in sorted(found, key=lambda entry: entry.number):
            if "point" in trial.user_attrs:
                record = _record(trial)
                records[record.index] = record
                self._running[record.index] = trial._trial_id  # noqa: SLF001 - the storage's methods ask for it
        return [records[index] for index in sorted(records)]

    def start(self, record: TrialRecord, space: Space) -> None:
        """Store a trial as running."""
        if self._lock is not None:
            if not self._distributions:
                known = {entry.path: distribution(entry) for entry in space.parameters}
                self._distributions |= {name: (kind, distribution_to_json(kind)) for name, kind in known.items()}
            params = {
                name: (self._distributions[name][0].to_internal_repr(value), self._distributions[name][1])
                for name, value in record.point.items()
            }
            with told_clearly(self.url):
                number = add_running(self._storage, self._study_id, TrialState.RUNNING, params, {"point": record.index})
            self._running[record.index] = number
            self._own.add(number)
            return
        trial = create_trial(
            state=TrialState.RUNNING,
            params=record.point,
            distributions={entry.path: distribution(entry) for entry in space.parameters},
            user_attrs={"point": record.index},
        )
        with told_clearly(self.url):
            self._running[record.index] = self._storage.create_new_trial(self._study_id, trial)

    def estimated(self, record: TrialRecord) -> None:
        """Store the estimate of a running trial."""
        with told_clearly(self.url):
            self._storage.set_trial_user_attr(self._running[record.index], "estimate", record.estimate)

    def finish(self, record: TrialRecord, objectives: Sequence[str]) -> None:
        """Store what became of a running trial; its state comes last."""
        trial = self._running[record.index]
        attributes: dict[str, Any] = {"outcome": {"metrics": record.metrics, "wall_s": record.wall_s}}
        if record.error is not None:
            attributes["error"] = record.error
        values = [record.metrics[name] for name in objectives] if record.state == COMPLETE else None
        if trial in self._own:
            violations = {f"{_CONSTRAINT}{text}": violation for text, violation in record.violations.items()}
            with told_clearly(self.url):
                finish_running(self._storage, trial, _STATES[record.state], values or (), attributes, violations)
            return
        with told_clearly(self.url):
            for name, value in attributes.items():
                self._storage.set_trial_user_attr(trial, name, value)
            for text, violation in record.violations.items():
                self._storage.set_trial_system_attr(trial, f"{_CONSTRAINT}{text}", violation)
            self._storage.set_trial_state_values(trial, _STATES[record.state], values)

    def close(self) -> None:
        """Let go of the storage."""
        self._storage.remove_session()
        self._storage.engine.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _record(trial: FrozenTrial) -> TrialRecord:
    outcome = trial.user_attrs.get("outcome", {})
    violations = {key.removeprefix(_CONSTRAINT): value for key, value in trial.system_attrs.items()
                  if key.startswith(_CONSTRAINT)}  # fmt: skip
    finished = trial.state.is_finished()
    return TrialRecord(
        index=trial.user_attrs["point"],
        point=dict(trial.params),
        state=_NAMES.get(trial.state, RUNNING),
        metrics=outcome.get("metrics", {}) if finished else {},
        estimate=trial.user_attrs.get("estimate", {}),
        violations=violations if finished else {},
        error=trial.user_attrs.get("error") if finished else None,
        wall_s=outcome.get("wall_s", 0.0) if finished else 0.0,
    )


def open_study(
    storage: str, name: str, record: dict[str, Any], objectives: Sequence[str], *, resume: bool
) -> StudyStorage:
    """Create a study, or open one to continue it.

    Parameters
    ----------
    storage
        URL, or path of an SQLite file.
    name
        Name of the study.
    record
        What it is a study of; has to equal what a study that exists was made with.
    objectives
        Metrics that it optimises.
    resume
        Whether a study of that name may exist.

    Raises
    ------
    InputError
        When the storage cannot be reached, written or unlocked, the study exists and is not to be resumed, or it is a
        study of something else.
    """
    url = storage_url(storage)
    lock = _locked(url)
    try:
        with told_clearly(url):
            opened = _connected(url)
            if not resume and name in {entry.study_name for entry in opened.get_all_studies()}:
                raise InputError(f"holds a study {name!r} already; --resume continues it, --name begins another one",
                                 where="--storage", value=storage)  # fmt: skip
            maximised = [METRICS[metric].maximised for metric in objectives]
            directions = [StudyDirection.MAXIMIZE if more else StudyDirection.MINIMIZE for more in maximised]
            study = optuna.create_study(storage=opened, study_name=name, directions=directions, load_if_exists=True)
            study_id = study._study_id  # noqa: SLF001 - the storage's methods ask for it
            found = study.user_attrs.get(_RECORD)
            if found is None:
                if opened.get_n_trials(study_id):
                    raise InputError(
                        f"holds a study {name!r} that is none of accelsim's", where="--storage", value=storage
                    )
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    study.set_metric_names(list(objectives))
                study.set_user_attr(_RECORD, record)
            else:
                _check_same(found, record, name, storage)
            return StudyStorage(url, name, opened, study_id, lock, {})
    except BaseException:
        if lock is not None:
            lock.close()
        raise


def read_study(storage: str, name: str | None = None) -> tuple[dict[str, Any], list[TrialRecord]]:
    """Read a study that exists: what it is a study of, and its trials.

    Parameters
    ----------
    storage
        URL, or path of an SQLite file.
    name
        Name of the study; may be left out where the storage holds one only.

    Raises
    ------
    InputError
        When there is no such study.
    """
    url = storage_url(storage)
    path = _sqlite_path(url)
    if path is not None and not path.is_file():
        raise InputError("no such file", where=path)
    with told_clearly(url):
        opened = _connected(url)
        try:
            known = {entry.study_name: entry._study_id for entry in opened.get_all_studies()}  # noqa: SLF001 - as above
            chosen = name or (next(iter(known)) if len(known) == 1 else "")
            if chosen not in known:
                raise InputError("holds no such study", where=storage, value=name, allowed=", ".join(known))
            study = StudyStorage(url, chosen, opened, known[chosen], None, {})
            return study.record, study.trials()
        finally:
            opened.remove_session()
            opened.engine.dispose()


def _connected(url: str) -> RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = _sqlite_path(url)
    options: dict[str, Any] = {}
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {"connect_args": {"timeout": _LOCK_PATIENCE_S}}
    storage = RDBStorage(url, engine_kwargs=options)
    if path is not None:
        sqlalchemy.event.listen(storage.engine, "connect", _write_ahead)
        storage.remove_session()
        storage.engine.dispose()  # connections from here on are told
    return storage


def _write_ahead(connection: Any, _: object) -> None:  # noqa: ANN401 - any database's connection
    """Let SQLite append to a log: several times as fast, and others read while the head writes.

    What is committed survives the death of the head; a power cut can take the last trials, which are then run again.
    """
    with suppress(sqlite3.OperationalError):  # a file system without shared memory keeps the usual journal
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")


def _check_same(found: dict[str, Any], record: dict[str, Any], name: str, storage: str) -> None:
    wanted = json.loads(json.dumps(record))
    for key in ("version", "space", "fidelity"):
        if found.get(key) != wanted.get(key):
            raise InputError(
                f"holds a study {name!r} with another {key}: {found.get(key)}, not {wanted.get(key)}; "
                "--name begins another one", where="--storage", value=storage,
            )  # fmt: skip


def _sqlite_path(url: str) -> Path | None:
    scheme, _, path = url.partition(":///")
    return Path(path.partition("?")[0]) if scheme.startswith("sqlite") and path else None


def _locked(url: str) -> TextIO | None:
    """Make sure that no other head works on an SQLite file; other databases are on their own."""
    path = _sqlite_path(url)
    if path is None:
        return None
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("w", encoding="utf-8")
    except OSError as problem:
        raise InputError(f"cannot be written: {problem.strerror}", where="--storage", value=str(path)) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise InputError("is in use by another accelsim explore", where="--storage", value=str(path)) from None
    return lock
