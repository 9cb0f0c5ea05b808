"""Atari through ale-py: Freeway as its expert sees it, and a scripted expert for it."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium
from stable_baselines3.common.atari_wrappers import AtariWrapper

from sb3_diiqn.envs.experts import ScriptedExpert
from sb3_diiqn.exceptions import MissingDependencyError

FREEWAY = "FreewayNoFrameskip-v4"
UP = 1
"""Of Freeway's actions, which are: stay, up, down."""


def register_atari() -> None:
    """
    Register Atari's ids with Gymnasium 1.1 or newer. Further calls do nothing.

    :raises MissingDependencyError: if ale-py, which brings the ROMs, is not installed
    """
    try:
        importlib.import_module("ale_py")  # registers when it is imported
    except ImportError as error:
        raise MissingDependencyError("ale_py", "atari") from error


def make_freeway(**arguments: Any) -> gymnasium.Env[Any, Any]:
    """
    Make Freeway with Stable-Baselines3's ``AtariWrapper``: single frames, (84, 84, 1) uint8, which an agent's
    frame stacking also stacks in recordings.

    :param arguments: of ``gymnasium.make``
    :raises MissingDependencyError: if ale-py is not installed
    """
    register_atari()
    return AtariWrapper(gymnasium.make(FREEWAY, **arguments))


class FreewayExpert(ScriptedExpert):
    """
    Always goes up and never waits for a car: 21 to 22 points, of the more than 30 that are possible.

    :param env: Freeway, possibly wrapped
    :param randomness: probability of a random action, uniform over all
    :param seed: seed of the expert's own random generator
    :raises ConfigurationError: if ``randomness`` is outside [0, 1]
    """

    def __init__(self, env: gymnasium.Env[Any, Any], randomness: float = 0.0, seed: int | None = None) -> None:
        space: Any = env.action_space
        super().__init__(int(space.n), randomness, seed)

    def best_action(self, observation: Any) -> int:
        """Up.

        :param observation: is not looked at
        """
        return UP
