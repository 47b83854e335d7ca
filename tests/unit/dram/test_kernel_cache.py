"""Cached machine code is not used any more once a file beside it has changed."""

import os
import subprocess
import sys
from pathlib import Path

import accelsim

KERNEL = """
from accelsim.jit import kernel, lean_kernel
from probe import constants


@lean_kernel
def inner(value):
    return value + constants.OFFSET


@kernel
def outer(value):
    return inner(value)


print(outer(1))
"""


def outcome(folder: Path) -> str:
    paths = (str(folder), str(Path(accelsim.__file__).parent.parent))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", "import probe.compiled"], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_constant_next_door_invalidates_the_cache(tmp_path: Path) -> None:
    package = tmp_path / "probe"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "compiled.py").write_text(KERNEL)
    (package / "constants.py").write_text("OFFSET = 1\n")
    assert outcome(tmp_path) == "2"
    assert list((package / "__pycache__").glob("*.nbi"))  # something was cached

    (package / "constants.py").write_text("OFFSET = 10\n")

    assert outcome(tmp_path) == "11"


BELOW = """
from accelsim.jit import lean_kernel


@lean_kernel
def inner(value):
    return value + {offset}
"""
ABOVE = """
from accelsim.jit import kernel
from probe.below.compiled import inner


@kernel
def outer(value):
    return inner(value)


print(outer(1))
"""


def test_an_imported_kernel_of_another_folder_invalidates_the_cache(tmp_path: Path) -> None:
    package = tmp_path / "probe"
    (package / "below").mkdir(parents=True)
    for folder in (package, package / "below"):
        (folder / "__init__.py").touch()
    (package / "compiled.py").write_text(ABOVE)
    (package / "below" / "compiled.py").write_text(BELOW.format(offset=1))
    assert outcome(tmp_path) == "2"
    assert list((package / "__pycache__").glob("*.nbi"))

    (package / "below" / "compiled.py").write_text(BELOW.format(offset=10))

    assert outcome(tmp_path) == "11"
