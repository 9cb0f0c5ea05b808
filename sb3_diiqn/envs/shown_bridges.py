"""What is shown of HADIIQN in a maze: the steps of an expert, whether they are feasible, and the bridges around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sb3_diiqn.envs.maze2d import Maze2D
from sb3_diiqn.envs.moves import Cell
from sb3_diiqn.envs.rendering import GOAL, PIXELS_PER_CELL, Colour, draw_disc, draw_maze
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.ha_diiqn import HADIIQN
from sb3_diiqn.inference import NO_ACTION, Feasibility

# Okabe and Ito's colours, which colour-blind readers can tell apart
COLOURS: dict[Feasibility, Colour] = {
    Feasibility.UNKNOWN: (153, 153, 153),
    Feasibility.FEASIBLE: (0, 114, 178),
    Feasibility.INFEASIBLE: (213, 94, 0),
}
BRIDGE: Colour = (0, 158, 115)


class ExpertStep(NamedTuple):
    """A step of the expert."""

    cells: list[Cell]
    """From where to where."""
    feasibility: Feasibility
    """Whether the agent can do it."""
    bridge: list[Cell] | None
    """The cells of the bridge that takes its place, None if there is none."""


def expert_of(model: HADIIQN, trajectory: int) -> ExpertObservations:
    """
    Return the expert data that a trajectory is of.

    :param model: its agent
    :param trajectory: which of the expert's trajectories
    :raises ConfigurationError: if there is no such trajectory
    """
    expert = model.expert
    if expert is None or not 0 <= trajectory < expert.n_trajectories:
        raise ConfigurationError(f"trajectory={trajectory!r}: there is none of that number in {expert!r}")
    return expert


def expert_steps(model: HADIIQN, maze: Maze2D, trajectory: int) -> Iterator[ExpertStep]:
    """
    List the steps of one of the expert's trajectories, with what the agent has found out about them.

    :param model: trained with expert data in that maze
    :param maze: the agent's maze
    :param trajectory: which of the expert's trajectories
    :raises ConfigurationError: if there is no such trajectory
    :raises MissingExpertDataError: if the model has no expert data
    """
    found, expert = model.inspect_expert(), expert_of(model, trajectory)
    for transition in np.flatnonzero(expert.trajectory_index == trajectory):
        cells = [maze.cell_of(np.asarray(seen)) for seen in (expert.current(transition), expert.next(transition))]
        actions = found["bridge_actions"][transition]
        bridge = _path(maze, cells[0], actions) if found["bridged"][transition] else None
        yield ExpertStep(cells, Feasibility(found["feasibility"][transition]), bridge)


def draw_background(maze: Maze2D, pixels_per_cell: int = PIXELS_PER_CELL) -> np.ndarray:
    """
    Draw a maze and its goal.

    :param maze: the maze
    :param pixels_per_cell: width and height of a cell
    :return: shape (height, width, 3), uint8
    """
    picture = draw_maze(maze.layout, pixels_per_cell)
    row, column = maze.layout.goal
    draw_disc(picture, (row + 0.5, column + 0.5), 0.3, GOAL, pixels_per_cell)
    return picture


def _path(maze: Maze2D, start: Cell, actions: np.ndarray) -> list[Cell]:
    cells = [start]
    for action in actions[actions != NO_ACTION]:
        cells.append(maze.target_of(cells[-1], int(action)))
    return cells
