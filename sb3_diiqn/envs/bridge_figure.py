"""A picture of what HADIIQN has found out about an expert in a maze. Needs matplotlib, the extra ``plots``."""

from __future__ import annotations

import numpy as np

from sb3_diiqn.envs.maze2d import Maze2D
from sb3_diiqn.envs.moves import Cell
from sb3_diiqn.envs.rendering import GOAL, draw_disc, draw_maze
from sb3_diiqn.exceptions import ConfigurationError, MissingDependencyError
from sb3_diiqn.ha_diiqn import HADIIQN
from sb3_diiqn.inference import NO_ACTION, Feasibility

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as missing:
    raise MissingDependencyError("matplotlib", "plots") from missing

_LABELS = {
    Feasibility.UNKNOWN: "expert's step, not yet known",
    Feasibility.FEASIBLE: "expert's step, feasible",
    Feasibility.INFEASIBLE: "expert's step, infeasible",
}
# Okabe and Ito's colours, which colour-blind readers can tell apart
_COLOURS = {Feasibility.UNKNOWN: "#999999", Feasibility.FEASIBLE: "#0072B2", Feasibility.INFEASIBLE: "#D55E00"}
_BRIDGE = "#009E73"


def draw_bridges(model: HADIIQN, maze: Maze2D, trajectory: int = 0) -> Figure:
    """
    Draw one of the expert's trajectories, which of its steps are infeasible for the agent, and the bridges around those.

    :param model: trained with expert data in that maze
    :param maze: the agent's maze
    :param trajectory: which of the expert's trajectories
    :return: a matplotlib figure
    :raises ConfigurationError: if there is no such trajectory
    :raises MissingExpertDataError: if the model has no expert data
    """
    found = model.inspect_expert()
    expert = model.expert
    if expert is None or not 0 <= trajectory < expert.n_trajectories:
        raise ConfigurationError(f"trajectory={trajectory!r}: there is none of that number in {expert!r}")
    rows, columns = maze.layout.walls.shape
    figure = Figure(figsize=(0.45 * columns + 3.2, 0.45 * rows), layout="constrained")
    axes = figure.add_subplot()
    _draw_background(axes, maze)
    drawn: set[str] = set()
    for transition in np.flatnonzero(expert.trajectory_index == trajectory):
        here, there = maze.cell_of(np.asarray(expert.current(transition))), maze.cell_of(np.asarray(expert.next(transition)))
        feasibility = Feasibility(found["feasibility"][transition])
        _draw_arrow(axes, [here, there], _COLOURS[feasibility], _once(_LABELS[feasibility], drawn))
        if found["bridged"][transition]:
            path = _path(maze, here, found["bridge_actions"][transition])
            _draw_arrow(axes, path, _BRIDGE, _once("bridge of the agent's own steps", drawn), offset=0.12)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def _draw_background(axes: Axes, maze: Maze2D) -> None:
    picture = draw_maze(maze.layout)
    goal_row, goal_column = maze.layout.goal
    draw_disc(picture, (goal_row + 0.5, goal_column + 0.5), 0.3, GOAL)
    rows, columns = maze.layout.walls.shape
    axes.imshow(picture, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5), interpolation="nearest")
    axes.set_axis_off()


def _draw_arrow(axes: Axes, cells: list[Cell], colour: str, label: str | None, offset: float = 0.0) -> None:
    """Draw a path with an arrow head; moved aside a little so that it does not cover another one."""
    rows, columns = (np.array(cells, dtype=float) + offset).T
    axes.plot(columns, rows, color=colour, linewidth=1.8, label=label, solid_capstyle="round")
    if cells[-1] != cells[-2]:
        axes.annotate(
            "",
            xy=(columns[-1], rows[-1]),
            xytext=((columns[-1] + columns[-2]) / 2, (rows[-1] + rows[-2]) / 2),
            arrowprops={"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0},
        )
    else:
        axes.plot(columns[-1], rows[-1], "o", color=colour, markersize=3)


def _once(label: str, drawn: set[str]) -> str | None:
    """Return a label the first time it is asked for."""
    if label in drawn:
        return None
    drawn.add(label)
    return label


def _path(maze: Maze2D, start: Cell, actions: np.ndarray) -> list[Cell]:
    cells = [start]
    for action in actions[actions != NO_ACTION]:
        cells.append(maze.target_of(cells[-1], int(action)))
    return cells
