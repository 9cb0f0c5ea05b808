"""Finding points of many dimensions near an observation, where they have little in common: by random cells."""

from __future__ import annotations

import itertools
import math

import numpy as np

from sb3_diiqn.inference.cache import IndexCache
from sb3_diiqn.inference.distances import Distance
from sb3_diiqn.inference.index import Hits, ScanIndex, TreeIndex, compared, coordinates
from sb3_diiqn.inference.rows import Rows, expanded, mixed, portions


class CellIndex:
    """
    Finds rows that are near by looking up the random cells that they are in.

    Where much of an observation is noise, a ball of the radius around it is wider than the data in every direction, and no
    tree can leave anything out; but most rows are many times further away than the radius. Points are rounded along random
    directions (Datar et al., "Locality-sensitive hashing scheme based on p-stable distributions", 2004). Rows that are near
    are in the same cell, or beyond its nearest borders, whose cells are looked up, too (Lv et al., "Multi-probe LSH", 2007).
    A row at the very radius is found with a probability of 0.98 to 0.99, whatever the data are, and a nearer one more surely.

    :param distance: a distance that has coordinates
    :param rows: encoded rows, shape (n, width)
    :param radius: the largest radius that will be asked for with effect; beyond it, every row is compared
    :param max_hits: so many are found, of equally near ones those with the lower index
    :param cache: keeps the tables
    """

    #: Each has cells of its own.
    n_tables = 5
    #: Width of a cell. The unit is how far rows at the radius are apart along a random direction (root mean square).
    cell_width = 8.0
    #: In each table as many cells are looked up, beyond some of so many borders, as a row at the radius is found in with this
    #: probability, in any of the tables.
    n_borders, sought = 8, 0.99
    #: Directions of a table, at most. As many are taken as leave hardly a row that is not near in a cell.
    max_directions = 40
    #: Points of more dimensions are not placed in cells.
    max_dimensions = 4096
    #: Candidates are compared along so many directions first. The sum of the squared differences of a row at the radius is a
    #: chi-square variable, whose quantile 0.999 this is.
    n_first, first_quantile = 12, 32.9

    def __init__(
        self, distance: Distance, rows: Rows, radius: float, max_hits: int = 32, cache: IndexCache | None = None
    ) -> None:
        self.distance = distance
        self.rows = rows
        self.radius = radius
        self.max_hits = max_hits
        sample = sampled_coordinates(distance, rows)
        self._centre = sample.mean(axis=0)
        generator = np.random.default_rng(0)
        directions = generator.normal(size=(sample.shape[1], self.n_tables * self.max_directions))
        directions *= math.sqrt(len(directions)) / (np.linalg.norm(directions, axis=0) * max(radius, 1e-9) * self.cell_width)
        self._depth = self._enough((sample - self._centre) @ directions, len(rows))
        n = self.n_tables * self._depth
        self._directions = directions[:, :n].astype(np.float32)
        self._shift = generator.random(n, dtype=np.float32)
        self._multipliers = generator.integers(1 << 63, size=n, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._probes = _likely_probes(
            self._depth, self.n_borders, self.cell_width, 1 - (1 - self.sought) ** (1 / self.n_tables)
        )
        # two to the power of so many entries in a table, more than rows
        self._bits = min(24, 1 + len(rows).bit_length())
        self._starts, self._members, self._first = (cache or IndexCache(None, "")).get("cells", self._make_tables)

    @staticmethod
    def suits(distance: Distance, rows: Rows, radius: float, max_hits: int) -> bool:
        """
        Tell whether a tree would be slow, and rows are not crowded: where many are near, a tree soon has found the nearest.

        :param distance: a distance that has coordinates
        :param rows: encoded rows, shape (n, width)
        :param radius: the radius that will be asked for
        :param max_hits: so many are to be found
        """
        if coordinates(distance, rows[:1]).shape[1] > CellIndex.max_dimensions:
            return False
        points = sampled_coordinates(distance, rows)
        points = points - points.mean(axis=0)
        if len(rows) <= len(points) or points.shape[1] <= TreeIndex.n_components:
            return False
        spread = np.linalg.eigvalsh(points.T @ points)
        if spread[-TreeIndex.n_components :].sum() >= 0.9 * spread.sum():
            return False
        first, second = points[::2], points[1::2]
        squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
        return bool((squares <= radius**2).mean() * len(rows) <= max_hits)

    def within(self, queries: np.ndarray, radius: float) -> Hits:
        """See :meth:`~sb3_diiqn.inference.index.Index.within`; of more than ``max_hits`` rows the nearest."""
        if radius > self.radius:
            return ScanIndex(self.distance, self.rows).within(queries, radius)
        placed = self._placed(queries)
        entries = self._entries_nearby(placed)
        source, place = expanded(self._starts[entries].astype(np.int64), self._starts[entries + 1].astype(np.int64))
        query, row = source // (self.n_tables * len(self._probes)), self._members[place]
        apart = self._first[row] - placed[query, : self.n_first]
        near = np.einsum("ij,ij->i", apart, apart) <= self.first_quantile / self.cell_width**2
        # a row may be found in several tables
        query, row = np.divmod(np.unique(query[near] * len(self.rows) + row[near]), len(self.rows))
        return compared(self.distance, queries, self.rows, query, row, self.max_hits, radius)

    def _enough(self, points: np.ndarray, n_rows: int) -> int:
        """Tell in how many directions to round until one cell in ten has a row in it by chance, by pairs of a sample."""
        half = len(points) // 2
        offsets = np.random.default_rng(0).random(points.shape[1])
        same = np.floor(points[:half] + offsets) == np.floor(points[half : 2 * half] + offsets)
        log_same = math.log(min(max(float(same.mean()), 1e-3), 0.999)) if half else -1.0
        return max(4, min(self.max_directions, math.ceil(math.log(0.1 / n_rows) / log_same)))

    def _placed(self, rows: np.ndarray) -> np.ndarray:
        """Compute where rows are along all directions, in cells, shape (n, tables * directions), float32."""
        points = (coordinates(self.distance, rows) - self._centre).astype(np.float32)
        return np.asarray(points @ self._directions + self._shift)

    def _entries(self, keys: np.ndarray) -> np.ndarray:
        """Turn keys of cells, shape (n, tables, probes), into entries of the joined tables."""
        first = np.arange(self.n_tables, dtype=np.int64)[:, None] << self._bits
        return np.asarray((mixed(keys) >> np.uint64(64 - self._bits)).astype(np.int64) + first)

    def _keys(self, cells: np.ndarray) -> np.ndarray:
        return np.asarray(
            (_as_unsigned(cells) * self._multipliers).reshape(len(cells), self.n_tables, self._depth).sum(axis=2)
        )

    def _entries_nearby(self, placed: np.ndarray) -> np.ndarray:
        """List the entries of the cells that rows are in, and of those nearby, shape (n * tables * probes,)."""
        cells = np.floor(placed)
        beyond = placed - cells
        steps = _as_unsigned(np.where(beyond < 0.5, -1, 1)) * self._multipliers
        shape = (len(placed), self.n_tables, self._depth)
        order = np.argsort(np.minimum(beyond, 1 - beyond).reshape(shape), axis=2)[:, :, : self._probes.shape[1]]
        moves = np.take_along_axis(steps.reshape(shape), order, axis=2) @ self._probes.T
        return self._entries(self._keys(cells)[:, :, None] + moves).reshape(-1)

    def _make_tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        entries = np.empty((len(self.rows), self.n_tables), dtype=np.int32)
        first = np.empty((len(self.rows), min(self.n_first, len(self._shift))), dtype=np.float32)
        for portion in portions(self.rows):
            placed = self._placed(self.rows[portion])
            entries[portion] = self._entries(self._keys(np.floor(placed))[:, :, None])[:, :, 0]
            first[portion] = placed[:, : self.n_first]
        counts = np.bincount(entries.reshape(-1), minlength=self.n_tables << self._bits)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        members = [np.argsort(column, kind="stable").astype(np.int32) for column in entries.T]
        return starts, np.concatenate(members), first


def sampled_coordinates(distance: Distance, rows: Rows, n: int = 2000) -> np.ndarray:
    """
    Compute the coordinates of some rows, evenly spaced, in a random order.

    :param distance: a distance that has coordinates
    :param rows: encoded rows, shape (n_rows, width)
    :param n: how many
    """
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), n)).astype(np.int64))
    return coordinates(distance, rows[np.random.default_rng(0).permutation(chosen)])


