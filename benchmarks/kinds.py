"""Kinds of experts: how the default does with those that are no help, beside the suites' own."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.analysis import Group, find_baseline, load_groups, summarise
from benchmarks.headline import LEAST_RUNS, counted_scores, scores
from benchmarks.report import NOTHING, estimate, number
from benchmarks.storage import ResultFolder
from benchmarks.suite import Suite
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
        for group in groups:
            wanted = (group.environment, group.algorithm) == (task.environment, ALGORITHM) and group.variation in KINDS
            if wanted and len(group.results) >= LEAST_RUNS:
                rows.append([task.name, *_columns(group, groups, suite)])
    header = ["task", "expert", "returns", "DQN, greedy", "DIIQN, greedy", "over the training", "over its last tenth"]
    return Table(header, rows)


def _columns(group: Group, groups: list[Group], suite: Suite) -> list[str]:
    """Tell what the expert returns, what both reach, and the latter as a share of the former."""
    base, summary = find_baseline(group, groups, suite), summarise(group, groups, suite)
    # nobody acts as random pairs do
    returns = NOTHING if group.variation == "random-pairs" else number(group.expert_return[0])
    shares = estimate(summary.relative_area), estimate(summary.relative_end)
    return [KINDS[group.variation], returns, NOTHING if base is None else scores(base), counted_scores(group), *shares]
