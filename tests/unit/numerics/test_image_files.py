from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.workload.datasets import ImageSet
from accelsim.workload.image_files import LabelledImages, read_image, read_labelled_images

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

METADATA = {"mean": "[0.5, 0.25, 0.0]", "std": "[0.5, 1.0, 2.0]"}
BYTES = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3)).astype(np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.uint8)


def saved(path: Path, **arrays: Any) -> Path:  # noqa: ANN401
    np.savez(path, **arrays)
    return path


def normalised(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    mean, std = np.array([0.5, 0.25, 0.0]), np.array([0.5, 1.0, 2.0])
    values: NDArray[np.float64] = (images / 255 - mean) / std
    return values.transpose(0, 3, 1, 2)


def test_bytes_are_normalised_as_the_model_says(tmp_path: Path) -> None:
    found = read_labelled_images(saved(tmp_path / "a.npz", images=BYTES, labels=LABELS), METADATA)
    assert found.shape == (3, 4, 5)
    assert np.allclose(found.values(), normalised(BYTES), atol=1e-6)
    assert found.labels.tolist() == LABELS.tolist()
    assert len(found.head(2)) == len(found.head(2).values()) == 2
    assert np.array_equal(found.values(2, 4), found.values()[2:4])


def test_what_stands_beside_the_images_goes_before_the_model(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", images=BYTES, labels=LABELS, mean=np.zeros(3), std=np.ones(3))
    assert np.allclose(read_labelled_images(path, METADATA).values(), BYTES.transpose(0, 3, 1, 2) / 255, atol=1e-6)


def test_floats_are_taken_as_they_are(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((6, 3, 4, 5)).astype(np.float32)
    found = read_labelled_images(saved(tmp_path / "a.npz", images=values, labels=LABELS), {})
    assert np.array_equal(found.values(), values)
    assert found.shape == (3, 4, 5)


def test_grey_images_need_no_channel(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", images=BYTES[..., 0], labels=LABELS, mean=[0.5], std=[1.0])
    assert read_labelled_images(path, {}).shape == (1, 4, 5)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"labels": LABELS}, "key images|images: has not this array"),
        ({"images": BYTES}, "has not this array"),
        ({"images": BYTES, "labels": LABELS[:4]}, "is no class for each image"),
        ({"images": BYTES, "labels": LABELS.astype(float)}, "is no class for each image"),
        ({"images": BYTES, "labels": LABELS.astype(int) - 1}, "is no class for each image"),
        ({"images": BYTES.astype(np.int32), "labels": LABELS}, "has another type or shape"),
        ({"images": BYTES[0], "labels": LABELS}, "has another type or shape|is no class"),
        ({"images": BYTES, "labels": LABELS, "mean": [0.5, 0.5], "std": [1.0, 1.0]}, "another number of channels"),
        ({"images": BYTES, "labels": LABELS, "mean": [0.5], "std": [0.0]}, "do not fit together"),
        ({"images": BYTES, "labels": LABELS, "mean": [0.5], "std": [1.0, 1.0]}, "do not fit together"),
    ],
)
def test_npz_files_that_are_no_images_are_refused(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_labelled_images(saved(tmp_path / "a.npz", **arrays), METADATA)


def test_bytes_without_a_normalisation_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing says how they become the network's input"):
        read_labelled_images(saved(tmp_path / "a.npz", images=BYTES, labels=LABELS), {})
    with pytest.raises(InputError, match="nothing says how they become the network's input"):
        LabelledImages.of_dataset(ImageSet("cifar10", BYTES, LABELS), {})


@pytest.mark.parametrize("mean", ["nonsense", "[[1]]", "['a']", "[", "(" * 500])
def test_a_normalisation_that_is_none_is_refused(tmp_path: Path, mean: str) -> None:
    with pytest.raises(InputError, match="in its metadata"):
        read_labelled_images(saved(tmp_path / "a.npz", images=BYTES, labels=LABELS), {"mean": mean, "std": "[1]"})


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04cut"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match="is no npz file, or is damaged"):
        read_labelled_images(tmp_path / "a.npz", METADATA)
    with pytest.raises(InputError, match="no such file or folder"):
        read_labelled_images(tmp_path / "b.npz", METADATA)


# -- folders of images -------------------------------------------------------------------------------------------------


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def filtered(pixels: NDArray[np.uint8], kind: int) -> bytes:
    """Lines of a PNG under one filter, straight from its definition."""
    height, width, channels = pixels.shape
    lines = b""
    for row in range(height):
        lines += bytes([kind])
        for column in range(width):
            for channel in range(channels):
                left = int(pixels[row, column - 1, channel]) if column else 0
                up = int(pixels[row - 1, column, channel]) if row else 0
                corner = int(pixels[row - 1, column - 1, channel]) if row and column else 0
                nearest = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
                guess = (0, left, up, (left + up) // 2, nearest)[kind]
                lines += bytes([(int(pixels[row, column, channel]) - guess) % 256])
    return lines


def png(pixels: NDArray[np.uint8], kind: int = 0, colour: int = 2, palette: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, colour, 0, 0, 0)
    body = zlib.compress(filtered(pixels, kind))
    cut = len(body) // 2
    parts = [chunk(b"IHDR", header), chunk(b"PLTE", palette) if palette else b"", chunk(b"IDAT", body[:cut]),
             chunk(b"IDAT", body[cut:]), chunk(b"IEND", b"")]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind", range(5))
def test_png_files_of_every_filter(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(BYTES[0], kind))
    assert np.array_equal(read_image(path), BYTES[0])


def test_png_files_of_every_colour(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(BYTES[0][..., :1], colour=0))
    assert np.array_equal(read_image(path), BYTES[0][..., :1])
    path.write_bytes(png(np.concatenate([BYTES[0], BYTES[1][..., :1]], axis=2), colour=6))
    assert np.array_equal(read_image(path), BYTES[0])
    palette = BYTES[2].reshape(-1, 3)
    indices = np.arange(20, dtype=np.uint8).reshape(4, 5, 1)
    path.write_bytes(png(indices, colour=3, palette=palette.tobytes()))
    assert np.array_equal(read_image(path), palette[indices[..., 0]])


@pytest.mark.parametrize("header", [b"P6\n5 4\n255\n", b"P6 5 4 255 ", b"P6\n# a comment\n5 4\n# another\n255\n"])
def test_ppm_files(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(header + BYTES[0].tobytes())
    assert np.array_equal(read_image(path), BYTES[0])
    grey = tmp_path / "a.pgm"
    grey.write_bytes(header.replace(b"P6", b"P5") + BYTES[0][..., 0].tobytes())
    assert np.array_equal(read_image(grey), BYTES[0][..., :1])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", b"nothing"),
        ("a.png", png(BYTES[0])[:60]),
        ("a.png", png(BYTES[0]).replace(struct.pack(">IIBB", 5, 4, 8, 2), struct.pack(">IIBB", 5, 4, 16, 2))),
        ("a.ppm", b"P6\n5 4\n255\nshort"),
        ("a.ppm", b"P3\n5 4\n255\n1 2 3"),
        ("a.ppm", b"P6\n5 4\n65535\n" + bytes(120)),
        ("a.ppm", b"P6\n5"),
        ("a.ppm", b""),
    ],
)
def test_damaged_images_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="is no such image, or is damaged"):
        read_image(tmp_path / name)


