"""Room in the buffers: who holds how much, and who waits for it; `hardware.sram.Buffer` as kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.jit import inner_kernel
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.queue import push
from accelsim.simulation.compiled.rows import buffer_row, change_row, process_row, request_row

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@inner_kernel
def take(m: Words, buffer: int, stage: int, bits: int, process: int) -> None:
    """Ask for room for a process, which has to wait for its turn even where it is granted at once."""
    row = buffer_row(m, buffer)
    m[process_row(m, process) + la.PR_GRANTED] = 0
    is_free = m[row + la.BF_USED] + bits <= m[row + la.BF_CAPACITY]
    if stage == m[row + la.BF_SERVING] and is_free and _first_of(m, buffer, stage) < 0:
        _grant(m, buffer, stage, bits, process, m[process_row(m, process) + la.PR_LIFE])
        grant_waiting(m, buffer)
        return
    index = m[la.WD_FREE_REQUEST]
    request = request_row(m, index)
    if m[request + la.RQ_NEXT] < 0:
        m[la.WD_STATUS] = la.TABLE_FULL
        return
    m[la.WD_FREE_REQUEST] = m[request + la.RQ_NEXT]
    m[request + la.RQ_STAGE] = stage
    m[request + la.RQ_BITS] = bits
    m[request + la.RQ_PROCESS] = process
    m[request + la.RQ_LIFE] = m[process_row(m, process) + la.PR_LIFE]
    m[request + la.RQ_NEXT] = -1
    if m[row + la.BF_TAIL] < 0:
        m[row + la.BF_HEAD] = index
    else:
        m[request_row(m, m[row + la.BF_TAIL]) + la.RQ_NEXT] = index
    m[row + la.BF_TAIL] = index


@inner_kernel
def give_back(m: Words, buffer: int, bits: int) -> None:
    """Free room, and grant what now fits."""
    m[buffer_row(m, buffer) + la.BF_USED] -= bits
    _record(m, buffer)
    grant_waiting(m, buffer)


@inner_kernel
def forgo(m: Words, buffer: int, stage: int) -> None:
    """Give up all that a stage has asked for and not been granted, and all that it was still to ask for."""
    before = -1
    index = m[buffer_row(m, buffer) + la.BF_HEAD]
    while index >= 0:
        following = m[request_row(m, index) + la.RQ_NEXT]
        if m[request_row(m, index) + la.RQ_STAGE] == stage:
            _unlink(m, buffer, before, index)
        else:
            before = index
        index = following
    m[m[la.TO_COME] + buffer * m[la.WD_STAGES] + stage] = 0
    skip_finished_stages(m, buffer)
    grant_waiting(m, buffer)


@inner_kernel
def grant_waiting(m: Words, buffer: int) -> None:
    """Grant what fits to the stage whose turn it is, and to those behind it once it has all."""
    row = buffer_row(m, buffer)
    while True:
        before = -1
        index = m[row + la.BF_HEAD]
        while index >= 0:
            request = request_row(m, index)
            fits = m[row + la.BF_USED] + m[request + la.RQ_BITS] <= m[row + la.BF_CAPACITY]
            if fits and m[request + la.RQ_STAGE] == m[row + la.BF_SERVING]:
                break
            before = index
            index = m[request + la.RQ_NEXT]
        if index < 0:
            return
        request = request_row(m, index)
        stage, bits = m[request + la.RQ_STAGE], m[request + la.RQ_BITS]
        process, life = m[request + la.RQ_PROCESS], m[request + la.RQ_LIFE]
        _unlink(m, buffer, before, index)
        _grant(m, buffer, stage, bits, process, life)


@inner_kernel
def skip_finished_stages(m: Words, buffer: int) -> None:
    """Turn to the next stage that will still ask for room."""
    stage = m[buffer_row(m, buffer) + la.BF_SERVING]
    while stage < m[la.WD_STAGES] and m[m[la.TO_COME] + buffer * m[la.WD_STAGES] + stage] == 0:
        stage += 1
    m[buffer_row(m, buffer) + la.BF_SERVING] = stage


@inner_kernel
def _first_of(m: Words, buffer: int, stage: int) -> int:
    """First request of a stage that waits, -1 for none."""
    index = m[buffer_row(m, buffer) + la.BF_HEAD]
    while index >= 0 and m[request_row(m, index) + la.RQ_STAGE] != stage:
        index = m[request_row(m, index) + la.RQ_NEXT]
    return index


@inner_kernel
def _unlink(m: Words, buffer: int, before: int, index: int) -> None:
    """Take a request out of those that wait; `before` is the one that stands before it, or -1."""
    following = m[request_row(m, index) + la.RQ_NEXT]
    if before < 0:
        m[buffer_row(m, buffer) + la.BF_HEAD] = following
    else:
        m[request_row(m, before) + la.RQ_NEXT] = following
    if following < 0:
        m[buffer_row(m, buffer) + la.BF_TAIL] = before
    m[request_row(m, index) + la.RQ_NEXT] = m[la.WD_FREE_REQUEST]
    m[la.WD_FREE_REQUEST] = index


@inner_kernel
def _grant(m: Words, buffer: int, stage: int, bits: int, process: int, life: int) -> None:
    m[buffer_row(m, buffer) + la.BF_USED] += bits
    _record(m, buffer)
    m[m[la.TO_COME] + buffer * m[la.WD_STAGES] + stage] -= 1
    skip_finished_stages(m, buffer)
    if m[process_row(m, process) + la.PR_LIFE] == life:
        m[process_row(m, process) + la.PR_GRANTED] = 1
    push(m, m[la.WD_NOW], la.NORMAL, la.RESUME, process, life)


@inner_kernel
def _record(m: Words, buffer: int) -> None:
    """Note what a buffer holds now; of one time the last entry stays."""
    row, now = buffer_row(m, buffer), m[la.WD_NOW]
    place = m[row + la.BF_CHANGE]
    if place < 0:
        return
    if m[change_row(m, place) + la.CG_TIME_PS] != now:
        place = m[la.WD_CHANGES]
        if place == m[la.WD_CHANGE_ROWS]:
            m[la.WD_STATUS] = la.TABLE_FULL
            return
        m[la.WD_CHANGES] = place + 1
        m[row + la.BF_CHANGE] = place
        m[change_row(m, place) + la.CG_BUFFER] = buffer
        m[change_row(m, place) + la.CG_TIME_PS] = now
    m[change_row(m, place) + la.CG_BITS] = m[row + la.BF_USED]
