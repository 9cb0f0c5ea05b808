"""From cell files to the figures of a report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.agreement import AGREEMENTS
from benchmarks.curves import area_under_curve, curve_steps, own_curve, steps_until_solved
from benchmarks.statistics import Estimate, aggregate, improvement, relative
from benchmarks.storage import ResultFolder
from benchmarks.suite import Suite
from sb3_diiqn.expert.training import final_return

MATCHING = ("matched", "usefulness", "training", "inference", "confidence")
"""Of the statistics of training: share of the agent's transitions with a match, the factors of Phi, and Phi."""
KNOWN = AGREEMENTS + MATCHING
"""All that is said of what is known of the expert."""


@dataclass(frozen=True)
class Group:
    """
    The finished runs of one algorithm and variation in one environment.

    :param label: what tables and figures call it
    :param results: the content of the cell files, by seed
    :param n_cells: how many runs there are to be
    :param expert_return: mean and standard deviation of the returns of the expert that they learned from, the environment's
        expert if they used none; NaN if unknown
    :param reference_return: mean return of the environment's own expert, NaN if unknown
    :param solved: return from which on the environment counts as solved: the suite's, else the reference; NaN if unknown
    :param lowest_return: return that counts as zero in ratios
    """

    environment: str
    algorithm: str
    variation: str
    label: str
    results: list[dict[str, Any]]
    n_cells: int
    n_timesteps: int
    expert_return: tuple[float, float]
    reference_return: float
    solved: float
    lowest_return: float

    @cached_property
    def own_curves(self) -> np.ndarray:
        """Return of the episodes that the agent played alone, NaN where nobody knows, shape (n_runs, N_POINTS)."""
        return np.stack([own_curve(result, curve_steps(self.n_timesteps)) for result in self.results])

    @cached_property
    def own_areas(self) -> np.ndarray:
        """Mean own return of each run, shape (n_runs,)."""
        return np.array([area_under_curve(curve) for curve in self.own_curves])

    @cached_property
    def own_finals(self) -> np.ndarray:
        """Mean own return of each run over the last tenth of its training, shape (n_runs,)."""
        steps = curve_steps(self.n_timesteps)
        return np.array([final_return(steps, curve, self.n_timesteps) for curve in self.own_curves])

    @cached_property
    def greedy_areas(self) -> np.ndarray:
        """Mean greedy return of each run over all of its evaluations, shape (n_runs,)."""
        return np.array([np.mean(greedy["mean"]) for greedy in self._greedy])

    @cached_property
    def greedy_ends(self) -> np.ndarray:
        """Mean greedy return of each run over the last tenth of its training, shape (n_runs,)."""
        return np.array([final_return(greedy["step"], greedy["mean"], self.n_timesteps) for greedy in self._greedy])

    @cached_property
    def steps_until_solved(self) -> np.ndarray:
        """Step at which each run solved the environment, infinity if it did not, shape (n_runs,)."""
        return np.array([steps_until_solved(greedy["step"], greedy["mean"], self.solved) for greedy in self._greedy])

    @property
    def greedy_curves(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps of the evaluations, shape (n,), and greedy returns, shape (n_runs, n)."""
        return np.asarray(self._greedy[0]["step"]), np.stack([np.asarray(greedy["mean"]) for greedy in self._greedy])

    @property
    def agreement(self) -> dict[str, float]:
        """How well the runs knew the expert's actions at their ends: means of what was recorded, nothing if nothing was."""
        return _means([result["agreement"][-1] for result in self.results if result.get("agreement")], AGREEMENTS)

    @property
    def matching(self) -> dict[str, float]:
        """How much the expert's transitions counted: means over runs and training of what was recorded."""
        return _means([sample for result in self.results for sample in result["expert_statistics"]], MATCHING)

    @property
    def known(self) -> dict[str, float]:
        """What is known of the expert, by those of :data:`KNOWN` that there are."""
        return self.agreement | self.matching

    @property
    def _greedy(self) -> list[dict[str, Any]]:
        return [result["greedy"] for result in self.results]


def _means(samples: list[dict[str, float]], names: tuple[str, ...]) -> dict[str, float]:
    """Average what was recorded, each name over the samples that have it; names that none has are left out."""
    values = {name: [sample[name] for sample in samples if name in sample] for name in names}
    return {name: float(np.mean(of_name)) for name, of_name in values.items() if of_name}


@dataclass(frozen=True)
class Summary:
    """
    One row of an environment's table.

    :param greedy_area: mean greedy return over all evaluations
    :param relative_area: the same as a share of the baseline's; None for the baseline, as all that compares
    :param greedy_end: mean greedy return over the last tenth of the training
    :param relative_end: the same as a share of the baseline's
    :param improvement: probability that a run's greedy area exceeds that of a run of the baseline
    :param expert_passed: whether the interval of ``greedy_end`` lies above the expert's mean return; None if nobody can say
    :param steps: steps until solved, runs that did not solve it count with the whole training; None if there is no criterion
    :param solved: share of runs that solved it; NaN if there is no criterion
    :param own: mean return during the training of the episodes that the agent played alone, NaN if nobody knows
    :param relative_own: the same as a share of the baseline's
    :param final_own: own return over the last tenth
    """

    group: Group
    greedy_area: Estimate
    relative_area: Estimate | None
    greedy_end: Estimate
    relative_end: Estimate | None
    improvement: Estimate | None
    expert_passed: bool | None
    steps: Estimate | None
    solved: float
    own: Estimate
    relative_own: Estimate | None
    final_own: Estimate


@dataclass(frozen=True)
class Overall:
    """One row of the table over all environments that this algorithm shares with the baseline."""

    label: str
    n_environments: int
    n_runs: int
    relative_area: Estimate
    relative_end: Estimate
    improvement: Estimate
    n_passed: int
    relative_own: Estimate


def load_groups(suite: Suite, folder: ResultFolder) -> list[Group]:
    """Read the finished cells of a suite; combinations without any are left out."""
    manifest, groups = folder.manifest(), []
    for environment, algorithm, variation in suite.combinations():
        cells = [suite.cell(environment, algorithm, variation, seed) for seed in suite.seeds]
        results = [result for cell in cells if (result := folder.result(cell, manifest)[1]) is not None]
        if not results:
            continue
        settings = suite.environments[environment]
        expert_return = _returns(manifest, cells[0].expert or suite.expert(environment))
        reference_return, _ = _returns(manifest, suite.expert(environment))
        groups.append(
            Group(
                environment,
                algorithm,
                variation,
                algorithm if variation == "default" else f"{algorithm}, {variation}",
                results,
                len(cells),
                settings.n_timesteps,
                expert_return,
                reference_return,
                reference_return if settings.solved is None else settings.solved,
                settings.lowest_return,
            )
        )
    return groups


def _returns(manifest: dict[str, dict[str, Any]], recipe: Any) -> tuple[float, float]:
    entry = manifest.get(recipe.name) if recipe else None
    if entry is None or entry["mean_return"] is None:
        return float("nan"), float("nan")
    return entry["mean_return"], entry["std_return"]


def default_group(environment: str, algorithm: str, groups: list[Group]) -> Group | None:
    """Find the default variation of an algorithm in an environment, if it was run."""
    wanted = (environment, algorithm, "default")
    return next((group for group in groups if (group.environment, group.algorithm, group.variation) == wanted), None)


def baselines(environment: str, groups: list[Group], suite: Suite) -> list[Group]:
    """Find the baseline in an environment, in all variations in which it was run there, the first one first."""
    return [other for other in groups if (other.environment, other.algorithm) == (environment, suite.baseline)]


def find_baseline(group: Group, groups: list[Group], suite: Suite) -> Group | None:
    """Find what a group is compared with: the baseline in its environment, in the same variation if it was run there."""
    found = baselines(group.environment, groups, suite)
    return next((other for other in found if other.variation == group.variation), found[0] if found else None)


def summarise(group: Group, groups: list[Group], suite: Suite) -> Summary:
    """Make the row of a group."""
    base = find_baseline(group, groups, suite)
    if base is group:
        base = None

    def shares(scores: str) -> Estimate | None:
        return None if base is None else _relative([group], [base], scores)

    end = aggregate([group.greedy_ends])
    unknown = np.isnan(group.expert_return[0]) or np.isnan(end.low)
    has_criterion = not np.isnan(group.solved)
    return Summary(
        group=group,
        greedy_area=aggregate([group.greedy_areas]),
        relative_area=shares("greedy_areas"),
        greedy_end=end,
        relative_end=shares("greedy_ends"),
        improvement=None if base is None else improvement([group.greedy_areas], [base.greedy_areas]),
        expert_passed=None if unknown else bool(end.low > group.expert_return[0]),
        steps=aggregate([np.minimum(group.steps_until_solved, group.n_timesteps)]) if has_criterion else None,
        solved=float(np.mean(np.isfinite(group.steps_until_solved))) if has_criterion else float("nan"),
        own=aggregate([group.own_areas]),
        relative_own=shares("own_areas"),
        final_own=aggregate([group.own_finals]),
    )


def _relative(groups: list[Group], bases: list[Group], scores: str) -> Estimate:
    """Compare scores, an attribute of the groups, with the baseline's in the same environments."""
    of_groups, of_bases = ([getattr(group, scores) for group in side] for side in (groups, bases))
    return relative(of_groups, of_bases, [group.lowest_return for group in groups])


def overall(summaries: list[Summary], groups: list[Group], suite: Suite) -> list[Overall]:
    """Aggregate over environments: returns as shares of the baseline's, each run one score."""
    rows = []
    for label in dict.fromkeys(summary.group.label for summary in summaries):
        compared: list[tuple[Group, Group]] = []
        passed = 0
        for summary in summaries:
            base = find_baseline(summary.group, groups, suite)
            if summary.group.label == label and base and summary.relative_area and not np.isnan(summary.relative_area.value):
                compared.append((summary.group, base))
                passed += summary.expert_passed is True
        if not compared:
            continue
        own, bases = [group for group, _ in compared], [base for _, base in compared]
        rows.append(
            Overall(
                label,
                len(compared),
                sum(len(group.results) for group in own),
                _relative(own, bases, "greedy_areas"),
                _relative(own, bases, "greedy_ends"),
                improvement([group.greedy_areas for group in own], [base.greedy_areas for base in bases]),
                passed,
                _relative(own, bases, "own_areas"),
            )
        )
    return rows
