"""Which expert transitions to learn from next: those that may still have something to teach."""

from __future__ import annotations

import numpy as np

#: weight of a transition that is known and learned, where others have up to one more: it may be forgotten again
LEAST_PRIORITY = 0.1


class TransitionPriorities:
    """
    Draws expert transitions, those less often of which what is known is learned.

    After prioritized experience replay (Schaul et al. 2016, arXiv 1511.05952), with the margin loss in place of the
    temporal-difference error, and without weights that make up for it: what is learned already is to count for less. A
    transition is drawn in proportion to 0.1 + p, with p = 1 - confidence * (1 - margin loss in margins), the loss at most 1.
    So p is 1 where nothing is known yet, and of those that were not drawn yet.

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

    def note(self, indices: np.ndarray, confidence: np.ndarray, shortfalls: np.ndarray) -> None:
        """
        Note how much is left to learn.

        :param indices: expert transitions, shape (n,)
        :param confidence: in what is known of their actions, in [0, 1], shape (n,)
        :param shortfalls: margin losses in margins, shape (n,)
        """
        self._weights[indices] = LEAST_PRIORITY + 1.0 - confidence * (1.0 - shortfalls.clip(0.0, 1.0))
