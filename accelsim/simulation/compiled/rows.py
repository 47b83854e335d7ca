"""Places of rows in the array of the state; those of the graph are known by their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.jit import inner_kernel
from accelsim.simulation.compiled import layout as la

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@inner_kernel
def stage_row(m: Words, stage: int) -> int:
    """Place of a stage in the graph."""
    return m[m[la.ORDER] + stage]


@inner_kernel
def operand_row(m: Words, stream: int) -> int:
    """Place of a stream's operand in the graph."""
    return m[m[la.STREAM] + la.N_STREAM * stream + la.SM_OPERAND]


@inner_kernel
def event_row(m: Words, event: int) -> int:
    """Place of a row of `EVENT`."""
    return m[la.EVENT] + la.N_EVENT * event


@inner_kernel
def process_row(m: Words, process: int) -> int:
    """Place of a row of `PROCESS`."""
    return m[la.PROCESS] + la.N_PROCESS * process


@inner_kernel
def stream_row(m: Words, stream: int) -> int:
    """Place of a row of `STREAM`."""
    return m[la.STREAM] + la.N_STREAM * stream


@inner_kernel
def place_row(m: Words, place: int) -> int:
    """Place of a row of `PLACE`."""
    return m[la.PLACE] + la.N_PLACE * place


@inner_kernel
def counter_row(m: Words, counter: int) -> int:
    """Place of a row of `COUNTER`."""
    return m[la.COUNTER] + la.N_COUNTER * counter


@inner_kernel
def waiter_row(m: Words, waiter: int) -> int:
    """Place of a row of `WAITER`."""
    return m[la.WAITER] + la.N_WAITER * waiter


@inner_kernel
def buffer_row(m: Words, buffer: int) -> int:
    """Place of a row of `BUFFER`."""
    return m[la.BUFFER] + la.N_BUFFER * buffer


@inner_kernel
def request_row(m: Words, request: int) -> int:
    """Place of a row of `REQUEST`."""
    return m[la.REQUEST] + la.N_REQUEST * request


@inner_kernel
def transfer_row(m: Words, transfer: int) -> int:
    """Place of a row of `TRANSFER`."""
    return m[la.TRANSFER] + la.N_TRANSFER * transfer


@inner_kernel
def phase_row(m: Words, phase: int) -> int:
    """Place of a row of `PHASE`."""
    return m[la.PHASE] + la.N_PHASE * phase


@inner_kernel
def change_row(m: Words, change: int) -> int:
    """Place of a row of `CHANGE`."""
    return m[la.CHANGE] + la.N_CHANGE * change


@inner_kernel
def snapshot_row(m: Words, snapshot: int) -> int:
    """Place of a row of `SNAPSHOT`."""
    return m[la.SNAPSHOT] + la.N_SNAPSHOT * snapshot
