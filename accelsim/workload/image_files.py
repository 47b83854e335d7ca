"""Labelled images of any classifier: an npz file, or a folder with one folder of images for each class.

npz: ``images`` and ``labels``. Images are float32 (n, c, h, w), just as the network takes them, or bytes
(n, h, w, c) or (n, h, w), which become (byte / 255 - mean) / std; `mean` and `std`, one for each channel, stand beside
them in the file or in the metadata of the ONNX model.

Folder: classes are the folders in order of their names, or have the numbers that the names are. Images are PNG, PPM or
PGM of 8 bits; other kinds are read where the library Pillow is installed.
"""

from __future__ import annotations

import ast
import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.errors import InputError
from accelsim.workload.datasets import ImageSet, Normalisation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

OWN_SUFFIXES = (".png", ".ppm", ".pgm")
PILLOW_SUFFIXES = (".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
_ARRAYS: tuple[str, ...] = ("images", "labels", "mean", "std")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey and alpha, RGBA


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images to judge a classifier by.

    Parameters
    ----------
    images
        Bytes (n, h, w, c), or float32 (n, c, h, w) as a network takes them.
    labels
        Class of each, (n,).
    normalisation
        How bytes become the input of the network; None for float32.
    where
        Where they come from, for messages.
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]
    normalisation: Normalisation | None
    where: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width."""
        if self.normalisation is None:
            return tuple(self.images.shape[1:])
        return (self.images.shape[3], *self.images.shape[1:3])

    def head(self, count: int) -> LabelledImages:
        """Return the first `count` images."""
        return LabelledImages(self.images[:count], self.labels[:count], self.normalisation, self.where)

    def values(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Images as a network takes them, (n, c, h, w)."""
        part = self.images[start:stop]
        return part if self.normalisation is None else self.normalisation.apply(part)

    @classmethod
    def of_dataset(cls, images: ImageSet, metadata: Mapping[str, str]) -> LabelledImages:
        """Images of a published set, normalised as a network says in its metadata."""
        normalisation = normalisation_of(metadata, images.name)
        if normalisation is None:
            raise _without_normalisation(images.name)
        return cls(images.images, images.labels.astype(np.int64), normalisation, images.name)


def normalisation_of(metadata: Mapping[str, str], where: object) -> Normalisation | None:
    """How bytes become a network's input, as the metadata of an ONNX model say it; None where they do not."""
    if "mean" not in metadata or "std" not in metadata:
        return None
    try:
        mean, std = (tuple(float(part) for part in ast.literal_eval(metadata[key])) for key in ("mean", "std"))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise InputError("mean and std in its metadata are no lists of numbers", where=str(where)) from None
    if not mean or len(mean) != len(std) or not min(std) > 0:
        raise InputError("mean and std in its metadata do not fit together", where=str(where), value=(mean, std))
    return Normalisation(mean, std)


def read_labelled_images(path: Path, metadata: Mapping[str, str]) -> LabelledImages:
    """Read an npz file or a folder of labelled images.

    Parameters
    ----------
    path
        The file or folder.
    metadata
        Of the ONNX model, which may say how bytes are normalised.

    Raises
    ------
    InputError
        When nothing is there, it is damaged, or its images do not fit together.
    """
    if path.is_dir():
        images, labels = _read_folder(path)
        normalisation = normalisation_of(metadata, path)
    else:
        images, labels, normalisation = _read_npz(path, metadata)
    return _checked(images, labels, normalisation, path)


def _read_npz(path: Path, metadata: Mapping[str, str]) -> tuple[NDArray[Any], NDArray[Any], Normalisation | None]:
    try:
        with np.load(io.BytesIO(path.read_bytes())) as archive:
            arrays = {key: archive[key] for key in _ARRAYS if key in archive.files}
    except FileNotFoundError:
        raise InputError("no such file or folder", where=path) from None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError):
        raise InputError("is no npz file, or is damaged", where=path) from None
    for key in ("images", "labels"):
        if key not in arrays:
            raise InputError("has not this array", where=path, key=key)
    images = arrays["images"]
    if images.dtype != np.uint8:
        return images, arrays["labels"], None
    stated: dict[str, str] = {key: str(arrays[key].ravel().tolist()) for key in ("mean", "std") if key in arrays}
    normalisation = normalisation_of(stated or metadata, path)
    return (images[..., None] if images.ndim == 3 else images), arrays["labels"], normalisation


def _checked(
    images: NDArray[Any], labels: NDArray[Any], normalisation: Normalisation | None, path: Path
) -> LabelledImages:
    if images.dtype not in (np.uint8, np.float32) or images.ndim != 4:
        allowed = "uint8 (n, h, w, c) or float32 (n, c, h, w)"
        raise InputError("has another type or shape", where=path, key="images",
                         value=f"{images.dtype}{images.shape}", allowed=allowed)  # fmt: skip
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu" or not len(labels) or labels.min() < 0:
        raise InputError("is no class for each image", where=path, key="labels", value=f"{labels.dtype}{labels.shape}",
                         allowed=f"whole numbers of at least 0, ({len(images)},)")  # fmt: skip
    if images.dtype == np.uint8:
        if normalisation is None:
            raise _without_normalisation(path)
        if len(normalisation.mean) not in (1, images.shape[3]):
            raise InputError("mean and std are of another number of channels", where=path,
                             value=len(normalisation.mean), allowed=str(images.shape[3]))  # fmt: skip
    return LabelledImages(images, labels.astype(np.int64), normalisation, str(path))


