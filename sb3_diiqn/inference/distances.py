"""Normalised distances of observations, d in [0, 1]; similarity = 1 - d.

The paper normalises its distance and leaves the choice of it open. Which one is used follows from the observation space
(:func:`~sb3_diiqn.inference.metrics.make_distance`); every one splits into ``encode`` (once per observation) and two
comparisons of encoded rows.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert import Observations
from sb3_diiqn.inference.rows import portions
from sb3_diiqn.inference.scales import evenly_spaced, range_without_outliers

#: Environments also write +-3.4e38, or the largest integer, for "unbounded".
UNBOUNDED = 1e15

#: Distances are float32: two that ought to be equal may differ by this much.
ROUNDING = 1e-6

#: An image is summed up in so many numbers, for a first look at which ones are far away.
N_STRETCHES = 64

DistanceFunction = Callable[[Any, Any], np.ndarray]


class Distance(ABC):
    """A normalised distance. Encoded observations are two-dimensional arrays, one row per observation."""

    #: so many near rows a tree finds at least
    max_hits = 16
    #: whether encoding takes next to no time, and different observations stay different: no need to store the rows
    encodes_on_demand = False

    @property
    def coordinates_hold_below(self) -> float:
        """Distances from here on may be smaller than those of the :meth:`coordinates`, being cut off."""
        return 1.0

    @property
    def kind(self) -> str:
        """Name of what decides how observations are encoded."""
        return type(self).__name__

    @abstractmethod
    def encode(self, observations: Observations) -> np.ndarray:
        """
        Turn observations into rows that can be compared fast.

        :param observations: shape (n, ``*observation_shape``), or a dictionary of such arrays
        :return: shape (n, width)
        """

    @abstractmethod
    def paired(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """
        Distances of broadcast pairs of encoded rows.

        :param first: encoded rows, shape (..., width)
        :param second: encoded rows, shape (..., width), broadcast against the first
        :return: distances in [0, 1], shape (...), float32
        """

    def pairwise(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """
        Distances of every row of the one to every row of the other.

        :param first: encoded rows, shape (n, width)
        :param second: encoded rows, shape (m, width)
        :return: distances in [0, 1], shape (n, m), float32
        """
        return np.stack([self.paired(row[None], second) for row in first]) if len(first) else _no_rows(second)

    def equal(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """
        Tell which encoded rows are of equal observations.

        :param first: encoded rows, shape (n, width)
        :param second: encoded rows, shape (n, width)
        :return: shape (n,), bool
        """
        return np.asarray((first == second).all(axis=1))

    def coordinates(self, rows: np.ndarray) -> np.ndarray | None:
        """
        Turn encoded rows into points whose Euclidean distances are at most those of the rows: a tree can leave out the others.

        :param rows: encoded rows, shape (n, width)
        :return: shape (n, dimensions), or None if there are no such points
        """
        return None

    def sharpened(self, factor: float) -> Distance:
        """
        Make a distance that is larger by a factor, cut off at 1.

        :param factor: at least 1
        """
        return SharpenedDistance(self, factor)


class SharpenedDistance(Distance):
    """
    A distance that is larger than another by a factor, cut off at 1.

    :param plain: the other one
    :param factor: at least 1
    """

    def __init__(self, plain: Distance, factor: float) -> None:
        self.plain = plain
        self.factor = factor
        self.encodes_on_demand = plain.encodes_on_demand

    @property
    def coordinates_hold_below(self) -> float:
        """As for the plain distance, or where this one is cut off."""
        return min(1.0, self.factor * self.plain.coordinates_hold_below)

    @property
    def kind(self) -> str:
        """Name of the plain distance and the factor."""
        return f"{self.factor!r} * {self.plain.kind}"

    def encode(self, observations: Observations) -> np.ndarray:
        """Encode as the plain distance does."""
        return self.plain.encode(observations)

    def paired(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See :meth:`Distance.paired`."""
        return self.enlarged(self.plain.paired(first, second))

    def pairwise(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See :meth:`Distance.pairwise`."""
        return self.enlarged(self.plain.pairwise(first, second))

    def equal(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See :meth:`Distance.equal`."""
        return self.plain.equal(first, second)

    def coordinates(self, rows: np.ndarray) -> np.ndarray | None:
        """See :meth:`Distance.coordinates`."""
        points = self.plain.coordinates(rows)
        return None if points is None else points * self.factor

    def enlarged(self, distances: np.ndarray) -> np.ndarray:
        """
        Make plain distances larger.

        :param distances: of any shape, float32
        """
        return np.asarray(np.minimum(distances * np.float32(self.factor), np.float32(1.0)))


class EuclideanDistance(Distance):
    """The Euclidean distance of encoded rows, cut off at 1: neighbours can be found with a tree."""

    def paired(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See :meth:`Distance.paired`."""
        difference = first - second
        root = np.sqrt(np.einsum("...i,...i->...", difference, difference))
        return np.asarray(np.minimum(root, 1.0), dtype=np.float32)

    def coordinates(self, rows: np.ndarray) -> np.ndarray | None:
        """See :meth:`Distance.coordinates`: the rows are points already."""
        return rows


class JaccardDistance(Distance):
    """
    Binary planes: 1 - |a and b| / |a or b| over active cells; 0 if neither has an active cell.

    The fraction of equal cells would call nearly all states alike where most cells are empty, as on MinAtar.
    """

    def encode(self, observations: Observations) -> np.ndarray:
        """Pack the active cells into 64-bit words, shape (n, words)."""
        cells = flatten(observations)
        octets = np.zeros((len(cells), -(-cells.shape[1] // 64) * 8), dtype=np.uint8)
        for portion in portions(cells):
            packed = np.packbits(cells[portion] != 0, axis=1)
            octets[portion, : packed.shape[1]] = packed
        return octets.view(np.uint64)

    def paired(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See :meth:`Distance.paired`."""
        shared, united = count_bits(first & second), count_bits(first | second)
        return np.asarray(1.0 - shared / np.maximum(united, 1) - (united == 0), dtype=np.float32)


class ScaledAbsoluteDistance(Distance):
    """
    Images: mean absolute difference divided by the range of the values (255 for most ``uint8`` images); cut off at 1.

    :param width: the range, positive
    """

    encodes_on_demand = True

    def __init__(self, width: float) -> None:
        self.width = width

    @classmethod
    def from_expert(cls, observations: np.ndarray, space: spaces.Box) -> ScaledAbsoluteDistance:
        """
        Take the range of the values from the expert data, without outliers; that of the space if they are constant.

        :param observations: the expert's observations, shape (n, ``*observation_shape``)
        :param space: their space
        """
        values = evenly_spaced(flatten(observations)).reshape(-1, 1)
        width = float(range_without_outliers(values)[0])
        bound = float(np.max(space.high.astype(np.float64)) - np.min(space.low.astype(np.float64)))
        fallback = bound if 0 < bound < UNBOUNDED else 1.0
        return cls(width if width > 0 else fallback)

    @property
    def kind(self) -> str:
        """Name of the distance and of its unit."""
        return f"{type(self).__name__} {self.width!r}"

    def encode(self, observations: Observations) -> np.ndarray:
        """Flatten. Unsigned integers stay as they are; others, whose differences could overflow, become float32."""
        rows = flatten(observations)
        return rows if np.issubdtype(rows.dtype, np.unsignedinteger) else rows.astype(np.float32)

    def paired(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See :meth:`Distance.paired`."""
        # max - min does not overflow unsigned integers
        difference = np.maximum(first, second) - np.minimum(first, second)
        # numpy sums bytes in 32 bits much faster than in floats
        total = difference.sum(axis=-1, dtype=np.uint32 if difference.dtype == np.uint8 else np.float64)
        mean = total / difference.shape[-1]
        return np.asarray(np.minimum(mean / self.width, 1.0), dtype=np.float32)

    def coordinates(self, rows: np.ndarray) -> np.ndarray | None:
        """See :meth:`Distance.coordinates`: sums over stretches, in which differences can only cancel out."""
        width = rows.shape[1]
        starts = np.linspace(0, width, min(width, N_STRETCHES), endpoint=False).astype(np.int64)
        return np.asarray(np.add.reduceat(rows, starts, axis=1, dtype=np.float64) / (width * self.width))

    def sharpened(self, factor: float) -> ScaledAbsoluteDistance:
        """See :meth:`Distance.sharpened`."""
        return ScaledAbsoluteDistance(self.width / factor)


class RangeDistance(EuclideanDistance):
    """
    Vectors: root mean square of the differences, each divided by its dimension's range; cut off at 1.

    :param width: range of each dimension, shape (dimensions,), positive
    """

    #: how many times smaller distances are in the mean because some dimensions are constant in the expert data
    dilution = 1.0
    encodes_on_demand = True

    def __init__(self, width: np.ndarray) -> None:
        self.width = np.asarray(width, dtype=np.float64).reshape(-1)
        # of few numbers, more are compared in the same time
        self.max_hits = 32 if self.width.size <= 20 else Distance.max_hits
        self.scale = 1.0 / (self.width * np.sqrt(np.size(width)))

    @classmethod
    def from_expert(cls, observations: np.ndarray, space: spaces.Box) -> RangeDistance:
        """
        Take each dimension's range from the expert data, without outliers.

        A dimension that is constant there uses the width of the observation space, or 1 where that is unbounded. For whole
        numbers it uses 1: a value that the expert never had is another one.

        :param observations: the expert's observations, shape (n, ``*observation_shape``)
        :param space: their space
        """
        width = range_without_outliers(flatten(observations))
        bounds = np.asarray(space.high, dtype=np.float64).reshape(-1) - np.asarray(space.low, dtype=np.float64).reshape(-1)
        bounded = (bounds > 0) & (bounds < UNBOUNDED) & np.issubdtype(space.dtype, np.floating)
        distance = cls(np.where(width > 0, width, np.where(bounded, bounds, 1.0)))
        distance.dilution = math.sqrt(len(width) / max(int(np.count_nonzero(width)), 1))
        return distance

    @property
    def kind(self) -> str:
        """Name of the distance and of its units."""
        return f"{type(self).__name__} {hashlib.sha256(self.width.tobytes()).hexdigest()[:16]}"

    def encode(self, observations: Observations) -> np.ndarray:
        """Scale such that the distance is Euclidean, shape (n, dimensions), float64."""
        return np.asarray(flatten(observations) * self.scale)

    def sharpened(self, factor: float) -> RangeDistance:
        """See :meth:`Distance.sharpened`."""
        return RangeDistance(self.width / factor)


class MismatchDistance(Distance):
    """Discrete observations: fraction of components that are not equal."""

    encodes_on_demand = True

    def encode(self, observations: Observations) -> np.ndarray:
        """Flatten, keeping the data type."""
        return flatten(observations)

    def paired(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See :meth:`Distance.paired`."""
        return np.asarray((first != second).mean(axis=-1, dtype=np.float32))


class MeanDistance(Distance):
    """
    Dict observations: mean of the distances of the parts.

    :param parts: the distance of each key
    """

    def __init__(self, parts: Mapping[str, Distance]) -> None:
        self.parts = dict(parts)
        self._columns: dict[str, tuple[slice, np.dtype[Any]]] = {}
        self.encodes_on_demand = all(part.encodes_on_demand for part in self.parts.values())

    @property
    def coordinates_hold_below(self) -> float:
        """Below it no part is cut off."""
        return min(part.coordinates_hold_below for part in self.parts.values()) / len(self.parts)

    @property
    def kind(self) -> str:
        """Name of what decides how observations are encoded."""
        return str({key: part.kind for key, part in self.parts.items()})

    def encode(self, observations: Observations) -> np.ndarray:
        """Put the bytes of the encoded parts side by side, shape (n, bytes)."""
        if not isinstance(observations, Mapping):
            raise ConfigurationError(f"expected a dictionary of observations with keys {sorted(self.parts)}")
        columns, start = [], 0
        for key, part in self.parts.items():
            rows = np.ascontiguousarray(part.encode(observations[key]))
            # not -1, which no rows at all do not determine
            n_bytes = rows.dtype.itemsize * math.prod(rows.shape[1:])
            columns.append(rows.view(np.uint8).reshape(len(rows), n_bytes))
            self._columns[key] = (slice(start, start + columns[-1].shape[1]), rows.dtype)
            start += columns[-1].shape[1]
        return np.concatenate(columns, axis=1)

    def paired(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See :meth:`Distance.paired`."""
        distances = [part.paired(self._part(key, first), self._part(key, second)) for key, part in self.parts.items()]
        return np.asarray(np.mean(distances, axis=0, dtype=np.float32))

    def coordinates(self, rows: np.ndarray) -> np.ndarray | None:
        """See :meth:`Distance.coordinates`: those of the parts side by side, as the root of squares is at most the sum."""
        of_parts = [part.coordinates(self._part(key, rows)) for key, part in self.parts.items()]
        known = [points for points in of_parts if points is not None]
        return np.concatenate(known, axis=1) / len(self.parts) if known else None

    def _part(self, key: str, rows: np.ndarray) -> np.ndarray:
        columns, dtype = self._columns[key]
        return np.ascontiguousarray(rows[..., columns]).view(dtype)


def count_bits(words: np.ndarray) -> np.ndarray:
    """
    Count the bits of rows of words.

    :param words: shape (..., words)
    :return: shape (...), float64, in which numpy sums much faster than in integers
    """
    return np.asarray(np.bitwise_count(words) @ np.ones(words.shape[-1]))


def flatten(observations: Observations) -> np.ndarray:
    """
    Put each observation into one row.

    :param observations: shape (n, ``*observation_shape``)
    :return: shape (n, width)
    """
    array = np.asarray(observations)
    return array.reshape(len(array), int(np.prod(array.shape[1:])))


def _no_rows(second: np.ndarray) -> np.ndarray:
    return np.zeros((0, len(second)), dtype=np.float32)
