"""Environment ids for rl-zoo. Importing this registers the mazes, their variants, and the games of MinAtar and Atari if those
packages are installed.

rl-zoo tells environments apart by id alone, so that every maze and action set with settings or experts of its own needs one.
"""

from __future__ import annotations

import contextlib
from typing import Any

import gymnasium

import sb3_diiqn.envs  # noqa: F401 - registers Maze2D and PointMaze
from sb3_diiqn.envs.minatar import register_minatar
from sb3_diiqn.exceptions import MissingDependencyError
from sb3_diiqn.zoo.atari import FREEWAY, make_freeway, register_atari

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "sb3_diiqn/Maze2DKing-v0": ("sb3_diiqn/Maze2D-v0", {"actions": "king"}),
    "sb3_diiqn/Maze2DRooms-v0": ("sb3_diiqn/Maze2D-v0", {"layout": "rooms"}),
    "sb3_diiqn/Maze2DSkew-v0": ("sb3_diiqn/Maze2D-v0", {"layout": "rooms", "actions": "skew"}),
    "sb3_diiqn/PointMazeAxis-v0": ("sb3_diiqn/PointMaze-v0", {"layout": "point_medium"}),
    "sb3_diiqn/PointMazeDiagonal-v0": ("sb3_diiqn/PointMaze-v0", {"layout": "point_medium", "actions": "diagonal"}),
}
"""Id of each variant, the id that it is a variant of, and the arguments that differ."""
FREEWAY_FRAMES = "sb3_diiqn/Freeway-v0"
"""Id of the expert's Freeway, see :func:`~sb3_diiqn.zoo.atari.make_freeway`."""


def register_environments() -> None:
    """Register all ids. Further calls do nothing."""
    for name, (original, arguments) in VARIANTS.items():
        if name not in gymnasium.registry:
            spec = gymnasium.spec(original)
            gymnasium.register(
                name, spec.entry_point, max_episode_steps=spec.max_episode_steps, kwargs=spec.kwargs | arguments
            )
    if FREEWAY_FRAMES not in gymnasium.registry:
        gymnasium.register(FREEWAY_FRAMES, make_freeway)
    for register in (register_minatar, register_atari):
        with contextlib.suppress(MissingDependencyError):  # see check_environment
            register()


def check_environment(env_id: str) -> None:
    """
    Say what to install where an id is unknown because a package is absent.

    :raises MissingDependencyError: if it is one of MinAtar's and MinAtar is not installed, or Freeway and ale-py is not
    """
    if env_id.startswith("MinAtar/"):
        register_minatar()
    if env_id in {FREEWAY, FREEWAY_FRAMES}:
        register_atari()


register_environments()
