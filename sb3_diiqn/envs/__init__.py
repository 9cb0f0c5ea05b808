"""Environments for expert and agent. Importing this registers ``sb3_diiqn/Maze2D-v0``, ``PointMaze-v0`` and ``Highway-v0``.

MinAtar's ids and network are in :mod:`sb3_diiqn.envs.minatar`, which needs torch; this module does not.
"""

from __future__ import annotations

import gymnasium

from sb3_diiqn.envs import maze2d, point_maze
from sb3_diiqn.envs.experts import MazeExpert, PointMazeExpert, ScriptedExpert
from sb3_diiqn.envs.generation import generate_layout
from sb3_diiqn.envs.layouts import LAYOUTS, Layout
from sb3_diiqn.envs.maze2d import Maze2D
from sb3_diiqn.envs.moves import ACTION_SETS
from sb3_diiqn.envs.point_maze import FORCE_SETS, PointMaze

__all__ = [
    "ACTION_SETS",
    "FORCE_SETS",
    "LAYOUTS",
    "Layout",
    "Maze2D",
    "MazeExpert",
    "PointMaze",
    "PointMazeExpert",
    "ScriptedExpert",
    "generate_layout",
]


def _register(name: str, entry_point: str, max_episode_steps: int | None = None) -> None:
    environment_id = f"sb3_diiqn/{name}-v0"
    if environment_id in gymnasium.registry:
        return
    # Gymnasium cuts episodes itself, so that gymnasium.make(..., max_episode_steps=N) can also lengthen them
    own_limit = {} if max_episode_steps is None else {"max_episode_steps": None}
    gymnasium.register(environment_id, entry_point, max_episode_steps=max_episode_steps, kwargs=own_limit)


_register("Maze2D", "sb3_diiqn.envs.maze2d:Maze2D", maze2d.MAX_EPISODE_STEPS)
_register("PointMaze", "sb3_diiqn.envs.point_maze:PointMaze", point_maze.MAX_EPISODE_STEPS)
# a package of its own makes it, which is imported when it is asked for, and limits its episodes
_register("Highway", "sb3_diiqn.envs.highway:make_highway")
