from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from sample_run import make_run

from accelsim.report.html import render_report

if TYPE_CHECKING:
    from accelsim.result import RunResult

EVIL = '<script>alert("x")</script>'
DRAM_FIGURES = {"bandwidth", "dram_banks", "dram_energy", "dram_rows", "dram_states"}
FIGURES = {"cycles", "energy_layers", "energy_actions", "roofline", "timeline", "occupancy"} | DRAM_FIGURES
VOID = {"meta", "input", "br", "link"}


class _Page(HTMLParser):
    """Collects elements, and fails on one that is closed in the wrong place."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.data: dict[str, list[str]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids += [value for key, value in attrs if key == "id" and value]
        self.addresses += [value for key, value in attrs if key in ("src", "href") and value]
        if tag not in VOID:
            self.open.append(tag + (f"#{named['id']}" if "id" in named else ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().split("#")[0] == tag

    def handle_data(self, data: str) -> None:
        self.data.setdefault(self.open[-1] if self.open else "", []).append(data)


@pytest.fixture(scope="module")
def run() -> RunResult:
    return make_run([EVIL, "plain", "</table>&amp;", "x" * 300], steps=5, workload="net <i>&", hardware='"hw"')


@pytest.fixture(scope="module")
def page(run: RunResult) -> _Page:
    return _Page(render_report(run))


def test_page_is_well_formed_and_asks_for_nothing_else(page: _Page) -> None:
    assert page.open == []
    assert page.addresses == []
    assert len(page.ids) == len(set(page.ids))


def test_every_figure_has_its_place(page: _Page) -> None:
    figures = json.loads("".join(page.data["script#figures"]))
    assert set(figures) == FIGURES
    assert set(page.ids) >= FIGURES


def test_names_are_text_and_never_markup(run: RunResult, page: _Page) -> None:
    text = render_report(run)
    assert EVIL not in text
    assert "net <i>" not in text
    cells = "".join(page.data["td"] + page.data["span"])
    assert EVIL in cells
    assert "</table>&amp;" in cells
    assert "net <i>&" in "".join(page.data["h1"])


def test_page_stays_light_for_a_large_network() -> None:
    assert len(render_report(make_run(300, steps=40))) < 6_200_000


def test_page_says_what_it_merged() -> None:
    few, many = render_report(make_run(3, steps=4)), render_report(make_run(50, steps=40))
    assert "All 48 phases are shown." in few
    assert re.search(
        r"8,000 phases are shown as [\d,]+ bars: those of one layer (at most [\d.]+ .?s apart|without a gap) are", many
    )


def test_a_run_without_a_profile_has_no_figures_over_time() -> None:
    page = _Page(render_report(make_run(3, profile=False)))
    assert "timeline" not in page.ids
    assert "dram_banks" not in page.ids
    assert "cycles" in page.ids


def test_resolved_config_is_on_the_page(page: _Page) -> None:
    assert "dataflow: WS" in "".join(page.data["pre"])
    assert "a < b & c" in "".join(page.data["pre"])


def test_totals_stand_in_the_last_row_of_the_table(run: RunResult, page: _Page) -> None:
    assert f"{run.totals.total_cycles:,}" in page.data["td"]


def test_an_empty_run_has_a_page() -> None:
    empty = replace(make_run(1, steps=1, profile=False), layer_results=())
    assert _Page(render_report(empty)).open == []


def test_fused_layers_stand_in_the_table_and_say_so() -> None:
    text = render_report(make_run(3, steps=4, fused=True))
    assert "3 layers that ride on another one (fused) or move no data are left out." in text
    assert text.count('<tr class="idle">') == text.count('<td class="text">fused</td>') == 3


def test_an_ideal_memory_leaves_no_empty_figure() -> None:
    run = make_run(3, steps=4)
    assert run.profile is not None
    profile = replace(
        run.profile, dram_traffic=run.profile.dram_traffic[:0], buffer_occupancy={}, dram_banks={}, dram_state_ps={}
    )
    page = _Page(render_report(replace(run, profile=profile)))
    figures = json.loads("".join(page.data["script#figures"]))
    assert set(figures) == FIGURES - DRAM_FIGURES - {"occupancy"}
    assert set(figures) <= set(page.ids)
    assert not set(page.ids) & DRAM_FIGURES
    assert "DRAM" not in page.data["h2"]
