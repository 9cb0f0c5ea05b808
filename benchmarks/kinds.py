"""Kinds of experts: how the default does with those that are no help, beside the suites' own."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.algorithms import BASELINE
from benchmarks.analysis import Group, Summary, default_group, load_groups, summarise
from benchmarks.headline import LEAST_RUNS, scores
from benchmarks.report import NOTHING, estimate, number
from benchmarks.storage import ResultFolder
from benchmarks.tables import Table

ALGORITHM = "diiqn"
KINDS = {
    "default": "good",
    "weak": "weak",
    "random-pairs": "random pairs",
    "other-goal": "wants something else",
    "other-actions": "has other actions",
}
"""The variations of the suites, and what the table calls their experts."""


class Task(NamedTuple):
    """Where all of :data:`KINDS` are run."""

    suite: str
    environment: str
    name: str


TASKS = (
    Task("demo", "Maze2D", "maze"),
    Task("grids", "FrozenLake", "slippery ice"),
    Task("classic_control", "CartPole-v1", "CartPole"),
)


def kinds_table(folder: ResultFolder) -> Table:
    """
    Make the table of the documentation, of what has been run often enough.

    :param folder: where the finished cells are
    """
    suites = {suite.name: suite for suite in folder.suites({task.suite for task in TASKS})}
    rows = []
    for task in TASKS:
        suite = suites[task.suite]
        groups = load_groups(suite, folder)
        base = default_group(task.environment, BASELINE, groups)
        for group in groups:
            wanted = (group.environment, group.algorithm) == (task.environment, ALGORITHM) and group.variation in KINDS
            if base is not None and wanted and len(group.results) >= LEAST_RUNS:
                rows.append([task.name, *_columns(base, summarise(group, groups, suite))])
    header = ["task", "expert", "returns", "DQN, greedy", "DIIQN, greedy", "over the training", "over its last tenth"]
    return Table(header, rows)


def _columns(base: Group, summary: Summary) -> list[str]:
    """Tell what the expert returns, what both reach, and the latter as a share of the former."""
    group = summary.group
    # nobody acts as random pairs do
    returns = NOTHING if group.variation == "random-pairs" else number(group.expert_return[0])
    own = f"{scores(group)} ({len(group.results)})"
    shares = estimate(summary.relative_area), estimate(summary.relative_end)
    return [KINDS[group.variation], returns, scores(base), own, *shares]