def _without_normalisation(where: Path | str) -> InputError:
    return InputError(
        "images are bytes, and nothing says how they become the network's input",
        where=where,
        allowed="mean and std beside them in the npz or in the model's metadata, or float32 images",
    )


def _read_folder(path: Path) -> tuple[Pixels, NDArray[np.int64]]:
    classes = sorted(entry for entry in path.iterdir() if entry.is_dir())
    if not classes:
        raise InputError("holds no folders, one for each class", where=path)
    numbered = all(entry.name.isdecimal() for entry in classes)
    images, labels = [], []
    for index, folder in enumerate(classes):
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() in OWN_SUFFIXES + PILLOW_SUFFIXES:
                images.append(read_image(file))
                labels.append(int(folder.name) if numbered else index)
                if images[-1].shape != images[0].shape:
                    raise InputError("is of another size than the images before", where=file,
                                     value=images[-1].shape, allowed=str(images[0].shape))  # fmt: skip
    if not images:
        raise InputError("holds no images", where=path, allowed=", ".join(OWN_SUFFIXES))
    return np.stack(images), np.asarray(labels, np.int64)


def read_image(path: Path) -> Pixels:
    """Read an image as bytes (h, w, c), c being 1 or 3.

    Raises
    ------
    InputError
        When the file is damaged, or of a kind that nothing here can read.
    """
    try:
        if path.suffix.lower() == ".png":
            return _read_png(path.read_bytes())
        if path.suffix.lower() in {".ppm", ".pgm"}:
            return _read_pnm(path.read_bytes())
    except (OSError, ValueError, IndexError, KeyError, struct.error, zlib.error) as problem:
        raise InputError(f"is no such image, or is damaged ({problem})", where=path) from None
    return _read_with_pillow(path)


def _read_with_pillow(path: Path) -> Pixels:
    try:
        from PIL import Image  # not among what accelsim needs  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise InputError("reading this kind of image needs Pillow, which is not installed", where=path,
                         value=path.suffix, allowed=", ".join(OWN_SUFFIXES)) from None  # fmt: skip
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L" if image.mode in {"1", "L"} else "RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError):
        raise InputError("is no such image, or is damaged", where=path) from None
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _read_pnm(data: bytes) -> Pixels:
    fields: list[bytes] = []
    place = 0
    while len(fields) < 4:
        line_end = data.index(b"\n", place) if data[place : place + 1] == b"#" else place
        if line_end > place:
            place = line_end + 1
            continue
        end = place
        while data[end : end + 1] not in (b" ", b"\n", b"\t", b"\r", b""):
            end += 1
        if end > place:
            fields.append(data[place:end])
        place = end + 1
        if place > len(data):
            message = "the header ends early"
            raise ValueError(message)
    channels = {b"P5": 1, b"P6": 3}[fields[0]]
    width, height, largest = (int(field) for field in fields[1:])
    if largest != 255:
        message = f"largest value {largest}, not 255"
        raise ValueError(message)
    return np.frombuffer(data, np.uint8, height * width * channels, place).reshape(height, width, channels)


def _read_png(data: bytes) -> Pixels:
    """PNG of 8 bits without interlacing (ISO/IEC 15948); an alpha channel is dropped."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        message = "no PNG signature"
        raise ValueError(message)
    place, packed, palette = 8, b"", np.zeros((256, 3), np.uint8)
    width = height = kind = 0
    while place < len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + size]
        if name == b"IHDR":
            width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            if depth != 8 or interlaced:
                message = "only 8 bits without interlacing"
                raise ValueError(message)
        elif name == b"PLTE":
            entries = np.frombuffer(body, np.uint8).reshape(-1, 3)
            palette[: len(entries)] = entries
        elif name == b"IDAT":
            packed += body
        place += size + 12
    pixels = _unfiltered(zlib.decompress(packed), height, width, _PNG_CHANNELS[kind])
    if kind == 3:
        return palette[pixels[..., 0]]
    return pixels[..., : 3 if kind in (2, 6) else 1]


def _unfiltered(raw: bytes, height: int, width: int, channels: int) -> Pixels:
    """Undo the filter of every line: what was stored is the difference to a neighbour's byte."""
    lines = np.frombuffer(raw, np.uint8).reshape(height, 1 + width * channels)
    pixels = np.zeros((height + 1, width + 1, channels), np.int64)
    for row in range(height):
        line = lines[row, 1:].reshape(width, channels).astype(np.int64)
        above, kind = pixels[row], int(lines[row, 0])
        if kind == 0:
            pixels[row + 1, 1:] = line
        elif kind == 2:
            pixels[row + 1, 1:] = (line + above[1:]) & 255
        else:
            for column in range(width):
                left, up, corner = pixels[row + 1, column], above[column + 1], above[column]
                guess = left if kind == 1 else (left + up) // 2 if kind == 3 else _paeth(left, up, corner)
                pixels[row + 1, column + 1] = (line[column] + guess) & 255
    return pixels[1:, 1:].astype(np.uint8)


def _paeth(left: NDArray[np.int64], up: NDArray[np.int64], corner: NDArray[np.int64]) -> NDArray[np.int64]:
    guess = left + up - corner
    by_left, by_up, by_corner = np.abs(guess - left), np.abs(guess - up), np.abs(guess - corner)
    chosen: NDArray[np.int64] = np.where(
        (by_left <= by_up) & (by_left <= by_corner), left, np.where(by_up <= by_corner, up, corner)
    )
    return chosen
