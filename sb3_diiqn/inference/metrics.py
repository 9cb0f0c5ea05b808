"""The choice of a distance: by its name, by the observation space, or a function of the user's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert import Observations
from sb3_diiqn.inference.categories import CategoryDistance
from sb3_diiqn.inference.custom import CustomDistance
from sb3_diiqn.inference.distances import (
    Distance,
    DistanceFunction,
    JaccardDistance,
    MeanDistance,
    MismatchDistance,
    RangeDistance,
    ScaledAbsoluteDistance,
    flatten,
)
from sb3_diiqn.inference.scales import distinct_values
from sb3_diiqn.inference.sharpening import by_equality, sharpened

#: Name of the metric that is learned, see :mod:`sb3_diiqn.inference.embedding`.
LEARNED = "learned"

#: All metrics that have a name.
METRICS = ("auto", LEARNED, "jaccard", "absolute", "range", "mismatch")

#: Those that choose by the space and the expert data.
AUTOMATIC = ("auto", LEARNED)


#: Whole numbers of at most so many different values are taken for categories, of at most so many cells.
MAX_CATEGORIES, MAX_CATEGORICAL_CELLS = 32, 4096

#: Numbers are sharpened by at most this, and by what constant dimensions take away: noise must not become all that counts.
MAX_FACTOR_OF_NUMBERS = 4.0


def make_distance(metric: str | DistanceFunction, space: spaces.Space[Any], observations: Observations) -> Distance:
    """
    Choose the distance for an observation space and the expert data.

    :param metric: ``"auto"``, or one of ``"jaccard"``, ``"absolute"``, ``"range"``, ``"mismatch"`` (for every key of a Dict
        space), or a callable as :class:`CustomDistance` takes; ``"learned"`` is as ``"auto"`` until something is learned
    :param space: the environment's observation space
    :param observations: the expert's observations, from which the units are taken
    :raises ConfigurationError: if the metric is unknown or does not fit the space
    """
    check_metric(metric)
    if isinstance(space, spaces.Dict):
        return _mean_distance(metric, space, observations)
    if isinstance(observations, Mapping):
        raise ConfigurationError(f"expected expert observations of {space}, got a dictionary with {sorted(observations)}")
    if callable(metric):
        distance = CustomDistance(metric, observations.shape[1:])
        distance.check(observations)
        return distance
    return _automatic_distance(space, observations) if metric in AUTOMATIC else _named_distance(metric, space, observations)


def check_metric(metric: object) -> None:
    """
    Check a metric as far as it can be checked without expert data.

    :param metric: one of :data:`METRICS`, or a callable
    :raises ConfigurationError: if it is neither
    """
    if not callable(metric) and not (isinstance(metric, str) and metric in METRICS):
        names = ", ".join(map(repr, METRICS))
        raise ConfigurationError(f"similarity_metric={metric!r} is unknown; use one of {names}, or a callable")


def _mean_distance(metric: str | DistanceFunction, space: spaces.Dict, observations: Observations) -> Distance:
    if not isinstance(observations, Mapping):
        raise ConfigurationError(f"expected expert observations with the keys {sorted(space.spaces)}")
    if callable(metric):
        raise ConfigurationError("similarity_metric: a callable is not supported for Dict observations; use 'auto'")
    parts = {key: make_distance(metric, part, observations[key]) for key, part in space.spaces.items()}
    mean = MeanDistance(parts)
    # the mean can hide a difference in one part behind all others, and no more
    return sharpened(mean, observations, len(parts)) if metric in AUTOMATIC else mean


def _named_distance(metric: str, space: spaces.Space[Any], observations: np.ndarray) -> Distance:
    if metric == "jaccard":
        return JaccardDistance()
    if metric == "mismatch":
        return MismatchDistance()
    if not isinstance(space, spaces.Box):
        raise ConfigurationError(f"similarity_metric={metric!r} needs a Box observation space, got {space}; use 'auto'")
    chosen = RangeDistance if metric == "range" else ScaledAbsoluteDistance
    return chosen.from_expert(observations, space)


def _automatic_distance(space: spaces.Space[Any], observations: np.ndarray) -> Distance:
    if isinstance(space, spaces.MultiBinary):
        return sharpened(JaccardDistance(), observations)
    if not isinstance(space, spaces.Box):
        return by_equality(MismatchDistance(), 1 / math.prod(observations.shape[1:]))
    if np.issubdtype(space.dtype, np.floating):
        return _distance_of_numbers(space, observations)
    return _distance_of_whole_numbers(space, observations)


def _distance_of_whole_numbers(space: spaces.Box, observations: np.ndarray) -> Distance:
    declared_binary = np.all(space.low == 0) and np.all(space.high == 1)
    values = None if declared_binary else distinct_values(flatten(observations), MAX_CATEGORIES)
    if declared_binary or (values is not None and values.tolist() == [0, 1]):
        return sharpened(JaccardDistance(), observations)
    if values is not None and math.prod(observations.shape[1:]) <= MAX_CATEGORICAL_CELLS:
        categories = CategoryDistance.from_expert(observations, values)
        return by_equality(categories, categories.smallest(observations))
    if space.dtype == np.uint8 and len(observations.shape) > 2:
        return sharpened(ScaledAbsoluteDistance.from_expert(observations, space), observations)
    return _distance_of_numbers(space, observations)


def _distance_of_numbers(space: spaces.Box, observations: np.ndarray) -> Distance:
    distance = RangeDistance.from_expert(observations, space)
    return sharpened(distance, observations, MAX_FACTOR_OF_NUMBERS * distance.dilution)
