"""From separate trajectories, or marked observations, to the arrays of :class:`ExpertObservations`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sb3_diiqn.exceptions import ExpertDataError, ExpertDataWarning
from sb3_diiqn.expert.types import (
    Observations,
    TrajectoryArrays,
    alike,
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


def concatenate_alike(sets: list[TrajectoryArrays]) -> TrajectoryArrays:
    """Put several sets of trajectories one after the other, if they are alike.

    :raises ExpertDataError: none, or one that is not as the first one
    """
    if not sets:
        raise ExpertDataError("There is nothing to concatenate: expected at least one ExpertObservations")
    first = sets[0].observations
    for number, part in enumerate(sets):
        if not alike(part.observations, first):
            raise ExpertDataError(
                f"part {number} holds observations {describe(part.observations)}, part 0 holds {describe(first)}: "
                "all parts need the same keys, dtype and shape"
            )
    without = [number for number, part in enumerate(sets) if part.rewards is None]
    if 0 < len(without) < len(sets):
        warnings.warn(
            f"{len(without)} of {len(sets)} recordings have no rewards (the first is number {without[0]}): those of the "
            "others are left out",
            ExpertDataWarning,
            stacklevel=3,
        )
    return concatenate(sets)


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
        if not alike(part, parts[0]):
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
