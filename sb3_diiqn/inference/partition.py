"""Finding binary planes near an observation: exact, and nearly independent of their number."""

from __future__ import annotations

import numpy as np

from sb3_diiqn.inference.cache import IndexCache
from sb3_diiqn.inference.distances import ROUNDING, JaccardDistance, count_bits
from sb3_diiqn.inference.index import Hits, ScanIndex
from sb3_diiqn.inference.rows import Rows, expanded, fingerprints


class PartitionIndex:
    """
    Finds planes with a small Jaccard distance by looking up parts of them.

    Planes A and B within a distance r differ in at most h = r / (1 - r) * |A| cells: |A xor B| <= r |A or B|, and
    |A or B| <= |A| / (1 - r). If the cells are dealt into h + 1 parts, A and B are equal in at least one of them. So one
    sorted table of the parts' fingerprints leads to all candidates, which are then compared. With few active cells h is 0,
    and the one part is the plane as a whole.

    :param distance: the distance
    :param rows: encoded rows, shape (n, words)
    :param radius: the largest radius that will be asked for with effect; beyond it, every row is compared
    :param cache: keeps the table
    """

    #: Planes with so many active cells that they may differ in more are compared with every row.
    max_differences = 4
    #: From this radius on the planes that are near differ too much for any of this.
    max_radius = 0.5

    def __init__(self, distance: JaccardDistance, rows: Rows, radius: float, cache: IndexCache | None = None) -> None:
        self.distance = distance
        self.rows = rows
        self.radius = radius
        self._scan = ScanIndex(distance, rows)
        # the differences that each active cell allows for
        reach = radius + ROUNDING
        self._slope = reach / (1.0 - reach) if reach < 1.0 else np.inf
        self._masks = [_deal_cells(rows, h + 1) for h in range(self.max_differences + 1)]
        sides = len(self._masks)
        self._salts = fingerprints(np.arange(sides * sides)[:, None]).reshape(sides, sides)
        self._keys, self._row_of_key = (cache or IndexCache(None, "")).get("table", self._make_table)

    def within(self, queries: np.ndarray, radius: float) -> Hits:
        """See :meth:`~sb3_diiqn.inference.index.Index.within`."""
        differences = self._differences(count_bits(queries))
        if radius > self.radius or differences.max(initial=0) > self.max_differences:
            return self._scan.within(queries, radius)
        of_key, keys = self._query_keys(queries, differences)
        starts, stops = np.searchsorted(self._keys, keys, side="left"), np.searchsorted(self._keys, keys, side="right")
        if (stops - starts).sum() > len(queries) * len(self.rows) // 8:
            # reading all rows one after the other is faster than picking as many
            return self._scan.within(queries, radius)
        source, place = expanded(starts, stops)
        query, row = of_key[source], self._row_of_key[place].astype(np.int64)
        if len(keys) > len(queries):
            # a row that is equal in several parts is found several times
            query, row = np.divmod(np.unique(query * len(self.rows) + row), len(self.rows))
        distance = self.distance.paired(queries[query], self.rows[row])
        near = distance <= radius
        return Hits(query[near], row[near], distance[near])

    def _differences(self, active_cells: np.ndarray) -> np.ndarray:
        """Tell in how many cells a plane within the radius can differ, h."""
        return np.floor(np.minimum(self._slope * active_cells + ROUNDING, 2.0**31)).astype(np.int64)

    def _query_keys(self, queries: np.ndarray, differences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the keys to look up, and the query that each is of."""
        of_key, keys = [], []
        for h in set(differences.tolist()):
            chosen = np.flatnonzero(differences == h)
            of_key += [chosen] * (h + 1)
            keys += self._part_keys(queries[chosen], h)
        if len(keys) == 1:
            return of_key[0], keys[0]
        return np.concatenate(of_key), np.concatenate(keys)

    def _make_table(self) -> tuple[np.ndarray, np.ndarray]:
        """Put every row under the keys of its parts, for every h of a query that it can be near to."""
        active_cells = count_bits(self.rows[:])
        # |B| is between (1 - r) |A| and |A| / (1 - r), and so is |A| with respect to |B|
        ratio = 1.0 + self._slope
        lowest = self._differences(np.ceil(active_cells / ratio - ROUNDING))
        highest = self._differences(np.floor(np.minimum(active_cells * ratio, 2.0**31) + ROUNDING))
        keys, rows = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int32)]
        for h in range(self.max_differences + 1):
            chosen = np.flatnonzero((lowest <= h) & (h <= highest)).astype(np.int32)
            if len(chosen):
                keys += self._part_keys(self.rows[chosen], h)
                rows += [chosen] * (h + 1)
        joined = np.concatenate(keys)
        order = np.argsort(joined, kind="stable")
        return joined[order], np.concatenate(rows)[order]

    def _part_keys(self, planes: np.ndarray, h: int) -> list[np.ndarray]:
        """Compute the keys of the h + 1 parts. Keys of different parts and different h are different."""
        return [fingerprints(planes & mask) ^ salt for mask, salt in zip(self._masks[h], self._salts[h], strict=False)]


def _deal_cells(rows: Rows, n_parts: int) -> np.ndarray:
    """
    Deal the cells into parts, in the order of how often they are active, so that every part says about as much.

    :return: a mask for each part, shape (n_parts, words)
    """
    sample = rows[:: max(1, len(rows) // 4096)]
    frequency = np.unpackbits(sample.view(np.uint8), axis=1).sum(axis=0, dtype=np.int64)
    part = np.empty(len(frequency), dtype=np.int64)
    part[np.argsort(-frequency, kind="stable")] = np.arange(len(frequency)) % n_parts
    return np.packbits(part[None] == np.arange(n_parts)[:, None], axis=1).view(np.uint64)
