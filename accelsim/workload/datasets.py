"""Image sets in the forms in which they are published: CIFAR-10 and Fashion-MNIST."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from accelsim.errors import InputError, MissingDataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Split = Literal["train", "test"]

CLASSES = 10
_CIFAR_FOLDERS = ("", "cifar-10-batches-py", "cifar-10-batches-bin")
_CIFAR_BATCHES = {"train": tuple(f"data_batch_{index}" for index in range(1, 6)), "test": ("test_batch",)}
_FASHION_FOLDERS = ("", "fashion-mnist", "usr/share/datasets/fashion-mnist")
_FASHION_PREFIX = {"train": "train", "test": "t10k"}
_IDX_MAGIC = {1: 0x801, 3: 0x803}  # unsigned bytes, by number of dimensions


@dataclass(frozen=True)
class Normalisation:
    """How pixels become the input of a network: (pixel / 255 - mean) / std, for each channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn bytes (n, h, w, c) into float32 (n, c, h, w)."""
        mean, std = (np.asarray(values, np.float32) for values in (self.mean, self.std))
        scaled = (images.astype(np.float32) / np.float32(255) - mean) / std
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


NORMALISATIONS = {
    "cifar10": Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "fashion_mnist": Normalisation((0.2860,), (0.3530,)),
}
"""Mean and standard deviation of the training images of each dataset."""


@dataclass(frozen=True)
class ImageSet:
    """Labelled images.

    Attributes
    ----------
    name
        The dataset, for example ``cifar10``.
    images
        uint8, (images, height, width, channels), red first.
    labels
        uint8, (images,), each below 10.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, count: int) -> ImageSet:
        """Return the first `count` images."""
        return ImageSet(self.name, self.images[:count], self.labels[:count])


def load_dataset(name: str, folder: str | Path, split: Split) -> ImageSet:
    """Load the training or the test images of a dataset.

    Parameters
    ----------
    name
        ``cifar10`` or ``fashion_mnist``.
    folder
        Where its files lie. CIFAR-10: ``cifar10_train.npz`` and ``cifar10_test.npz`` (keys ``images`` and
        ``labels``), or the official python or binary version, unpacked. Fashion-MNIST: the four official idx files,
        with ``.gz`` or without, as the Debian package ``dataset-fashion-mnist`` installs them.
    split
        ``train`` or ``test``.

    Raises
    ------
    MissingDataError
        When the folder or its files are missing.
    InputError
        When the dataset is not known, or its files are damaged.
    """
    if name not in _LOADERS:
        raise InputError("no dataset has this name", where="dataset", value=name, allowed=", ".join(_LOADERS))
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingDataError("no such folder", where=folder)
    return _LOADERS[name](folder, split)


def _load_cifar10(folder: Path, split: Split) -> ImageSet:
    archive = folder / f"cifar10_{split}.npz"
    if archive.is_file():
        return read_images(archive, "cifar10")
    names = _CIFAR_BATCHES[split]
    for inner in _CIFAR_FOLDERS:
        for suffix, read in (("", _read_python_batch), (".bin", _read_binary_batch)):
            paths = [folder / inner / f"{name}{suffix}" for name in names]
            if all(path.is_file() for path in paths):
                parts = [read(path) for path in paths]
                planes = np.concatenate([part[0] for part in parts]).reshape(-1, 3, 32, 32)
                images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
                return _checked(ImageSet("cifar10", images, np.concatenate([part[1] for part in parts])), paths[0])
    allowed = f"{archive.name}, or {', '.join(names)} of the python version, or the same with .bin"
    raise MissingDataError(f"has no CIFAR-10 {split} images", where=folder, allowed=allowed)


