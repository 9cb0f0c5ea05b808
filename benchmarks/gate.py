"""The default beside the one before it, task by task: ``python -m benchmarks.gate results`` writes ``results/gate.md``."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.algorithms import BASELINE
from benchmarks.analysis import Group, default_group, load_groups
from benchmarks.report import NOTHING, estimate
from benchmarks.statistics import Estimate, aggregate
from benchmarks.storage import ResultFolder
from benchmarks.tables import Table
from sb3_diiqn.expert.manifest import write_text

EARLIER = "earlier"
"""Name of the folder with the results of the default before."""


@dataclass(frozen=True)
class Task:
    """
    A task of the gate.

    :param algorithm: whose default it is about
    :param before: the rows of the default before, as it was with either of its presets
    """

    suite: str
    environment: str
    algorithm: str = "diiqn"
    before: tuple[str, ...] = ("diiqn",)


TASKS = (
    Task("demo", "Maze2D"),
    Task("mazes", "king-expert", "hadiiqn", ("hadiiqn",)),
    Task("mazes", "skew-agent", "hadiiqn", ("hadiiqn",)),
    Task("point_maze", "point-maze", "hadiiqn", ("hadiiqn", "hadiiqn-bridges")),
    Task("point_maze", "point-maze"),
    Task("minatar_parts", "Breakout"),
    Task("minatar_parts", "Asterix"),
    Task("classic_control", "CartPole-v1"),
    Task("classic_control", "Acrobot-v1"),
)
PAGE = """\
# The default beside the one before it

Greedy return over the training: interquartile mean over the runs with 95 % bootstrap interval, the number of runs in brackets.
A default may replace the one before it if it is nowhere below the lower end of that one's interval; of several rows before it
the better one counts. `python -m benchmarks.gate results` makes this page from the cells in `results` and `results/{earlier}`.

{table}
"""


def main(root: Path) -> None:
    """
    Write the page into a folder of results.

    :param root: the folder
    """
    names = {task.suite for task in TASKS}
    now, before = (_groups(ResultFolder(folder), names) for folder in (root, root / EARLIER))
    header = ["suite", "task", "", BASELINE, "before", "now", "holds"]
    page = PAGE.format(earlier=EARLIER, table=Table(header, [describe(task, before, now) for task in TASKS]).markdown())
    print(page)
    write_text(root / "gate.md", page)


def describe(task: Task, before: dict[str, list[Group]], now: dict[str, list[Group]]) -> list[str]:
    """
    Make the row of a task.

    :param before: groups of the results before, by suite
    :param now: groups of the results now, by suite
    """
    earlier, present = before.get(task.suite, []), now.get(task.suite, [])
    known = [group for name in task.before if (group := default_group(task.environment, name, earlier)) is not None]
    best = max(known, key=lambda group: aggregate([group.greedy_areas]).value, default=None)
    own, baseline = (default_group(task.environment, name, present) for name in (task.algorithm, BASELINE))
    cells = [_cell(group) for group in (baseline, best, own)]
    return [task.suite, task.environment, task.algorithm, *cells, verdict(_reached(best), _reached(own))]


def verdict(before: Estimate | None, now: Estimate | None) -> str:
    """
    Say whether a default may replace the one before it.

    :param before: what that one reached, None if nobody knows; of a single run there is no interval
    :param now: what it reaches, None if it was not run
    """
    if now is None or before is None or math.isnan(before.low):
        return NOTHING
    return "yes" if now.value >= before.low else "**no**"


def _groups(folder: ResultFolder, names: set[str]) -> dict[str, list[Group]]:
    """Read the groups of suites, by suite."""
    return {suite.name: load_groups(suite, folder) for suite in folder.suites(names)}


def _reached(group: Group | None) -> Estimate | None:
    return None if group is None else aggregate([group.greedy_areas])


def _cell(group: Group | None) -> str:
    return NOTHING if group is None else f"{estimate(_reached(group))} ({len(group.results)})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
