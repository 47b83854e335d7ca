"""Reads a run back from its folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from accelsim.config.model import Record, validate
from accelsim.errors import InputError
from accelsim.result import (
    SCHEMA,
    AccuracyResult,
    DramResult,
    LayerResult,
    RunInfo,
    RunResult,
    Totals,
)
from accelsim.sample_result import SamplesResult
from accelsim.strict_yaml import read_text

if TYPE_CHECKING:
    from pathlib import Path


class _MachineFile(Record):
    clock_mhz: float
    peak_macs_per_cycle: int
    peak_dram_gb_per_s: float | None


class _ResultFile(Record):
    """``result.json`` as it has to look; the dataclasses of `accelsim.result` are its parts."""

    run: RunInfo
    machine: _MachineFile
    totals: Totals
    energy_pj: dict[str, dict[str, float]]
    dram: DramResult
    accuracy: AccuracyResult | None
    samples: SamplesResult | None
    layers: list[LayerResult]


def read_run(folder: Path) -> RunResult:
    """Read ``result.json`` of a run folder; profile and config are not part of it.

    Raises
    ------
    InputError
        When the folder is none of a run, or its result is damaged or of another schema; names file and key.
    """
    if not folder.exists():
        raise InputError("no such run folder", where=folder)
    if not folder.is_dir():
        raise InputError("is a file, not a run folder", where=folder)
    path = folder / "result.json"
    if not path.exists():
        raise InputError("is no run folder: it holds no result.json", where=folder)
    record = _parse(path)
    if "schema" not in record:
        raise InputError("is missing", where=path, key="schema")
    if record["schema"] != SCHEMA:
        raise InputError("not accepted", where=path, key="schema", value=record["schema"], allowed=str(SCHEMA))
    validate(_ResultFile, {key: value for key, value in record.items() if key != "schema"}, path, InputError)
    return RunResult.from_dict(record)


def _parse(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(read_text(path, InputError), parse_constant=_refuse_constant)
    except json.JSONDecodeError as problem:
        place = f"line {problem.lineno}, column {problem.colno}"
        raise InputError(f"not valid JSON: {problem.msg}", where=path, key=place) from None
    except (ValueError, RecursionError) as problem:
        raise InputError(f"not valid JSON: {problem}", where=path) from None
    if not isinstance(record, dict):
        raise InputError(f"holds a {type(record).__name__}, not a mapping of keys to values", where=path)
    return record


def _refuse_constant(name: str) -> float:
    message = f"{name} is no number of JSON"
    raise ValueError(message)
