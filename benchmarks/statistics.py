"""
Statistics over runs, after Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".

Scores are always a list of strata, one array of runs per environment: the bootstrap draws runs anew within each environment,
never across. SciPy, which is there anyway, has both parts: a trimmed mean, and a bootstrap that resamples each of several
samples by itself. Their own package, rliable, has the same estimates, and brings seven further packages with it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

N_RESAMPLES = 5000


class Estimate(NamedTuple):
    """A value with its 95 % confidence interval, which is NaN if the value is or if a stratum has fewer than two runs."""

    value: float
    low: float
    high: float


def interquartile_mean(scores: Any, axis: int = -1) -> Any:
    """Mean of the middle half: a quarter of the values, rounded down, is left out on each side."""
    return stats.trim_mean(scores, 0.25, axis=axis)


def improvement_probability(scores: Any, baseline: Any, axis: int = -1) -> Any:
    """Probability that a run drawn from one is better than a run drawn from the other; ties count half."""
    first = np.expand_dims(np.moveaxis(np.asarray(scores), axis, -1), -1)
    second = np.expand_dims(np.moveaxis(np.asarray(baseline), axis, -1), -2)
    return np.mean((first > second) + 0.5 * (first == second), axis=(-2, -1))


def aggregate(strata: Sequence[Any]) -> Estimate:
    """
    Interquartile mean over the runs of all strata.

    :param strata: scores of the runs, one array per environment, on comparable scales
    """
    return _estimate(strata, lambda *samples, axis: interquartile_mean(np.concatenate(samples, axis=axis), axis))


#: Scores that differ by less are equal.
ROUNDING = 1e-9


def relative(strata: Sequence[Any], baselines: Sequence[Any], lowest: Sequence[float]) -> Estimate:
    """
    Interquartile mean over all runs, each as a share of the baseline's interquartile mean in its environment.

    :param strata: scores of the runs, one array per environment
    :param baselines: scores of the baseline's runs, one array per environment
    :param lowest: score that counts as zero, for each environment
    :return: NaN if in some environment the baseline does not exceed the lowest score
    """
    n_strata = len(strata)
    if any(not interquartile_mean(baseline) > low for baseline, low in zip(baselines, lowest, strict=True)):
        return Estimate(np.nan, np.nan, np.nan)

    def shares(*samples: Any, axis: int) -> Any:
        parts = []
        for scores, baseline, low in zip(samples[:n_strata], samples[n_strata:], lowest, strict=True):
            reference = np.expand_dims(interquartile_mean(baseline, axis), axis)
            gap = reference - low
            # what is left of an equal one by rounding is nothing
            parts.append((scores - low) / np.where(gap > ROUNDING, gap, 0.0))
        return interquartile_mean(np.concatenate(parts, axis=axis), axis)

    with np.errstate(divide="ignore", invalid="ignore"):  # a resampled baseline may fall to the lowest score
        return _estimate([*strata, *baselines], shares)


def improvement(strata: Sequence[Any], baselines: Sequence[Any]) -> Estimate:
    """
    Probability of improvement, mean over environments.

    :param strata: scores of the runs, one array per environment
    :param baselines: scores of the baseline's runs, one array per environment
    """

    def probability(*samples: Any, axis: int) -> Any:
        pairs = zip(samples[: len(strata)], samples[len(strata) :], strict=True)
        return np.mean([improvement_probability(first, second, axis) for first, second in pairs], axis=0)

    return _estimate([*strata, *baselines], probability)


def bands(curves: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Interquartile mean with its interval at each point of a bundle of curves.

    :param curves: shape (n_runs, n_points)
    :return: value, low, high, each of shape (n_points,); the interval is NaN for a single run
    """
    return _with_interval([np.asarray(curves, dtype=float).T], interquartile_mean, n_resamples=1000)


def _estimate(samples: Sequence[Any], statistic: Callable[..., Any]) -> Estimate:
    value, low, high = _with_interval(samples, statistic, N_RESAMPLES)
    return Estimate(float(value), float(low), float(high))


def _with_interval(samples: Sequence[Any], statistic: Callable[..., Any], n_resamples: int) -> tuple[Any, Any, Any]:
    arrays = [np.asarray(sample, dtype=float) for sample in samples]
    value = statistic(*arrays, axis=-1)
    if np.isnan(value).any() or min(array.shape[-1] for array in arrays) < 2:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
    random = np.random.default_rng(0)
    with warnings.catch_warnings():
        # equal values have an interval of no width, which is right
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            arrays, statistic, n_resamples=n_resamples, batch=500, axis=-1, method="percentile", rng=random
        )
    return value, result.confidence_interval.low, result.confidence_interval.high
