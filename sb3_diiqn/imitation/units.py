"""Whether the expert data have the units of what the agent sees: a number for the log, and one warning."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import ExpertDataWarning
from sb3_diiqn.expert import ExpertObservations, Observations
from sb3_diiqn.expert.types import arrays_of, take
from sb3_diiqn.inference.overlap import FEWEST_FIRST, LEAST_OVERLAP, Ranges, range_overlap, ranges_of

#: Bytes of observations, and how many of them, that are compared at most.
MOST_BYTES = 1 << 22
MOST_OBSERVATIONS = 2000
#: The agent's transitions are compared from so many on, or when the replay buffer is full.
FEWEST_TRANSITIONS = 500
#: Warnings wait until enough episodes have begun, but no longer than until there are so many transitions.
ENOUGH_TRANSITIONS = 5000
#: If a smaller fraction of transitions matches and of actions is inferred, nothing is in use.
LEAST_IN_USE = 0.001
#: So many dimensions are named in a warning.
MOST_NAMED = 3

REMEDY = (
    "If one of the two is normalised (VecNormalize, NormalizeObservation, by hand) or scaled (images to 0..1), record raw "
    "observations, and let VecNormalize around the agent's environment normalise both."
)


class ObservationSample(NamedTuple):
    """Transitions to measure ranges of, n of them."""

    observations: Observations
    """s, shape (n, ``*observation_shape``)."""
    next_observations: Observations
    """s', shape (n, ``*observation_shape``)."""
    first: Observations
    """The first observations of m episodes, shape (m, ``*observation_shape``)."""


@dataclass(frozen=True)
class UnitsComparison:
    """The d dimensions of the observations of expert and agent."""

    names: list[str]
    """Key and index, as far as there are several."""
    expert: Ranges
    agent: Ranges

    @property
    def range_overlap(self) -> float:
        """The overlap of the dimension that overlaps least, in [0, 1]."""
        return float(self.overlap.min())

    @cached_property
    def overlap(self) -> np.ndarray:
        """How well the units agree in each dimension, shape (d,), see :func:`~sb3_diiqn.inference.overlap.range_overlap`."""
        return range_overlap(self.expert, self.agent)

    @property
    def n_foreign(self) -> int:
        """In how many dimensions the two hardly can have the same units."""
        return int((self.overlap < LEAST_OVERLAP).sum())

    def worst(self, most: int = MOST_NAMED) -> str:
        """
        Put the ranges of the dimensions that overlap least in words.

        :param most: how many dimensions, of which no more than ``MOST_NAMED`` are named
        """
        worst = np.argsort(self.overlap, kind="stable")[: min(most, MOST_NAMED)]
        pairs = ((self.names[index], _in_words(self.expert, index), _in_words(self.agent, index)) for index in worst)
        return "; ".join(f"{name}: the expert's values lie {expert}, the agent's {agent}" for name, expert, agent in pairs)


class UnitsCheck:
    """
    Compares ranges of the expert's observations with the agent's, see :mod:`sb3_diiqn.inference.overlap`.

    :param expert: the expert data, as the observation space has them
    :param space: the observation space; only Box spaces have units, and of these not those of booleans
    """

    def __init__(self, expert: ExpertObservations, space: spaces.Space[Any]) -> None:
        self._expert = expert
        self._is_done = False
        parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
        self._keys = [key for key, part in parts.items() if isinstance(part, spaces.Box) and part.dtype != bool]

    def compare(self, buffer: Any) -> UnitsComparison | None:
        """
        Compare the expert's observations with those in a replay buffer.

        :param buffer: any replay buffer of Stable-Baselines3
        :return: None if the observations have no units, or too few are stored
        """
        if not self._keys or not _has_stored(buffer, FEWEST_TRANSITIONS):
            return None
        _, of_expert = self._of_expert
        names, of_agent = self._ranges(sample_of_agent(buffer))
        return UnitsComparison(names, of_expert, of_agent)

    def check(self, buffer: Any, fraction_in_use: float = 1.0) -> None:
        """
        Warn, once, when enough is stored, if expert and agent seem to have other units, or nothing of the expert is in use.

        :param buffer: any replay buffer of Stable-Baselines3
        :param fraction_in_use: the larger one of the fractions of the agent's transitions with a match and of the expert's
            with an inferred action, where nothing else makes use of the expert data; else 1
        """
        if self._is_done or not _has_stored(buffer, FEWEST_TRANSITIONS):
            return
        if not _has_stored(buffer, ENOUGH_TRANSITIONS) and first_observations(buffer)[0].size < FEWEST_FIRST:
            return
        self._is_done = True
        comparison = self.compare(buffer)
        reason = None
        if comparison is not None and comparison.n_foreign:
            reason = _foreign(comparison)
        elif fraction_in_use < LEAST_IN_USE:
            reason = _without_effect(buffer, comparison)
        if reason is not None:
            warnings.warn(reason, ExpertDataWarning, stacklevel=2)

    @cached_property
    def _of_expert(self) -> tuple[list[str], Ranges]:
        expert, most = self._expert, most_observations(self._expert.observations)
        transitions = evenly_spread(len(expert), most)
        starts = expert.offsets[:-1][evenly_spread(expert.n_trajectories, most)]
        first = take(expert.observations, starts)
        return self._ranges(ObservationSample(expert.current(transitions), expert.next(transitions), first))

    def _ranges(self, sample: ObservationSample) -> tuple[list[str], Ranges]:
        """Measure the ranges of all dimensions, key after key, and name them."""
        observations, following, first = (arrays_of(part) for part in sample)
        ranges = [ranges_of(observations[key], following[key], first[key]) for key in self._keys]
        names = [_name(key, index, one) for key, one in zip(self._keys, ranges, strict=True) for index in range(one.n)]
        return names, Ranges(*(np.concatenate(ends, axis=1) for ends in zip(*ranges, strict=True)))


