"""Environment ids for rl-zoo. Importing this registers the mazes, their variants, and MinAtar's games if MinAtar is installed.

rl-zoo tells environments apart by id alone, so that every action set that has settings or experts of its own needs one.
"""

from __future__ import annotations

import contextlib
from typing import Any

import gymnasium

import sb3_diiqn.envs  # noqa: F401 - registers Maze2D and PointMaze
from sb3_diiqn.envs.minatar import register_minatar
from sb3_diiqn.exceptions import MissingDependencyError

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "sb3_diiqn/Maze2DKing-v0": ("sb3_diiqn/Maze2D-v0", {"actions": "king"}),
    "sb3_diiqn/Maze2DSkew-v0": ("sb3_diiqn/Maze2D-v0", {"actions": "skew"}),
    "sb3_diiqn/PointMazeDiagonal-v0": ("sb3_diiqn/PointMaze-v0", {"actions": "diagonal"}),
}
"""Id of each variant, the id that it is a variant of, and the arguments that differ."""


def register_environments() -> None:
    """Register all ids. Further calls do nothing."""
    for name, (original, arguments) in VARIANTS.items():
        if name not in gymnasium.registry:
            spec = gymnasium.spec(original)
            gymnasium.register(
                name, spec.entry_point, max_episode_steps=spec.max_episode_steps, kwargs=spec.kwargs | arguments
            )
    with contextlib.suppress(MissingDependencyError):  # see check_environment
        register_minatar()


def check_environment(env_id: str) -> None:
    """
    Say what to install where an id is unknown because a package is absent.

    :raises MissingDependencyError: if it is one of MinAtar's and MinAtar is not installed
    """
    if env_id.startswith("MinAtar/"):
        register_minatar()


register_environments()
