"""Experts that are no help: they want something else than what is paid, or do what none of the agent's actions does."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.classic_control import Controller, cart_pole
from benchmarks.grids import best_in_table
from sb3_diiqn.envs import MazeExpert
from sb3_diiqn.envs.solver import distances_to


def toppling_cart_pole(env: Any) -> Controller:
    """
    Push the cart so that the pole falls, which ends the episode.

    :param env: CartPole
    """
    balance = cart_pole(env)
    return lambda observation: 1 - balance(observation)


def strong_cart_pole(env: Any, strength: float = 3.0) -> Controller:
    """
    Balance the pole with a stronger engine than the agent has.

    :param env: CartPole; its engine is exchanged
    :param strength: force relative to that of the agent's engine
    """
    env.unwrapped.force_mag *= strength
    return cart_pole(env)


def frozen_lake_hole(env: Any) -> Controller:
    """
    Take the actions that lead into a hole soonest.

    :param env: FrozenLake
    """
    lake = env.unwrapped
    holes = np.flatnonzero(lake.desc.ravel() == b"H")
    table = {
        state: {
            action: [(chance, after, float(after in holes), ended) for chance, after, _, ended in outcomes]
            for action, outcomes in actions.items()
        }
        for state, actions in lake.P.items()
    }
    return best_in_table(table)


class MazeElsewhere(MazeExpert):
    """
    Walks to the cell that is farthest from the goal, and there to and fro.

    :param env: Maze2D
    :param randomness: probability of a random action
    :param seed: of these
    """

    def __init__(self, env: Any, randomness: float = 0.2, seed: int | None = None) -> None:
        super().__init__(env, randomness, seed)
        maze = self._maze
        row, column = np.unravel_index(int(maze.distances.argmax()), maze.distances.shape)
        self._distances = distances_to(maze.layout, (int(row), int(column)), maze.moves)
