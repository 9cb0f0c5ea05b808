"""Shortest paths in a maze for a given action set, by breadth-first search."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sb3_diiqn.envs.layouts import Layout
from sb3_diiqn.envs.moves import Cell, Move

UNREACHABLE = -1
"""Distance of a cell from which the goal cannot be reached, and of every wall."""


def distances_to(layout: Layout, goal: Cell, moves: Sequence[Move]) -> NDArray[np.int64]:
    """Number of actions that each cell is away from a cell, if every action works as intended.

    :param layout: the maze
    :param goal: the cell to reach
    :param moves: the action set
    :return: (rows, columns), :data:`UNREACHABLE` for walls and where no path exists
    """
    distances = np.full(layout.walls.shape, UNREACHABLE, dtype=np.int64)
    distances[goal] = 0
    frontier = deque([goal])
    while frontier:
        row, column = frontier.popleft()
        for rows, columns in moves:
            # Searching backwards from the goal: action sets need not contain the way back
            before = (row - rows, column - columns)
            if layout.is_free(before) and distances[before] == UNREACHABLE:
                distances[before] = distances[row, column] + 1
                frontier.append(before)
    return distances


def best_actions(layout: Layout, distances: NDArray[np.int64], cell: Cell, moves: Sequence[Move]) -> list[int]:
    """Actions that are the first of a shortest path.

    :param layout: the maze
    :param distances: what :func:`distances_to` returned for the same maze and moves
    :param cell: where the path starts
    :param moves: the action set
    :return: indices into ``moves``, ascending; empty at the goal and where no path exists
    """
    if distances[cell] <= 0:  # at the goal, or unreachable
        return []
    targets = [layout.after(cell, move) for move in moves]
    return [action for action, target in enumerate(targets) if distances[target] == distances[cell] - 1]


def shortest_path(layout: Layout, distances: NDArray[np.int64], start: Cell, moves: Sequence[Move]) -> list[Cell]:
    """Cells of a shortest path, both ends included. Of equally short ones, the one of the lowest action numbers.

    :param layout: the maze
    :param distances: what :func:`distances_to` returned for the same maze and moves
    :param start: where the path starts
    :param moves: the action set
    :return: ``distances[start] + 1`` cells; empty if no path exists
    """
    if distances[start] == UNREACHABLE:
        return []
    path = [start]
    while actions := best_actions(layout, distances, path[-1], moves):
        path.append(layout.after(path[-1], moves[actions[0]]))
    return path
