"""Draws what differs between samples: execution rates, latencies, fetches in vain."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from accelsim.report import palette, quantities
from accelsim.report.labels import axis_labels, plain_text
from accelsim.report.plots import MUTED, Figure, compact, figure, layer_axis, value_axis

if TYPE_CHECKING:
    from accelsim.result import LayerResult
    from accelsim.sample_result import SamplesResult

NS_PER_US = 1_000


def draw_execution_rates(samples: SamplesResult) -> Figure:
    """Draw for each gate the share of the samples for which its layers ran."""
    labels = axis_labels(list(samples.execution_rates))
    return figure(
        [
            {
                "type": "bar",
                "x": labels,
                "y": [compact(100 * rate) for rate in samples.execution_rates.values()],
                "marker": {"color": palette.BLUE},
                "customdata": [plain_text(name) for name in samples.execution_rates],
                "hovertemplate": "<b>%{customdata}</b><br>ran for %{y:.2f} % of the samples<extra></extra>",
            }
        ],
        260,
        showlegend=False,
        xaxis=layer_axis(labels),
        yaxis=value_axis("ran, % of the samples") | {"range": [0, 103]},
    )


def draw_latencies(samples: SamplesResult) -> Figure:
    """Draw the histogram of the latencies, with mean, median and 99th percentile."""
    edges = [edge / NS_PER_US for edge in samples.latency_histogram.edges]
    middles = [compact((low + high) / 2) for low, high in pairwise(edges)]
    marks = {"mean": samples.latency_ns.mean, "p50": samples.latency_ns.p50, "p99": samples.latency_ns.p99}
    return figure(
        [
            {
                "type": "bar",
                "x": middles,
                "y": list(samples.latency_histogram.counts),
                "width": compact(edges[1] - edges[0]),
                "marker": {"color": palette.BLUE},
                "hovertemplate": "%{x:.4g} us: %{y:,} samples<extra></extra>",
            }
        ],
        280,
        showlegend=False,
        bargap=0,
        margin={"l": 64, "r": 44, "t": 44, "b": 44},
        xaxis={"title": {"text": "latency (us)"}, "automargin": True},
        yaxis=value_axis("samples"),
        shapes=[_line(value / NS_PER_US) for value in marks.values()],
        annotations=[_mark(name, value / NS_PER_US, level) for level, (name, value) in enumerate(marks.items())],
    )


def _line(at: float) -> dict[str, Any]:
    return {
        "type": "line", "x0": compact(at), "x1": compact(at), "y0": 0, "y1": 1, "yref": "paper",
        "line": {"width": 1.4, "dash": "dot", "color": MUTED},
    }  # fmt: skip


def _mark(name: str, at: float, level: int) -> dict[str, Any]:
    return {
        "x": compact(at), "y": 1, "yref": "paper", "yanchor": "bottom", "yshift": 13 * (level % 3), "showarrow": False,
        "text": f"{name} {quantities.significant(at, 4)}", "font": {"size": 11, "color": MUTED},
    }  # fmt: skip


def draw_wasted(layers: list[LayerResult]) -> Figure:
    """Draw, for layers that may be skipped, the bytes fetched for them in vain beside those that were used."""
    labels = axis_labels([layer.name for layer in layers])
    parts = {
        "used": ([layer.dram_read_bytes - layer.wasted_dram_bytes for layer in layers], palette.BLUE),
        "in vain": ([layer.wasted_dram_bytes for layer in layers], palette.VERMILLION),
    }
    return figure(
        [
            {
                "type": "bar",
                "name": name,
                "x": labels,
                "y": [compact(size / 1024) for size in sizes],
                "marker": {"color": colour},
                "customdata": [plain_text(layer.name) for layer in layers],
                "hovertemplate": f"<b>%{{customdata}}</b><br>%{{y:,.4g}} KiB {name}<extra></extra>",
            }
            for name, (sizes, colour) in parts.items()
        ],
        300,
        barmode="stack",
        xaxis=layer_axis(labels),
        yaxis=value_axis("KiB per sample"),
    )
