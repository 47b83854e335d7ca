"""The one decorator for compiled kernels: Numba's ``njit`` with a cache on disk, seen by the type checker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

_Function = TypeVar("_Function", bound="Callable[..., Any]")


def kernel(function: _Function) -> _Function:
    """Compile `function` on its first call and keep the machine code on disk for the next process.

    The plain Python function stays reachable as ``function.py_func``, for debugging and for tests.
    """
    return cast("_Function", numba.njit(cache=True)(function))


def inlined_kernel(function: _Function) -> _Function:
    """Compile `function` as part of each kernel that calls it: for small functions on the hottest paths.

    A call passes seven words per array, which costs more than what such a function does.
    """
    return cast("_Function", numba.njit(cache=True, forceinline=True, _nrt=False)(function))
