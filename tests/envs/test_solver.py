"""Shortest paths against an exhaustive reference."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sb3_diiqn.envs.layouts import Layout
from sb3_diiqn.envs.moves import ACTION_SETS, Cell, Move, parse_move
from sb3_diiqn.envs.solver import UNREACHABLE, best_actions, distances_to, shortest_path

U_SHAPE = Layout.from_text("S#G\n.#.\n...")


def moves_of(*names: str) -> list[Move]:
    return [parse_move(name) for name in names]


def reference_distances(layout: Layout, moves: list[Move]) -> np.ndarray:
    """For each cell the smallest number n such that some n moves lead to the goal, by following all sets of cells forwards."""
    distances = np.full(layout.walls.shape, UNREACHABLE)
    for cell in layout.free_cells():
        reached: set[Cell] = {cell}
        for n_moves in range(layout.walls.size):
            if layout.goal in reached:
                distances[cell] = n_moves
                break
            reached |= {layout.after(place, move) for place in reached for move in moves}
    return distances


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    rows, columns = draw(st.integers(2, 5)), draw(st.integers(2, 5))
    cells = [(row, column) for row in range(rows) for column in range(columns)]
    start, goal = draw(st.permutations(cells))[:2]
    walls = np.array(draw(st.lists(st.booleans(), min_size=len(cells), max_size=len(cells)))).reshape(rows, columns)
    walls[start] = walls[goal] = False
    return Layout(walls, start, goal)


MOVES = st.one_of(
    st.sampled_from([moves_of(*names) for names in ACTION_SETS.values()]),
    st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)).filter(any), min_size=1, max_size=5, unique=True),
)


@settings(max_examples=80, deadline=None)
@given(layout=layouts(), moves=MOVES)
def test_distances_and_paths_equal_the_reference(layout: Layout, moves: list[Move]) -> None:
    distances = distances_to(layout, layout.goal, moves)
    np.testing.assert_array_equal(distances, reference_distances(layout, moves))
    for cell in layout.free_cells():
        path = shortest_path(layout, distances, cell, moves)
        assert len(path) == distances[cell] + 1
        assert not path or (path[0], path[-1]) == (cell, layout.goal)
        assert all(b in {layout.after(a, move) for move in moves} for a, b in pairwise(path))


def test_distances_by_hand() -> None:
    assert distances_to(U_SHAPE, (0, 2), moves_of("N", "E", "S", "W")).tolist() == [[6, -1, 0], [5, -1, 1], [4, 3, 2]]
    assert distances_to(U_SHAPE, (0, 2), moves_of("E2")).tolist() == [[1, -1, 0], [-1, -1, -1], [-1, -1, -1]]


def test_distances_are_those_of_the_way_there_not_back() -> None:
    corridor = Layout.from_text("S.G")
    assert distances_to(corridor, corridor.goal, moves_of("E")).tolist() == [[2, 1, 0]]
    assert distances_to(corridor, corridor.goal, moves_of("W")).tolist() == [[-1, -1, 0]]


def test_best_actions_are_all_those_on_a_shortest_path() -> None:
    square = Layout.from_text("S..\n...\n..G")
    nesw, king = moves_of("N", "E", "S", "W"), moves_of("N", "E", "S", "SE")
    assert best_actions(square, distances_to(square, (2, 2), nesw), (0, 0), nesw) == [1, 2]
    assert best_actions(square, distances_to(square, (2, 2), king), (0, 0), king) == [3]
    assert best_actions(square, distances_to(square, (2, 2), king), (2, 2), king) == []
    west = moves_of("W")
    assert best_actions(square, distances_to(square, (2, 2), west), (0, 0), west) == []


def test_shortest_path_by_hand() -> None:
    nesw = moves_of("N", "E", "S", "W")
    path = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2)]
    assert shortest_path(U_SHAPE, distances_to(U_SHAPE, (0, 2), nesw), (0, 0), nesw) == path
