"""The distance of categories: hand-computed values and a slow reference with sets."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sb3_diiqn.inference.categories import CategoryDistance
from sb3_diiqn.inference.index import ScanIndex
from sb3_diiqn.inference.matching import make_index
from sb3_diiqn.inference.partition import PartitionIndex
from tests.inference.test_distances import between, check_is_a_distance

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def made_of(expert: Any) -> CategoryDistance:
    expert = np.asarray(expert)
    return CategoryDistance.from_expert(expert, np.unique(expert))


def test_only_what_is_unusual_in_its_cell_counts() -> None:
    """The usual values are 2, 2, 5, 0."""
    distance = made_of([[2, 2, 5, 0], [2, 2, 5, 0], [2, 7, 5, 1], [7, 2, 5, 0]])
    assert between(distance, [2, 2, 5, 0], [2, 2, 5, 0]) == 0
    assert between(distance, [2, 2, 5, 0], [2, 7, 5, 0]) == 1, "nothing in common but what is usual"
    assert between(distance, [2, 7, 5, 1], [2, 7, 5, 0]) == pytest.approx(1 / 2)
    assert between(distance, [7, 7, 5, 1], [7, 2, 5, 1]) == pytest.approx(1 / 3)
    assert between(distance, [2, 7, 5, 1], [7, 2, 5, 1]) == pytest.approx(2 / 3)


def test_values_that_the_expert_never_had_there_are_unusual_too() -> None:
    distance = made_of([[2, 2, 0], [2, 2, 0], [2, 7, 0]])
    assert between(distance, [9, 2, 0], [2, 2, 0]) == 1, "nowhere in the expert data"
    assert between(distance, [7, 2, 0], [2, 2, 0]) == 1, "elsewhere in the expert data"
    assert between(distance, [2, 7, 200], [2, 7, 0]) == pytest.approx(1 / 2)
    assert between(distance, [2, 7, -1], [2, 7, 0]) == pytest.approx(1 / 2)


def test_one_thing_that_moves_on_a_large_grid_makes_states_different() -> None:
    grid = np.full((100, 20, 20), 1, dtype=np.uint8)
    grid[:, 0] = 2
    grid[np.arange(100), 5, np.arange(100) % 20] = 10
    distance = made_of(grid)
    assert between(distance, grid[3], grid[4]) == 1
    assert between(distance, grid[3], grid[23]) == 0


@settings(max_examples=60)
@given(generator=generators, n=st.integers(1, 6), n_cells=st.sampled_from([1, 5, 70]), n_values=st.integers(1, 6))
def test_distances_equal_those_of_sets(generator: np.random.Generator, n: int, n_cells: int, n_values: int) -> None:
    expert = (generator.integers(0, n_values, (n, n_cells)) ** 2).astype(np.uint8)
    distance = made_of(expert)
    # the lowest of the most frequent ones
    usual = [min(Counter(column).items(), key=lambda item: (-item[1], item[0]))[0] for column in expert.T.tolist()]

    def unusual(state: np.ndarray) -> set[tuple[int, int]]:
        return {(cell, value) for cell, value in enumerate(state.tolist()) if value != usual[cell]}

    sets = [unusual(state) for state in expert]
    expected = [[1 - len(a & b) / len(a | b) if a | b else 0.0 for b in sets] for a in sets]
    np.testing.assert_allclose(check_is_a_distance(distance, expert, expert), expected, rtol=1e-6)


def test_the_smallest_distance_is_that_of_one_more_unusual_value() -> None:
    expert = np.array([[1, 1, 1, 0], [1, 1, 1, 2], [1, 1, 3, 3]])
    distance = made_of(expert)
    # usual: 1, 1, 1, 0; the last state has two unusual values
    assert distance.smallest(expert) == pytest.approx(1 / 3)
    assert between(distance, [1, 1, 3, 3], [9, 1, 3, 3]) == pytest.approx(1 / 3)


def test_the_kind_says_what_is_usual() -> None:
    one, same, other = made_of([[1, 2], [1, 3]]), made_of([[1, 2], [1, 3]]), made_of([[1, 3], [1, 3], [1, 2]])
    assert one.kind == same.kind != other.kind


def test_a_search_sharpened_or_not_finds_what_comparing_with_all_finds() -> None:
    generator = np.random.default_rng(0)
    expert = np.repeat(generator.integers(0, 8, (1, 60)), 500, axis=0)
    changed = generator.random(expert.shape) < 0.1
    expert[changed] = generator.integers(0, 8, changed.sum())
    distance = made_of(expert)
    rows, queries = (
        distance.encode(expert),
        distance.encode(np.roll(expert[:50], 1, axis=1) * (generator.random((50, 1)) < 0.5)),
    )
    queries = np.concatenate([queries, rows[:20]])
    for chosen, radius in ((distance, 0.2), (distance.sharpened(3.0), 0.6), (distance.sharpened(3.0), 0.03)):
        index = make_index(chosen, rows, radius)
        assert isinstance(getattr(index, "plain", index), PartitionIndex)
        for asked in (radius, radius / 2, 1.0):
            found, expected = index.within(queries, asked), ScanIndex(chosen, rows).within(queries, asked)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one, other)
