"""What one training's curve says. Every figure of the report that is about a single run is defined here."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.algorithms import ALGORITHMS

N_POINTS = 100
"""A training curve is read at this many evenly spaced steps, the last one being the end of the training."""
WINDOW = 20
"""The training return at a step is the mean over this many episodes finished last (all, while there are fewer)."""


def curve_steps(n_timesteps: float) -> np.ndarray:
    """Steps at which a training curve is read, shape (N_POINTS,)."""
    return np.arange(1, N_POINTS + 1) * n_timesteps / N_POINTS


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


def own_curve(result: dict[str, Any], at: np.ndarray) -> np.ndarray:
    """
    Read what the agent's own episodes return, those that it played alone.

    Who is led by a guide says so itself (``expert/own_return``); of others all episodes are their own. Where nobody knows
    whose they were, there is no number.

    :param result: the content of a cell's file
    :param at: steps at which to read it, shape (n,)
    :return: shape (n,), before the first number it is that one; NaN throughout if there is none
    """
    samples = result["expert_statistics"]
    told = [(sample["step"], sample["own_return"]) for sample in samples if "own_return" in sample]
    # in older cells, with another name for the guide's, it is of episodes with guided stretches, too
    compared = result["settings"]["settings"].get("guide_fraction") != 0
    if told and (not compared or any("guide_return" in sample for sample in samples)):
        steps, returns = np.array(told).T
        return np.asarray(returns[np.maximum(np.searchsorted(steps, at, side="right") - 1, 0)])
    episodes = result["training"] if plays_alone(result["settings"]) else {"step": [], "return": []}
    return training_returns(np.asarray(episodes["step"]), np.asarray(episodes["return"]), at)


def plays_alone(settings: dict[str, Any]) -> bool:
    """
    Tell whether the agent plays all episodes itself.

    :param settings: of a cell
    """
    algorithm = ALGORITHMS.get(settings["class"])
    defaults = {} if algorithm is None else algorithm.defaults
    is_alone = algorithm is not None and algorithm.plays_alone
    return is_alone or bool({**defaults, **settings["settings"]}.get("guide") == "none")


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
