"""How many pairs of different expert states a distance takes for the same: if many, matches say little."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from sb3_diiqn.exceptions import ExpertDataWarning
from sb3_diiqn.expert import Observations
from sb3_diiqn.expert.types import arrays_of, count_observations, take
from sb3_diiqn.inference.custom import CustomDistance
from sb3_diiqn.inference.distances import ROUNDING, Distance, flatten
from sb3_diiqn.inference.rows import distinct

#: If a larger fraction of the pairs of distinct expert states would match, something is probably wrong.
MAX_MATCHING_FRACTION = 0.05

#: So many distinct states are compared with each other, the fewer the larger they are: that takes some milliseconds.
MIN_STATES, MAX_STATES = 12, 200

#: Bytes, and for a user's function numbers, that are compared at most.
MAX_COMPARED, MAX_COMPARED_BY_FUNCTION = 1 << 25, 1 << 21


def matching_pairs_fraction(distance: Distance, observations: Observations, threshold: float, seed: int = 0) -> float:
    """
    Compute the fraction of pairs of distinct states that match.

    :param distance: the distance
    :param observations: the expert's observations, shape (n, ``*observation_shape``), or a dictionary of such arrays
    :param threshold: from this similarity on, two states match, in [0, 1]
    :param seed: seed of the sample of states
    :return: in [0, 1]; 0 where all states are equal
    """
    distances = distances_of_distinct_pairs(distance, observations, seed)
    return float((distances <= 1.0 - threshold + ROUNDING).mean()) if len(distances) else 0.0


def distances_of_distinct_pairs(distance: Distance, observations: Observations, seed: int = 0) -> np.ndarray:
    """
    Compare a sample of distinct states with each other.

    :param distance: the distance
    :param observations: the expert's observations, shape (n, ``*observation_shape``), or a dictionary of such arrays
    :param seed: seed of the sample of states
    :return: the distances of all pairs of them, shape (pairs,), float32
    """
    row = distance.encode(take(observations, slice(0, 1)))
    by_function = isinstance(distance, CustomDistance)
    size, compared = (row.size, MAX_COMPARED_BY_FUNCTION) if by_function else (row.nbytes, MAX_COMPARED)
    n_states = int(min(max(math.sqrt(compared / max(size, 1)), MIN_STATES), MAX_STATES))
    states = distance.encode(sample_of_distinct(observations, n_states, seed))
    if by_function:
        # one call of it for all of them
        return np.asarray(distance.pairwise(states, states)[np.triu_indices(len(states), 1)])
    pairs = [distance.paired(state, states[number:]) for number, state in enumerate(states[:-1], 1)]
    return np.concatenate([np.zeros(0, dtype=np.float32), *pairs])


def sample_of_distinct(observations: Observations, n: int, seed: int = 0) -> Observations:
    """
    Draw a sample of distinct states.

    :param observations: shape (n_observations, ``*observation_shape``), or a dictionary of such arrays
    :param n: number of states
    :param seed: seed of the sample
    :return: at most n states, in a random order
    """
    generator = np.random.default_rng(seed)
    n_observations = count_observations(observations)
    # an expert may have been at the same state often
    drawn = generator.choice(n_observations, min(4 * n, n_observations), replace=False, shuffle=False)
    sample = take(observations, np.sort(drawn))
    return take(sample, generator.permutation(distinct(as_octets(sample))[0])[:n])


def check_distinct_pairs(
    distance: Distance, observations: Observations, metric: str | Callable[..., Any], threshold: float
) -> float:
    """
    Warn if more than :data:`MAX_MATCHING_FRACTION` of the pairs of distinct expert states match.

    :param distance: the distance
    :param observations: the expert's observations, shape (n, ``*observation_shape``), or a dictionary of such arrays
    :param metric: the argument that the distance was made of
    :param threshold: from this similarity on, two states match, in [0, 1]
    :return: the fraction
    """
    fraction = matching_pairs_fraction(distance, observations, threshold)
    if fraction > MAX_MATCHING_FRACTION:
        name = repr(metric) if isinstance(metric, str) else getattr(metric, "__name__", repr(metric))
        warnings.warn(
            f"similarity_metric={name} calls {fraction:.0%} of the pairs of different expert states alike, with a "
            f"similarity_threshold of {threshold:g}; at most {MAX_MATCHING_FRACTION:.0%} are expected. What the agent does "
            "would be compared with the wrong states: choose another similarity_metric, or a higher similarity_threshold",
            ExpertDataWarning,
            stacklevel=2,
        )
    return fraction


def as_octets(observations: Observations) -> np.ndarray:
    """
    Put the bytes of all parts of an observation into one row.

    :param observations: shape (n, ``*observation_shape``), or a dictionary of such arrays
    :return: shape (n, bytes)
    """
    rows = [np.ascontiguousarray(flatten(array)).view(np.uint8) for array in arrays_of(observations).values()]
    return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)
