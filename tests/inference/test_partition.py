"""The search for binary planes: exact, whatever is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sb3_diiqn.inference.distances import ROUNDING, JaccardDistance
from sb3_diiqn.inference.index import ScanIndex
from sb3_diiqn.inference.partition import PartitionIndex
from tests.inference.reference import slow_jaccard

DISTANCE = JaccardDistance()

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def families(generator: np.random.Generator, n: int, n_cells: int, n_active: int) -> np.ndarray:
    """Planes that differ in few cells from one of three others."""
    share = min(n_active / n_cells, 1.0)
    planes = (generator.random((3, n_cells)) < share)[generator.integers(0, 3, n)]
    flips = generator.random((n, n_cells)) < generator.choice([0, 1, 2, 4]) / n_cells
    return planes ^ flips


@pytest.mark.slow
@settings(max_examples=50)
@given(
    generator=generators,
    n_cells=st.sampled_from([1, 10, 70, 200]),
    n_active=st.integers(0, 120),
    radius=st.sampled_from([0.0, 0.03, 0.03 + ROUNDING, 0.06, 0.1, 0.25, 0.4, 0.49]),
    share=st.sampled_from([0.0, 0.5, 1.0, 1.5]),
)
def test_everything_within_the_radius_is_found_and_nothing_else(
    generator: np.random.Generator, n_cells: int, n_active: int, radius: float, share: float
) -> None:
    planes, asked = families(generator, 40, n_cells, n_active), share * radius
    rows, queries = DISTANCE.encode(planes[10:]), DISTANCE.encode(planes[:10])
    found = PartitionIndex(DISTANCE, rows, radius).within(queries, asked)
    expected = DISTANCE.pairwise(queries, rows) <= asked
    assert list(zip(found.query.tolist(), found.row.tolist(), strict=True)) == list(
        zip(*map(list, np.nonzero(expected)), strict=True)
    )
    for query, row, distance in zip(*found, strict=True):
        assert distance == pytest.approx(slow_jaccard(planes[query], planes[10 + row]))


@pytest.mark.parametrize(("n_active", "differences"), [(16, 0), (34, 1), (66, 2), (99, 3), (130, 4), (300, 9)])
def test_as_many_cells_may_differ_as_the_radius_allows(n_active: int, differences: int) -> None:
    """One cell is gone for another: 2 of n + 1 differ. The index looks for what is near, and no further."""
    index = PartitionIndex(DISTANCE, DISTANCE.encode(np.ones((1, 400))), 0.03)
    assert index._differences(np.array([n_active])).tolist() == [differences]


def test_large_data_are_found_by_few_comparisons() -> None:
    generator = np.random.default_rng(0)
    planes = families(generator, 3, 400, 60)[generator.integers(0, 3, 4000)] ^ (generator.random((4000, 400)) < 0.01)
    rows = np.unique(DISTANCE.encode(planes), axis=0)
    compared = []

    class Counting(JaccardDistance):
        def paired(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
            compared.append(max(len(first), len(second)))
            return super().paired(first, second)

    queries = rows[::400].copy()
    queries[:, 0] ^= np.uint64(1 << 20)
    found = PartitionIndex(Counting(), rows, 0.03).within(queries, 0.03)
    scanned = ScanIndex(DISTANCE, rows).within(queries, 0.03)
    np.testing.assert_array_equal(found.row, scanned.row)
    assert len(found.row) >= len(queries)
    assert sum(compared) < len(rows)
