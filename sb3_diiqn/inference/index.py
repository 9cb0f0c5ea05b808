"""Finding expert states near an observation: searches for what is within a radius."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.spatial import cKDTree

from sb3_diiqn.inference.distances import ROUNDING, Distance, SharpenedDistance
from sb3_diiqn.inference.rows import Rows, expanded, fingerprints, portions


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

    def __init__(self, distance: Distance, rows: Rows) -> None:
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


class EqualIndex:
    """
    Looks up equal rows, where a radius includes no others.

    :param distance: the distance
    :param rows: encoded rows, shape (n, width)
    :param smallest: the smallest distance of rows that are not equal; from it on, every row is compared
    """

    def __init__(self, distance: Distance, rows: Rows, smallest: float) -> None:
        self.distance = distance
        self.rows = rows
        self.smallest = smallest
        keys = fingerprints(rows[:])
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def within(self, queries: np.ndarray, radius: float) -> Hits:
        """See :meth:`Index.within`."""
        if radius >= self.smallest:
            return ScanIndex(self.distance, self.rows).within(queries, radius)
        keys = fingerprints(queries)
        starts, stops = np.searchsorted(self._keys, keys, side="left"), np.searchsorted(self._keys, keys, side="right")
        query, place = expanded(starts, stops)
        row = self._order[place]
        distance = self.distance.paired(queries[query], self.rows[row])
        return Hits(query, row, distance).where(distance <= radius)


class TreeIndex:
    """
    A k-d tree over the leading principal components of the rows' coordinates, nearly independent of their number.

    A projection makes no distance larger: whatever is near is near in the tree, too. First those nearest in the tree are
    compared as a whole, which bounds how far away the nearest rows can be; then all that are within this bound in the tree
    (Korn et al., "Fast nearest neighbor search in medical image databases", 1996). So nothing is missed.

    Where many rows are near, only the nearest of them are found: otherwise the cost would grow with the number of rows after
    all. None of the others could be drawn as a match; their actions are inferred from agent transitions that are nearer.

    :param distance: a distance that has coordinates
    :param rows: encoded rows, shape (n, width)
    :param max_hits: so many are found, of equally near ones those with the lower index
    """

    #: Components in the tree. More take memory, and a tree over more dimensions visits more of its leaves.
    n_components = 10
    #: The directions are those of so many rows.
    n_sample = 10_000

    def __init__(self, distance: Distance, rows: Rows, max_hits: int = 32) -> None:
        self.distance = distance
        self.rows = rows
        self.max_hits = max_hits
        # of very long rows fewer, to save memory
        n_sample = min(len(rows), self.n_sample, max(2 * self.n_components, 2_000_000 // rows.shape[1]))
        sample = rows[np.linspace(0, len(rows) - 1, n_sample).astype(np.int64)]
        points = coordinates(distance, sample)
        # rounding is relative to what is left
        self._centre = points.mean(axis=0)
        self._directions = leading_directions(points - self._centre, self.n_components)
        # more in the tree where its distances are not the distances themselves
        self._ranks = min(len(rows), max_hits + 1 if self._directions is None else 2 * max_hits)
        projected = np.concatenate([self._points(rows[portion]) for portion in portions(rows)])
        # without balancing, building takes a fraction of the time and searching stays as fast
        self.tree = cKDTree(projected, leafsize=32, balanced_tree=False, compact_nodes=False)

    def within(self, queries: np.ndarray, radius: float) -> Hits:
        """See :meth:`Index.within`; of more than ``max_hits`` rows the nearest."""
        points, n = self._points(queries), len(queries)
        ranks = np.arange(1, self._ranks + 1)
        apart, found = map(np.asarray, self.tree.query(points, ranks, distance_upper_bound=self._reach(radius)))
        query, rank = np.nonzero(found < len(self.rows))
        hits = compared(self.distance, queries, self.rows, query, found[query, rank].astype(np.int64), self.max_hits, radius)
        bound = np.full(n, radius)
        counts = np.bincount(hits.query, minlength=n)
        full = counts == self.max_hits
        bound[full] = hits.distance[np.cumsum(counts)[full] - 1]
        # what the tree has not returned is further away than this
        doubtful = np.flatnonzero((found[:, -1] < len(self.rows)) & (apart[:, -1] <= self._reach(bound)))
        if not len(doubtful) or self._ranks == len(self.rows):
            return hits
        more = [self._all(queries[number], points[number], float(bound[number])) for number in doubtful]
        settled = hits.where(~np.isin(hits.query, doubtful))
        query = np.concatenate([settled.query, np.repeat(doubtful, [len(row) for row, _ in more])])
        row = np.concatenate([settled.row, *(row for row, _ in more)])
        joined = Hits(query, row, np.concatenate([settled.distance, *(distance for _, distance in more)]))
        return joined.where(np.argsort(joined.query, kind="stable"))

    def _all(self, query: np.ndarray, point: np.ndarray, bound: float) -> tuple[np.ndarray, np.ndarray]:
        """Compare one query with all rows that are within a bound in the tree."""
        row = np.sort(np.asarray(self.tree.query_ball_point(point, float(self._reach(bound))), dtype=np.int64))
        hits = compared(self.distance, query[None], self.rows, np.zeros(len(row), dtype=np.int64), row, self.max_hits, bound)
        return hits.row, hits.distance

    def _reach(self, radius: Any) -> Any:
        """Tell how far apart in the tree rows within a radius are at most, but for rounding."""
        return np.where(radius < self.distance.coordinates_hold_below, radius + ROUNDING / 10, np.inf)

    def _points(self, rows: np.ndarray) -> np.ndarray:
        points = coordinates(self.distance, rows) - self._centre
        return points if self._directions is None else np.asarray(points @ self._directions)


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


def nearest(hits: Hits, k: int, radius: float) -> Hits:
    """
    Keep, for every query, its k nearest hits within a radius. Of equally near ones, those with the lower index.

    :param hits: pairs of a query and a row
    :param k: how many to keep for each query
    :param radius: largest distance, in [0, 1]
    """
    near = hits.distance <= radius
    query, row, distance = hits.query[near], hits.row[near], hits.distance[near]
    order = np.lexsort((row, distance, query))
    query = query[order]
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    kept = order[rank < k]
    return Hits(query[rank < k], row[kept], distance[kept])


def compared(
    distance: Distance, queries: np.ndarray, rows: Rows, query: np.ndarray, row: np.ndarray, max_hits: int, radius: float
) -> Hits:
    """
    Compare candidates as a whole, and keep the nearest of each query.

    :param distance: the distance
    :param queries: encoded observations, shape (n, width)
    :param rows: encoded rows, shape (n_rows, width)
    :param query: index of the query of each candidate, shape (candidates,)
    :param row: index of its row, shape (candidates,)
    :param max_hits: so many of each query are kept
    :param radius: largest distance, in [0, 1]
    """
    parts = portions(rows, len(row))
    distances = [distance.paired(queries[query[part]], rows[row[part]]) for part in parts]
    together = distances[0] if len(distances) == 1 else np.concatenate([np.zeros(0, dtype=np.float32), *distances])
    return nearest(Hits(query, row, together), max_hits, radius)


def coordinates(distance: Distance, rows: np.ndarray) -> np.ndarray:
    """
    Compute the coordinates of encoded rows, see :meth:`Distance.coordinates`.

    :param distance: a distance that has some
    :param rows: encoded rows, shape (n, width)
    :return: shape (n, dimensions)
    """
    points = distance.coordinates(rows)
    if points is None:
        raise TypeError(f"{distance.kind} has no coordinates")
    return points


def leading_directions(points: np.ndarray, n: int) -> np.ndarray | None:
    """
    Find the orthonormal directions in which points vary most.

    :param points: with a mean of 0, shape (m, dimensions)
    :param n: how many directions
    :return: shape (dimensions, n), or fewer of fewer points, or None if there are no more dimensions than that
    """
    if points.shape[1] <= n:
        return None
    if len(points) >= points.shape[1]:
        return np.ascontiguousarray(np.linalg.eigh(points.T @ points)[1][:, : -n - 1 : -1])
    # of fewer points than dimensions the products of pairs are the smaller matrix
    leading = np.linalg.eigh(points @ points.T)[1][:, : -n - 1 : -1]
    return np.ascontiguousarray(np.linalg.qr(points.T @ leading)[0])
