"""The distance of observations that consist of categories, such as the kinds of objects in the cells of a grid."""

from __future__ import annotations

import hashlib

import numpy as np

from sb3_diiqn.expert import Observations
from sb3_diiqn.inference.distances import JaccardDistance, count_bits, flatten
from sb3_diiqn.inference.rows import portions
from sb3_diiqn.inference.scales import evenly_spaced

_NO_BIT = -1


class CategoryDistance(JaccardDistance):
    """
    Categories: Jaccard distance of the sets of (cell, value) pairs, without those that are usual in their cell.

    The usual value of a cell is the one that the expert data have there most often. Walls and empty cells are thus left out,
    which all states have in common: where one object moves on a large grid, the states have nothing in common but it.

    :param counts: how often the expert data have each value in each cell, shape (cells, values)
    :param values: the values, ascending, shape (values,)
    """

    def __init__(self, counts: np.ndarray, values: np.ndarray) -> None:
        self.values = values
        cells, usual = np.arange(len(counts)), counts.argmax(axis=1)
        # the last column stands for all values that the expert data do not have in that cell
        present = np.pad(counts > 0, ((0, 0), (0, 1)), constant_values=True)
        present[cells, usual] = False
        number = np.cumsum(present).reshape(present.shape) - 1
        self._n_bits = int(present.sum())
        self._bit = np.where(present, number, number[:, -1:])
        self._bit[cells, usual] = _NO_BIT

    @classmethod
    def from_expert(cls, observations: np.ndarray, values: np.ndarray) -> CategoryDistance:
        """
        Count what the expert data have.

        :param observations: the expert's observations, shape (n, ``*observation_shape``)
        :param values: all values in them, ascending
        """
        rows = flatten(observations)
        n_cells, n_values = rows.shape[1], len(values)
        counts = np.zeros(n_cells * n_values, dtype=np.int64)
        first = np.arange(n_cells) * n_values
        for portion in portions(rows):
            numbers = first + np.searchsorted(values, rows[portion])
            counts += np.bincount(numbers.reshape(-1), minlength=len(counts))
        return cls(counts.reshape(n_cells, n_values), values)

    @property
    def kind(self) -> str:
        """Name of the values and of what is usual."""
        return f"{type(self).__name__} {hashlib.sha256(self.values.tobytes() + self._bit.tobytes()).hexdigest()[:16]}"

    def encode(self, observations: Observations) -> np.ndarray:
        """Pack what is not usual into 64-bit words, shape (n, words)."""
        rows = flatten(observations)
        width = np.empty((0, self._n_bits), dtype=bool)
        words = [super(CategoryDistance, self).encode(self._planes(rows[part])) for part in portions(width, len(rows))]
        return np.concatenate([np.zeros((0, -(-self._n_bits // 64)), dtype=np.uint64), *words])

    def smallest(self, observations: np.ndarray) -> float:
        """
        Compute how near two observations can be that are not equal, where as much is unusual as in the expert data.

        :param observations: the expert's observations, shape (n, ``*observation_shape``)
        """
        n_unusual = count_bits(self.encode(evenly_spaced(flatten(observations))))
        return 1 / (1 + float(n_unusual.max()))

    def _planes(self, rows: np.ndarray) -> np.ndarray:
        number = np.minimum(np.searchsorted(self.values, rows), len(self.values) - 1)
        number = np.where(self.values[number] == rows, number, len(self.values))
        bit = self._bit[np.arange(rows.shape[1]), number]
        row, cell = np.nonzero(bit != _NO_BIT)
        planes = np.zeros((len(rows), self._n_bits), dtype=bool)
        planes[row, bit[row, cell]] = True
        return planes
