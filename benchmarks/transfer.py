"""Tasks of other kinds, on which nothing was chosen: tables, a pendulum with five torques, a partial view.

Importing this registers ``benchmarks/Pendulum-v0`` and ``benchmarks/SimpleCrossing-v0`` (extra: grids).
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from benchmarks.classic_control import Controller
from benchmarks.grids import Layout, State, best_in_table, first_action, read_things
from sb3_diiqn.exceptions import MissingDependencyError

TORQUES = (-2.0, -1.0, 0.0, 1.0, 2.0)
N_MOVES = 3
"""Left, right, forward: all that a way without doors takes."""
_NOWHERE = (-1, -1)


def table_expert(env: Any) -> Controller:
    """
    Take the actions that value iteration finds best.

    :param env: one of Gymnasium's tables, such as Taxi or CliffWalking
    """
    return best_in_table(env.unwrapped.P)


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


class PartialView(gymnasium.Wrapper[np.ndarray, Any, Any, Any]):
    """
    What the agent sees of the grid in front of it, as booleans, and the three actions that move it.

    :param env: one of MiniGrid's environments, whose observations are one-hot images
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        image: Any = env.observation_space
        self.observation_space = spaces.Box(0, 1, image["image"].shape, bool)
        self.action_space = spaces.Discrete(N_MOVES)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode, in another layout."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation["image"].astype(bool), info

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Turn left, turn right, or go forward."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation["image"].astype(bool), reward, terminated, truncated, info


def make_simple_crossing(size: int = 9, num_crossings: int = 1, max_steps: int = 324) -> gymnasium.Env[Any, Any]:
    """
    Make MiniGrid's SimpleCrossing: find the gap in a wall, and the goal behind it.

    :param size: rows and columns, walls included
    :param num_crossings: number of walls to be crossed
    :param max_steps: an episode is truncated after so many
    :raises MissingDependencyError: if MiniGrid is not installed
    """
    try:
        from minigrid.core.world_object import Wall  # noqa: PLC0415 - optional package
        from minigrid.envs.crossing import CrossingEnv  # noqa: PLC0415
        from minigrid.wrappers import OneHotPartialObsWrapper  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError("minigrid", "grids") from error
    one_hot: Any = OneHotPartialObsWrapper
    return PartialView(one_hot(CrossingEnv(size=size, num_crossings=num_crossings, obstacle_type=Wall, max_steps=max_steps)))


def crossing(env: Any) -> Controller:
    """
    Take the first action of a shortest way to the goal, in sight or not.

    :param env: SimpleCrossing
    """
    return lambda _: first_action(*_read_crossing(env))


def _read_crossing(env: Any) -> tuple[Layout, State]:
    world = env.unwrapped
    walls, found = read_things(world)
    goal, _ = found["goal"]
    column, row = (int(index) for index in world.agent_pos)
    return Layout(walls, _NOWHERE, goal), State((column, row), int(world.agent_dir), None, is_locked=False, is_open=True)


for _name, _maker in (("Pendulum", "make_pendulum"), ("SimpleCrossing", "make_simple_crossing")):
    if f"benchmarks/{_name}-v0" not in gymnasium.registry:
        gymnasium.register(f"benchmarks/{_name}-v0", f"benchmarks.transfer:{_maker}")
