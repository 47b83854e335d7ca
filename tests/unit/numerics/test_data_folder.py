from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from accelsim.cli import run_command
from accelsim.errors import InputError
from accelsim.resources import resource_folder
from accelsim.workload import data_folder
from accelsim.workload.data_folder import PublishedSet, check_data, digest

SHARED = Path(__file__).parents[4] / "shared" / "data"
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (20, 32, 32, 3)).astype(np.uint8), (np.arange(20) % 10).astype(np.uint8)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset of twenty images takes the place of CIFAR-10's test set."""
    entry = PublishedSet("cifar10", "test", 20, digest(IMAGES.tobytes(), LABELS.tobytes()))
    monkeypatch.setattr(data_folder, "PUBLISHED", (entry,))


def write_forms(folder: Path, form: str) -> None:
    planes = IMAGES.transpose(0, 3, 1, 2).reshape(20, -1)
    if form == "npz":
        np.savez(folder / "cifar10_test.npz", images=IMAGES, labels=LABELS)
    elif form == "python":
        (folder / "cifar-10-batches-py").mkdir()
        batch = {b"data": planes, b"labels": LABELS.tolist()}
        (folder / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(batch))
    else:
        (folder / "cifar-10-batches-bin").mkdir()
        records = np.concatenate([LABELS[:, None], planes], axis=1).astype(np.uint8)
        (folder / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(records.tobytes())


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("form", ["npz", "python", "binary"])
def test_every_official_form_is_verified(tmp_path: Path, form: str) -> None:
    write_forms(tmp_path, form)
    (state,) = check_data(tmp_path)
    assert (state.state, state.images) == ("verified", 20)


@pytest.mark.usefixtures("published")
def test_other_images_missing_and_damaged_ones_are_told_apart(tmp_path: Path) -> None:
    (state,) = check_data(tmp_path)
    assert state.state == "missing"
    assert "CIFAR-10" in state.detail
    np.savez(tmp_path / "cifar10_test.npz", images=IMAGES[::-1], labels=LABELS)
    assert check_data(tmp_path)[0].state == "altered"
    np.savez(tmp_path / "cifar10_test.npz", images=IMAGES[:5], labels=LABELS[:5])
    assert check_data(tmp_path)[0].detail == "5 images instead of 20"
    (tmp_path / "cifar10_test.npz").write_bytes(b"cut off")
    (state,) = check_data(tmp_path)
    assert state.state == "damaged"
    assert "is no npz file" in state.detail


def test_the_folder_is_the_stated_one_or_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELSIM_DATA", raising=False)
    assert data_folder.data_folder() is None
    monkeypatch.setenv("ACCELSIM_DATA", "there")
    assert data_folder.data_folder() == Path("there")
    assert data_folder.data_folder("here") == Path("here")
    with pytest.raises(InputError, match="no such folder"):
        check_data(Path("nowhere"))


def test_the_command_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ACCELSIM_DATA", raising=False)
    assert run_command(["data"]) == 0
    text = capsys.readouterr().out
    assert "name one with --data or ACCELSIM_DATA" in text
    assert "cifar10" in text
    assert run_command(["data", "--data", str(tmp_path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["folder"] == str(tmp_path)
    assert {entry["state"] for entry in record["sets"]} == {"missing"}
    assert len(record["sets"]) == 4
    assert run_command(["data", "--data", "nowhere"]) == 2


def test_the_images_that_ship_are_those_published() -> None:
    with np.load(resource_folder("workloads") / "images" / "fashion_mnist_2000.npz") as archive:
        assert len(archive["images"]) == len(archive["labels"]) == 2000
        assert archive["labels"][:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]


@pytest.mark.shared
def test_the_published_test_set_is_verified() -> None:
    if not (SHARED / "cifar10_test.npz").exists():
        pytest.skip("no CIFAR-10 in the folder beside the checkout")
    states = {(state.name, state.split): state.state for state in check_data(SHARED)}
    assert states["cifar10", "test"] == "verified"
