"""accelsim: a cycle-level, event-driven simulator of deep-learning accelerators.

The names below are the public API. They are imported on first use, so that ``import accelsim`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelsim.config.loader import load_hardware
    from accelsim.config.schema import HardwareConfig
    from accelsim.errors import AccelsimError, InputError, RunError
    from accelsim.explore.run import StudyOptions, run_study
    from accelsim.explore.space_file import load_space
    from accelsim.pipeline import simulate
    from accelsim.result import LayerResult, RunResult
    from accelsim.workload.graph import Layer, LayerGraph, Tensor
    from accelsim.workload.loader import load_workload

__version__ = "0.1.0"

__all__ = [
    "AccelsimError",
    "HardwareConfig",
    "InputError",
    "Layer",
    "LayerGraph",
    "LayerResult",
    "RunError",
    "RunResult",
    "StudyOptions",
    "Tensor",
    "__version__",
    "load_hardware",
    "load_space",
    "load_workload",
    "run_study",
    "simulate",
]

_HOME = {
    "AccelsimError": "accelsim.errors",
    "HardwareConfig": "accelsim.config.schema",
    "InputError": "accelsim.errors",
    "Layer": "accelsim.workload.graph",
    "LayerGraph": "accelsim.workload.graph",
    "LayerResult": "accelsim.result",
    "RunError": "accelsim.errors",
    "RunResult": "accelsim.result",
    "StudyOptions": "accelsim.explore.run",
    "Tensor": "accelsim.workload.graph",
    "load_hardware": "accelsim.config.loader",
    "load_space": "accelsim.explore.space_file",
    "load_workload": "accelsim.workload.loader",
    "run_study": "accelsim.explore.run",
    "simulate": "accelsim.pipeline",
}


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    message = f"module 'accelsim' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(__all__)
