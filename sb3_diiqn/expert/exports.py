"""Expert data for other packages. There are no actions in them, so the others get placeholders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert.optional import load_package
from sb3_diiqn.expert.types import Observations, TrajectoryArrays, take


def to_imitation(arrays: TrajectoryArrays) -> list[Any]:
    """Trajectories of ``imitation``. See :meth:`ExpertObservations.to_imitation`."""
    types = load_package("imitation.data.types", "imitation")
    made = []
    for observations, terminated, rewards, n in _trajectories(arrays):
        fields: dict[str, Any] = {
            "obs": types.DictObs(observations) if isinstance(observations, dict) else observations,
            "acts": np.zeros(n, np.int64),
            "infos": None,
            "terminal": terminated,
        }
        made.append(types.Trajectory(**fields) if rewards is None else types.TrajectoryWithRew(**fields, rews=rewards))
    return made


def to_minari(
    arrays: TrajectoryArrays, dataset_id: str, observation_space: spaces.Space[Any] | None, metadata: dict[str, Any]
) -> Any:
    """A Minari dataset. See :meth:`ExpertObservations.to_minari`."""
    minari = load_package("minari", "minari")
    buffer_class = load_package("minari.data_collector.episode_buffer", "minari").EpisodeBuffer
    buffers = []
    for number, (observations, terminated, rewards, n) in enumerate(_trajectories(arrays)):
        last = np.arange(n) == n - 1
        buffers.append(
            buffer_class(
                id=number,
                observations=observations,
                actions=np.zeros(n, np.int64),
                rewards=np.full(n, np.nan) if rewards is None else rewards,
                terminations=last & terminated,
                truncations=last & (not terminated),
                infos={},
            )
        )
    space = _space_of(arrays.observations) if observation_space is None else observation_space
    try:
        return minari.create_dataset_from_buffers(
            dataset_id,
            buffers,
            observation_space=space,
            action_space=spaces.Discrete(1),
            **{"jpeg_encoding": False, **metadata},
        )
    except (ValueError, TypeError, AssertionError, OSError) as error:
        raise ExpertDataError(f"Minari cannot make the dataset '{dataset_id}': {error}") from error


def _trajectories(arrays: TrajectoryArrays) -> Iterator[tuple[Observations, bool, np.ndarray | None, int]]:
    """Observations (T + 1, *obs), whether the episode really ended, rewards (T,), and T, of each trajectory."""
    for number, (start, stop) in enumerate(zip(arrays.offsets[:-1], arrays.offsets[1:], strict=True)):
        rewards = None if arrays.rewards is None else arrays.rewards[start - number : stop - number - 1]
        yield take(arrays.observations, slice(start, stop)), bool(arrays.terminated[number]), rewards, int(stop - start) - 1


def _space_of(observations: Observations) -> spaces.Space[Any]:
    """A space that all observations of this dtype and shape belong to."""
    if isinstance(observations, dict):
        return spaces.Dict({key: _space_of(array) for key, array in observations.items()})
    dtype, shape = observations.dtype, observations.shape[1:]
    if dtype.kind == "f":
        return spaces.Box(-np.inf, np.inf, shape, dtype.type)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return spaces.Box(low, high, shape, dtype.type)
