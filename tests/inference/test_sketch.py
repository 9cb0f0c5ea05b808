"""The search for images: what it finds is right, and it finds what matters."""

from __future__ import annotations

import numpy as np

from sb3_diiqn.inference.distances import ScaledAbsoluteDistance
from sb3_diiqn.inference.index import ScanIndex, nearest
from sb3_diiqn.inference.matching import make_index
from sb3_diiqn.inference.sketch import SketchIndex

DISTANCE = ScaledAbsoluteDistance(255.0)


def frames(generator: np.random.Generator, n: int) -> np.ndarray:
    """A dark room, in which two bright things move slowly."""
    frames = np.full((n, 50, 50), 30, dtype=np.uint8)
    places = generator.integers(0, 44, 4) + np.cumsum(generator.integers(-1, 2, (n, 4)), axis=0)
    for frame, (row, column, other_row, other_column) in zip(frames, np.clip(places, 0, 44), strict=True):
        frame[row : row + 6, column : column + 6] = 255
        frame[other_row : other_row + 3, other_column : other_column + 3] = 200
    return frames


def test_the_nearest_neighbours_are_found() -> None:
    generator = np.random.default_rng(0)
    rows, queries = DISTANCE.encode(frames(generator, 2000)), DISTANCE.encode(frames(generator, 40))
    index = make_index(DISTANCE, rows, 0.03)
    assert isinstance(index, SketchIndex)
    found, there = index.within(queries, 0.03), ScanIndex(DISTANCE, rows).within(queries, 0.03)
    assert len(there.query) > 50 * len(queries)
    assert np.bincount(found.query).max() <= index.max_hits
    expected = nearest(there, 5, 0.03)
    best = nearest(found, 5, 0.03)
    np.testing.assert_array_equal(best.query, expected.query)
    assert (best.distance <= expected.distance).mean() >= 0.99
    for query, row, distance in zip(*found, strict=True):
        assert distance == DISTANCE.paired(queries[query], rows[row])


def test_equal_images_are_found_and_none_beyond_the_radius() -> None:
    generator = np.random.default_rng(1)
    rows = generator.integers(0, 256, (1100, 2100)).astype(np.uint8)
    found = SketchIndex(DISTANCE, rows).within(rows[::100], 0.03)
    assert found.row.tolist() == list(range(0, 1100, 100))
    np.testing.assert_array_equal(found.distance, 0)


def test_few_or_small_images_are_compared_with_all() -> None:
    for shape in ((100, 7056), (5000, 64)):
        assert isinstance(make_index(DISTANCE, np.zeros(shape, dtype=np.uint8), 0.03), ScanIndex)
    assert isinstance(make_index(DISTANCE, np.zeros((2000, 4000), dtype=np.float32), 0.03), ScanIndex)
