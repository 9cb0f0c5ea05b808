"""A picture of what HADIIQN has found out about an expert in a maze. Needs matplotlib, the extra ``plots``."""

from __future__ import annotations

import numpy as np

from sb3_diiqn.envs.maze2d import Maze2D
from sb3_diiqn.envs.moves import Cell
from sb3_diiqn.envs.rendering import Colour
from sb3_diiqn.envs.shown_bridges import BRIDGE, COLOURS, draw_background, expert_steps
from sb3_diiqn.exceptions import MissingDependencyError
from sb3_diiqn.ha_diiqn import HADIIQN
from sb3_diiqn.inference import Feasibility

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
    steps = list(expert_steps(model, maze, trajectory))
    rows, columns = maze.layout.walls.shape
    figure = Figure(figsize=(0.45 * columns + 3.2, 0.45 * rows), layout="constrained")
    axes = figure.add_subplot()
    _draw_background(axes, maze)
    drawn: set[str] = set()
    for step in steps:
        _draw_arrow(axes, step.cells, COLOURS[step.feasibility], _once(_LABELS[step.feasibility], drawn))
        if step.bridge is not None:
            _draw_arrow(axes, step.bridge, BRIDGE, _once("bridge of the agent's own steps", drawn), offset=0.12)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def _draw_background(axes: Axes, maze: Maze2D) -> None:
    rows, columns = maze.layout.walls.shape
    axes.imshow(draw_background(maze), extent=(-0.5, columns - 0.5, rows - 0.5, -0.5), interpolation="nearest")
    axes.set_axis_off()


def _draw_arrow(axes: Axes, cells: list[Cell], rgb: Colour, label: str | None, offset: float = 0.0) -> None:
    """Draw a path with an arrow head; moved aside a little so that it does not cover another one."""
    rows, columns = (np.array(cells, dtype=float) + offset).T
    colour = "#{:02X}{:02X}{:02X}".format(*rgb)
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
