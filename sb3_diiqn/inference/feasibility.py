"""Infeasibility: which transitions of the expert can none of the agent's own actions reproduce? (HA-DIIQN)"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Feasibility(IntEnum):
    """What is known about an expert transition."""

    UNKNOWN = 0
    """The agent has not tried enough at states that match it."""
    FEASIBLE = 1
    """An own action has reproduced it."""
    INFEASIBLE = 2
    """Every own action has been tried there, and none came near."""


class TriedActions:
    """
    Counts how often each own action was tried at states that match each expert state.

    A high inference error alone proves nothing: a state where the agent never was is unknown, not infeasible. As Price and
    Boutilier test all own actions, all of them must have been tried.

    :param n_states: number of expert states
    :param n_actions: number of the agent's actions
    """

    def __init__(self, n_states: int, n_actions: int) -> None:
        #: tries, up to 255, shape (n_states, n_actions)
        self.counts = np.zeros((n_states, n_actions), dtype=np.uint8)

    def update(self, states: np.ndarray, actions: np.ndarray) -> None:
        """
        Count tries.

        :param states: expert states that the agent's observations match, shape (n,)
        :param actions: the action that the agent took at each, shape (n,)
        """
        pairs, counts = np.unique(states * self.counts.shape[1] + actions, return_counts=True)
        flat = self.counts.reshape(-1)
        flat[pairs] = np.minimum(flat[pairs].astype(np.int64) + counts, np.iinfo(np.uint8).max)

    def sufficient(self, states: np.ndarray, evidence: int) -> np.ndarray:
        """
        Tell where every own action was tried often enough.

        :param states: expert states, shape (n,)
        :param evidence: tries of each action that are enough
        :return: shape (n,), bool
        """
        return np.asarray(self.counts[states].min(axis=1) >= evidence)


def classify(error: np.ndarray, tried: np.ndarray, threshold: float) -> np.ndarray:
    """
    Decide between the three states of an expert transition.

    :param error: err_e, distance of the nearest agent transition, shape (n,)
    :param tried: whether every own action was tried often enough at its state, shape (n,)
    :param threshold: largest error of a feasible transition
    :return: values of :class:`Feasibility`, shape (n,), int8
    """
    unreached = np.where(tried, np.int8(Feasibility.INFEASIBLE), np.int8(Feasibility.UNKNOWN))
    return np.asarray(np.where(error <= threshold, np.int8(Feasibility.FEASIBLE), unreached))
