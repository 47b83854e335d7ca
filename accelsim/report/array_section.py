"""The array on the page of a run: how much of the time each of its parts works, and where the imbalance is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.report import array_figures, array_plots, quantities
from accelsim.report.labels import shortened
from accelsim.report.page import plot, section, subsection, switch

if TYPE_CHECKING:
    from accelsim.report.plots import Figure
    from accelsim.result import Profile, RunResult

_NAME_LENGTH = 28


def array_section(result: RunResult, profile: Profile, figures: dict[str, Figure]) -> str:
    """Write the section and add its figures; nothing where no layer says which parts of the array worked."""
    data = array_figures.array_use(result, profile)
    if data is None:
        return ""
    figures["array"] = array_plots.draw_array(data)
    figures["array_balance"] = array_plots.draw_balance(data)
    names = ["Whole run", *(shortened(entry.name, _NAME_LENGTH) for entry in data.maps[1:])]
    whole = data.maps[0]
    note = (
        f"{_parts(data)}, busy {quantities.share(whole.mean)} of the run on average, the busiest "
        f"{quantities.share(whole.most)}, the idlest {quantities.share(whole.least)}."
    )
    if len(data.maps) <= len(data.layers):
        note += f" The {len(data.maps) - 1} layers with the most cycles have maps of their own."
    balance = subsection(
        "Balance by layer",
        plot("array_balance"),
        note=(
            "Mean over the parts of the array; the whiskers reach from the idlest to the busiest, so a long one tells "
            "of parts that the layer leaves without work."
        ),
    )
    return section("Array", switch("array", names), plot("array"), balance, note=note)


def _parts(data: array_figures.ArrayUse) -> str:
    """Parts of the array in words."""
    counts = zip((data.rows, data.cols), data.sides, strict=True)
    named = [f"{count:,} {side}{'s' * (count > 1)}" for count, side in counts if side]
    return " x ".join(named)
