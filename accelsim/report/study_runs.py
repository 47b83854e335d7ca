"""Runs the studies of papers and writes what they found: JSON, a page, and a summary for the terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from accelsim.errors import InputError
from accelsim.report.progress import StageProgress
from accelsim.report.run_folder import check_writable, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    Found = tuple[dict[str, Any], Callable[[int], RenderableType]]
    """The document, and the summary at a width."""


def check_overrides(study: str, overrides: Sequence[str]) -> None:
    """Refuse changes of the machines where a study takes none.

    Raises
    ------
    InputError
        When there are any.
    """
    if overrides and study != "smartdeal":
        raise InputError("goes with the study smartdeal", where="--set", value=overrides[0], allowed="no changes")


def run_eden(folder: Path, platforms: Sequence[str], networks: Sequence[str] = ()) -> Found:
    """Run EDEN's study on some platforms, all where none is named.

    Raises
    ------
    InputError
        When a platform is unknown, networks are named, or the folder cannot be written.
    """
    if networks:
        raise InputError("goes with the study smartdeal", where="--network", value=networks[0], allowed="--platform")
    check_writable(folder)
    from accelsim.report.eden_page import eden_summary, render_eden
    from accelsim.validation.eden_study import chosen_platforms, run_platform

    with StageProgress() as progress:
        results = [run_platform(entry, progress.update) for entry in chosen_platforms(platforms)]
    document = {"study": "eden", "schema": 1, "platforms": [result.to_dict() for result in results]}
    _write(folder, document, render_eden(results))
    return document, lambda width: eden_summary(results, width, str(folder))


def run_smartdeal(
    folder: Path, networks: Sequence[str], platforms: Sequence[str] = (), overrides: Sequence[str] = (), *,
    training: bool,
) -> Found:  # fmt: skip
    """Run SmartExchange's and SmartDeal's study on some networks, all where none is named, all machines changed alike.

    Raises
    ------
    InputError
        When a network is unknown, platforms are named, or the folder cannot be written.
    """
    if platforms:
        raise InputError("goes with the study eden", where="--platform", value=platforms[0], allowed="--network")
    check_writable(folder)
    from accelsim.report.smartdeal_page import render_smartdeal, smartdeal_summary
    from accelsim.validation import smartdeal_study as study

    chosen = study.chosen_networks(networks)
    with StageProgress() as progress:
        results = [study.compare_network(network, progress.update, overrides) for network in chosen]
        trained = [network for network in chosen if training and network.name in study.TRAINED]
        steps = [step for network in trained for step in study.train_network(network, progress.update, overrides)]
    document = study.to_document(results, steps, overrides)
    _write(folder, document, render_smartdeal(results, steps, overrides))
    return document, lambda width: smartdeal_summary(results, steps, width, str(folder))


def run_ddi(folder: Path, machines: Sequence[str], networks: Sequence[str]) -> Found:
    """Run the study of what skipping saves on some machines and networks, all where none is named.

    Raises
    ------
    InputError
        When a machine or network is unknown, or the folder cannot be written.
    """
    check_writable(folder)
    from accelsim.report.ddi_page import ddi_summary, render_ddi
    from accelsim.validation.ddi_study import run_study

    with StageProgress() as progress:
        result = run_study(machines, networks, progress.update)
    document = result.to_dict()
    _write(folder, document, render_ddi(result))
    return document, lambda width: ddi_summary(result, width, str(folder))


def _write(folder: Path, document: dict[str, Any], page: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{document['study']}.json", json.dumps(document, indent=2, allow_nan=False) + "\n")
    write_text(folder / "report.html", page)
