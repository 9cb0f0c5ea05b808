"""From separate pieces (trajectories, marked observations, pairs) to the arrays of :class:`ExpertObservations`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert.types import (
    Observations,
    TrajectoryArrays,
    arrays_of,
    count_observations,
    describe,
    read_only,
)
from sb3_diiqn.expert.validation import check_flags, check_offsets, check_terminated, numeric_array, numeric_observations


def join_trajectories(trajectories: Any, terminated: Any = None, rewards: Any = None) -> TrajectoryArrays:
    """Put trajectories one after the other.

    :param trajectories: iterable of (T + 1, *obs) arrays, or of dicts of such arrays
    :param terminated: None, one flag, or one flag per trajectory
    :param rewards: None, or one (T,) array per trajectory
    """
    parts = _trajectory_list(trajectories)
    offsets = np.cumsum([0] + [count_observations(part) for part in parts])
    offsets = check_offsets(offsets, int(offsets[-1]))
    observations = _concatenated(parts)
    joined_rewards = None if rewards is None else _joined_rewards(rewards, offsets)
    return TrajectoryArrays(observations, offsets, check_terminated(terminated, len(parts)), joined_rewards)


def split_at_starts(value: Any, episode_starts: Any, terminated: Any = None, rewards: Any = None) -> TrajectoryArrays:
    """Cut one run of observations into trajectories.

    :param value: (S, *obs) array, or a dict of such arrays
    :param episode_starts: (S,) flags, True where an observation is the first one of its trajectory
    :param terminated: None, one flag, or one flag per trajectory
    :param rewards: None, or one reward per transition, or one per observation (that of a trajectory's last one is not used)
    """
    observations = numeric_observations(value, "observations")
    starts = check_flags(episode_starts, "episode_starts")
    n_observations = count_observations(observations)
    if starts.shape != (n_observations,):
        raise ExpertDataError(
            f"episode_starts has shape {starts.shape}: expected one flag per observation, ({n_observations},)"
        )
    if n_observations and not starts[0]:
        raise ExpertDataError("episode_starts[0] is False, but the first observation always starts a trajectory")
    offsets = check_offsets(np.append(np.flatnonzero(starts), n_observations), n_observations)
    if rewards is not None:
        rewards = numeric_array(rewards, "rewards")
        if rewards.shape == (n_observations,):
            rewards = np.delete(rewards, offsets[1:] - 1)
    return TrajectoryArrays(observations, offsets, check_terminated(terminated, len(offsets) - 1), rewards)


def join_transitions(
    current: Any, following: Any, episode_ends: Any = None, terminated: Any = None, rewards: Any = None
) -> TrajectoryArrays:
    """Join pairs (observation, next observation) that continue each other into trajectories.

    Transition i + 1 continues transition i where the episode does not end at i and next observation i is observation i + 1.

    :param current: (n, *obs) array or dict of such arrays
    :param following: (n, *obs), what came after each of them
    :param episode_ends: None or (n,) flags, True where no transition may follow
    :param terminated: None or (n,) flags, True where the episode really ended; None: wherever ``episode_ends`` is set
    :param rewards: None or (n,) rewards
    """
    observations = numeric_observations(current, "observations")
    next_observations = numeric_observations(following, "next_observations")
    n_transitions = count_observations(observations)
    if n_transitions != count_observations(next_observations) or describe(observations) != describe(next_observations):
        raise ExpertDataError(
            f"next_observations ({count_observations(next_observations)} times {describe(next_observations)}) "
            f"do not match observations ({n_transitions} times {describe(observations)})"
        )
    if n_transitions == 0:
        raise ExpertDataError("The expert data is empty: it needs at least one transition")
    ends = np.zeros(n_transitions, bool) if episode_ends is None else check_flags(episode_ends, "dones")
    if ends.shape != (n_transitions,):
        raise ExpertDataError(f"dones has shape {ends.shape}: expected one flag per transition, ({n_transitions},)")
    really_ended = ends if terminated is None else np.asarray(terminated, bool)

    last = np.append(ends[:-1] | ~_continues(observations, next_observations), True)  # (n,) last transition of its trajectory
    trajectory_index = np.append(0, np.cumsum(last[:-1]))
    # The pairs of a trajectory share observations: one row per transition, and one more at each end.
    first_rows = np.arange(n_transitions) + trajectory_index
    last_rows = first_rows[last] + 1

    def interleaved(key: str) -> np.ndarray:
        array = arrays_of(observations)[key]
        rows = np.empty((n_transitions + len(last_rows), *array.shape[1:]), array.dtype)
        rows[first_rows] = array
        rows[last_rows] = arrays_of(next_observations)[key][last]
        return read_only(rows)

    joined: Observations = (
        {key: interleaved(key) for key in observations} if isinstance(observations, dict) else interleaved("")
    )
    return TrajectoryArrays(joined, np.append(0, last_rows + 1), really_ended[last], rewards)


def concatenate(parts: Iterable[TrajectoryArrays]) -> TrajectoryArrays:
    """Put several sets of trajectories one after the other."""
    sets = list(parts)
    counts = [count_observations(part.observations) for part in sets]
    starts = np.cumsum([0, *counts])
    rewards = [part.rewards for part in sets if part.rewards is not None]
    return TrajectoryArrays(
        _concatenated([part.observations for part in sets]),
        np.concatenate([[0], *(part.offsets[1:] + start for part, start in zip(sets, starts[:-1], strict=True))]),
        np.concatenate([part.terminated for part in sets]),
        np.concatenate(rewards) if len(rewards) == len(sets) else None,
    )


def _trajectory_list(trajectories: Any) -> list[Observations]:
    if isinstance(trajectories, (np.ndarray, Mapping)):
        raise ExpertDataError(
            "from_trajectories got one array: pass a list of trajectories ([array] if it is a single one), "
            "or episode_starts=, which says where trajectories begin"
        )
    if isinstance(trajectories, (str, bytes)) or not isinstance(trajectories, Iterable):
        raise ExpertDataError(f"from_trajectories got {trajectories!r}: expected a list of arrays of shape (T + 1, *obs)")
    parts = [numeric_observations(part, f"trajectory {number}") for number, part in enumerate(trajectories)]
    for number, part in enumerate(parts):
        if describe(part) != describe(parts[0]):
            raise ExpertDataError(
                f"trajectory {number} holds observations {describe(part)}, trajectory 0 holds {describe(parts[0])}: "
                "all trajectories need the same keys, dtype and shape"
            )
    return parts


def _concatenated(parts: list[Observations]) -> Observations:
    """Read-only, so that the constructor does not copy it again."""
    if isinstance(parts[0], dict):
        return {key: read_only(np.concatenate([arrays_of(part)[key] for part in parts])) for key in parts[0]}
    return read_only(np.concatenate([arrays_of(part)[""] for part in parts]))


def _joined_rewards(rewards: Any, offsets: np.ndarray) -> np.ndarray:
    if isinstance(rewards, np.ndarray) and rewards.ndim == 1 and rewards.dtype != object:
        return rewards
    n_trajectories = len(offsets) - 1
    if not isinstance(rewards, Iterable) or isinstance(rewards, (str, bytes)):
        raise ExpertDataError(f"rewards is {rewards!r}: expected a list with one array per trajectory")
    parts = [numeric_array(part, f"rewards of trajectory {number}") for number, part in enumerate(rewards)]
    if len(parts) != n_trajectories:
        raise ExpertDataError(f"rewards has {len(parts)} entries: expected one array per trajectory, {n_trajectories}")
    for number, (part, n_transitions) in enumerate(zip(parts, np.diff(offsets) - 1, strict=True)):
        if part.shape != (n_transitions,):
            raise ExpertDataError(
                f"rewards of trajectory {number} have shape {part.shape}: expected one per transition, ({n_transitions},)"
            )
    return np.concatenate(parts)


def _continues(observations: Observations, next_observations: Observations) -> np.ndarray:
    """(n - 1,) bool: next observation i equals observation i + 1 in every element of every key."""
    following = arrays_of(next_observations)
    equal = [
        (following[key][:-1] == array[1:]).reshape(len(array) - 1, int(np.prod(array.shape[1:]))).all(axis=1)
        for key, array in arrays_of(observations).items()
    ]
    result: np.ndarray = np.logical_and.reduce(equal)
    return result
