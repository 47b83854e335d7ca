"""Writes trials into Optuna's tables a trial at a time: the rows that Optuna itself would write, in one transaction.

Optuna looks every parameter and every attribute up before it writes it, for others might have. Where one head alone
writes, as to an SQLite file that it has locked, that is most of the work of the head.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from optuna.storages._rdb import models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from optuna.storages import RDBStorage
    from optuna.trial import TrialState


@contextmanager
def _transaction(storage: RDBStorage) -> Iterator[Any]:
    """A session whose changes are all stored at the end, or none."""
    session = storage.scoped_session()
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise


def add_running(
    storage: RDBStorage,
    study_id: int,
    state: TrialState,
    params: Mapping[str, tuple[float, str]],
    attributes: Mapping[str, Any],
) -> int:
    """Add a trial.

    Parameters
    ----------
    storage, study_id
        Where to.
    state
        Its state.
    params
        By name the value as Optuna stores it, and its distribution as JSON.
    attributes
        User attributes.

    Returns
    -------
    int
        Its number in the database.
    """
    with _transaction(storage) as session:
        trial = models.TrialModel(study_id=study_id, number=None, state=state, datetime_start=datetime.now())
        session.add(trial)
        session.flush()
        number = int(trial.trial_id)
        trial.number = trial.count_past_trials(session)
        session.add_all(
            models.TrialParamModel(trial_id=number, param_name=name, param_value=value, distribution_json=text)
            for name, (value, text) in params.items()
        )
        session.add_all(
            models.TrialUserAttributeModel(trial_id=number, key=key, value_json=json.dumps(value))
            for key, value in attributes.items()
        )
    return number


def finish_running(
    storage: RDBStorage,
    number: int,
    state: TrialState,
    values: Sequence[float],
    attributes: Mapping[str, Any],
    violations: Mapping[str, float],
) -> None:
    """Bring a trial to its end that this process has added, and that has had none of these attributes so far.

    Parameters
    ----------
    storage, number
        The trial.
    state, values
        How it ended, and its objectives, where it has any.
    attributes, violations
        User attributes, and attributes of the system.
    """
    with _transaction(storage) as session:
        session.add_all(
            models.TrialUserAttributeModel(trial_id=number, key=key, value_json=json.dumps(value))
            for key, value in attributes.items()
        )
        session.add_all(
            models.TrialSystemAttributeModel(trial_id=number, key=key, value_json=json.dumps(value))
            for key, value in violations.items()
        )
        for objective, value in enumerate(values):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            session.add(models.TrialValueModel(trial_id=number, objective=objective, value=stored, value_type=kind))
        trial = session.get(models.TrialModel, number)
        trial.state, trial.datetime_complete = state, datetime.now()
