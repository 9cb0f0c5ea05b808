"""What the entries of ``zoo_configs`` return: each is an environment of one of the suites, with the same settings."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.algorithms import BASELINE
from benchmarks.analysis import default_group
from benchmarks.headline import columns, cpu_time, load_compared
from benchmarks.storage import ResultFolder
from benchmarks.tables import Table


class Entry(NamedTuple):
    """An entry of a yml file, and where it was run."""

    algorithm: str
    env_id: str
    suite: str
    environment: str


ENTRIES = (
    *(
        Entry("diiqn", env_id, "classic_control", env_id)
        for env_id in ("CartPole-v1", "MountainCar-v0", "Acrobot-v1", "LunarLander-v3")
    ),
    *(
        Entry("diiqn", f"MinAtar/{game}-v0", "minatar", game)
        for game in ("Breakout", "SpaceInvaders", "Asterix", "Seaquest", "Freeway")
    ),
    Entry("diiqn", "sb3_diiqn/Maze2D-v0", "demo", "Maze2D"),
    Entry("hadiiqn", "sb3_diiqn/Maze2D-v0", "mazes", "king-expert"),
    Entry("hadiiqn", "sb3_diiqn/Maze2DSkew-v0", "mazes", "skew-agent"),
    Entry("hadiiqn", "sb3_diiqn/PointMazeDiagonal-v0", "point_maze", "point-maze"),
)
"""All but Atari's, which was not trained at full length."""


def zoo_table(folder: ResultFolder) -> Table:
    """
    Make the table of the documentation.

    :param folder: where the finished cells are
    """
    groups, compared = load_compared(folder, {entry.suite for entry in ENTRIES})
    rows = []
    for entry in ENTRIES:
        base, group = (default_group(entry.environment, name, groups[entry.suite]) for name in (BASELINE, entry.algorithm))
        rows.append(
            [
                f"`{entry.algorithm}`",
                f"`{entry.env_id}`",
                *columns(base, group),
                cpu_time(group, compared[entry.suite]),
                f"`{entry.suite} --only '{entry.environment}/*'`",
            ]
        )
    return Table(
        ["", "environment", "steps", "expert", "DQN, greedy", "greedy", "CPU time", "`python -m benchmarks run`"], rows
    )
