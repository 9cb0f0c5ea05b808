"""Tasks of other kinds, on which nothing was chosen: tables, a pendulum with five torques, a partial view.

Importing this registers ``benchmarks/Pendulum-v0`` and ``benchmarks/SimpleCrossing-v0`` (extra: grids).
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from benchmarks.classic_control import Controller
from sb3_diiqn.exceptions import MissingDependencyError

TORQUES = (-2.0, -1.0, 0.0, 1.0, 2.0)
N_MOVES = 3
"""Left, right, forward: all that a way without doors takes."""


class FiveTorques(gymnasium.ActionWrapper[np.ndarray, Any, Any]):
    """
    A pendulum with the actions :data:`TORQUES`.

    :param env: Gymnasium's Pendulum
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.action_space = spaces.Discrete(len(TORQUES))

    def action(self, action: Any) -> np.ndarray:
        """Look the torque up."""
        return np.array([TORQUES[int(action)]], dtype=np.float32)


def make_pendulum() -> gymnasium.Env[Any, Any]:
    """Make Gymnasium's Pendulum with five torques."""
    return FiveTorques(gymnasium.make("Pendulum-v1"))


def pendulum(env: Any) -> Controller:
    """
    Swing the pendulum up by adding energy, and hold it there.

    :param env: the pendulum
    """
    del env
    return lambda observation: int(np.abs(np.array(TORQUES) - _torque(*map(float, observation))).argmin())


def _torque(cosine: float, sine: float, velocity: float) -> float:
    angle = float(np.arctan2(sine, cosine))
    if cosine > 0.8:
        return -(10 * angle + 2 * velocity)
    # of a rod with the mass and the length of 1, upright at rest: 10
    energy = velocity**2 / 6 + 5 * cosine
    return 2.0 if (5.0 - energy) * (velocity or 1.0) > 0 else -2.0


class PartialView(gymnasium.ObservationWrapper[np.ndarray, Any, Any]):
    """
    What the agent sees of the grid in front of it, as booleans, and the three actions that move it.

    :param env: one of MiniGrid's environments, whose observations are one-hot images
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        image: Any = env.observation_space
        self.observation_space = spaces.Box(0, 1, image["image"].shape, bool)
        self.action_space = spaces.Discrete(N_MOVES)

    def observation(self, observation: Any) -> np.ndarray:
        """Turn a one-hot image into booleans."""
        return np.asarray(observation["image"], dtype=bool)


def make_simple_crossing() -> gymnasium.Env[Any, Any]:
    """
    Make MiniGrid's SimpleCrossing of 9x9 cells: find the gap in a wall, and the goal behind it, in at most 324 steps.

    :raises MissingDependencyError: if MiniGrid is not installed
    """
    try:
        from minigrid.core.world_object import Wall  # noqa: PLC0415 - optional package
        from minigrid.envs.crossing import CrossingEnv  # noqa: PLC0415
        from minigrid.wrappers import OneHotPartialObsWrapper  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError("minigrid", "grids") from error
    one_hot: Any = OneHotPartialObsWrapper
    return PartialView(one_hot(CrossingEnv(size=9, num_crossings=1, obstacle_type=Wall, max_steps=324)))


for _name, _maker in (("Pendulum", "make_pendulum"), ("SimpleCrossing", "make_simple_crossing")):
    if f"benchmarks/{_name}-v0" not in gymnasium.registry:
        gymnasium.register(f"benchmarks/{_name}-v0", f"benchmarks.transfer:{_maker}")
