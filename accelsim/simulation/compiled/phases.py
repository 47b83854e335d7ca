"""The phases that a trace shows, as the run notes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.jit import inner_kernel
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.rows import phase_row

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words

# components of the trace, as `compiled.run` names them; those of a fetch are numbered as the streams
OFMAP_DRAINS = la.OFMAP
PE_ARRAY, VECTOR_UNIT = la.CODES, la.CODES + 1
SHIFTS = la.CODES + 2
"""Shift of stream `code` is component ``SHIFTS + code``."""


@inner_kernel
def note_phase(m: Words, component: int, stage: int, step: int, begin_ps: int, end_ps: int, bursts: int) -> None:
    """Note one phase, where phases are wanted."""
    if m[la.WD_PHASE_ROWS] == 0:
        return
    place = m[la.WD_PHASES]
    if place == m[la.WD_PHASE_ROWS]:
        m[la.WD_STATUS] = la.TABLE_FULL
        return
    m[la.WD_PHASES] = place + 1
    row = phase_row(m, place)
    m[row + la.PH_COMPONENT], m[row + la.PH_STAGE], m[row + la.PH_STEP] = component, stage, step
    m[row + la.PH_BEGIN_PS], m[row + la.PH_END_PS], m[row + la.PH_BURSTS] = begin_ps, end_ps, bursts
