"""A distance of the user's own."""

from __future__ import annotations

import hashlib
from uuid import uuid4

import cloudpickle
import numpy as np

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert import Observations
from sb3_diiqn.inference.distances import ROUNDING, Distance, DistanceFunction, flatten


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
