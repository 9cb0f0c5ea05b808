"""
Which habits the rule picks, beside what rows with either habits reached: ``python -m benchmarks.gate results``.

The habits of :mod:`sb3_diiqn.imitation.config` were named choices of the user before a rule picked them. Where it picks those
of the better row, today's default is that row.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.analysis import Group, load_groups
from benchmarks.experts import make_recordings
from benchmarks.report import NOTHING, estimate
from benchmarks.statistics import Estimate, aggregate
from benchmarks.storage import ResultFolder
from benchmarks.suite import Suite
from benchmarks.tables import Table
from sb3_diiqn import ExpertObservations
from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert.manifest import write_text
from sb3_diiqn.expert.types import arrays_of
from sb3_diiqn.imitation.config import states_repeat


@dataclass(frozen=True)
class Task:
    """
    A task of the gate.

    :param repeat: the algorithm of the suite that has the habits for states that repeat, empty if none was run
    :param vary: the one that has those for states that vary
    """

    suite: str
    environment: str
    repeat: str = ""
    vary: str = ""


TASKS = (
    Task("demo", "Maze2D", repeat="diiqn"),
    Task("mazes", "king-expert", repeat="hadiiqn"),
    Task("mazes", "skew-agent", repeat="hadiiqn"),
    Task("point_maze", "point-maze", repeat="hadiiqn-bridges", vary="hadiiqn"),
    Task("point_maze", "point-maze", vary="diiqn"),
    Task("minatar_parts", "Breakout", vary="diiqn"),
    Task("minatar_parts", "Asterix", vary="diiqn"),
    Task("minatar", "Breakout", vary="diiqn"),
    Task("minatar", "Asterix", vary="diiqn"),
    Task("classic_control", "CartPole-v1", vary="diiqn"),
    Task("classic_control", "Acrobot-v1", vary="diiqn"),
)
PAGE = """\
# Which habits the rule picks

What `DIIQN` and `HADIIQN` do by default depends on whether the expert's states repeat (`states_repeat`: at most 500 different
ones, each seen four times or more on average). Before, the user chose, by presets that are gone. Where the rule picks the
habits of the better row, today's default is that row. Greedy return over the training: interquartile mean over the runs with
95 % bootstrap interval, from the committed cells; the number of runs is in brackets. `python -m benchmarks.gate results` makes
this page.

{table}

- "The only ones that were run": nothing says here that the others would not be better.
- HADIIQN in the point maze is the only one of which both were run. There the rule picks the better ones, and the intervals do
  not overlap.
- `minatar_parts` has 200 000 frames, but three runs instead of five; `minatar` has five, of 500 000 frames.
- The default is the row by its arguments. What reaches float vectors, as in the point maze, CartPole and Acrobot, was changed
  since: distances are measured in the units of the expert data. These rows were not run again; each cell keeps the versions
  and the revision that it was made with.
"""


def main(root: Path) -> None:
    """
    Write the page into a folder of results.

    :param root: the folder
    """
    folder = ResultFolder(root)
    suites = {suite.name: suite for suite in folder.suites({task.suite for task in TASKS})}
    groups = {name: load_groups(suite, folder) for name, suite in suites.items()}
    rows = [describe(task, suites[task.suite], groups[task.suite], folder) for task in TASKS]
    header = ["suite", "task", "", "different states", "of", "they repeat", "habits where they repeat", "where they vary"]
    page = PAGE.format(table=Table([*header, "the rule picks"], rows).markdown())
    print(page)
    write_text(root / "gate.md", page)


def describe(task: Task, suite: Suite, groups: list[Group], folder: ResultFolder) -> list[str]:
    """Make the row of a task."""
    expert = recording(task, suite, folder)
    repeat = states_repeat(expert)
    found = [_group(name, task.environment, groups) for name in (task.repeat, task.vary)]
    reached = [None if group is None else aggregate([group.greedy_areas]) for group in found]
    cells = [
        NOTHING if group is None or value is None else f"`{group.algorithm}` {estimate(value)} ({len(group.results)})"
        for group, value in zip(found, reached, strict=True)
    ]
    learner = "HADIIQN" if "hadiiqn" in task.repeat + task.vary else "DIIQN"
    size = [str(n_distinct(expert)), str(expert.n_observations), "yes" if repeat else "no"]
    return [task.suite, task.environment, learner, *size, *cells, verdict(repeat, *reached)]


def verdict(repeat: bool, of_repeating: Estimate | None, of_varying: Estimate | None) -> str:
    """
    Say how good the rule's choice is.

    :param repeat: what it says of the expert
    :param of_repeating: what was reached with the habits for states that repeat, None if that was not run
    :param of_varying: the same for states that vary
    """
    picked, other = (of_repeating, of_varying) if repeat else (of_varying, of_repeating)
    if picked is None:
        return "**those that were not run**"
    if other is None:
        return "the only ones that were run"
    return "the better ones" if picked.value >= other.value else "**the worse ones**"


def recording(task: Task, suite: Suite, folder: ResultFolder) -> ExpertObservations:
    """
    Read the expert of a task, or record it again, as its cells had it.

    :raises ExpertDataError: if it is another one than theirs
    """
    recipe = suite.expert(task.environment)
    if recipe is None:
        raise ExpertDataError(f"{task.suite}, {task.environment}: there is no expert")
    path = folder.expert(recipe)
    if path.exists():
        data = ExpertObservations.load(path)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            make_recordings(recipe, Path(temporary))
            data = ExpertObservations.load(Path(temporary) / path.name)
    if data.content_hash != folder.manifest()[recipe.name]["content_hash"]:
        raise ExpertDataError(
            f"{task.suite}, {task.environment}: the recordings here are not those that the cells learned from"
        )
    return data


def n_distinct(expert: ExpertObservations) -> int:
    """
    Count different observations.

    :param expert: the expert data
    """
    flat = [array.reshape(len(array), -1) for array in arrays_of(expert.observations).values()]
    return len({row.tobytes() for row in np.concatenate(flat, axis=1)})


def _group(algorithm: str, environment: str, groups: list[Group]) -> Group | None:
    found = [group for group in groups if (group.algorithm, group.environment) == (algorithm, environment)]
    return next((group for group in found if group.variation == "default"), None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
