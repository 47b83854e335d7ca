"""The folder of published image sets: what is in it, whether it is complete, and where a user gets what is missing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from accelsim.errors import InputError, MissingDataError
from accelsim.workload.datasets import load_dataset

if TYPE_CHECKING:
    from accelsim.workload.datasets import Split

VARIABLE = "ACCELSIM_DATA"
"""Names the folder where the command line does not."""

State = Literal["verified", "altered", "missing", "damaged"]


@dataclass(frozen=True)
class PublishedSet:
    """A split of a dataset as it was published.

    Parameters
    ----------
    name, split
        Which one it is.
    images
        Number of images.
    sha256
        Digest of the pixels, (n, h, w, c) in the published order, followed by the labels, both as bytes.
    """

    name: str
    split: Split
    images: int
    sha256: str


@dataclass(frozen=True)
class DataState:
    """What a data folder holds of a published set.

    Parameters
    ----------
    name, split
        The set.
    state
        ``verified``: every pixel and label is as published; ``altered``: readable, but others; ``missing``;
        ``damaged``: there, but not readable.
    images
        Images found.
    detail
        What is wrong, or where to get it.
    """

    name: str
    split: Split
    state: State
    images: int
    detail: str


PUBLISHED = (
    PublishedSet("cifar10", "test", 10_000, "8193b3fbce55bec361cd1b8fd4880cb1649832dc4d6de6da1e7a21847a4843aa"),
    PublishedSet("cifar10", "train", 50_000, "f912919bdea371136f1aa4feed6beeca728015a5f08b1899a29c932a7e30be2b"),
    PublishedSet("fashion_mnist", "test", 10_000, "9f1ec356a747bfe4ebab3cfb722d3694c9ca737e2570f6f90cf31d7b6fd689d4"),
    PublishedSet("fashion_mnist", "train", 60_000, "16d82e2b505296aa2b78bd5ea0992634f30419a4c97def7c907d154a35ac6157"),
)

SOURCES = {
    "cifar10": "the project page 'The CIFAR-10 dataset' (A. Krizhevsky, University of Toronto), python or binary "
    "version, unpacked into the folder; or cifar10_test.npz and cifar10_train.npz with the arrays images and labels",
    "fashion_mnist": "the project 'Fashion-MNIST' (Zalando Research), the four idx files, or the Debian package "
    "dataset-fashion-mnist; the first 2,000 test images come with accelsim",
}
"""Where a user gets each dataset."""


def data_folder(stated: str | Path | None = None) -> Path | None:
    """Folder of the datasets: as stated, else that of the environment variable `VARIABLE`; None without either."""
    named = stated if stated is not None else os.environ.get(VARIABLE)
    return Path(named) if named else None


def check_data(folder: Path) -> list[DataState]:
    """Look for every published set in a folder and compare it with what was published.

    Raises
    ------
    InputError
        When there is no such folder.
    """
    if not folder.is_dir():
        raise InputError("no such folder", where="--data", value=str(folder))
    return [_state_of(entry, folder) for entry in PUBLISHED]


def _state_of(entry: PublishedSet, folder: Path) -> DataState:
    try:
        found = load_dataset(entry.name, folder, entry.split)
    except MissingDataError:
        return DataState(entry.name, entry.split, "missing", 0, f"get it from {SOURCES[entry.name]}")
    except InputError as problem:
        return DataState(entry.name, entry.split, "damaged", 0, str(problem))
    if digest(found.images.tobytes(), found.labels.tobytes()) == entry.sha256:
        return DataState(entry.name, entry.split, "verified", len(found), "every pixel and label as published")
    reason = "other pixels, labels or order than published"
    if len(found) != entry.images:
        reason = f"{len(found):,} images instead of {entry.images:,}"
    return DataState(entry.name, entry.split, "altered", len(found), reason)


def digest(*parts: bytes) -> str:
    """SHA-256 of bytes one after the other."""
    total = sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()
