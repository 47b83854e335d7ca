"""Whether any single accounting gives all six published sizes: 21,600 are tried, each from choices that have a reason.

What differs is how a size is counted: megabytes of 10^6 or 2^20 bytes (the released code prints the latter); one basis
per slice of at most 64 rows to a column (released code) or per filter (the papers' text); 4, 8 or 16 bits to its
entries; an index bit per coefficient (released code), per row of three (the accelerator's text), per 3 x 3 kernel, per
row of 32 filters (released pruning), or none; the last, fully connected layer with or without an index, as 8 bits, as
32, or not at all; normalisations with so many bytes per channel; the 7 x 7 stem in 32 or 8 bits or left out.

Seventeen meet all rows within 3 %, and none of them can be meant. Six leave out the fully connected layer, which makes
MobileNetV2 22 % smaller than published, as it holds 37 % of its weights. The others have bases of 16 bits; published
are 8. With bases of 8 bits and all layers counted none does. The closest has one basis per filter, an index bit per
filter and input channel (so one to each weight of a 1 x 1 kernel), none for the fully connected layer, scale and shift
of the normalisations in 32 bits and no stem: 1.2, 1.3, 1.2, 2.2, 3.0 and 3.1 % above the table. It cannot be meant
either: one basis per filter makes the bases of VGG-11 0.11 MB, where 1.67 MB are recalled and 2.13 MB follow from the
slices.

So no accounting is chosen by the table; those of the package stay what the published material says
(`accelsim.workload.pot.storage`), and `test_pot_storage.py` states what each gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import product

import pytest

from accelsim.workload.loader import load_workload
from accelsim.workload.pot.reshaping import plain_reason, slice_layout

PUBLISHED = [("vgg19_cifar", 0.928, 1.08), ("vgg19_cifar", 0.937, 0.99), ("resnet164_cifar", 0.376, 0.84),
             ("resnet164_cifar", 0.61, 0.64), ("resnet50", 0.45, 8.88), ("resnet50", 0.586, 7.19)]  # fmt: skip
KINDS = ("kernel", "point", "connected")
"""3 x 3 convolutions, 1 x 1 convolutions, fully connected layers."""


@dataclass(frozen=True)
class Counts:
    """What a network has, by kind of its layers: weights, filters and slices; and channels that are normalised."""

    weights: dict[str, int]
    filters: dict[str, int]
    slices: dict[str, int]
    plain: int
    channels: int


@dataclass(frozen=True)
class Accounting:
    """How a size is counted; bits per weight of the indices, bytes per channel of the normalisations."""

    unit: float
    sliced: bool
    basis_bits: int
    kernel_index: float
    point_index: float
    connected: str
    norm_bytes: int
    stem_bits: int

    def error(self, network: str, sparsity: float, published: float) -> float:
        """What a row of the table comes out too high, as a share."""
        counts = counted(network)
        coded = [kind for kind in KINDS if kind != "connected" or self.connected in ("indexed", "coded")]
        bits = 4 * (1 - sparsity) * sum(counts.weights[kind] for kind in coded)
        owners = counts.slices if self.sliced else counts.filters
        bits += 9 * self.basis_bits * sum(owners[kind] for kind in coded)
        bits += self.kernel_index * counts.weights["kernel"] + self.point_index * counts.weights["point"]
        extra = {"indexed": self.point_index, "8 bits": 8, "32 bits": 32}
        bits += extra.get(self.connected, 0) * counts.weights["connected"]
        bits += 8 * self.norm_bytes * counts.channels + self.stem_bits * counts.plain
        return bits / 8 / self.unit / published - 1

    @property
    def errors(self) -> list[float]:
        """Those of all rows."""
        return [self.error(*row) for row in PUBLISHED]


GRID = [
    Accounting(*choice)
    for choice in product(
        (1e6, 2.0**20), (True, False), (4, 8, 16), (0, 1 / 96, 1 / 9, 1 / 3, 1), (0, 1 / 96, 1 / 3, 1),
        ("indexed", "coded", "8 bits", "32 bits", "left out"), (0, 1, 2, 4, 8, 16), (32, 8, 0),
    )
]  # fmt: skip


@cache
def counted(network: str) -> Counts:
    graph = load_workload(network)
    shapes = {weight.name: weight.shape for layer in graph.layers if (weight := graph.weight_tensor(layer)) is not None}
    weights, filters, slices = (dict.fromkeys(KINDS, 0) for _ in range(3))
    plain = channels = 0
    for shape in shapes.values():
        channels += shape[0] * (len(shape) == 4)
        if plain_reason(shape) is not None:
            plain += math.prod(shape)
            continue
        kind = "connected" if len(shape) == 2 else "kernel" if shape[2:] == (3, 3) else "point"
        weights[kind] += math.prod(shape)
        filters[kind] += shape[0]
        slices[kind] += slice_layout(shape).all_slices
    return Counts(weights, filters, slices, plain, channels)


def worst(accounting: Accounting) -> float:
    return max(map(abs, accounting.errors))


def test_what_meets_all_rows_contradicts_what_else_is_published() -> None:
    meeting = [accounting for accounting in GRID if worst(accounting) <= 0.03]
    without = [entry for entry in meeting if entry.connected == "left out"]
    assert (len(GRID), len(meeting), len(without)) == (21_600, 17, 6)
    assert {entry.basis_bits for entry in meeting if entry not in without} == {16}
    for entry in without:
        assert entry.error("mobilenetv2", 0.0, 2.12) < -0.2
    held = counted("mobilenetv2").weights
    assert held["connected"] / sum(held.values()) == pytest.approx(0.37, abs=0.005)


def test_the_closest_of_the_others_is_above_three_percent_and_has_too_few_bases() -> None:
    others = [entry for entry in GRID if entry.basis_bits == 8 and entry.connected in ("indexed", "coded")]
    closest = min(others, key=worst)
    assert closest == Accounting(
        unit=1e6, sliced=False, basis_bits=8, kernel_index=1 / 9, point_index=1, connected="coded", norm_bytes=8,
        stem_bits=0,
    )  # fmt: skip
    assert [round(100 * error, 1) for error in closest.errors] == [1.2, 1.3, 1.2, 2.2, 3.0, 3.1]
    vgg11 = counted("vgg11")
    assert 9 * sum(vgg11.filters.values()) / 1e6 == pytest.approx(0.107, abs=1e-3)
    assert 9 * sum(vgg11.slices.values()) / 1e6 == pytest.approx(2.134, abs=1e-3)
