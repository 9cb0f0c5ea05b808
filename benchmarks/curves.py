"""What one training's curve says. Every figure of the report that is about a single run is defined here."""

from __future__ import annotations

import numpy as np

N_POINTS = 100
"""A training curve is read at this many evenly spaced steps, the last one being the end of the training."""
WINDOW = 20
"""The training return at a step is the mean over this many episodes finished last (all, while there are fewer)."""


def curve_steps(n_timesteps: float) -> np.ndarray:
    """Steps at which a training curve is read, shape (N_POINTS,)."""
    return np.arange(1, N_POINTS + 1) * n_timesteps / N_POINTS


def training_curve(steps: np.ndarray, returns: np.ndarray, n_timesteps: int) -> np.ndarray:
    """
    Read the training return at evenly spaced steps.

    :param steps: step at which each episode finished, shape (n,), ascending
    :param returns: return of each episode, shape (n,)
    :param n_timesteps: length of the training
    :return: shape (N_POINTS,), see :func:`training_returns`
    """
    return training_returns(steps, returns, curve_steps(n_timesteps))


def training_returns(steps: np.ndarray, returns: np.ndarray, at: np.ndarray) -> np.ndarray:
    """
    Read the training return at any steps.

    The value at step t is the mean return of the last :data:`WINDOW` episodes that finished at or before t. Before the first
    episode finished, it is that episode's return.

    :param steps: step at which each episode finished, shape (n,), ascending
    :param returns: return of each episode, shape (n,)
    :param at: where to read it, shape (m,)
    :return: shape (m,); NaN throughout if no episode finished
    """
    if len(returns) == 0:
        return np.full(len(at), np.nan)
    ends = np.maximum(np.searchsorted(steps, at, side="right"), 1)
    sums = np.concatenate([[0.0], np.cumsum(returns)])
    starts = np.maximum(ends - WINDOW, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def area_under_curve(curve: np.ndarray) -> float:
    """Mean of a training curve over the steps: the area under it, divided by the length of the training."""
    return float(np.mean(curve))


def steps_until_solved(steps: np.ndarray, means: np.ndarray, threshold: float) -> float:
    """
    Step of the first evaluation at which the task is solved.

    Solved means: the greedy mean return reaches the threshold, at this evaluation and at the next one if there is one.

    :param steps: step of each evaluation, shape (n,), ascending
    :param means: mean return of each evaluation, shape (n,)
    :return: infinity if it never is
    """
    reached = np.asarray(means) >= threshold
    held = reached & np.append(reached[1:], True)
    return float(np.asarray(steps)[held][0]) if held.any() else float("inf")
