"""The array types of expert data, and the few helpers that treat plain and Dict observations alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Observations: TypeAlias = np.ndarray | dict[str, np.ndarray]
"""A batch of observations: one array of shape (n, *obs), or for a Dict space one such array per key."""


class TrajectoryArrays(NamedTuple):
    """Unchecked arguments of :class:`ExpertObservations`, which is what every source is turned into."""

    observations: Observations
    offsets: np.ndarray
    terminated: np.ndarray
    rewards: np.ndarray | None


def map_observations(function: Callable[[np.ndarray], np.ndarray], observations: Observations) -> Observations:
    """Apply a function to the array, or to the array of every key."""
    if isinstance(observations, dict):
        return {key: function(array) for key, array in observations.items()}
    return function(observations)


def arrays_of(observations: Observations) -> dict[str, np.ndarray]:
    """The arrays by key; a plain array has the empty key."""
    return observations if isinstance(observations, dict) else {"": observations}


def count_observations(observations: Any) -> int:
    """The number n of observations in a batch of shape (n, *obs), of arrays or tensors."""
    return len(next(iter(arrays_of(observations).values())))


def take(observations: Observations, rows: Any) -> Observations:
    """The observations of the given rows: integers, a mask or a slice."""
    return map_observations(lambda array: array[rows], observations)


def joined(first: Observations, second: Observations) -> Observations:
    """The rows of the one, and then those of the other, which has the same keys if it is a dict."""
    if isinstance(first, dict) and isinstance(second, dict):
        return {key: np.concatenate([array, second[key]]) for key, array in first.items()}
    return np.concatenate([np.asarray(first), np.asarray(second)])


def read_only(array: np.ndarray) -> np.ndarray:
    """Mark an array that nobody else holds as read-only, without a copy."""
    array.setflags(write=False)
    return array


def alike(first: Observations, second: Observations) -> bool:
    """Tell whether single observations of both have the same keys (in any order), dtypes and shapes."""

    def kinds(observations: Observations) -> dict[str, Any]:
        return {key: (array.dtype, array.shape[1:]) for key, array in arrays_of(observations).items()}

    return isinstance(first, dict) == isinstance(second, dict) and kinds(first) == kinds(second)


def describe(observations: Observations) -> str:
    """The dtype and shape of one observation, for messages: ``float32 (4,)`` or ``{image: uint8 (3, 8, 8), ...}``."""

    def one(array: Any) -> str:
        return f"{array.dtype} {array.shape[1:]}"

    if isinstance(observations, dict):
        return "{" + ", ".join(f"{key}: {one(array)}" for key, array in observations.items()) + "}"
    return one(observations)
