"""The choice of a distance: by its name, by the observation space, or a function of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert import Observations
from sb3_diiqn.inference.distances import (
    UNBOUNDED,
    CustomDistance,
    Distance,
    DistanceFunction,
    JaccardDistance,
    MeanDistance,
    MismatchDistance,
    RangeDistance,
    ScaledAbsoluteDistance,
)

#: Name of the metric that is learned beside, see :mod:`sb3_diiqn.inference.embedding`.
LEARNED = "learned"

#: All metrics that have a name.
METRICS = ("auto", LEARNED, "jaccard", "absolute", "range", "mismatch")


def make_distance(metric: str | DistanceFunction, space: spaces.Space[Any], observations: Observations) -> Distance:
    """
    Choose the distance for an observation space.

    :param metric: ``"auto"``, or one of ``"jaccard"``, ``"absolute"``, ``"range"``, ``"mismatch"`` (for every key of a Dict
        space), or a callable as :class:`CustomDistance` takes; ``"learned"`` is as ``"auto"`` until something is learned
    :param space: the environment's observation space
    :param observations: the expert's observations, from which ``"range"`` takes its ranges
    :raises ConfigurationError: if the metric is unknown or does not fit the space
    """
    check_metric(metric)
    if isinstance(space, spaces.Dict):
        if not isinstance(observations, Mapping):
            raise ConfigurationError(f"expected expert observations with the keys {sorted(space.spaces)}")
        if callable(metric):
            raise ConfigurationError("similarity_metric: a callable is not supported for Dict observations; use 'auto'")
        return MeanDistance({key: make_distance(metric, part, observations[key]) for key, part in space.spaces.items()})
    if isinstance(observations, Mapping):
        raise ConfigurationError(f"expected expert observations of {space}, got a dictionary with {sorted(observations)}")
    if callable(metric):
        distance = CustomDistance(metric, observations.shape[1:])
        distance.check(observations)
        return distance
    return _named_distance(_default_metric(space) if metric in {"auto", LEARNED} else metric, space, observations)


def check_metric(metric: object) -> None:
    """
    Check a metric as far as it can be checked without expert data.

    :param metric: one of :data:`METRICS`, or a callable
    :raises ConfigurationError: if it is neither
    """
    if not callable(metric) and not (isinstance(metric, str) and metric in METRICS):
        names = ", ".join(map(repr, METRICS))
        raise ConfigurationError(f"similarity_metric={metric!r} is unknown; use one of {names}, or a callable")


def _named_distance(metric: str, space: spaces.Space[Any], observations: np.ndarray) -> Distance:
    if metric == "jaccard":
        return JaccardDistance()
    if metric == "mismatch":
        return MismatchDistance()
    if not isinstance(space, spaces.Box):
        raise ConfigurationError(f"similarity_metric={metric!r} needs a Box observation space, got {space}; use 'auto'")
    return (
        RangeDistance.from_expert(observations, space) if metric == "range" else ScaledAbsoluteDistance(_finite_width(space))
    )


def _default_metric(space: spaces.Space[Any]) -> str:
    if isinstance(space, spaces.MultiBinary):
        return "jaccard"
    if isinstance(space, spaces.Box):
        if np.issubdtype(space.dtype, np.floating):
            return "range"
        if np.all(space.low == 0) and np.all(space.high == 1):
            return "jaccard"
        return "absolute" if _width(space) < UNBOUNDED else "range"
    return "mismatch"


def _width(space: spaces.Box) -> float:
    return float(np.max(space.high.astype(np.float64)) - np.min(space.low.astype(np.float64)))


def _finite_width(space: spaces.Box) -> float:
    width = _width(space)
    if not 0 < width < UNBOUNDED:
        raise ConfigurationError(f"similarity_metric='absolute' needs a bounded observation space, got {space}; use 'range'")
    return width
