"""Expert data from the objects of other packages, recognised by their attributes so that none of them has to be installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert.joining import concatenate, join_trajectories
from sb3_diiqn.expert.pairs import Pairs, join_pairs
from sb3_diiqn.expert.types import Observations, TrajectoryArrays, map_observations


def read_imitation(trajectories: Any) -> TrajectoryArrays:
    """Trajectories of the ``imitation`` package. See :meth:`ExpertObservations.from_imitation`."""
    if hasattr(trajectories, "next_obs"):
        raise ExpertDataError(
            f"from_imitation got {type(trajectories).__name__}, which is cut into transitions: "
            "use from_transitions(data.obs, data.next_obs, data.dones)"
        )
    if hasattr(trajectories, "obs") or not isinstance(trajectories, Iterable):
        raise ExpertDataError(
            f"from_imitation got one {type(trajectories).__name__}: expected a list of trajectories, [trajectory]"
        )
    items = list(trajectories)
    for number, item in enumerate(items):
        missing = [name for name in ("obs", "terminal") if not hasattr(item, name)]
        if missing:
            raise ExpertDataError(
                f"trajectory {number} is of type {type(item).__name__} without '{missing[0]}': "
                "expected imitation's Trajectory, with 'obs' and 'terminal'"
            )
    rewards = [item.rews for item in items if getattr(item, "rews", None) is not None]
    return join_trajectories(
        [_without_wrapper(item.obs) for item in items],
        [bool(item.terminal) for item in items],
        rewards if len(rewards) == len(items) else None,
    )


def _without_wrapper(observations: Any) -> Any:
    """The dict inside imitation's DictObs; anything else as it is."""
    return observations.unwrap() if hasattr(observations, "unwrap") else observations


def read_replay_buffer(buffer: Any) -> TrajectoryArrays:
    """A replay buffer of Stable-Baselines3. See :meth:`ExpertObservations.from_replay_buffer`."""
    shares_memory = bool(getattr(buffer, "optimize_memory_usage", False))
    names = ["observations", "dones", "rewards", "pos", "full", *([] if shares_memory else ["next_observations", "timeouts"])]
    missing = [name for name in names if not hasattr(buffer, name)]
    if missing:
        raise ExpertDataError(
            f"from_replay_buffer got {type(buffer).__name__} without '{missing[0]}': "
            "expected a ReplayBuffer or DictReplayBuffer"
        )
    size = len(buffer.dones)
    order = (buffer.pos + np.arange(size)) % size if buffer.full else np.arange(buffer.pos)
    if shares_memory and buffer.full:
        order = order[1:]  # the newest next observation lies over the oldest observation
    if len(order) == 0:
        raise ExpertDataError("The replay buffer is empty: collect some transitions first")
    read = _read_shared_memory if shares_memory else _read_environment
    return concatenate(read(buffer, order, environment) for environment in range(buffer.dones.shape[1]))


def _read_environment(buffer: Any, order: np.ndarray, environment: int) -> TrajectoryArrays:
    """The transitions of one environment, oldest first."""

    def rows(observations: Observations) -> Observations:
        return map_observations(lambda array: array[order, environment], observations)

    dones = buffer.dones[order, environment] != 0
    return join_pairs(
        Pairs(
            rows(buffer.observations),
            rows(buffer.next_observations),
            ended=dones,
            terminated=dones & (buffer.timeouts[order, environment] == 0),
            rewards=buffer.rewards[order, environment],
        )
    )


def _read_shared_memory(buffer: Any, order: np.ndarray, environment: int) -> TrajectoryArrays:
    """As above for ``optimize_memory_usage``, where the next observation is the one stored after it.

    After the end of an episode that is already the first one of the next episode, so the last transition of every episode is
    lost; only that of the newest transition is still there.
    """
    dones = buffer.dones[order, environment] != 0
    known = ~dones
    known[-1] = True
    ends = dones | np.append(dones[1:] & ~known[1:], False)
    observations = buffer.observations[:, environment]
    return join_pairs(
        Pairs(
            observations[order[known]],
            observations[(order[known] + 1) % len(observations)],
            ended=ends[known],
            terminated=dones[known],
            rewards=buffer.rewards[order, environment][known],
        )
    )
