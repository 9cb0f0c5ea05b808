"""Spaces with which a DQN of Stable-Baselines3 cannot learn, though they exist in Gymnasium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import ConfigurationError


def refuse_unusable_spaces(observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
    """
    Refuse spaces that Stable-Baselines3 accepts and then fails with, in the middle of learning.

    :param observation_space: the environment's
    :param action_space: the environment's
    :raises ConfigurationError: names the space and the wrapper that makes a usable one
    """
    if isinstance(action_space, spaces.Discrete) and action_space.start != 0:
        raise ConfigurationError(
            f"The action space is {action_space}: a DQN chooses from 0 on, so the environment would be given other actions. "
            f"Wrap it: gymnasium.wrappers.TransformAction(env, lambda action: action + {action_space.start}, "
            f"gymnasium.spaces.Discrete({action_space.n})), or with a gymnasium.ActionWrapper"
        )
    if isinstance(observation_space, spaces.Dict):
        if not observation_space.spaces:
            raise ConfigurationError("The observation space is an empty Dict: there is nothing to learn from")
        for key, part in observation_space.spaces.items():
            _refuse(part, f"observation space[{key!r}]")
    else:
        _refuse(observation_space, "observation space")


def _refuse(space: spaces.Space[Any], name: str) -> None:
    for problem, remedy in _problems(space):
        raise ConfigurationError(
            f"The {name} is {space}, {problem}, with which a DQN of Stable-Baselines3 fails. Wrap the environment in "
            f"gymnasium.wrappers.TransformObservation, or a gymnasium.ObservationWrapper, {remedy}, "
            "and record the expert with it"
        )


def _problems(space: spaces.Space[Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a space, and what a wrapper has to do about it."""
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim != 1:
        yield f"with {space.nvec.ndim} axes", "that flattens it: observation.reshape(-1)"
    elif isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)) and np.any(space.start):
        first = np.asarray(space.start).tolist()
        yield "which does not start at 0", f"that subtracts the start: observation - {first}"
    elif isinstance(space, spaces.Box) and space.shape == ():
        yield "a single number without an axis", "that gives it one: observation.reshape(1)"
    elif isinstance(space, spaces.Box) and 0 in space.shape:
        yield "without any element", "that leaves it out"
