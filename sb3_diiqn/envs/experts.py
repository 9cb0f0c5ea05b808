"""Scripted experts of a chosen quality, to record observations from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sb3_diiqn.envs.arguments import check_number
from sb3_diiqn.envs.maze2d import Maze2D
from sb3_diiqn.envs.moves import Cell
from sb3_diiqn.envs.point_maze import CELL_MOVES, PointMaze, Vector
from sb3_diiqn.envs.solver import best_actions, distances_to, shortest_path
from sb3_diiqn.exceptions import ConfigurationError


class ScriptedExpert(ABC):
    """A policy that acts well except for random actions.

    :param n_actions: number of actions
    :param randomness: probability of a random action, uniform over all; 0 is the best expert, 1 a random policy
    :param seed: seed of the expert's own random generator
    :raises ConfigurationError: if ``randomness`` is outside [0, 1]
    """

    def __init__(self, n_actions: int, randomness: float, seed: int | None) -> None:
        self.n_actions = n_actions
        self.randomness = check_number("randomness", randomness, 0.0, 1.0)
        self._rng = np.random.default_rng(seed)

    def __call__(self, observation: Any) -> int:
        """Choose an action.

        :param observation: one observation of the environment
        """
        action = None if self._rng.random() < self.randomness else self.best_action(observation)
        return int(self._rng.integers(self.n_actions)) if action is None else action

    @abstractmethod
    def best_action(self, observation: Any) -> int | None:
        """The action of the faultless expert, or None where it knows none.

        :param observation: one observation of the environment
        """


class MazeExpert(ScriptedExpert):
    """Walks along a shortest path of a :class:`Maze2D`, with the action set of that maze.

    Where no path leads to the goal it acts at random.

    :param env: the maze, possibly wrapped
    :param randomness: probability of a random action, uniform over all
    :param seed: seed of the expert's own random generator
    :raises ConfigurationError: if the environment is not a Maze2D, or ``randomness`` is outside [0, 1]
    """

    def __init__(self, env: gymnasium.Env[Any, Any], randomness: float = 0.2, seed: int | None = None) -> None:
        if not isinstance(env.unwrapped, Maze2D):
            raise ConfigurationError(f"env={env!r} is no Maze2D; this expert knows the way in a Maze2D only.")
        self._maze = env.unwrapped
        self._distances = self._maze.distances
        super().__init__(len(self._maze.moves), randomness, seed)

    def best_action(self, observation: NDArray[Any]) -> int | None:
        """First action of a shortest path; of several, the lowest.

        :param observation: one observation of the maze
        """
        maze = self._maze
        return next(iter(best_actions(maze.layout, self._distances, maze.cell_of(observation), maze.moves)), None)


class PointMazeExpert(ScriptedExpert):
    """Drives the ball of a :class:`PointMaze` from cell to cell along a shortest path, with the forces of that maze.

    It wants a velocity towards the centre of the next cell (in the last one, towards the goal), proportional to the way left,
    and applies the force after which the velocity is nearest to that.

    :param env: the maze, possibly wrapped
    :param randomness: probability of a random action, uniform over all
    :param seed: seed of the expert's own random generator
    :param gain: wanted velocity per distance, 1/s; a lower one drives more slowly
    :raises ConfigurationError: if the environment is not a PointMaze, ``randomness`` is outside [0, 1], or ``gain`` is not
        positive
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], randomness: float = 0.2, seed: int | None = None, gain: float = 3.0
    ) -> None:
        if not isinstance(env.unwrapped, PointMaze):
            raise ConfigurationError(f"env={env!r} is no PointMaze; this expert knows the way in a PointMaze only.")
        self._maze = env.unwrapped
        self._gain = check_number("gain", gain, 1e-6)
        self._distances: dict[Cell, NDArray[np.int64]] = {}
        super().__init__(len(self._maze.forces), randomness, seed)

    def best_action(self, observation: Any) -> int | None:
        """The force that brings the velocity nearest to the wanted one.

        :param observation: one observation of the maze
        """
        position, velocity, goal = self._maze.parts_of(observation)
        wanted = self._gain * (self._waypoint(position, goal) - position)
        reached = velocity + self._maze.forces * self._maze.speed_per_action
        return int(np.linalg.norm(reached - wanted, axis=1).argmin())

    def _waypoint(self, position: Vector, goal: Vector) -> Vector:
        goal_cell = self._maze.cell_at(goal)
        if goal_cell not in self._distances:
            self._distances[goal_cell] = distances_to(self._maze.layout, goal_cell, CELL_MOVES)
        distances, cell = self._distances[goal_cell], self._maze.cell_at(position)
        path = shortest_path(self._maze.layout, distances, cell, CELL_MOVES)
        return self._maze.centre_of(path[1]) if len(path) > 1 else goal
