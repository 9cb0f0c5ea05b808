"""Bridges: paths of the agent around what it cannot do, that lead back to the expert's trajectory. (HA-DIIQN)"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sb3_diiqn.inference.nearest import NO_ACTION


class BridgeCandidates(NamedTuple):
    """Paths that the agent has gone through, each from an expert transition's state to a later state of its trajectory."""

    transition: np.ndarray
    """The expert transition at whose state the path starts, shape (n,)."""
    length: np.ndarray
    """Agent steps of the path, 1 to k, shape (n,)."""
    end_observation: np.ndarray
    """Index of the expert observation at which the path ends, shape (n,)."""
    gain: np.ndarray
    """Expert steps from start to end, 1 to n, shape (n,)."""
    distance: np.ndarray
    """Mean distance of the path's ends to the expert's states, shape (n,)."""
    actions: np.ndarray
    """The path's actions, padded with ``NO_ACTION``, shape (n, k)."""
    reward: np.ndarray
    """The path's own discounted return, shape (n,)."""
    terminal: np.ndarray
    """1 where the episode ended for good with the path's last step, shape (n,)."""


def no_candidates(max_length: int) -> BridgeCandidates:
    """
    Make an empty list of candidates.

    :param max_length: k, longest path in agent steps
    """
    whole, real = np.zeros(0, dtype=np.int64), np.zeros(0)
    return BridgeCandidates(whole, whole, whole, whole, real, np.zeros((0, max_length), dtype=np.int64), real, real)


class Bridges:
    """
    The best bridge found so far for each expert transition.

    Better is, in this order: more expert steps gained per agent step, a nearer match, found earlier.

    :param n_transitions: number of expert transitions
    :param max_length: k, longest path in agent steps
    """

    def __init__(self, n_transitions: int, max_length: int) -> None:
        #: agent steps, 0 where there is no bridge, shape (n_transitions,)
        self.length = np.zeros(n_transitions, dtype=np.int32)
        #: expert steps gained, shape (n_transitions,)
        self.gain = np.zeros(n_transitions, dtype=np.int32)
        #: mean distance of the ends to the expert's states, shape (n_transitions,)
        self.distance = np.full(n_transitions, np.inf, dtype=np.float32)
        #: index of the expert observation where it ends, shape (n_transitions,)
        self.end_observation = np.zeros(n_transitions, dtype=np.int64)
        #: its actions; the first is a_feas, shape (n_transitions, k)
        self.actions = np.full((n_transitions, max_length), NO_ACTION, dtype=np.int16)
        #: discounted return along it, shape (n_transitions,)
        self.reward = np.zeros(n_transitions, dtype=np.float32)
        #: 1 where the episode ended for good with it, shape (n_transitions,)
        self.terminal = np.zeros(n_transitions, dtype=np.float32)
        #: how often following it has failed since it was found, minus how often it led to its end, shape (n_transitions,)
        self.failures = np.zeros(n_transitions, dtype=np.int32)

    def update(self, found: BridgeCandidates) -> np.ndarray:
        """
        Keep those candidates that are better than what is known.

        :param found: candidates, earliest first
        :return: the expert transitions that have a new bridge, shape (n,)
        """
        if len(found.transition) == 0:
            return found.transition
        order = np.lexsort((found.distance, -found.gain / found.length, found.transition))
        transition, first = np.unique(found.transition[order], return_index=True)
        best = order[first]
        better = self._is_better(transition, found.gain[best], found.length[best], found.distance[best])
        transition, best = transition[better], best[better]
        self.length[transition] = found.length[best]
        self.gain[transition] = found.gain[best]
        self.distance[transition] = found.distance[best]
        self.end_observation[transition] = found.end_observation[best]
        self.actions[transition] = found.actions[best]
        self.reward[transition] = found.reward[best]
        self.terminal[transition] = found.terminal[best]
        self.failures[transition] = 0
        return np.asarray(transition)

    def judge(self, transitions: np.ndarray, arrived: np.ndarray, patience: int) -> None:
        """
        Note how following bridges went, and drop those that have failed too often.

        :param transitions: bridges that were followed to their last action, shape (n,), each at most once
        :param arrived: whether the agent then was at the bridge's end, shape (n,)
        :param patience: so many more failures than successes drop a bridge
        """
        self.failures[transitions] += np.where(arrived, -1, 1)
        dropped = transitions[self.failures[transitions] >= patience]
        self.length[dropped], self.gain[dropped], self.failures[dropped] = 0, 0, 0
        self.distance[dropped] = np.inf

    def _is_better(self, transition: np.ndarray, gain: np.ndarray, length: np.ndarray, distance: np.ndarray) -> np.ndarray:
        # gain / length compared without division: a / b > c / d where a * d > c * b
        new = gain.astype(np.int64) * np.maximum(self.length[transition], 1)
        known = self.gain[transition].astype(np.int64) * length
        return np.asarray((new > known) | ((new == known) & (distance < self.distance[transition])))
