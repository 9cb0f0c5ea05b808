"""Record an expert in your own loop over a vectorised environment, whenever that resets its environments."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, ExpertDataWarning
from sb3_diiqn.expert.observations import ExpertObservations
from sb3_diiqn.expert.types import Observations, arrays_of, count_observations, map_observations, take
from sb3_diiqn.expert.validation import numeric_observations

FINAL_NAMES = ("final_obs", "final_observation")
"""What Gymnasium calls the last observation of an episode, from 1.0 on and before."""


class ExpertRecorder:
    """Records observations and rewards from the loop in which an expert acts in a vectorised environment.

    Such an environment begins the next episode by itself, so that what ``step`` returns at an episode's end is not always the
    observation in which it ended. The recorder reads the right one from the infos, in each way of resetting::

        observations = env.reset()  # of Stable-Baselines3; of Gymnasium: observations, _ = env.reset()
        recorder = ExpertRecorder(env, observations)
        while len(recorder) < 10_000:
            step = env.step(expert(observations))
            recorder.add(*step)
            observations = step[0]
        recorder.expert_data().save("expert.npz")

    ``len(recorder)`` is the number of transitions so far.

    :param env: a ``VecEnv`` of Stable-Baselines3, or a vector environment of Gymnasium whose ``metadata["autoreset_mode"]`` is
        ``NEXT_STEP`` or ``SAME_STEP``
    :param observations: what its ``reset`` returned: (n_envs, *obs), or for a Dict space a dict of such arrays
    :raises ConfigurationError: another kind of environment, one that is not reset by itself, or one that normalises
    """

    def __init__(self, env: Any, observations: Any) -> None:
        self._env_type = type(env).__name__
        self._n_envs = getattr(env, "num_envs", None)
        self._resets_in_next_step = _resets_in_next_step(env)
        batch = self._copied(observations)
        self._kinds = {key: (array.dtype, array.shape[1:]) for key, array in arrays_of(batch).items()}
        self._running = [_Episode([take(batch, number)], []) for number in range(self._n_envs or 0)]
        self._over = np.zeros(len(self._running), bool)
        self._finished: list[list[_Finished]] = [[] for _ in self._running]
        self._n_transitions = 0
        # episodes whose last observation, in the infos, was the first one of the next
        self._suspicious = 0

    def __len__(self) -> int:
        return self._n_transitions

    @property
    def n_episodes(self) -> int:
        """Number of episodes that ended or were cut by the environment so far."""
        return sum(map(len, self._finished))

    def add(self, observations: Any, rewards: Any, *ends_and_infos: Any) -> None:
        """Add what ``env.step`` returned, as ``recorder.add(*env.step(actions))``.

        :param observations: (n_envs, *obs), or a dict of such arrays
        :param rewards: (n_envs,)
        :param ends_and_infos: ``dones, infos`` of Stable-Baselines3, or ``terminations, truncations, infos`` of Gymnasium
        :raises ExpertDataError: an episode ended, and its last observation is not in the infos; or shapes that do not fit
        """
        batch, flags, infos = self._copied(observations), ends_and_infos[:-1], ends_and_infos[-1]
        if len(flags) == 1:
            ended = np.asarray(flags[0], bool)
            terminated = np.array(
                [end and not info.get("TimeLimit.truncated", False) for end, info in zip(ended, infos, strict=True)]
            )
        else:
            terminated, truncated = (np.asarray(flag, bool) for flag in flags)
            ended = terminated | truncated
        for number, episode in enumerate(self._running):
            first = take(batch, number)
            if self._over[number]:
                # the step after the last one of an episode: the action was ignored
                self._running[number] = _Episode([first], [])
                continue
            last = first
            if ended[number] and not self._resets_in_next_step:
                last = self._last(infos, number)
                self._suspicious += _equal(last, first)
            episode.observations.append(last)
            episode.rewards.append(float(rewards[number]))
            self._n_transitions += 1
            if ended[number]:
                self._finished[number].append(episode.finished(bool(terminated[number])))
                self._running[number] = _Episode([first], [])
        self._over = ended & self._resets_in_next_step

    def expert_data(self) -> ExpertObservations:
        """What was recorded so far, environment by environment; the episodes that still go on count as cut.

        :raises ExpertDataError: nothing was added
        """
        if 2 * self._suspicious > self.n_episodes and not self._is_one_state():
            warnings.warn(
                f"the last observation of {self._suspicious} of {self.n_episodes} episodes is the first one of the next: "
                "either they end where they begin, or the environment overwrites the array that its step returned when it is "
                "reset. It must return another one each time, such as observation.copy()",
                ExpertDataWarning,
                stacklevel=2,
            )
        trajectories = [
            trajectory
            for finished, episode in zip(self._finished, self._running, strict=True)
            for trajectory in (*finished, *([episode.finished(False)] if episode.rewards else []))
        ]
        if not trajectories:
            raise ExpertDataError("Nothing was recorded: call recorder.add(*env.step(actions)) after every step")
        return ExpertObservations.from_trajectories(*map(list, zip(*trajectories, strict=True)))

    def _is_one_state(self) -> bool:
        first = self._finished[0][0].observations if self._finished[0] else None
        return first is not None and all(
            bool((array == arrays_of(first)[key][:1]).all())
            for finished in self._finished
            for episode in finished
            for key, array in arrays_of(episode.observations).items()
        )

    def _copied(self, observations: Any) -> Observations:
        """A copy of a batch: many environments reuse their arrays."""
        batch = map_observations(np.array, numeric_observations(observations, "observations"))
        if count_observations(batch) != self._n_envs:
            raise ExpertDataError(
                f"there are {count_observations(batch)} observations of {self._n_envs} environments: expected what reset and "
                "step of the vectorised environment return, (n_envs, *obs)"
            )
        return batch

    def _last(self, infos: Any, number: int) -> Observations:
        """The observation in which the episode of an environment ended, in the form of the others."""
        found = _final_observation(infos, number)
        arrays = found if isinstance(found, Mapping) else {"": found}
        if found is None or arrays.keys() != self._kinds.keys():
            raise ExpertDataError(
                f"an episode of environment {number} ended, and its last observation is not in the infos: expected "
                f"infos[{number}]['terminal_observation'] as of Stable-Baselines3, or infos['final_obs'][{number}] as of "
                f"Gymnasium; repair {self._env_type}, or record with single environments"
            )
        last = {}
        for key, (dtype, shape) in self._kinds.items():
            # environments are free in the dtype that they return, and only batches are converted
            last[key] = np.array(arrays[key], dtype=dtype)
            if last[key].shape != shape:
                raise ExpertDataError(
                    f"the last observation of an episode of environment {number} has shape {last[key].shape}, the others have "
                    f"{shape}: a wrapper of {self._env_type} changes only one of the two, apply it to the single environments"
                )
        return last if isinstance(found, Mapping) else last[""]


def _equal(first: Observations, second: Observations) -> bool:
    others = arrays_of(second)
    return all(np.array_equal(array, others[key]) for key, array in arrays_of(first).items())


class _Finished(NamedTuple):
    """Arguments of :meth:`ExpertObservations.from_trajectories`, of one trajectory."""

    observations: Observations
    terminated: bool
    rewards: np.ndarray


class _Episode(NamedTuple):
    """What was recorded of an episode that goes on."""

    observations: list[Observations]
    rewards: list[float]

    def finished(self, terminated: bool) -> _Finished:
        first = self.observations[0]
        stacked: Observations = (
            {key: np.stack([arrays_of(one)[key] for one in self.observations]) for key in first}
            if isinstance(first, dict)
            else np.stack([np.asarray(one) for one in self.observations])
        )
        return _Finished(stacked, terminated, np.array(self.rewards))


def _resets_in_next_step(env: Any) -> bool:
    """Whether the first observation of an episode comes one step after the last one of the episode before, or in its place."""
    if isinstance(env, VecEnv):
        normalizing = unwrap_vec_normalize(env)
        if normalizing is not None and (normalizing.norm_obs or normalizing.norm_reward):
            raise ConfigurationError(
                "The environment has a VecNormalize, and what the environment itself returns is to be recorded: step "
                "vec_normalize.venv, and give the expert vec_normalize.normalize_obs(observations)"
            )
        return False
    # not by their class: older versions have two of them, and wrappers of another
    if not (hasattr(env, "num_envs") and hasattr(env, "single_observation_space")):
        raise ConfigurationError(
            f"ExpertRecorder got {type(env).__name__}: expected a VecEnv of Stable-Baselines3 or a vector environment of "
            "Gymnasium. For a single environment there is sb3_diiqn.record.record_expert"
        )
    mode = getattr(env, "metadata", {}).get("autoreset_mode")
    mode = getattr(mode, "value", mode)
    if mode is None:
        return not gymnasium.__version__.startswith("0.")
    if mode not in ("NextStep", "SameStep"):
        raise ConfigurationError(
            f"autoreset_mode is {mode}: ExpertRecorder follows environments that reset by themselves; make this one with "
            "AutoresetMode.NEXT_STEP or SAME_STEP"
        )
    return bool(mode == "NextStep")


def _final_observation(infos: Any, number: int) -> Any:
    """The last observation of an environment's episode, or None if it is not there."""
    if not isinstance(infos, Mapping):
        return infos[number].get("terminal_observation")
    name = next((name for name in FINAL_NAMES if name in infos), None)
    if name is None or not infos.get(f"_{name}", np.ones(number + 1))[number]:
        return None
    found = infos[name]
    return {key: array[number] for key, array in found.items()} if isinstance(found, Mapping) else found[number]