def _likely_probes(depth: int, n_borders: int, cell_width: float, sought: float) -> np.ndarray:
    """
    List the borders that a row at the radius lies beyond most likely, nearest borders first.

    :param depth: directions of a table
    :param n_borders: others than so many are not crossed
    :param cell_width: width of a cell
    :param sought: a row at the radius is to be found in the table with this probability, or all cells are listed
    :return: 1 where a border is crossed, shape (probes, borders), uint64
    """
    # the borders of as many cells, sorted, are evenly spaced on average
    nearness = (np.arange(depth) + 0.5) / (2 * depth) * cell_width
    crossing = np.array([math.erfc(near / math.sqrt(2)) / 2 for near in nearness])
    subsets = np.array(list(itertools.product([0, 1], repeat=min(n_borders, depth))))
    inner = crossing[: subsets.shape[1]]
    probability = np.where(subsets, inner, 1 - inner).prod(axis=1) * (1 - crossing[subsets.shape[1] :]).prod()
    order = np.argsort(-probability, kind="stable")
    n_probes = 1 + int(np.searchsorted(np.cumsum(probability[order]), sought))
    return subsets[order[:n_probes]].astype(np.uint64)


def _as_unsigned(whole: np.ndarray) -> np.ndarray:
    return whole.astype(np.int64).view(np.uint64)
