"""The one place that compiles kernels: Numba's ``njit`` with a cache on disk, seen by the type checker."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core.compiler import Compiler as _Compiler
from numba.core.dispatcher import Dispatcher as _Dispatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

_Function = TypeVar("_Function", bound="Callable[..., Any]")
_LINEAR_ALGEBRA = "scipy.linalg.cython_blas"


def _load_array_functions() -> None:
    """Load what every kernel needs of Numba without SciPy, which takes a fifth of a second where it is installed.

    Numba looks for SciPy's linear algebra as it loads its array functions, and once more for each kernel that uses it.
    No kernel here does, and those of others in this process still find it.
    """
    if _LINEAR_ALGEBRA in sys.modules:
        return
    hidden = cast("dict[str, ModuleType | None]", sys.modules)
    hidden[_LINEAR_ALGEBRA] = None  # to an import it is missing
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del hidden[_LINEAR_ALGEBRA]


_load_array_functions()


class _PlainIndices(_Compiler):
    """Compiles functions in which an index that is not a constant is never negative.

    Numba looks at every index whether it counts from the end, which took a fifth of the time of the event kernel.
    """

    def define_pipelines(self) -> Any:  # noqa: ANN401 - Numba ships no types
        self.state.targetctx.has_plain_indices = True
        return super().define_pipelines()  # type: ignore[no-untyped-call] # as above


def _take_indices_as_they_are() -> None:
    """Let `_PlainIndices` have its effect, for which Numba has no option; what others compile stays as it is."""
    arrays: Any = importlib.import_module("numba.np.arrayobj")
    from_the_end: Callable[..., Any] | None = getattr(arrays, "fix_integer_index", None)
    if from_the_end is None:
        return  # a Numba that does it elsewhere: kernels take longer

    def index_of(context: Any, builder: Any, kind: Any, index: Any, size: Any) -> Any:  # noqa: ANN401 - as above
        if getattr(context, "has_plain_indices", False) and not isinstance(index, ir.Constant):
            return context.cast(builder, index, kind, numba.types.intp)
        return from_the_end(context, builder, kind, index, size)

    arrays.fix_integer_index = index_of


_take_indices_as_they_are()


def _njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:  # noqa: ANN401 - whatever Numba takes
    return cast("Callable[[Callable[..., Any]], Any]", numba.njit(pipeline_class=_PlainIndices, **options))


def kernel(function: _Function) -> _Function:
    """Compile `function` on its first call and keep the machine code on disk for the next process.

    As in all kernels, an index that is not a constant must not be negative: it does not count from the end. The plain
    Python function stays reachable as ``function.py_func``, for debugging and for tests.
    """
    return cast("_Function", _mark_sources(_njit(cache=True)(function)))


def lean_kernel(function: _Function) -> _Function:
    """Compile `function` into each kernel that calls it, without reference counts: for the hottest paths.

    It may not create arrays, and neither may the kernels that it calls. A call that is not inlined passes seven words
    per array and counts references to it with atomic instructions, which costs more than what a small function does.
    """
    return cast("_Function", _mark_sources(_for_any_value(_njit(cache=True, forceinline=True, _nrt=False)(function))))


def inner_kernel(function: _Function) -> _Function:
    """Compile `function` into the kernels that call it, or beside them where it is long, without reference counts.

    It may not create arrays. Nothing of it is kept on disk but what the kernels that call it keep.
    """
    return cast("_Function", _for_any_value(_njit(_nrt=False)(function)))


def outer_kernel(*packages: ModuleType) -> Callable[[_Function], _Function]:
    """Like `lean_kernel`, for one that calls kernels of other packages, whose sources it depends on as well."""

    def compiled(function: _Function) -> _Function:
        return cast("_Function", _mark_sources(_for_any_value(_njit(cache=True, _nrt=False)(function)), packages))

    return compiled


def _for_any_value(dispatcher: Any) -> Any:  # noqa: ANN401 - Numba ships no types
    """Let kernels that are called with literal numbers be compiled for all numbers, once.

    Numba would compile them, and all that they call, for each literal anew.
    """
    resolve = dispatcher.get_call_template
    plain_kind: Callable[[Any], Any] = numba.types.unliteral

    def resolve_without_values(args: tuple[Any, ...], named: dict[str, Any]) -> Any:  # noqa: ANN401 - as above
        plain = {name: plain_kind(kind) for name, kind in named.items()}
        return resolve(tuple(plain_kind(kind) for kind in args), plain)

    dispatcher.get_call_template = resolve_without_values
    return dispatcher


def _mark_sources(dispatcher: Any, packages: Sequence[ModuleType] = ()) -> Any:  # noqa: ANN401 - Numba ships no types
    """Make the cached machine code depend on this file and all of the function's folder, and of those of packages.

    Numba looks at the function's own file alone and so takes stale code for good when a constant or a kernel that it
    inlined has changed next door, or in the folder of a kernel that the function's module has imported.
    """
    cache_file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if cache_file is not None and hasattr(cache_file, "_source_stamp"):
        imported = [value for value in dispatcher.py_func.__globals__.values() if isinstance(value, _Dispatcher)]
        folders = [Path(used.py_func.__code__.co_filename).parent for used in (dispatcher, *imported)]
        folders += [Path(package.__path__[0]) for package in packages]
        marks = [_folder_marks(folder) for folder in dict.fromkeys(folders)] + [_file_mark(Path(__file__))]
        cache_file._source_stamp = (cache_file._source_stamp, *marks)  # noqa: SLF001 - there is no public way
    return dispatcher


@cache
def _folder_marks(folder: Path) -> tuple[tuple[str, float, int], ...]:
    return tuple(_file_mark(path) for path in sorted(folder.glob("*.py")))


def _file_mark(path: Path) -> tuple[str, float, int]:
    stamp = path.stat()
    return path.name, stamp.st_mtime, stamp.st_size
