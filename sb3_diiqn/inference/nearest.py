"""The paper's table of inferred actions: which of its own the agent believes the expert took, by the nearest transition."""

from __future__ import annotations

import numpy as np

from sb3_diiqn.inference.matching import TransitionHits

#: The action of an expert transition for which none has been inferred yet.
NO_ACTION = -1


class InferredActions:
    """
    For every expert transition the action of the nearest agent transition so far ("Action inference" in the paper).

    :param n_transitions: number of expert transitions
    """

    def __init__(self, n_transitions: int) -> None:
        #: inferred action a_i, shape (n_transitions,), int64, ``NO_ACTION`` if there is none
        self.action = np.full(n_transitions, NO_ACTION, dtype=np.int64)
        #: distance err_i to the agent transition it comes from, shape (n_transitions,), float32
        self.error = np.full(n_transitions, np.inf, dtype=np.float32)
        #: reward of that agent transition, shape (n_transitions,), float32
        self.reward = np.zeros(n_transitions, dtype=np.float32)
        #: whether that agent transition ended the episode for good, shape (n_transitions,), float32 (0 or 1)
        self.terminal = np.zeros(n_transitions, dtype=np.float32)

    def update(self, hits: TransitionHits, actions: np.ndarray, rewards: np.ndarray, terminals: np.ndarray) -> None:
        """
        Let expert transition i take the action of agent transition j where D_ij < err_i: a_i <- a_j, err_i <- D_ij.

        The result is that of handling the agent transitions one after the other.

        :param hits: which agent transitions are near which expert transitions
        :param actions: the agent's actions, shape (n,)
        :param rewards: the agent's rewards, shape (n,)
        :param terminals: whether the agent's episode ended for good, shape (n,)
        """
        closer = hits.distance < self.error[hits.transition]
        query, transition, distance = hits.query[closer], hits.transition[closer], hits.distance[closer]
        order = np.lexsort((query, distance, transition))
        # the first of every expert transition is its nearest, and of equally near ones the earliest
        transition, position = np.unique(transition[order], return_index=True)
        best = order[position]
        self.action[transition] = actions[query[best]]
        self.error[transition] = distance[best]
        self.reward[transition] = rewards[query[best]]
        self.terminal[transition] = terminals[query[best]]