def read_images(path: Path, name: str) -> ImageSet:
    """Read an npz file with the arrays ``images`` and ``labels``, for the dataset `name`.

    Raises
    ------
    InputError
        When the file is missing or damaged, or its arrays are not such images.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes())) as archive:
            images, labels = archive["images"], archive["labels"]
    except KeyError as problem:
        raise InputError("has not this array", where=path, key=str(problem).split()[0].strip("'\"")) from None
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError):
        raise InputError("is no npz file, or is damaged", where=path) from None
    return _checked(ImageSet(name, images, labels), path)


class _BatchUnpickler(pickle.Unpickler):
    """Builds arrays and plain values and nothing else, so that no file can run code."""

    _ALLOWED = frozenset(
        (module, name)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
        for name in ("_reconstruct", "ndarray", "dtype")
    ) | {("_codecs", "encode")}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as the base class has it
        if (module, name) not in self._ALLOWED:
            message = f"{module}.{name} is not allowed"
            raise pickle.UnpicklingError(message)
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _read_python_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    try:
        batch = _BatchUnpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        return np.asarray(batch[b"data"], np.uint8).reshape(-1, 3072), np.asarray(batch[b"labels"], np.uint8)
    except (OSError, pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, AttributeError, ImportError,
            IndexError, OverflowError):  # fmt: skip
        raise InputError("is no batch of CIFAR-10's python version, or is damaged", where=path) from None


def _read_binary_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    if raw.size == 0 or raw.size % 3073:
        raise InputError("is no whole number of records", where=path, value=raw.size, allowed="a multiple of 3073")
    records = raw.reshape(-1, 3073)
    return records[:, 1:], records[:, 0].copy()


def _load_fashion_mnist(folder: Path, split: Split) -> ImageSet:
    prefix = _FASHION_PREFIX[split]
    images = _read_idx(_find_idx(folder, f"{prefix}-images-idx3-ubyte"), 3)
    label_path = _find_idx(folder, f"{prefix}-labels-idx1-ubyte")
    return _checked(ImageSet("fashion_mnist", images[..., None], _read_idx(label_path, 1)), label_path)


def _find_idx(folder: Path, name: str) -> Path:
    candidates = [folder / inner / f"{name}{suffix}" for inner in _FASHION_FOLDERS for suffix in ("", ".gz")]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        allowed = f"{name} or {name}.gz"
        raise MissingDataError("has no such file of Fashion-MNIST", where=folder, value=name, allowed=allowed)
    return found


def _read_idx(path: Path, rank: int) -> NDArray[np.uint8]:
    """Read an idx file: magic number, sizes (big-endian), then the bytes."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        magic, *shape = struct.unpack_from(f">{rank + 1}I", raw)
    except (OSError, EOFError, zlib.error, struct.error):
        raise InputError("is no idx file, or is damaged", where=path) from None
    body = raw[4 * (rank + 1) :]
    if magic != _IDX_MAGIC[rank] or len(body) != np.prod(shape, dtype=np.int64):
        raise InputError(f"is no idx file of bytes in {rank} dimensions, or is cut off", where=path)
    return np.frombuffer(body, np.uint8).reshape(shape).copy()


def _checked(images: ImageSet, path: Path) -> ImageSet:
    shape = {"cifar10": (32, 32, 3), "fashion_mnist": (28, 28, 1)}[images.name]
    for key, array, expected in (("images", images.images, shape), ("labels", images.labels, ())):
        if array.dtype != np.uint8 or array.shape[1:] != expected or array.ndim != len(expected) + 1:
            value, allowed = f"{array.dtype}{array.shape}", f"uint8 (images, {', '.join(map(str, expected))})"
            raise InputError("has another type or shape", where=path, key=key, value=value, allowed=allowed)
    if len(images.images) != len(images.labels) or not len(images.labels):
        counts = (len(images.images), len(images.labels))
        raise InputError("as many images as labels, and at least one, must be there", where=path, value=counts)
    if images.labels.max() >= CLASSES:
        raise InputError("no such class", where=path, key="labels", value=int(images.labels.max()), allowed="0 to 9")
    return images


_LOADERS: dict[str, Callable[[Path, Split], ImageSet]] = {
    "cifar10": _load_cifar10,
    "fashion_mnist": _load_fashion_mnist,
}
