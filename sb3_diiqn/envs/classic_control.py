"""
Good experts for Gymnasium's classic control and its lander, without training.

Mean returns without random actions: CartPole-v1 500, MountainCar-v0 about -99, Acrobot-v1 about -80 (some starts cost it 100
steps more), LunarLander-v3 about 270.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sb3_diiqn.envs.experts import ScriptedExpert

_GRID = 121
_LOW, _HIGH = np.array([-1.2, -0.07]), np.array([0.6, 0.07])
_GOAL = 0.5


class CartPoleExpert(ScriptedExpert):
    """
    Pushes to where the pole falls, with a little less zeal where the cart is off the middle.

    :param env: CartPole
    :param randomness: probability of a random action, uniform over all
    :param seed: seed of the expert's own random generator
    """

    gains = np.array([0.1, 0.2, 1.0, 0.5])

    def __init__(self, env: gymnasium.Env[Any, Any], randomness: float = 0.2, seed: int | None = None) -> None:
        super().__init__(2, randomness, seed)

    def best_action(self, observation: NDArray[Any]) -> int:
        """See :meth:`ScriptedExpert.best_action`."""
        return int(self.gains @ observation > 0)


class AcrobotExpert(ScriptedExpert):
    """
    Always pushes the lower link the way that it swings, relative to half of the upper one's swing: that adds energy.

    :param env: Acrobot
    :param randomness: probability of a random action, uniform over all
    :param seed: seed of the expert's own random generator
    """

    def __init__(self, env: gymnasium.Env[Any, Any], randomness: float = 0.2, seed: int | None = None) -> None:
        super().__init__(3, randomness, seed)

    def best_action(self, observation: NDArray[Any]) -> int:
        """See :meth:`ScriptedExpert.best_action`."""
        return 2 if observation[5] > 0.5 * observation[4] else 0


class MountainCarExpert(ScriptedExpert):
    """
    Takes the action from which the goal is the fewest steps away, as value iteration on a grid has found.

    :param env: MountainCar
    :param randomness: probability of a random action, uniform over all
    :param seed: seed of the expert's own random generator
    """

    def __init__(self, env: gymnasium.Env[Any, Any], randomness: float = 0.2, seed: int | None = None) -> None:
        super().__init__(3, randomness, seed)
        grid = np.stack(np.meshgrid(*np.linspace(_LOW, _HIGH, _GRID).T, indexing="ij"), axis=-1)
        successors = _successors(grid)
        self._steps = np.zeros(grid.shape[:2])
        for _ in range(300):
            self._steps = 1 + _steps_left(self._steps, successors).min(axis=0)

    def best_action(self, observation: NDArray[Any]) -> int:
        """See :meth:`ScriptedExpert.best_action`."""
        return int(_steps_left(self._steps, _successors(observation)).argmin())


class LunarLanderExpert(ScriptedExpert):
    """
    Steers and brakes in proportion to what is amiss: the controller that comes with Gymnasium's lander.

    :param env: LunarLander with discrete actions (extra: box2d)
    :param randomness: probability of a random action, uniform over all
    :param seed: seed of the expert's own random generator
    """

    def __init__(self, env: gymnasium.Env[Any, Any], randomness: float = 0.2, seed: int | None = None) -> None:
        from gymnasium.envs.box2d.lunar_lander import heuristic  # noqa: PLC0415 - optional package

        super().__init__(4, randomness, seed)
        self._env = env.unwrapped
        self._heuristic: Any = heuristic

    def best_action(self, observation: NDArray[Any]) -> int:
        """See :meth:`ScriptedExpert.best_action`."""
        return int(self._heuristic(self._env, observation))


def _successors(state: NDArray[Any]) -> NDArray[Any]:
    """Where each action leads, shape (3, ..., 2), by the equations of Gymnasium's MountainCar."""
    position, velocity = np.moveaxis(np.asarray(state, dtype=np.float64), -1, 0)
    force = np.array([-0.001, 0.0, 0.001]).reshape(3, *[1] * position.ndim)
    velocity = np.clip(velocity + force - 0.0025 * np.cos(3 * position), _LOW[1], _HIGH[1])
    position = np.clip(position + velocity, _LOW[0], _HIGH[0])
    velocity = np.where((position == _LOW[0]) & (velocity < 0), 0, velocity)
    return np.stack([position, velocity], axis=-1)


def _steps_left(steps: NDArray[Any], states: NDArray[Any]) -> NDArray[Any]:
    """Interpolate the number of steps to the goal, 0 beyond it."""
    scaled = (states - _LOW) / (_HIGH - _LOW) * (_GRID - 1)
    corner = np.clip(scaled.astype(int), 0, _GRID - 2)
    (i, j), (x, y) = np.moveaxis(corner, -1, 0), np.moveaxis(scaled - corner, -1, 0)
    lower = (1 - y) * steps[i, j] + y * steps[i, j + 1]
    upper = (1 - y) * steps[i + 1, j] + y * steps[i + 1, j + 1]
    return np.asarray(np.where(states[..., 0] >= _GOAL, 0, (1 - x) * lower + x * upper))
