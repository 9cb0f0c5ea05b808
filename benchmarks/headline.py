"""The figure and the table at the front of the documentation: greedy returns of DQN and DIIQN, from finished cells."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from benchmarks.algorithms import BASELINE
from benchmarks.analysis import Group, default_group, load_groups
from benchmarks.equal_time import Comparison, compare
from benchmarks.plots import STYLE, curve, save, smoothed, step_axis, styles
from benchmarks.report import NOTHING, number
from benchmarks.statistics import interquartile_mean
from benchmarks.storage import ResultFolder
from benchmarks.tables import Table
from sb3_diiqn.exceptions import ConfigurationError


class Row(NamedTuple):
    """A row of the table."""

    suite: str
    environment: str
    algorithm: str
    name: str


TASKS = (
    Row("minatar", "Breakout", "diiqn", "Breakout"),
    Row("minatar", "SpaceInvaders", "diiqn", "Space Invaders"),
    Row("minatar", "Asterix", "diiqn", "Asterix"),
    Row("minatar", "Seaquest", "diiqn", "Seaquest"),
    Row("minatar", "Freeway", "diiqn", "Freeway"),
    Row("classic_control", "CartPole-v1", "diiqn", "CartPole"),
    Row("demo", "Maze2D", "diiqn", "maze"),
    Row("mazes", "king-expert", "hadiiqn", "maze, other moves (HADIIQN)"),
    Row("point_maze", "point-maze", "hadiiqn", "PointMaze, other forces (HADIIQN)"),
    Row("transfer", "Taxi", "diiqn", "Taxi"),
    Row("transfer", "CliffWalking", "diiqn", "CliffWalking"),
    Row("transfer", "Pendulum", "diiqn", "pendulum, five torques"),
    Row("transfer", "SimpleCrossing", "diiqn", "MiniGrid, a part in view"),
)
FIGURE = ("Breakout", "Asterix", "CartPole")
"""The tasks that are drawn, by name."""
LEAST_RUNS = 3
"""Fewer say nothing in a table of the documentation."""
NAMES = {"dqn": "DQN", "diiqn": "DIIQN", "hadiiqn": "HADIIQN"}


def write_headline(folder: ResultFolder, path: Path) -> Table:
    """
    Draw the figure.

    :param folder: where the finished cells of :data:`TASKS` are
    :param path: the PNG
    :return: the table
    """
    groups, compared = load_compared(folder, {row.suite for row in TASKS})
    pairs = {row.name: _pair(row, groups[row.suite]) for row in TASKS}
    with matplotlib.rc_context({**STYLE, "savefig.dpi": 200}):
        save(_figure({name: pairs[name] for name in FIGURE}), path)
    rows = [[row.name, *columns(*pairs[row.name]), cpu_time(pairs[row.name][1], compared[row.suite])] for row in TASKS]
    return Table(["", "steps", "expert", "DQN, greedy", "DIIQN or HADIIQN, greedy", "CPU time"], rows)


def columns(base: Group | None, group: Group | None) -> list[str]:
    """
    Tell how long runs are, what their expert returns, and what both sides reach.

    :param base: runs of DQN, if there are any
    :param group: runs that it is compared with, if there are any
    """
    known = group or base
    steps, expert = (NOTHING, NOTHING) if known is None else (f"{known.n_timesteps:,}", number(known.reference_return))
    return [steps.replace(",", " "), expert, counted_scores(base), counted_scores(group)]


def load_compared(folder: ResultFolder, names: set[str]) -> tuple[dict[str, list[Group]], dict[str, list[Comparison]]]:
    """
    Load the runs of suites, and what was measured of their CPU time, each by the suite's name.

    :param folder: where the finished cells are
    :param names: of the suites
    """
    suites = folder.suites(names)
    groups = {suite.name: load_groups(suite, folder) for suite in suites}
    return groups, {suite.name: compare(groups[suite.name], suite, folder) for suite in suites}


def _pair(row: Row, groups: list[Group]) -> tuple[Group, Group]:
    """
    Find the baseline and the algorithm of a row.

    :raises ConfigurationError: if they were not run
    """
    base, group = (default_group(row.environment, name, groups) for name in (BASELINE, row.algorithm))
    if base is None or group is None:
        raise ConfigurationError(
            f"{row.suite}, {row.environment}: run {BASELINE} and {row.algorithm} first, and then pack them"
        )
    return base, group


def _figure(pairs: dict[str, tuple[Group, Group]]) -> Figure:
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axis, (name, pair) in zip(figure.subplots(1, len(pairs)), pairs.items(), strict=True):
        for group, style in styles(list(pair)):
            steps, curves = group.greedy_curves
            curve(axis, steps, smoothed(curves), style | {"label": NAMES[group.algorithm], "linewidth": 2.4})
        axis.axhline(pair[0].reference_return, color="#333333", linestyle=(0, (4, 3)), linewidth=1.2, label="expert")
        axis.set_title(name, fontsize=13)
        step_axis(axis, pair[0].n_timesteps)
        axis.set_ylim(bottom=0)
        axis.set_xticks([0, pair[0].n_timesteps // 2, pair[0].n_timesteps])
    figure.axes[0].set_ylabel("greedy return")
    lines = figure.axes[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=len(lines[0]), fontsize=12)
    return figure


def cpu_time(group: Group | None, compared: list[Comparison]) -> str:
    """
    Tell how much of the baseline's CPU time runs take.

    :param group: the runs, if there are any
    :param compared: what was measured in their suite
    """
    timed = next((one.timed for one in compared if one.timed.group is group), None)
    return NOTHING if timed is None else f"{1 / timed.speed:.2f}"


def scores(group: Group) -> str:
    """
    Tell the greedy return over the training, and at its end.

    :param group: runs
    """
    return f"{_mean(group.greedy_areas)} / {_mean(group.greedy_ends)}"


def counted_scores(group: Group | None) -> str:
    """
    Tell the same, and of how many runs; nothing if there are too few.

    :param group: runs, if there are any
    """
    if group is None or len(group.results) < LEAST_RUNS:
        return NOTHING
    return f"{scores(group)} ({len(group.results)})"


def _mean(scores: np.ndarray) -> str:
    return number(float(interquartile_mean(scores)))
