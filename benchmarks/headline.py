"""The figure and the table at the front of the documentation: greedy returns of DQN and DIIQN, from finished cells."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from benchmarks.analysis import Group, load_groups
from benchmarks.equal_time import compare
from benchmarks.plots import STYLE, curve, save, smoothed, step_axis, styles
from benchmarks.report import number
from benchmarks.statistics import interquartile_mean
from benchmarks.storage import ResultFolder
from benchmarks.suite import Suite
from benchmarks.tables import Table

ALGORITHMS = ("dqn", "diiqn")
ENVIRONMENTS = ("Breakout", "Asterix", "Freeway")
NAMES = {"dqn": "DQN", "diiqn": "DIIQN"}


def write_headline(suite: Suite, folder: ResultFolder, path: Path) -> Table:
    """
    Draw the figure.

    :param suite: with the algorithms :data:`ALGORITHMS` and the environments :data:`ENVIRONMENTS`
    :param folder: where its finished cells are
    :param path: the PNG
    :return: the table, of all environments of the suite
    """
    groups = [g for g in load_groups(suite, folder) if g.variation == "default" and g.algorithm in ALGORITHMS]
    with matplotlib.rc_context({**STYLE, "savefig.dpi": 200}):
        save(_figure(groups), path)
    return _table(groups, suite, folder)


def _figure(groups: list[Group]) -> Figure:
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axis, environment in zip(figure.subplots(1, len(ENVIRONMENTS)), ENVIRONMENTS, strict=True):
        shown = [(group, style) for group, style in styles(groups) if group.environment == environment]
        for group, style in shown:
            steps, curves = group.greedy_curves
            curve(axis, steps, smoothed(curves), style | {"label": NAMES[group.algorithm], "linewidth": 2.4})
        axis.axhline(shown[0][0].reference_return, color="#333333", linestyle=(0, (4, 3)), linewidth=1.2, label="expert")
        axis.set_title(environment, fontsize=13)
        step_axis(axis, shown[0][0].n_timesteps)
        axis.set_ylim(bottom=0)
        axis.set_xticks([0, 250_000, 500_000])
    figure.axes[0].set_ylabel("greedy return")
    lines = figure.axes[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=len(lines[0]), fontsize=12)
    return figure


def _table(groups: list[Group], suite: Suite, folder: ResultFolder) -> Table:
    times = {one.timed.group.environment: one.timed for one in compare(groups, suite, folder)}
    rows = []
    for environment in suite.environments:
        pair = {group.algorithm: group for group in groups if group.environment == environment}
        scores = [f"{_mean(pair[name].greedy_areas)} / {_mean(pair[name].greedy_ends)}" for name in ALGORITHMS]
        timed = times.get(environment)
        rows.append([environment, *scores, "-" if timed is None else f"{1 / timed.speed:.2f}"])
    return Table(["MinAtar", *(f"{NAMES[name]}, greedy" for name in ALGORITHMS), "CPU time"], rows)


def _mean(scores: np.ndarray) -> str:
    return number(float(interquartile_mean(scores)))
