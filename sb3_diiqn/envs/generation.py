"""Random mazes."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from sb3_diiqn.envs.arguments import check_integer
from sb3_diiqn.envs.layouts import Layout
from sb3_diiqn.envs.moves import ACTION_SETS, Cell, parse_move

MINIMUM_SIZE = 5
"""In a smaller maze a knight cannot get from one corner to the other."""

LOOPS = 0.1
"""Fraction of the walls between the corridors that is opened at random."""


def generate_layout(size: int, seed: int) -> Layout:
    """A random square maze with loops, start in the top left and goal in the bottom right corner.

    Corridors are carved into solid wall and some walls opened at random. Then, for *every* named action set, the walls on the
    path that crosses the fewest are opened. So the maze depends on size and seed only: an expert and an agent with different
    action sets get the same one, and both can solve it.

    :param size: number of rows and of columns, border included, at least 5
    :param seed: the same size and seed give the same maze
    :raises ConfigurationError: if the size is too small or the seed negative
    """
    size = check_integer("size", size, MINIMUM_SIZE)
    rng = np.random.default_rng(check_integer("layout_seed", seed, 0))
    start, goal = (1, 1), (size - 2, size - 2)
    walls = _carve_corridors(size, rng)
    interior = walls[1:-1, 1:-1]
    interior &= rng.random(interior.shape) >= LOOPS
    walls[goal] = False
    for names in ACTION_SETS.values():
        for cell in _path_of_fewest_walls(walls, start, goal, names):
            walls[cell] = False
    return Layout(walls, start, goal)


def _carve_corridors(size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Walls of a maze without loops: a depth-first walk over the cells of odd rows and columns."""
    walls = np.ones((size, size), dtype=bool)
    walls[1, 1] = False
    stack = [(1, 1)]
    while stack:
        row, column = stack[-1]
        around = [(row - 2, column), (row, column + 2), (row + 2, column), (row, column - 2)]
        closed = [cell for cell in around if min(cell) > 0 and max(cell) < size - 1 and walls[cell]]
        if not closed:
            stack.pop()
            continue
        chosen = closed[rng.integers(len(closed))]
        walls[chosen] = walls[(row + chosen[0]) // 2, (column + chosen[1]) // 2] = False
        stack.append(chosen)
    return walls


def _path_of_fewest_walls(walls: NDArray[np.bool_], start: Cell, goal: Cell, names: tuple[str, ...]) -> list[Cell]:
    """Path inside the border that enters as few walls as possible, and of those a shortest one (Dijkstra)."""
    moves = [parse_move(name) for name in names]
    before: dict[Cell, Cell] = {}
    frontier: list[tuple[int, int, Cell, Cell]] = [(0, 0, start, start)]
    while goal not in before:
        n_walls, n_moves, cell, previous = heapq.heappop(frontier)
        if cell in before:
            continue
        before[cell] = previous
        for rows, columns in moves:
            target = (cell[0] + rows, cell[1] + columns)
            if min(target) > 0 and max(target) < len(walls) - 1:
                heapq.heappush(frontier, (n_walls + int(walls[target]), n_moves + 1, target, cell))
    path = [goal]
    while path[-1] != start:
        path.append(before[path[-1]])
    return path
