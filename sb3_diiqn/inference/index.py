"""Finding expert states near an observation: exact searches for everything within a radius."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from scipy.spatial import cKDTree

from sb3_diiqn.inference.distances import Distance


class Hits(NamedTuple):
    """Pairs of a query and a row near it, sorted by query."""

    query: np.ndarray
    """Index of the query, shape (hits,), int64."""
    row: np.ndarray
    """Index of the row, shape (hits,), int64."""
    distance: np.ndarray
    """Their distance, shape (hits,), float32."""


class Index(Protocol):
    """Answers which of a fixed set of encoded rows lie near a query."""

    def within(self, queries: np.ndarray, radius: float) -> Hits:
        """
        Find all rows with a distance of at most the radius.

        :param queries: encoded observations, shape (n, width)
        :param radius: largest distance, in [0, 1]
        """


class ScanIndex:
    """
    Compares with every row: exact for every distance, linear in their number.

    :param distance: the distance
    :param rows: encoded rows, shape (n, width)
    """

    def __init__(self, distance: Distance, rows: np.ndarray) -> None:
        self.distance = distance
        self.rows = rows

    def within(self, queries: np.ndarray, radius: float) -> Hits:
        """See :meth:`Index.within`."""
        distances = self.distance.pairwise(queries, self.rows)
        query, row = np.nonzero(distances <= radius)
        return Hits(query, row, distances[query, row])


class TreeIndex:
    """
    A k-d tree over Euclidean rows: exact, and nearly independent of their number.

    :param rows: encoded rows, shape (n, width)
    """

    def __init__(self, rows: np.ndarray) -> None:
        # without balancing, building takes a fraction of the time and searching stays as fast
        self.tree = cKDTree(rows, balanced_tree=False, compact_nodes=False)

    def within(self, queries: np.ndarray, radius: float) -> Hits:
        """See :meth:`Index.within`."""
        # d is cut off at 1, so that a radius of 1 includes everything
        reach = radius if radius < 1.0 else np.inf
        hits = cKDTree(queries).sparse_distance_matrix(self.tree, reach, output_type="ndarray")
        hits = hits[np.argsort(hits["i"], kind="stable")]
        return Hits(hits["i"].astype(np.int64), hits["j"].astype(np.int64), np.minimum(hits["v"], 1.0).astype(np.float32))


def make_index(distance: Distance, rows: np.ndarray) -> Index:
    """
    Choose the search that suits the distance.

    :param distance: the distance
    :param rows: encoded rows, shape (n, width)
    """
    # in many dimensions a tree visits every leaf and is slower than comparing with every row
    if distance.euclidean and rows.shape[1] <= 20:
        return TreeIndex(rows)
    return ScanIndex(distance, rows)
