"""What ships: presets inside the wheel, pins that agree with the bounds, commands that CI takes from the README."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import accelsim
from accelsim.config.loader import load_hardware
from accelsim.hardware.dram.tables import resolve
from accelsim.resources import resource_folder

CHECKOUT = Path(__file__).parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
DATA_FOLDERS = ("hw_configs", "workloads")

PROBE = """
import json, sys
from pathlib import Path
import accelsim
from accelsim.config.loader import list_presets, load_hardware
from accelsim.resources import resource_folder
from accelsim.workload.loader import list_workloads, load_workload
load_hardware("tpu_v1"), load_workload("tiny_cnn")
print(json.dumps({
    "package": str(Path(accelsim.__file__).parent),
    "folders": [str(resource_folder(name)) for name in ("hw_configs", "workloads")],
    "presets": [preset.name for role in ("accelerators", "dram", "energy") for preset in list_presets(role)],
    "workloads": [workload.name for workload in list_workloads()],
}))
"""


def data_files() -> set[str]:
    """Files of the data folders, relative to the checkout."""
    paths = [path for name in DATA_FOLDERS for path in (CHECKOUT / name).rglob("*") if path.is_file()]
    return {path.relative_to(CHECKOUT).as_posix() for path in paths}


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the source distribution and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, folder=CHECKOUT)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, folder=unpacked)
    return folder


@pytest.mark.slow
def test_source_distribution_and_wheel_hold_all_data(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        packed = {name.partition("/")[2] for name in files.getnames()}
    assert packed >= data_files() | {"README.md", "LICENSE", "pyproject.toml", ".ci/constraints.txt"}
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        names = set(files.namelist())
    assert {f"accelsim/{name}" for name in data_files()} <= names
    assert {"accelsim/py.typed", "accelsim/report/page.css", "accelsim/validation/catalog/eden-boosting.yaml"} <= names
    assert not [name for name in names if name.startswith("tests/") or "__pycache__" in name]


@pytest.mark.slow
def test_a_wheel_installed_elsewhere_finds_its_presets(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, folder=tmp_path)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=tmp_path).strip())
    # dependencies come from the environment of the tests, whose own .pth files (an editable install's) are not read
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")

    found = json.loads(run(python, "-I", "-c", PROBE, folder=tmp_path))
    assert found["package"] == str(site / "accelsim")
    assert found["folders"] == [str(site / "accelsim" / name) for name in DATA_FOLDERS]
    assert {"systolic_32x32", "DDR4_2400_8Gb_x8", "28nm"} <= set(found["presets"])
    assert {"resnet50", "tiny_cnn"} <= set(found["workloads"])
    record = json.loads(run(home / "bin" / "accelsim", "run", "edge_16x16", "lenet5", "--json", folder=tmp_path))
    assert record["totals"]["total_cycles"] > 0


def test_a_checkout_finds_its_presets() -> None:
    assert resource_folder("hw_configs") == CHECKOUT / "hw_configs"
    assert resource_folder("workloads") == CHECKOUT / "workloads"


def test_the_version_stands_in_one_form_everywhere() -> None:
    assert PROJECT["version"] == accelsim.__version__
    assert f"## {accelsim.__version__}" in (CHECKOUT / "CHANGELOG.md").read_text("utf-8")


def test_every_dependency_has_a_lower_bound_and_a_pin_within_it() -> None:
    lines = (CHECKOUT / ".ci" / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][^ ]*", line) for line in lines if not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in pins.items()}
    for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]:
        requirement = Requirement(text)
        assert [part.operator for part in requirement.specifier] == [">="], text
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), text


def readme_blocks(language: str) -> list[str]:
    text = (CHECKOUT / "README.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_readme_opens_with_the_two_commands() -> None:
    first, second = readme_blocks("sh")[:2]
    for block in (first, second):
        assert "python3 -m venv .venv" in block
        assert "-c .ci/constraints.txt" in block
    assert "accelsim run" in first
    assert "'.[test]'" in second
    assert "pytest" in second


def test_the_machine_in_the_readme_is_one(tmp_path: Path) -> None:
    block = readme_blocks("yaml")[0]
    (tmp_path / "machine.yaml").write_text(block, "utf-8")
    config = load_hardware(tmp_path / "machine.yaml")
    assert list(config.sram) == ["global_buffer"]
    assert resolve(config.dram).config.channels == 2


@pytest.mark.slow
def test_the_python_in_the_readme_runs(tmp_path: Path) -> None:
    block = next(block for block in readme_blocks("python") if " cycles, " in block)
    assert " cycles, " in run(sys.executable, "-c", block, folder=tmp_path)
