"""
Good experts for Gymnasium's classic control and its lander, without training: what a suite names as ``policy``.

Mean returns: CartPole-v1 500, MountainCar-v0 about -99, Acrobot-v1 about -80 (some starts cost it 100 steps more),
LunarLander-v3 about 270.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.algorithms import import_object

Controller = Callable[[np.ndarray], int]

_GRID = 121
_LOW, _HIGH = np.array([-1.2, -0.07]), np.array([0.6, 0.07])
_GOAL = 0.5


def cart_pole(env: Any) -> Controller:
    """
    Push to where the pole falls, with a little less zeal where the cart is off the middle.

    :param env: CartPole
    """
    gains = np.array([0.1, 0.2, 1.0, 0.5])
    return lambda observation: int(gains @ observation > 0)


def acrobot(env: Any) -> Controller:
    """
    Always push the lower link the way that it swings, relative to half of the upper one's swing: that adds energy.

    :param env: Acrobot
    """
    return lambda observation: 2 if observation[5] > 0.5 * observation[4] else 0


def mountain_car(env: Any) -> Controller:
    """
    Take the action from which the goal is the fewest steps away, as value iteration on a grid has found.

    :param env: MountainCar
    """
    grid = np.stack(np.meshgrid(*np.linspace(_LOW, _HIGH, _GRID).T, indexing="ij"), axis=-1)
    successors = _successors(grid)
    steps = np.zeros(grid.shape[:2])
    for _ in range(300):
        steps = 1 + _steps_left(steps, successors).min(axis=0)
    return lambda observation: int(_steps_left(steps, _successors(observation)).argmin())


def lunar_lander(env: Any) -> Controller:
    """
    Steer and brake in proportion to what is amiss: the controller that comes with Gymnasium's lander.

    :param env: LunarLander with discrete actions (extra: box2d)
    """
    heuristic = import_object("gymnasium.envs.box2d.lunar_lander:heuristic")
    return lambda observation: int(heuristic(env.unwrapped, observation))


def _successors(state: np.ndarray) -> np.ndarray:
    """Where each action leads, shape (3, ..., 2), by the equations of Gymnasium's MountainCar."""
    position, velocity = np.moveaxis(np.asarray(state, dtype=np.float64), -1, 0)
    force = np.array([-0.001, 0.0, 0.001]).reshape(3, *[1] * position.ndim)
    velocity = np.clip(velocity + force - 0.0025 * np.cos(3 * position), _LOW[1], _HIGH[1])
    position = np.clip(position + velocity, _LOW[0], _HIGH[0])
    velocity = np.where((position == _LOW[0]) & (velocity < 0), 0, velocity)
    return np.stack([position, velocity], axis=-1)


def _steps_left(steps: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Interpolate the number of steps to the goal, 0 beyond it."""
    scaled = (states - _LOW) / (_HIGH - _LOW) * (_GRID - 1)
    corner = np.clip(scaled.astype(int), 0, _GRID - 2)
    (i, j), (x, y) = np.moveaxis(corner, -1, 0), np.moveaxis(scaled - corner, -1, 0)
    lower = (1 - y) * steps[i, j] + y * steps[i, j + 1]
    upper = (1 - y) * steps[i + 1, j] + y * steps[i + 1, j + 1]
    return np.where(states[..., 0] >= _GOAL, 0, (1 - x) * lower + x * upper)
