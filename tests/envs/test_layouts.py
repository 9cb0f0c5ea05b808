"""Mazes: text, shipped ones, generated ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sb3_diiqn.envs.generation import generate_layout
from sb3_diiqn.envs.layouts import LAYOUTS, Layout, named_layout
from sb3_diiqn.envs.moves import ACTION_SETS, parse_move
from sb3_diiqn.envs.solver import UNREACHABLE, distances_to
from sb3_diiqn.exceptions import ConfigurationError


def is_solvable(layout: Layout, actions: str) -> bool:
    moves = [parse_move(name) for name in ACTION_SETS[actions]]
    return bool(distances_to(layout, layout.goal, moves)[layout.start] != UNREACHABLE)


def test_text_is_read_and_written() -> None:
    layout = Layout.from_text("\n  #####\n  #S.G#\n  ##.##\n")
    assert layout.walls.tolist() == [[True] * 5, [True, False, False, False, True], [True, True, False, True, True]]
    assert (layout.start, layout.goal) == ((1, 1), (1, 3))
    assert layout.free_cells() == [(1, 1), (1, 2), (1, 3), (2, 2)]
    assert layout.text() == "#####\n#S.G#\n##.##"
    assert layout.text(agent=(2, 2)) == "#####\n#S.G#\n##A##"


def test_a_move_leads_to_a_free_target_or_nowhere() -> None:
    layout = Layout.from_text("S#.\n#.G")
    assert layout.after((0, 0), (1, 1)) == (1, 1)  # between two walls
    assert layout.after((0, 0), (0, 2)) == (0, 2)  # over a wall
    assert layout.after((0, 0), (0, 1)) == (0, 0)  # into a wall
    assert layout.after((0, 0), (-1, 0)) == (0, 0)  # out of the grid
    assert layout.after((0, 0), (0, -1)) == (0, 0)


def test_walls_cannot_be_changed() -> None:
    walls = np.zeros((2, 2), dtype=bool)
    layout = Layout(walls, (0, 0), (1, 1))
    walls[1, 1] = True
    assert layout.is_free((1, 1))
    with pytest.raises(ValueError, match="read-only"):
        layout.walls[0, 0] = True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("####\n#SG#\n###", "Line 2 of the layout, '###', has 3 characters and line 0 has 4"),
        ("#####\n#SxG#", "Line 1 .* unknown characters .'x'."),
        ("####\n#.G#", "0 cells 'S'; mark exactly one start"),
        ("####\n#S.#", "0 cells 'G'; mark exactly one goal"),
        ("#####\n#SSG#", "2 cells 'S'"),
        ("#####\n#SGG#", "2 cells 'G'"),
        ("\n\n", "0 cells 'S'"),
        ("palace", "layout='palace' is unknown; choose one of open_5, "),
        ("", "layout='' is unknown"),
        (7, "layout=7 is unknown"),
        (["#SG#"], "is unknown"),
    ],
)
def test_bad_layout_is_refused(text: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        named_layout(text)


@pytest.mark.parametrize(
    ("start", "goal", "message"),
    [
        ((0, 1), (1, 1), r"The start \(0, 1\) lies inside a wall"),
        ((0, 0), (0, 1), r"The goal \(0, 1\) lies inside a wall"),
        ((5, 0), (1, 1), r"The start \(5, 0\) lies inside a wall or outside the maze of 2 rows and 2 columns"),
        ((0, 0), (0, -1), r"The goal \(0, -1\) lies"),
        ((1, 1), (1, 1), r"both \(1, 1\)"),
    ],
)
def test_start_and_goal_must_be_free_and_different(start: tuple[int, int], goal: tuple[int, int], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Layout(np.array([[False, True], [False, False]]), start, goal)


def test_walls_need_two_dimensions() -> None:
    with pytest.raises(ConfigurationError, match="two dimensions"):
        Layout(np.zeros(4, dtype=bool), (0, 0), (0, 1))


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_shipped_mazes_are_closed_and_connected(name: str) -> None:
    layout = named_layout(name)
    assert layout.walls[[0, -1]].all()
    assert layout.walls[:, [0, -1]].all()
    nesw = [parse_move(move) for move in ACTION_SETS["NESW"]]
    assert ((distances_to(layout, layout.goal, nesw) != UNREACHABLE) == ~layout.walls).all()


@pytest.mark.parametrize("actions", list(ACTION_SETS))
@pytest.mark.parametrize("name", ["open_5", "small", "rooms", "large", "paper"])
def test_every_named_action_set_solves_the_shipped_grid_mazes(name: str, actions: str) -> None:
    assert is_solvable(named_layout(name), actions)


def test_sizes_of_the_shipped_grid_mazes() -> None:
    sizes = {name: named_layout(name).walls.shape for name in ("open_5", "small", "rooms", "large", "paper")}
    assert sizes == {"open_5": (7, 7), "small": (8, 8), "rooms": (14, 14), "large": (20, 20), "paper": (14, 14)}


@settings(max_examples=30, deadline=None)
@given(size=st.integers(5, 16), seed=st.integers(0, 10_000))
def test_generated_maze_is_closed_reproducible_and_solvable_with_every_named_set(size: int, seed: int) -> None:
    layout = generate_layout(size, seed)
    assert layout.walls.shape == (size, size)
    assert layout.walls[[0, -1]].all()
    assert layout.walls[:, [0, -1]].all()
    assert (layout.start, layout.goal) == ((1, 1), (size - 2, size - 2))
    assert all(is_solvable(layout, actions) for actions in ACTION_SETS)
    assert layout.text() == generate_layout(size, seed).text()


def test_generated_mazes_differ_by_seed_and_have_walls_and_loops() -> None:
    layouts = [generate_layout(15, seed) for seed in range(10)]
    assert len({layout.text() for layout in layouts}) == 10
    for layout in layouts:
        free = ~layout.walls
        n_cells = int(free.sum())
        n_passages = int((free[1:] & free[:-1]).sum() + (free[:, 1:] & free[:, :-1]).sum())
        assert n_passages > n_cells  # a maze without loops has one passage less than cells
        assert layout.walls[1:-1, 1:-1].mean() > 0.2


@pytest.mark.parametrize(
    ("size", "seed", "message"),
    [(4, 0, "size=4 .* at least 5"), (8.0, 0, "size=8.0"), (True, 0, "size=True"), (8, -1, "layout_seed=-1")],
)
def test_bad_arguments_of_the_generator_are_refused(size: int, seed: int, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        generate_layout(size, seed)
