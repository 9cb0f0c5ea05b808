"""The scripted experts of classic control without random actions, as suites name them: the recorder adds those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sb3_diiqn.envs.classic_control import AcrobotExpert, CartPoleExpert, LunarLanderExpert, MountainCarExpert

Controller = Callable[[Any], int]


def cart_pole(env: Any) -> Controller:
    """
    Make the expert of CartPole.

    :param env: CartPole
    """
    return CartPoleExpert(env, randomness=0).best_action


def acrobot(env: Any) -> Controller:
    """
    Make the expert of Acrobot.

    :param env: Acrobot
    """
    return AcrobotExpert(env, randomness=0).best_action


def mountain_car(env: Any) -> Controller:
    """
    Make the expert of MountainCar.

    :param env: MountainCar
    """
    return MountainCarExpert(env, randomness=0).best_action


def lunar_lander(env: Any) -> Controller:
    """
    Make the expert of LunarLander.

    :param env: LunarLander with discrete actions (extra: box2d)
    """
    return LunarLanderExpert(env, randomness=0).best_action
