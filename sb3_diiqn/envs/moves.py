"""Moves on a grid, and the named action sets that are made of them.

A move is written with compass letters, each with an optional number of cells: ``"N"`` is one cell up, ``"NE"`` one up and
one to the right, ``"W3"`` three to the left, ``"E2N1"`` a knight's jump. North is up, that is, towards row 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sb3_diiqn.exceptions import ConfigurationError

Cell = tuple[int, int]
"""A place on the grid: (row, column), row 0 at the top."""

Move = tuple[int, int]
"""A displacement on the grid: (rows downwards, columns to the right)."""

ACTION_SETS: dict[str, tuple[str, ...]] = {
    "NESW": ("N", "E", "S", "W"),
    "diagonal": ("NE", "SE", "SW", "NW"),
    "king": ("N", "NE", "E", "SE", "S", "SW", "W", "NW"),
    "skew": ("N", "S", "NE", "SW"),
    "knight": ("N2E1", "E2N1", "E2S1", "S2E1", "S2W1", "W2S1", "W2N1", "N2W1"),
}
"""The named action sets. The order of the moves is the order of the actions."""

_DIRECTIONS: dict[str, Move] = {"N": (-1, 0), "E": (0, 1), "S": (1, 0), "W": (0, -1)}
_STEP = re.compile(r"([NESW])(\d*)")
_MOVE = re.compile(r"([NESW]\d*)+")


def action_names(actions: Any) -> tuple[str, ...]:
    """Names of the moves of an action set.

    :param actions: a name out of :data:`ACTION_SETS`, or the moves themselves, for instance ``("N", "NE", "E2N1")``
    :return: one name per action
    :raises ConfigurationError: if the name is unknown, or the set is empty, or a move is unknown, leads nowhere, or is
        there twice
    """
    if isinstance(actions, str):
        if actions not in ACTION_SETS:
            raise ConfigurationError(
                f"actions={actions!r} is unknown; choose one of {', '.join(ACTION_SETS)}, or give a list of moves such as "
                "['N', 'NE', 'E2N1']."
            )
        return ACTION_SETS[actions]
    names = tuple(actions) if isinstance(actions, Iterable) else (actions,)
    if not names:
        raise ConfigurationError("actions is empty; an agent needs at least one move, for instance actions=['N', 'E'].")
    moves = [parse_move(name) for name in names]
    for index, move in enumerate(moves):
        if move in moves[:index]:
            raise ConfigurationError(f"actions={list(names)!r} has the move {names[index]!r} twice; list each move once.")
    return names


def parse_move(name: Any) -> Move:
    """Displacement that a move's name stands for.

    :param name: for instance ``"N"``, ``"NE"`` or ``"E2N1"``
    :return: (rows downwards, columns to the right)
    :raises ConfigurationError: if the name is not a move, or leads nowhere
    """
    if not isinstance(name, str) or not _MOVE.fullmatch(name):
        raise ConfigurationError(
            f"The move {name!r} is unknown; write compass letters N, E, S, W, each with an optional number of cells, "
            "for instance 'N', 'NE' or 'E2N1'."
        )
    rows, columns = 0, 0
    for direction, count in _STEP.findall(name):
        length = int(count) if count else 1
        rows += length * _DIRECTIONS[direction][0]
        columns += length * _DIRECTIONS[direction][1]
    if (rows, columns) == (0, 0):
        raise ConfigurationError(f"The move {name!r} leads nowhere; remove it from the action set.")
    return rows, columns
