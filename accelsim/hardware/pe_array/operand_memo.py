"""Keeps what was counted in the values of a tensor for as long as the tensor itself is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from accelsim.workload.operand_data import OperandData

_Result = TypeVar("_Result")
_counted: WeakKeyDictionary[OperandData, dict[Hashable, object]] = WeakKeyDictionary()


def once_per_tensor(data: OperandData, key: Hashable, count: Callable[[], _Result]) -> _Result:
    """Count something in the values of a tensor, once: a network's costs are asked for many times.

    Parameters
    ----------
    data
        The tensor; what was counted is forgotten with it.
    key
        What was counted, and all that it depends on beside the values.
    count
        Counts it; the result is shared, so nobody may change it.
    """
    known = _counted.setdefault(data, {})
    if key not in known:
        known[key] = count()
    return cast("_Result", known[key])
