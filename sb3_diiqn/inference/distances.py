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
from uuid import uuid4

import cloudpickle
import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert import Observations
from sb3_diiqn.inference.rows import portions

#: Environments also write +-3.4e38, or the largest integer, for "unbounded".
UNBOUNDED = 1e15

#: Distances are float32: two that ought to be equal may differ by this much.
ROUNDING = 1e-6

DistanceFunction = Callable[[Any, Any], np.ndarray]


class Distance(ABC):
    """A normalised distance. Encoded observations are two-dimensional arrays, one row per observation."""

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


class EuclideanDistance(Distance):
    """The Euclidean distance of encoded rows, cut off at 1: neighbours can be found with a tree."""

    #: so many near rows a tree finds at least
    max_hits = 32

    def paired(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See :meth:`Distance.paired`."""
        difference = first - second
        root = np.sqrt(np.einsum("...i,...i->...", difference, difference))
        return np.asarray(np.minimum(root, 1.0), dtype=np.float32)


class JaccardDistance(Distance):
    """
    Binary planes: 1 - |a and b| / |a or b| over active cells; 0 if neither has an active cell.

    The share of equal cells would call nearly all states alike where most cells are empty, as on MinAtar.
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
    Integer images: mean absolute difference divided by the width of the value range (255 for ``uint8`` images).

    :param width: largest possible difference of two values
    """

    def __init__(self, width: float) -> None:
        self.width = width

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


class RangeDistance(EuclideanDistance):
    """
    Float vectors: root mean square of the differences, each divided by its dimension's range; cut off at 1.

    :param width: range of each dimension, shape (dimensions,), positive
    """

    def __init__(self, width: np.ndarray) -> None:
        self.scale = 1.0 / (np.asarray(width, dtype=np.float64).reshape(-1) * np.sqrt(np.size(width)))

    @classmethod
    def from_expert(cls, observations: np.ndarray, space: spaces.Box) -> RangeDistance:
        """
        Take each dimension's range from the expert data.

        A dimension that is constant there uses the width of the observation space, or 1 where that is unbounded.

        :param observations: the expert's observations, shape (n, ``*observation_shape``)
        :param space: their space
        """
        rows = flatten(observations).astype(np.float64)
        width = rows.max(axis=0) - rows.min(axis=0)
        bounds = np.asarray(space.high, dtype=np.float64).reshape(-1) - np.asarray(space.low, dtype=np.float64).reshape(-1)
        fallback = np.where((bounds > 0) & (bounds < UNBOUNDED), bounds, 1.0)
        return cls(np.where(width > 0, width, fallback))

    def encode(self, observations: Observations) -> np.ndarray:
        """Scale such that the distance is Euclidean, shape (n, dimensions), float64."""
        return np.asarray(flatten(observations) * self.scale)


class MismatchDistance(Distance):
    """Discrete observations: share of components that are not equal."""

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

    def _part(self, key: str, rows: np.ndarray) -> np.ndarray:
        columns, dtype = self._columns[key]
        return np.ascontiguousarray(rows[..., columns]).view(dtype)


class CustomDistance(Distance):
    """
    A distance of the user's own.

    :param function: ``function(first, second)`` gets two arrays of observations of shapes (n, ``*observation_shape``) and
        (m, ``*observation_shape``) and returns distances in [0, 1] of shape (n, m)
    :param observation_shape: shape of one observation
    """

    def __init__(self, function: DistanceFunction, observation_shape: tuple[int, ...]) -> None:
        self.function = function
        self.observation_shape = observation_shape
        self._kind = f"{type(self).__name__} {_fingerprint(function)}"

    @property
    def kind(self) -> str:
        """Name of the function, by what it does: what was inferred with one does not hold by another."""
        return self._kind

    def encode(self, observations: Observations) -> np.ndarray:
        """Flatten, keeping the data type."""
        return flatten(observations)

    def paired(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See :meth:`Distance.paired`. The function is called once for consecutive pairs with the same first row."""
        first, second = np.broadcast_arrays(first, second)
        ones, others = first.reshape(-1, first.shape[-1]), second.reshape(-1, second.shape[-1])
        borders = 1 + np.flatnonzero((ones[1:] != ones[:-1]).any(axis=1))
        runs = zip([0, *borders], [*borders, len(ones)], strict=True) if len(ones) else ()
        distances = [self.pairwise(ones[start : start + 1], others[start:stop])[0] for start, stop in runs]
        return np.concatenate([np.zeros(0, dtype=np.float32), *distances]).reshape(first.shape[:-1])

    def pairwise(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See :meth:`Distance.pairwise`."""
        shape = (len(first), len(second))
        returned = self.function(self._restored(first), self._restored(second))
        try:
            distances = np.asarray(returned, dtype=np.float32)
        except (TypeError, ValueError):
            distances = np.full(0, np.nan, dtype=np.float32)
        if distances.shape != shape or not np.all((distances >= 0) & (distances <= 1)):
            raise ConfigurationError(
                f"similarity_metric returned an array of shape {np.shape(distances)}, or values outside [0, 1]: "
                f"{str(returned)[:100]}; expected distances in [0, 1] of shape {shape}, 0 for equal observations"
            )
        return distances

    def check(self, observations: np.ndarray) -> None:
        """
        Try the function out.

        :param observations: some observations, at least one, shape (n, ``*observation_shape``)
        :raises ConfigurationError: if it raises an error, or does not return distances
        """
        rows = self.encode(observations[np.arange(3) % len(observations)])
        try:
            distances = self.pairwise(rows[:2], rows)
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(f"similarity_metric failed on 2 and 3 observations: {error!r}") from error
        if distances[0, 0] > ROUNDING:
            raise ConfigurationError(
                f"similarity_metric returned {distances[0, 0]} for two equal observations, and a distance is 0 there: "
                "return distances, not similarities"
            )

    def _restored(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(-1, *self.observation_shape)


def _fingerprint(function: DistanceFunction) -> str:
    """
    Tell functions apart by their code and what it refers to.

    At worst the same one looks like another, and matching is done again: one that cannot be saved is like no other.
    """
    try:
        # the user's own function, once there and back: what is shared in memory only shows in the first bytes
        restored = cloudpickle.loads(cloudpickle.dumps(function))
        return hashlib.sha256(cloudpickle.dumps(restored)).hexdigest()
    except Exception:  # whatever the objects that it refers to raise
        return uuid4().hex


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
