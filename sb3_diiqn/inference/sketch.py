"""Finding images near an observation by coarse pictures of them."""

from __future__ import annotations

import numpy as np

from sb3_diiqn.inference.distances import ROUNDING, ScaledAbsoluteDistance
from sb3_diiqn.inference.index import Hits
from sb3_diiqn.inference.rows import portions


class SketchIndex:
    """
    Finds the nearest images: the coarse pictures of all are compared, and as a whole only those that may be among the nearest.

    A coarse picture consists of the means of stretches of pixels. No two images are nearer than their coarse pictures.
    Frames of a game are nearly alike, so that most are within any radius: only the nearest of them are found. None of the
    others could be drawn as a match; their actions are inferred from agent transitions that are nearer.

    :param distance: mean absolute difference
    :param rows: encoded images, shape (n, pixels), unsigned integers
    """

    #: The nearest so many are found.
    max_hits = 16
    #: So many, nearest by their coarse pictures, are compared as a whole.
    max_compared = 64
    #: Means in a coarse picture.
    size = 64

    def __init__(self, distance: ScaledAbsoluteDistance, rows: np.ndarray) -> None:
        self.distance = distance
        self.rows = rows
        self._starts = np.linspace(0, rows.shape[1], self.size, endpoint=False).astype(np.int64)
        self._sketches = np.concatenate([self._sketch(rows[portion]) for portion in portions(rows)])

    @staticmethod
    def suits(rows: np.ndarray) -> bool:
        """
        Tell whether this pays: for many images.

        :param rows: encoded observations, shape (n, width)
        """
        n, width = rows.shape
        return rows.dtype == np.uint8 and width >= 8 * SketchIndex.size and n >= 16 * SketchIndex.max_compared

    def within(self, queries: np.ndarray, radius: float) -> Hits:
        """See :meth:`~sb3_diiqn.inference.index.Index.within`; of more than ``max_hits`` images the nearest."""
        found = [self._nearest(query, sketch, radius) for query, sketch in zip(queries, self._sketch(queries), strict=True)]
        query = np.repeat(np.arange(len(queries)), [len(row) for row, _ in found])
        row = np.concatenate([np.zeros(0, dtype=np.int64), *(row for row, _ in found)])
        return Hits(query, row, np.concatenate([np.zeros(0, dtype=np.float32), *(distance for _, distance in found)]))

    def _nearest(self, query: np.ndarray, sketch: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
        bound = self._bounds(sketch)
        candidates = np.argpartition(bound, self.max_compared)[: self.max_compared]
        candidates = candidates[bound[candidates] <= radius + ROUNDING]
        candidates = candidates[np.argsort(bound[candidates], kind="stable")]
        distance = np.full(len(candidates), np.inf, dtype=np.float32)
        for start in range(0, len(candidates), self.max_hits):
            part = slice(start, start + self.max_hits)
            if start and bound[candidates[start]] > np.partition(distance, self.max_hits - 1)[self.max_hits - 1]:
                # whatever comes now is further away than enough of the others
                break
            distance[part] = self.distance.paired(query, self.rows[candidates[part]])
        nearest = np.sort(np.argsort(distance, kind="stable")[: self.max_hits])
        nearest = nearest[distance[nearest] <= radius]
        return candidates[nearest], distance[nearest]

    def _sketch(self, rows: np.ndarray) -> np.ndarray:
        """Compute the sums of stretches of pixels, scaled such that sums of differences are distances."""
        sums = np.add.reduceat(rows, self._starts, axis=1, dtype=np.float32)
        return np.asarray(sums / np.float32(rows.shape[1] * self.distance.width), dtype=np.float32)

    def _bounds(self, sketch: np.ndarray) -> np.ndarray:
        """Compute what each image's distance is at least."""
        ones = np.ones(self.size, dtype=np.float32)
        return np.concatenate([np.abs(self._sketches[part] - sketch) @ ones for part in portions(self._sketches)])
