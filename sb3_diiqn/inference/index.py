"""Finding expert states near an observation: searches for what is within a radius."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from scipy.spatial import cKDTree

from sb3_diiqn.inference.distances import ROUNDING, Distance, SharpenedDistance
from sb3_diiqn.inference.rows import portions


class Hits(NamedTuple):
    """Pairs of a query and a row near it, sorted by query."""

    query: np.ndarray
    """Index of the query, shape (hits,), int64."""
    row: np.ndarray
    """Index of the row, shape (hits,), int64."""
    distance: np.ndarray
    """Their distance, shape (hits,), float32."""

    def where(self, chosen: np.ndarray) -> Hits:
        """
        Select pairs.

        :param chosen: mask, or positions
        """
        return Hits(self.query[chosen], self.row[chosen], self.distance[chosen])


class Index(Protocol):
    """Answers which of a fixed set of encoded rows lie near a query."""

    def within(self, queries: np.ndarray, radius: float) -> Hits:
        """
        Find the rows with a distance of at most the radius.

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
        found = [self._within(queries, portion, radius) for portion in portions(self.rows)]
        hits = Hits(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
        return hits if len(found) == 1 else hits.where(np.argsort(hits.query, kind="stable"))

    def _within(self, queries: np.ndarray, portion: slice, radius: float) -> Hits:
        distances = self.distance.pairwise(queries, self.rows[portion])
        query, row = np.nonzero(distances <= radius)
        return Hits(query, row + portion.start, distances[query, row])


class TreeIndex:
    """
    A k-d tree over Euclidean rows, nearly independent of their number.

    Where many rows are near, only the nearest of them are found: otherwise the cost would grow with the number of rows after
    all. None of the others could be drawn as a match; their actions are inferred from agent transitions that are nearer.

    :param distance: the distance, Euclidean
    :param rows: encoded rows, shape (n, width)
    :param max_hits: of so many near rows all are found
    """

    def __init__(self, distance: Distance, rows: np.ndarray, max_hits: int = 32) -> None:
        self.distance = distance
        self.rows = rows
        self.max_hits = max_hits
        # without balancing, building takes a fraction of the time and searching stays as fast
        self.tree = cKDTree(rows, balanced_tree=False, compact_nodes=False)

    def within(self, queries: np.ndarray, radius: float) -> Hits:
        """See :meth:`Index.within`; of more than ``max_hits`` rows the nearest."""
        ranks = np.arange(1, min(self.max_hits, len(self.rows)) + 1)
        # d is cut off at 1, so that a radius of 1 includes everything
        reach = radius + ROUNDING if radius < 1.0 else np.inf
        nearest = np.asarray(self.tree.query(queries, ranks, distance_upper_bound=reach)[1])
        query, rank = np.nonzero(nearest < len(self.rows))
        row = nearest[query, rank].astype(np.int64)
        distance = self.distance.paired(queries[query], self.rows[row])
        return Hits(query, row, distance).where(distance <= radius)


class SharpenedIndex:
    """
    Searches by a sharpened distance with an index for the plain one.

    :param distance: the sharpened distance
    :param plain: index of the same rows
    """

    def __init__(self, distance: SharpenedDistance, plain: Index) -> None:
        self.distance = distance
        self.plain = plain

    def within(self, queries: np.ndarray, radius: float) -> Hits:
        """See :meth:`Index.within`."""
        # d is cut off at 1, so that a radius of 1 includes everything
        hits = self.plain.within(queries, radius / self.distance.factor if radius < 1.0 else 1.0)
        return hits._replace(distance=self.distance.enlarged(hits.distance))
