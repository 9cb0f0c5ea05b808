"""Estimates of the expert's actions as probabilities, and what can be concluded from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: An action at least this likely, relative to the likeliest, may have been the expert's.
PLAUSIBLE_RATIO = 0.5


class ActionEstimates(NamedTuple):
    """Which actions the expert may have taken in n transitions."""

    plausible: np.ndarray
    """Several where they have the same effect, which is a tie and no error, shape (n, n_actions), bool."""
    certainty: np.ndarray
    """That it was one of them, beyond chance, in [0, 1], shape (n,)."""


def estimate(probabilities: np.ndarray) -> ActionEstimates:
    """
    Conclude from probabilities: the likeliest action and its like are the answer, and trusted for what they exceed chance by.

    With n actions, m of them plausible with probability p altogether, the certainty is (p - m/n) / (1 - m/n), and 0 where
    all are plausible.

    :param probabilities: shape (n, n_actions), rows add up to 1
    """
    plausible = probabilities >= PLAUSIBLE_RATIO * probabilities.max(axis=1, keepdims=True)
    chance = plausible.mean(axis=1)
    excess = (probabilities * plausible).sum(axis=1) - chance
    return ActionEstimates(plausible, np.where(chance < 1, excess / np.maximum(1 - chance, 1e-9), 0.0).clip(0.0, 1.0))


def draw_actions(likelihoods: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """
    Draw one action for each transition.

    :param likelihoods: how likely each action is, up to a factor, shape (n, n_actions), no row all 0
    :param generator: what to draw with
    :return: shape (n,), int64
    """
    cumulative = likelihoods.cumsum(axis=1)
    lots = generator.random((len(likelihoods), 1)) * cumulative[:, -1:]
    return np.asarray((lots >= cumulative).sum(axis=1).clip(max=cumulative.shape[1] - 1))


def mixed_with_chance(actions: np.ndarray, trust: np.ndarray, n_actions: int) -> np.ndarray:
    """
    Turn single actions into probabilities: the action with probability trust, else any; its certainty is the trust.

    :param actions: shape (n,), in [0, n_actions)
    :param trust: in [0, 1], shape (n,)
    :param n_actions: number of actions
    :return: shape (n, n_actions)
    """
    probabilities = np.repeat((1.0 - trust)[:, np.newaxis] / n_actions, n_actions, axis=1)
    probabilities[np.arange(len(actions)), actions] += trust
    return probabilities
