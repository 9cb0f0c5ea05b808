"""Finding images near an observation by short sketches of them."""

from __future__ import annotations

import numpy as np

from sb3_diiqn.inference.cache import IndexCache
from sb3_diiqn.inference.distances import ScaledAbsoluteDistance
from sb3_diiqn.inference.index import Hits
from sb3_diiqn.inference.rows import Rows, portions


class SketchIndex:
    """
    Finds the nearest images: the sketches of all are compared, and as a whole only those whose sketches are nearest.

    A sketch consists of sums of randomly chosen pixels, half of them with a minus: its Euclidean distances are in the mean
    those of the images (Johnson and Lindenstrauss). This is the one search that may miss a nearest neighbour; how many it
    finds is a matter of ``n_compared``. Frames of a game are nearly alike, so that most are within any radius: only the
    nearest of them are found. None of the others could be drawn as a match; their actions are inferred from agent transitions
    that are nearer.

    :param distance: mean absolute difference
    :param rows: encoded images, shape (n, pixels), bytes
    :param max_hits: so many are found
    :param cache: keeps the sketches
    """

    #: At least so many, nearest by their sketches, are compared as a whole.
    n_compared = 256
    #: Numbers in a sketch.
    size = 512

    def __init__(
        self, distance: ScaledAbsoluteDistance, rows: Rows, max_hits: int = 16, cache: IndexCache | None = None
    ) -> None:
        self.distance = distance
        self.rows = rows
        self.max_hits = max_hits
        width = rows.shape[1]
        # sorted within each stretch, so that memory is read in order
        stretches = np.array_split(np.random.default_rng(0).permutation(width), 2 * self.size)
        self._pixels = np.concatenate([np.sort(stretch) for stretch in stretches])
        self._starts = np.cumsum([0, *map(len, stretches[:-1])])
        self._sketches, self._squares = (cache or IndexCache(None, "")).get("sketches", self._make_sketches)

    @staticmethod
    def suits(rows: Rows) -> bool:
        """
        Tell whether this pays: for many images.

        :param rows: encoded observations, shape (n, width)
        """
        n, width = rows.shape
        return rows.dtype == np.uint8 and width >= 4 * SketchIndex.size and n >= 4 * SketchIndex.n_compared

    def within(self, queries: np.ndarray, radius: float) -> Hits:
        """See :meth:`~sb3_diiqn.inference.index.Index.within`; of more than ``max_hits`` images the nearest."""
        # without the query's own square, which is the same for all images
        distances = self._squares - 2.0 * self._sketch(queries) @ self._sketches.T
        n = min(max(self.n_compared, 4 * self.max_hits), len(self.rows))
        candidates = np.argpartition(distances, n - 1, axis=1)[:, :n]
        found = [self._nearest(query, np.sort(rows), radius) for query, rows in zip(queries, candidates, strict=True)]
        query = np.repeat(np.arange(len(queries)), [len(row) for row, _ in found])
        row = np.concatenate([np.zeros(0, dtype=np.int64), *(row for row, _ in found)])
        return Hits(query, row, np.concatenate([np.zeros(0, dtype=np.float32), *(distance for _, distance in found)]))

    def _nearest(self, query: np.ndarray, candidates: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
        parts = portions(self.rows, len(candidates))
        distance = np.concatenate([self.distance.paired(query, self.rows[candidates[part]]) for part in parts])
        nearest = np.sort(np.argsort(distance, kind="stable")[: self.max_hits])
        nearest = nearest[distance[nearest] <= radius]
        return candidates[nearest], distance[nearest]

    def _make_sketches(self) -> tuple[np.ndarray, np.ndarray]:
        sketches = np.concatenate([self._sketch(self.rows[portion]) for portion in portions(self.rows)])
        return sketches, np.einsum("ij,ij->i", sketches, sketches)

    def _sketch(self, rows: np.ndarray) -> np.ndarray:
        sums = np.add.reduceat(rows[:, self._pixels], self._starts, axis=1, dtype=np.float32)
        return np.asarray(sums[:, : self.size] - sums[:, self.size :])