def folders(parent: Path, *names: str) -> Path:
    for index, name in enumerate(names):
        (parent / name).mkdir(parents=True)
        for number in (0, 1):
            (parent / name / f"{number}.png").write_bytes(png(BYTES[2 * index + number]))
        (parent / name / "notes.txt").write_text("no image")
    return parent


def test_folders_are_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    found = read_labelled_images(folders(tmp_path / "set", "bird", "cat", "dog"), METADATA)
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert np.array_equal(found.images, BYTES)


def test_folders_that_are_numbers_are_those_classes(tmp_path: Path) -> None:
    assert read_labelled_images(folders(tmp_path / "set", "3", "7"), METADATA).labels.tolist() == [3, 3, 7, 7]


def test_folders_that_hold_no_such_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no images"):
        read_labelled_images(tmp_path / "empty", METADATA)
    with pytest.raises(InputError, match="holds no folders"):
        read_labelled_images(tmp_path / "empty" / "cat", METADATA)
    parent = folders(tmp_path / "set", "bird")
    (parent / "bird" / "2.png").write_bytes(png(BYTES[0][:2]))
    with pytest.raises(InputError, match="is of another size"):
        read_labelled_images(parent, METADATA)
    (parent / "bird" / "2.png").unlink()
    (parent / "bird" / "2.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"needs Pillow|is no such image"):
        read_labelled_images(parent, METADATA)
