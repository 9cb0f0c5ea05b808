"""Moves and action sets."""

from __future__ import annotations

import pytest

from sb3_diiqn.envs.moves import ACTION_SETS, action_names, parse_move
from sb3_diiqn.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("name", "move"),
    [("N", (-1, 0)), ("E", (0, 1)), ("S", (1, 0)), ("W", (0, -1)), ("NE", (-1, 1)), ("E2N1", (-1, 2)), ("S12E", (12, 1))],
)
def test_name_of_a_move_stands_for_its_displacement(name: str, move: tuple[int, int]) -> None:
    assert parse_move(name) == move


def test_named_sets_have_the_moves_that_their_names_promise() -> None:
    moves = {name: {parse_move(move) for move in names} for name, names in ACTION_SETS.items()}
    neighbours = {(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)} - {(0, 0)}
    assert moves["NESW"] == {move for move in neighbours if 0 in move}
    assert moves["diagonal"] == {move for move in neighbours if 0 not in move}
    assert moves["king"] == neighbours
    assert moves["skew"] == {(-1, 0), (1, 0), (-1, 1), (1, -1)}
    assert moves["knight"] == {(row, column) for row in range(-2, 3) for column in range(-2, 3) if abs(row * column) == 2}
    assert all(len(moves[name]) == len(names) for name, names in ACTION_SETS.items())


def test_order_of_the_moves_is_kept() -> None:
    assert action_names("NESW") == ("N", "E", "S", "W")
    assert action_names(["W", "E2N1"]) == ("W", "E2N1")


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ("queen", "'queen' is unknown.*knight"),
        ("", "'' is unknown"),
        ((), "actions is empty"),
        (["N", "X"], "The move 'X' is unknown"),
        (["N", ""], "The move '' is unknown"),
        (["n"], "The move 'n' is unknown"),
        (["2N"], "The move '2N' is unknown"),
        ([3], "The move 3 is unknown"),
        (3, "The move 3 is unknown"),
        (["NS"], "'NS' leads nowhere"),
        (["N0"], "'N0' leads nowhere"),
        (["N", "E", "N1"], "has the move 'N1' twice"),
    ],
)
def test_bad_action_set_is_refused(actions: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        [parse_move(name) for name in action_names(actions)]