def sample_of_agent(buffer: Any) -> ObservationSample:
    """
    Choose transitions of the agent, the same each time, and the first observations of its latest episodes.

    :param buffer: a replay buffer that is not empty
    """
    steps = stored_steps(buffer)
    most = most_observations(observations_at(buffer.observations, steps[:1], np.zeros(1, dtype=np.int64)))
    step, environment = np.divmod(evenly_spread(len(steps) * buffer.n_envs, most), buffer.n_envs)
    return ObservationSample(
        observations_at(buffer.observations, steps[step], environment),
        observations_at(buffer.next_observations, steps[step], environment),
        observations_at(buffer.observations, *(indices[-most:] for indices in first_observations(buffer))),
    )


def first_observations(buffer: Any) -> tuple[np.ndarray, np.ndarray]:
    """
    Find where episodes begin in a replay buffer: rows and environments, each of shape (n,), the oldest first.

    :param buffer: any replay buffer of Stable-Baselines3
    """
    steps = stored_steps(buffer)
    begins = np.concatenate([np.full((1, buffer.n_envs), not buffer.full), buffer.dones[steps[:-1]] > 0])
    order, environment = np.nonzero(begins)
    return steps[order], environment


def stored_steps(buffer: Any) -> np.ndarray:
    """
    List the rows of a replay buffer from the oldest to the newest.

    :param buffer: any replay buffer of Stable-Baselines3
    """
    return np.asarray(np.arange(buffer.pos - buffer.size(), buffer.pos) % buffer.buffer_size)


def observations_at(stored: Any, steps: np.ndarray, environments: np.ndarray) -> Observations:
    """
    Look observations up in a replay buffer.

    :param stored: its array of shape (buffer_size, n_envs, ``*observation_shape``), or a dictionary of such
    :param steps: rows, shape (n,)
    :param environments: shape (n,)
    """
    if isinstance(stored, dict):
        return {key: array[steps, environments] for key, array in stored.items()}
    return np.asarray(stored[steps, environments])


def most_observations(observations: Observations) -> int:
    """
    Tell how many observations are compared: fewer of large ones.

    :param observations: some, shape (n, ``*observation_shape``), n >= 1
    """
    size = sum(array[0].nbytes for array in arrays_of(observations).values())
    return int(np.clip(MOST_BYTES // max(size, 1), 2 * FEWEST_FIRST, MOST_OBSERVATIONS))


def evenly_spread(n: int, most: int) -> np.ndarray:
    """
    Choose numbers below n, the same each time.

    :param n: how many there are
    :param most: how many to choose at most
    :return: shape (min(n, most),), increasing
    """
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)


def _has_stored(buffer: Any, n_transitions: int) -> bool:
    return bool(buffer.full or buffer.size() * buffer.n_envs >= n_transitions)


def _foreign(comparison: UnitsComparison) -> str:
    return (
        f"expert and agent seem to have observations in different units: their ranges overlap by less than "
        f"{LEAST_OVERLAP:.2g} in {comparison.n_foreign} of {len(comparison.overlap)} dimensions. "
        f"{comparison.worst(comparison.n_foreign)}. {REMEDY} If the expert's trajectories begin elsewhere than the agent's "
        "episodes, this may be right."
    )


def _without_effect(buffer: Any, comparison: UnitsComparison | None) -> str:
    ranges = "" if comparison is None else f" {comparison.worst(1)}."
    return (
        f"the expert data have had no effect: hardly any of the agent's {buffer.size() * buffer.n_envs} transitions matches "
        f"an expert state, and hardly any action of the expert was inferred.{ranges} {REMEDY} Else lower "
        "similarity_threshold, choose another similarity_metric, or inference='inverse_dynamics', which does without matches."
    )


def _name(key: str, index: int, ranges: Ranges) -> str:
    return ", ".join([repr(key)] * bool(key) + [f"dimension {index}"] * (ranges.n > 1)) or "all cells"


def _in_words(ranges: Ranges, index: int) -> str:
    (low, high), (first_low, first_high), (_, change) = (ends[:, index] for ends in ranges)
    begin = "" if np.isnan(first_low) else f", in [{first_low:.3g}, {first_high:.3g}] where episodes begin"
    return f"in [{low:.3g}, {high:.3g}]{begin}, and change by up to {change:.3g} a step"
