"""The decorators for compiled kernels: Numba's ``njit`` with a cache on disk, seen by the type checker.

Numba takes machine code from its cache for as long as the file of the kernel itself has not changed. What a kernel
inlines from its neighbours, constants and other kernels, does not count, and code that was compiled for another layout
of an array corrupts memory. Here the cache is valid only while no module of the kernel's folder has changed.
"""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

_Function = TypeVar("_Function", bound="Callable[..., Any]")


def kernel(function: _Function) -> _Function:
    """Compile `function` on its first call and keep the machine code on disk for the next process.

    The plain Python function stays reachable as ``function.py_func``, for debugging and for tests.
    """
    return _tied_to_folder(numba.njit(cache=True)(function), function)


def inlined_kernel(function: _Function) -> _Function:
    """Compile `function` as part of each kernel that calls it: for small functions on the hottest paths.

    A call passes seven words per array, which costs more than what such a function does.
    """
    return _tied_to_folder(numba.njit(cache=True, forceinline=True, _nrt=False)(function), function)


def _tied_to_folder(compiled: Any, function: _Function) -> _Function:  # noqa: ANN401 - a dispatcher of Numba
    """Make the cache of a compiled function depend on all modules beside it."""
    index = compiled._cache._cache_file  # noqa: SLF001 - Numba has no public way to say what a kernel depends on
    index._source_stamp = (index._source_stamp, _folder_stamp(Path(inspect.getfile(function)).parent))  # noqa: SLF001
    return cast("_Function", compiled)


@cache
def _folder_stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time of change and size of every module in a folder, and of this one."""
    modules = (*sorted(folder.glob("*.py")), Path(__file__))
    return tuple((module.name, module.stat().st_mtime_ns, module.stat().st_size) for module in modules)
