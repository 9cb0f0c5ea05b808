"""Algorithms compared at equal processor time: what each has learned by the time that the baseline takes for its training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.analysis import Group, baselines
from benchmarks.cost import load_cost
from benchmarks.curves import area_under_curve, curve_steps, own_curve
from benchmarks.statistics import Estimate, relative
from benchmarks.storage import ResultFolder
from benchmarks.suite import Suite
from sb3_diiqn.expert.training import final_return


@dataclass(frozen=True)
class Timed:
    """
    The runs of a group, over the CPU time that the baseline's training takes.

    :param steps: of a training, shape (n,)
    :param seconds: that a training takes until then, shape (n,)
    :param end: seconds that the baseline's training takes
    """

    group: Group
    steps: np.ndarray
    seconds: np.ndarray
    end: float

    @property
    def times(self) -> np.ndarray:
        """Evenly spaced times until the end, in seconds, shape (N_POINTS,)."""
        return curve_steps(self.end)

    @property
    def speed(self) -> float:
        """Speed of a whole training, relative to the baseline's."""
        return float(self.end / self.seconds[-1])

    @cached_property
    def steps_at_times(self) -> np.ndarray:
        """Steps until each of the times, at most those of a training, shape (N_POINTS,)."""
        return np.asarray(np.interp(self.times, np.append(0.0, self.seconds), np.append(0.0, self.steps)))

    @cached_property
    def own_curves(self) -> np.ndarray:
        """Own return at the times, shape (n_runs, N_POINTS)."""
        return np.stack([own_curve(result, self.steps_at_times) for result in self.group.results])

    @cached_property
    def greedy_curves(self) -> np.ndarray:
        """Greedy return at the times, linear from the lowest return to each evaluation in turn, shape (n_runs, N_POINTS)."""
        steps, curves = self.group.greedy_curves
        # else who is slow would have from the beginning what its first evaluation shows late
        known = np.append(0, steps)
        return np.stack(
            [np.interp(self.steps_at_times, known, np.append(self.group.lowest_return, curve)) for curve in curves]
        )

    @cached_property
    def greedy_areas(self) -> np.ndarray:
        """Mean greedy return of each run over the time, shape (n_runs,)."""
        return np.array([area_under_curve(curve) for curve in self.greedy_curves])

    @cached_property
    def greedy_ends(self) -> np.ndarray:
        """Mean greedy return of each run over the last tenth of the time, shape (n_runs,)."""
        return np.array([final_return(self.times, curve, self.end) for curve in self.greedy_curves])

    @cached_property
    def own_areas(self) -> np.ndarray:
        """Mean own return of each run over the time, shape (n_runs,)."""
        return np.array([area_under_curve(curve) for curve in self.own_curves])


@dataclass(frozen=True)
class Comparison:
    """A group and the baseline, at equal time."""

    baseline: Timed
    timed: Timed

    def relative(self, scores: str) -> Estimate:
        """
        Compare with the baseline.

        :param scores: ``greedy_areas``, ``greedy_ends`` or ``own_areas``
        """
        own, other = getattr(self.timed, scores), getattr(self.baseline, scores)
        return relative([own], [other], [self.timed.group.lowest_return])


def compare(groups: list[Group], suite: Suite, folder: ResultFolder) -> list[Comparison]:
    """
    Compare all of which it was measured what they take with the first variation of the baseline.

    See :mod:`~benchmarks.cost`.

    :param groups: from :func:`~benchmarks.analysis.load_groups`
    """
    comparisons = []
    for group in groups:
        base = next(iter(baselines(group.environment, groups, suite)), None)
        if base is None or base is group:
            continue
        cost = load_cost(folder, _any_cell(base, suite), _any_cell(group, suite))
        if cost is not None:
            steps, (before, after) = np.asarray(cost["steps"]), np.asarray(cost["seconds"])
            comparisons.append(Comparison(Timed(base, steps, before, before[-1]), Timed(group, steps, after, before[-1])))
    return comparisons


def _any_cell(group: Group, suite: Suite) -> Any:
    return suite.cell(group.environment, group.algorithm, group.variation, suite.seeds[0])
