from __future__ import annotations

import gzip
import pickle
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.resources import resource_folder
from accelsim.workload.datasets import NORMALISATIONS, load_dataset, read_images

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS = np.array([3, 8, 0, 9], np.uint8)
IMAGES = np.random.default_rng(7).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
GREY = IMAGES[:, :28, :28, 0]
TEST_BATCH = "cifar-10-batches-py/test_batch"
IDX_IMAGES, IDX_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def planes() -> NDArray[np.uint8]:
    return IMAGES.transpose(0, 3, 1, 2).reshape(4, 3072)


def write_npz(folder: Path) -> None:
    np.savez(folder / "cifar10_test.npz", images=IMAGES, labels=LABELS)


def write_python(folder: Path) -> None:
    (folder / "cifar-10-batches-py").mkdir()
    batch = {b"data": planes(), b"labels": LABELS.tolist()}
    (folder / TEST_BATCH).write_bytes(pickle.dumps(batch, protocol=2))


def write_binary(folder: Path) -> None:
    (folder / "test_batch.bin").write_bytes(np.hstack([LABELS[:, None], planes()]).tobytes())


def idx(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">{array.ndim + 1}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("write", [write_npz, write_python, write_binary])
def test_every_form_of_cifar10_gives_the_same_images(tmp_path: Path, write: object) -> None:
    write(tmp_path)  # type: ignore[operator]
    images = load_dataset("cifar10", tmp_path, "test")
    assert np.array_equal(images.images, IMAGES)
    assert np.array_equal(images.labels, LABELS)
    assert len(images.head(3)) == 3


def test_training_batches_of_cifar10_are_joined_in_their_order(tmp_path: Path) -> None:
    for index in range(1, 6):
        records = np.hstack([np.full((4, 1), index, np.uint8), planes()])
        (tmp_path / f"data_batch_{index}.bin").write_bytes(records.tobytes())
    assert load_dataset("cifar10", tmp_path, "train").labels.tolist() == [i for i in range(1, 6) for _ in range(4)]


@pytest.mark.parametrize("folder", ["", "usr/share/datasets/fashion-mnist"])
@pytest.mark.parametrize("packed", [False, True])
def test_fashion_mnist_is_read_from_idx_files(tmp_path: Path, folder: str, *, packed: bool) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name, array in ((IDX_IMAGES, GREY), (IDX_LABELS, LABELS)):
        path = tmp_path / folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    images = load_dataset("fashion_mnist", tmp_path, "test")
    assert np.array_equal(images.images[..., 0], GREY)
    assert np.array_equal(images.labels, LABELS)


def test_pickles_that_name_anything_but_arrays_are_refused_unread(tmp_path: Path) -> None:
    class Spy:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return open, (str(tmp_path / "written"), "w")  # type: ignore[return-value]

    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / TEST_BATCH).write_bytes(pickle.dumps({b"data": Spy(), b"labels": []}))
    with pytest.raises(InputError, match="is no batch of CIFAR-10"):
        load_dataset("cifar10", tmp_path, "test")
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cifar10_test.npz", b"PK", "is no npz file"),
        (TEST_BATCH, b"\x80\x02junk", "is no batch of CIFAR-10"),
        (TEST_BATCH, pickle.dumps({b"data": [1, 2]}), "is no batch of CIFAR-10"),
        ("test_batch.bin", bytes(3072), "is no whole number of records"),
        ("test_batch.bin", b"\x0a" + bytes(3072), "no such class"),
        ("other", b"", "has no CIFAR-10 test images"),
    ],
)
def test_damaged_cifar10_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_dataset("cifar10", tmp_path, "test")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:, :28], LABELS, "another type or shape"),
        (IMAGES.astype(np.float32), LABELS, "another type or shape"),
        (IMAGES, LABELS[:3], "as many images as labels"),
        (IMAGES[:0], LABELS[:0], "as many images as labels"),
    ],
)
def test_arrays_that_are_no_such_images_are_refused(
    tmp_path: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8], message: str
) -> None:
    np.savez(tmp_path / "cifar10_test.npz", images=images, labels=labels)
    with pytest.raises(InputError, match=message):
        load_dataset("cifar10", tmp_path, "test")


@pytest.mark.parametrize("content", [idx(GREY)[:-1], idx(LABELS), b"\x1f\x8b", b"\x00\x00\x08\x03"])
def test_damaged_idx_files_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / IDX_IMAGES).write_bytes(content)
    with pytest.raises(InputError, match=f"{IDX_IMAGES}: is no idx file"):
        load_dataset("fashion_mnist", tmp_path, "test")


def test_missing_things_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "cifar10_test.npz", images=IMAGES)
    with pytest.raises(InputError, match=r"labels: has not this array"):
        load_dataset("cifar10", tmp_path, "test")
    with pytest.raises(InputError, match="no such folder"):
        load_dataset("cifar10", tmp_path / "nowhere", "test")
    with pytest.raises(InputError, match="allowed: cifar10, fashion_mnist"):
        load_dataset("mnist", tmp_path, "test")
    with pytest.raises(InputError, match="t10k-images-idx3-ubyte or"):
        load_dataset("fashion_mnist", tmp_path, "test")
    with pytest.raises(InputError, match="no such file"):
        read_images(tmp_path / "none.npz", "cifar10")


def test_shipped_images_are_the_first_of_the_test_set() -> None:
    images = read_images(resource_folder("workloads") / "images" / "fashion_mnist_2000.npz", "fashion_mnist")
    assert len(images) == 2000
    assert images.labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]  # as its authors show them
    pixels = NORMALISATIONS["fashion_mnist"].apply(images.images)
    assert pixels.shape == (2000, 1, 28, 28)
    assert abs(float(pixels.mean())) < 0.02
    assert abs(float(pixels.std()) - 1) < 0.02
