"""Searches for everything within a radius, against comparing with everything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn.inference.distances import Distance, JaccardDistance, RangeDistance
from sb3_diiqn.inference.index import Hits, Index, ScanIndex, TreeIndex
from sb3_diiqn.inference.matching import make_index

# with 1 or 4 dimensions and a range of 4 every squared distance is exact: "at most the radius" can be tested at the radius
RANGE = 4.0

INDICES: dict[str, Callable[[Distance, np.ndarray], Index]] = {
    "scan": ScanIndex,
    "tree": TreeIndex,
    "chosen": lambda distance, rows: make_index(distance, rows, 0.3),
}

grids = st.integers(0, 2**32 - 1).map(np.random.default_rng)
radii = st.sampled_from([0.0, 0.125, 0.25, 0.3, 0.5, 0.75, 0.99, 1.0])


def within_by_brute_force(
    distance: Distance, queries: np.ndarray, rows: np.ndarray, radius: float
) -> dict[tuple[int, int], float]:
    hits = {}
    for i, query in enumerate(queries):
        for j, row in enumerate(rows):
            d = float(distance.paired(query, row))
            if d <= radius:
                hits[i, j] = d
    return hits


def check(hits: Hits, expected: dict[tuple[int, int], float]) -> None:
    assert np.all(np.diff(hits.query) >= 0), "not sorted by query"
    found = dict(zip(zip(hits.query.tolist(), hits.row.tolist(), strict=True), hits.distance.tolist(), strict=True))
    assert len(found) == len(hits.query), "a pair twice"
    assert found == expected
    assert (hits.query.dtype, hits.row.dtype, hits.distance.dtype) == (np.int64, np.int64, np.float32)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("dimensions", [1, 4])
@given(generator=grids, n=st.integers(1, 8), m=st.integers(1, 12), radius=radii)
def test_numbers_on_a_grid_with_many_ties_and_duplicates(
    index: str, dimensions: int, generator: np.random.Generator, n: int, m: int, radius: float
) -> None:
    distance = RangeDistance(np.full(dimensions, RANGE))
    # queries reach beyond the rows' range, to where d is cut off
    queries, rows = (
        distance.encode(generator.integers(low, high, (size, dimensions))) for low, high, size in ((-5, 10, n), (0, 5, m))
    )
    check(INDICES[index](distance, rows).within(queries, radius), within_by_brute_force(distance, queries, rows, radius))


@given(generator=grids, n=st.integers(1, 6), m=st.integers(1, 8), radius=radii)
def test_binary_planes(generator: np.random.Generator, n: int, m: int, radius: float) -> None:
    distance = JaccardDistance()
    queries, rows = (distance.encode(generator.random((size, 2, 5)) < 0.4) for size in (n, m))
    check(make_index(distance, rows, 0.3).within(queries, radius), within_by_brute_force(distance, queries, rows, radius))


@given(generator=grids, radius=radii)
def test_many_dimensions(generator: np.random.Generator, radius: float) -> None:
    distance = RangeDistance(np.full(64, RANGE))
    queries, rows = (distance.encode(generator.integers(0, 5, (size, 64))) for size in (3, 9))
    check(make_index(distance, rows, 0.3).within(queries, radius), within_by_brute_force(distance, queries, rows, radius))


@pytest.mark.parametrize("index", INDICES)
def test_radius_zero_finds_the_equal_ones_and_radius_one_everything(index: str) -> None:
    distance = RangeDistance(np.array([RANGE]))
    rows = distance.encode(np.array([[0], [1], [1], [4]]))
    search = INDICES[index](distance, rows)
    queries = distance.encode(np.array([[1], [1000], [1]]))
    check(search.within(queries, 0.0), {(0, 1): 0, (0, 2): 0, (2, 1): 0, (2, 2): 0})
    everything = search.within(queries, 1.0)
    assert len(everything.query) == 12
    np.testing.assert_array_equal(everything.distance[everything.query == 1], 1)


def test_real_numbers_are_found_by_tree_and_scan_alike() -> None:
    generator = np.random.default_rng(0)
    expert = generator.normal(size=(300, 3)).astype(np.float32)
    distance = RangeDistance.from_expert(expert, spaces.Box(-np.inf, np.inf, (3,)))
    queries, rows = distance.encode(generator.normal(size=(200, 3)).astype(np.float32)), distance.encode(expert)
    scanned, searched = (INDICES[name](distance, rows).within(queries, 0.065) for name in ("scan", "tree"))
    order = np.lexsort((searched.row, searched.query))
    assert len(scanned.query) > 500
    assert np.all(np.diff(searched.query) >= 0)
    np.testing.assert_array_equal(scanned.query, searched.query[order])
    np.testing.assert_array_equal(scanned.row, searched.row[order])
    np.testing.assert_allclose(scanned.distance, searched.distance[order], rtol=1e-6)


def test_of_many_near_numbers_a_tree_finds_the_nearest() -> None:
    distance = RangeDistance(np.array([RANGE]))
    rows = distance.encode(np.arange(1000)[:, None] / 1000)
    found = TreeIndex(distance, rows).within(distance.encode(np.array([[0.5001], [0.0]])), 0.1)
    by_query = [sorted(found.row[found.query == query].tolist()) for query in (0, 1)]
    assert by_query == [list(range(485, 517)), list(range(32))]


def test_as_many_neighbours_are_found_as_are_asked_for() -> None:
    distance = RangeDistance(np.array([RANGE]))
    rows = distance.encode(np.arange(1000)[:, None] / 1000)
    found = make_index(distance, rows, 0.1, n_neighbors=100).within(rows[500:501], 0.1)
    assert len(found.row) >= 100
