"""Tensors that are drawn have the statistics that were asked for, and the same values every time."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.workload.drawn_values import draw_integers, uniform_numbers


def test_equal_seeds_give_equal_tensors_and_others_others() -> None:
    one, same, other = (draw_integers((5, 7, 3, 3), 0.4, seed) for seed in (3, 3, 4))
    assert (one == same).all()
    assert (one != other).any()
    assert one.shape == (5, 7, 3, 3)
    assert one.dtype == np.int8


def test_longer_tensors_begin_like_shorter_ones() -> None:
    assert (draw_integers((100,), 0.3, 1)[:40] == draw_integers((40,), 0.3, 1)).all()


@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 0.97, 1.0])
def test_density_is_that_asked_for(density: float) -> None:
    drawn = draw_integers((100, 1000), density, 7)
    spread = (density * (1 - density) / drawn.size) ** 0.5
    assert np.count_nonzero(drawn) / drawn.size == pytest.approx(density, abs=5 * spread)


@pytest.mark.parametrize(("density", "vectors"), [(0.2, 0.5), (0.3, 0.3), (0.1, 0.3), (0.0, 0.0), (0.35, 1.0)])
def test_vector_density_is_that_asked_for(density: float, vectors: float) -> None:
    drawn = draw_integers((100_000, 3), density, 11, vector_density=vectors)
    assert (drawn != 0).any(axis=1).mean() == pytest.approx(vectors, abs=0.01)
    assert (drawn != 0).mean() == pytest.approx(density, abs=0.01)


def test_magnitudes_and_signs_are_those_asked_for() -> None:
    drawn = draw_integers((200_000,), 1.0, 5, magnitudes=[0, 3, 1])
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [-3, -2, 2, 3]
    assert counts / drawn.size == pytest.approx([0.125, 0.375, 0.375, 0.125], abs=0.01)
    positive = draw_integers((1000,), 1.0, 5, signed=False)
    assert positive.min() >= 1
    assert positive.max() > 120


def test_streams_and_neighbours_do_not_correlate() -> None:
    first, second = (uniform_numbers(9, stream, 20_000) for stream in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.05
    assert np.histogram(first, 10, (0, 1))[0] == pytest.approx([2000] * 10, abs=250)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({"density": 1.5}, "within 0 to 1"),
        ({"density": 0.6, "vector_density": 0.5}, "does not go with"),
        ({"density": 0.1, "vector_density": 0.5}, "does not go with"),
        ({"density": 0.5, "magnitudes": [0.0]}, "magnitudes"),
        ({"density": 0.5, "magnitudes": [1.0] * 128}, "magnitudes"),
    ],
)
def test_what_cannot_be_drawn_is_refused(kinds: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        draw_integers((4, 3), seed=0, **kinds)  # type: ignore[arg-type]
