"""Which expert transitions to learn from next: those that still have something to teach."""

from __future__ import annotations

import numpy as np

#: weight of a transition that teaches nothing, where one that teaches most has one more: it may have something to teach again
LEAST_PRIORITY = 0.1


class TransitionPriorities:
    """
    Draws expert transitions, those more often of which the agent has not learned what is known.

    After prioritized experience replay (Schaul et al. 2016, arXiv 1511.05952), with the margin loss in place of the
    temporal-difference error. A transition is drawn in proportion to 0.1 + p, where p, in [0, 1], is the confidence in its
    estimated action times the margin loss in margins, at most 1. One that was never drawn has p = 1.

    :param n_transitions: number of expert transitions
    :param generator: what to draw with
    """

    def __init__(self, n_transitions: int, generator: np.random.Generator) -> None:
        self._generator = generator
        self._weights = np.full(n_transitions, LEAST_PRIORITY + 1.0)

    def draw(self, size: int) -> np.ndarray:
        """
        Draw, with replacement.

        :param size: how many
        :return: indices of expert transitions, shape (size,)
        """
        return self._generator.choice(len(self._weights), size=size, p=self._weights / self._weights.sum())

    def note(self, indices: np.ndarray, shortfalls: np.ndarray) -> None:
        """
        Note how much was left to learn.

        :param indices: expert transitions, shape (n,)
        :param shortfalls: confidence times margin loss in margins, shape (n,)
        """
        self._weights[indices] = LEAST_PRIORITY + shortfalls.clip(0.0, 1.0)
