"""The picture of an expert's trajectory and the bridges around what the agent cannot do."""

from __future__ import annotations

import numpy as np
import pytest

from sb3_diiqn import HADIIQN, ExpertObservations
from sb3_diiqn.envs import Maze2D
from sb3_diiqn.envs.bridge_figure import draw_bridges
from sb3_diiqn.exceptions import ConfigurationError, MissingExpertDataError

SQUARE = "####\n#S.#\n#.G#\n####"


def learned() -> tuple[HADIIQN, Maze2D]:
    """The expert goes from the start to the goal at once, and once by way of (1, 2)."""
    maze = Maze2D(SQUARE, max_episode_steps=10)
    ways = [[(1, 1), (2, 2)], [(1, 1), (1, 2), (2, 2)]]
    expert = ExpertObservations.from_trajectories([np.array([maze.observation_of(cell) for cell in way]) for way in ways])
    model = HADIIQN("MlpPolicy", maze, expert_data=expert, learning_starts=400, exploration_initial_eps=1.0, seed=0)
    return model.learn(300), maze


def lines_of(model: HADIIQN, maze: Maze2D, trajectory: int) -> dict[str, list[list[float]]]:
    axes = draw_bridges(model, maze, trajectory).axes[0]
    return {str(line.get_label()): np.round(line.get_xydata(), 1).tolist() for line in axes.lines}  # type: ignore[arg-type]


def test_infeasible_steps_come_with_their_bridge() -> None:
    """Points are (column, row); bridges lie a little aside."""
    model, maze = learned()
    lines = lines_of(model, maze, 0)
    assert lines["expert's step, infeasible"] == [[1, 1], [2, 2]]
    bridge = lines["bridge of the agent's own steps"]
    assert (bridge[0], bridge[-1]) == ([1.1, 1.1], [2.1, 2.1])
    assert bridge[1] in [[2.1, 1.1], [1.1, 2.1]]


def test_feasible_steps_need_none() -> None:
    lines = lines_of(*learned(), trajectory=1)
    assert {label for label in lines if not label.startswith("_")} == {"expert's step, feasible"}
    assert lines["expert's step, feasible"] == [[1, 1], [2, 1]]


def test_what_cannot_be_drawn() -> None:
    model, maze = learned()
    with pytest.raises(ConfigurationError, match="trajectory=2"):
        draw_bridges(model, maze, 2)
    with pytest.raises(MissingExpertDataError, match="no expert data"):
        draw_bridges(HADIIQN("MlpPolicy", maze), maze)
