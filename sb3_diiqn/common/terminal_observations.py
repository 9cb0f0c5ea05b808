"""The last observation of an episode as the environment showed it, of which VecNormalize leaves what it can clip and round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from sb3_diiqn.expert import Observations

#: Where it is found in the information about a step.
RAW = "raw_terminal_observation"


@contextmanager
def kept_terminal_observations(normalize: VecNormalize | None) -> Iterator[None]:
    """
    Let the steps that are taken meanwhile keep terminal observations as they are below ``VecNormalize``.

    :param normalize: None: there is nothing to do
    """
    if normalize is None:
        yield
        return
    venv = normalize.venv
    step_wait = venv.step_wait

    def keeping() -> VecEnvStepReturn:
        observations, rewards, dones, infos = step_wait()
        for info in infos:
            if "terminal_observation" in info:
                info[RAW] = info["terminal_observation"]
        return observations, rewards, dones, infos

    # no wrapper: those of the environments for training and for evaluation are compared one by one
    venv.step_wait = keeping  # type: ignore[method-assign]
    try:
        yield
    finally:
        del venv.step_wait


def with_terminal_observations(observations: Observations, dones: np.ndarray, infos: Sequence[dict[str, Any]]) -> Observations:
    """
    Put the last observations of episodes in the place of the first ones of the next.

    :param observations: what follows a step in each environment, shape (n_envs, ``*observation_shape``); changed in place
    :param dones: whether an episode ended, shape (n_envs,)
    :param infos: information about the step, of each environment
    """
    for env, done in enumerate(dones):
        last = infos[env].get(RAW) if done else None
        if last is None:
            continue
        if isinstance(observations, dict):
            for key, array in observations.items():
                array[env] = last[key]
        else:
            observations[env] = last
    return observations
