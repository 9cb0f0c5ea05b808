"""From pairs (observation, next observation) to trajectories: which pair continues which."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, ExpertDataWarning
from sb3_diiqn.expert.types import (
    Observations,
    TrajectoryArrays,
    alike,
    arrays_of,
    count_observations,
    describe,
    read_only,
    take,
)
from sb3_diiqn.expert.validation import check_flags, numeric_array, numeric_observations

MANY = 10
"""So many transitions without a successor are no chance."""
NOISE = 0.01
"""Differences below this part of a usual step are noise."""
ROWS = 10_000
"""So many rows are looked at to say what is wrong with them."""


class Pairs(NamedTuple):
    """Transitions in the order in which they happened."""

    observations: Observations
    """(n, *obs)."""
    next_observations: Observations
    """(n, *obs), what came after each of them."""
    ended: np.ndarray
    """(n,) bool: no transition continues this one, as the episode ended or was cut with it."""
    terminated: np.ndarray
    """(n,) bool: the episode really ended with this one."""
    rewards: np.ndarray | None
    """(n,), or None."""

    def chosen(self, rows: np.ndarray) -> Pairs:
        """The pairs of these rows only: a mask."""
        rewards = None if self.rewards is None else self.rewards[rows]
        return Pairs(
            take(self.observations, rows),
            take(self.next_observations, rows),
            self.ended[rows],
            self.terminated[rows],
            rewards,
        )


def read_pairs(
    current: Any, following: Any, dones: Any = None, rewards: Any = None, episode_starts: Any = None, cut: Any = None
) -> Pairs:
    """Check pairs.

    :param current: (n, *obs) array or dict of such arrays
    :param following: (n, *obs), what came after each of them
    :param dones: None or (n,) flags, True where the episode really ended
    :param rewards: None or (n,) rewards
    :param episode_starts: None or (n,) flags, True where ``current[i]`` is the first observation of an episode
    :param cut: None or (n,) flags, True where the episode was cut, as by a time limit
    :raises ExpertDataError: names what does not fit
    """
    observations = numeric_observations(current, "observations")
    next_observations = numeric_observations(following, "next_observations")
    n = count_observations(observations)
    if n != count_observations(next_observations) or not alike(observations, next_observations):
        raise ExpertDataError(
            f"next_observations ({count_observations(next_observations)} times {describe(next_observations)}) "
            f"do not match observations ({n} times {describe(observations)})"
        )
    if n == 0:
        raise ExpertDataError("The expert data is empty: it needs at least one transition")
    terminated = _flags(dones, n, "dones")
    starts = _flags(episode_starts, n, "episode_starts")
    ended = terminated | _flags(cut, n, "timeouts") | np.append(starts[1:], False)
    if rewards is not None:
        rewards = numeric_array(rewards, "rewards")
        if rewards.shape != (n,):
            raise ExpertDataError(f"rewards has shape {rewards.shape}: expected one reward per transition, ({n},)")
    return Pairs(observations, next_observations, ended, terminated, rewards)


def _flags(value: Any, n: int, name: str) -> np.ndarray:
    flags = np.zeros(n, bool) if value is None else check_flags(value, name)
    if flags.shape != (n,):
        raise ExpertDataError(f"{name} has shape {flags.shape}: expected one flag per transition, ({n},)")
    return flags


def join_pairs(pairs: Pairs, tolerance: float = 0.0) -> TrajectoryArrays:
    """Join pairs that continue each other into trajectories.

    Pair i + 1 continues pair i where the episode does not end at i and next observation i is observation i + 1.

    :param tolerance: how far apart two elements of these two may be
    """
    n = len(pairs.ended)
    last = np.append(pairs.ended[:-1] | ~continues(pairs, tolerance), True)  # (n,) last transition of its trajectory
    trajectory_index = np.append(0, np.cumsum(last[:-1]))
    # The pairs of a trajectory share observations: one row per transition, and one more at each end.
    first_rows = np.arange(n) + trajectory_index
    last_rows = first_rows[last] + 1

    def interleaved(key: str) -> np.ndarray:
        array = arrays_of(pairs.observations)[key]
        rows = np.empty((n + len(last_rows), *array.shape[1:]), array.dtype)
        rows[first_rows] = array
        rows[last_rows] = arrays_of(pairs.next_observations)[key][last]
        return read_only(rows)

    joined: Observations = (
        {key: interleaved(key) for key in pairs.observations} if isinstance(pairs.observations, dict) else interleaved("")
    )
    return TrajectoryArrays(joined, np.append(0, last_rows + 1), pairs.terminated[last], pairs.rewards)


def continues(pairs: Pairs, tolerance: float = 0.0) -> np.ndarray:
    """(n - 1,) bool: next observation i equals observation i + 1 in every element of every key.

    :param tolerance: how far apart two elements may be
    """
    if not 0 <= tolerance < np.inf:
        raise ConfigurationError(f"tolerance is {tolerance!r}: expected a number, 0 or more")
    if tolerance > 0:
        return distances(take(pairs.next_observations, slice(-1)), take(pairs.observations, slice(1, None))) <= tolerance
    following = arrays_of(pairs.next_observations)
    equal = [
        (following[key][:-1] == array[1:]).reshape(len(array) - 1, int(np.prod(array.shape[1:]))).all(axis=1)
        for key, array in arrays_of(pairs.observations).items()
    ]
    result: np.ndarray = np.logical_and.reduce(equal)
    return result


def distances(first: Observations, second: Observations, spread: dict[str, np.ndarray] | None = None) -> np.ndarray:
    """How far apart observations are in the element that differs most.

    :param first: (n, *obs)
    :param second: (n, *obs)
    :param spread: None, or by key, (*obs) what a difference is divided by; then the mean over all elements, not the largest
    :return: (n,) float64
    """
    parts: list[np.ndarray] = []
    for key, array in arrays_of(first).items():
        difference = np.abs(arrays_of(second)[key].astype(np.float64) - array.astype(np.float64))
        if spread is not None:
            difference = difference / spread[key]
        flat = difference.reshape(len(array), int(np.prod(array.shape[1:])))
        parts.append(flat.max(axis=1, initial=0) if spread is None else flat.mean(axis=1))
    combined: np.ndarray = np.max(parts, axis=0) if spread is None else np.mean(parts, axis=0)
    return combined


def warn_of_single_steps(pairs: Pairs, tolerance: float = 0.0) -> None:
    """Warn if most transitions that could be continued are not."""
    unbroken = continues(pairs, tolerance)
    free = ~pairs.ended[:-1]
    broken = np.flatnonzero(free & ~unbroken)
    if 2 * len(broken) <= free.sum():
        return
    steps = np.diff(np.flatnonzero(np.concatenate([[True], pairs.ended[:-1] | ~unbroken, [True]])))
    found = f"{int((steps == 1).sum())} of {len(steps)} trajectories are a single transition"
    rows = broken[:: len(broken) // ROWS + 1]
    gaps = distances(take(pairs.next_observations, rows), take(pairs.observations, rows + 1))
    step = float(np.median(distances(take(pairs.observations, rows), take(pairs.next_observations, rows))))
    noise = gaps[gaps < NOISE * step]
    if 2 * len(noise) > len(gaps):
        tolerance = 10.0 ** np.ceil(np.log10(noise.max()))
        problem = (
            f"next_observations[i] and observations[i + 1] differ by noise (at most {noise.max():.1g}, where a step is about "
            f"{step:.1g}): from_transitions(..., tolerance={tolerance:.0g}) joins them, and from_trajectories takes whole "
            "trajectories"
        )
    elif len(broken) >= MANY:
        problem = (
            "next_observations[i] is not observations[i + 1]. If the rows are shuffled, or several environments take turns in "
            "them, put them in order, one environment after the other"
        )
    else:
        return
    warnings.warn(f"{found}, as {problem}", ExpertDataWarning, stacklevel=4)
