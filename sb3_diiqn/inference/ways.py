"""How far it is from the expert's transitions to the ends of their trajectories, and whether these are worth reaching."""

from __future__ import annotations

import numpy as np

#: in place of the transition that comes next: the episode ended for good
END = -1
#: in place of the transition that comes next: the trajectory was cut, or there is no way on
NOWHERE = -2


class Ends:
    """
    Finds out whether the ends of episodes are goals or losses: a recording without rewards does not tell.

    An end is a goal if it pays at least as much as all the steps of an episode before it do. Where steps cost something, or
    are worth nothing, it is, also as long as nobody has got there; where they pay, as those of a game that ends with the
    player's life, it is not.
    """

    def __init__(self) -> None:
        self._paid_at_ends = self._paid_before = 0.0
        self._n_ends = self._n_episodes = 0

    def note(self, rewards: np.ndarray, terminals: np.ndarray, episode_ends: np.ndarray) -> None:
        """
        Note transitions of the agent.

        :param rewards: shape (n,)
        :param terminals: 1 where the episode ended for good, else 0, shape (n,)
        :param episode_ends: 1 where it ended or was cut, else 0, shape (n,)
        """
        is_end = terminals != 0
        self._paid_at_ends += float(rewards[is_end].sum())
        self._paid_before += float(rewards[~is_end].sum())
        self._n_ends += int(is_end.sum())
        self._n_episodes += int((episode_ends != 0).sum())

    def are_goals(self) -> bool:
        """Tell whether ends pay at least as much, in the mean, as the steps of an episode before them."""
        return self._paid_at_ends / max(self._n_ends, 1) >= self._paid_before / max(self._n_episodes, 1)


def steps_left(following: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """
    Count the steps from transitions to the ends of their trajectories.

    :param following: the transition that each one leads to, which comes later, or ``END`` or ``NOWHERE``, shape (n,)
    :param steps: steps that each one takes, shape (n,)
    :return: shape (n,), infinite where the way leads nowhere
    """
    n = len(following)
    behind = np.where(following >= 0, following, n - 1 - following)
    to = np.concatenate([behind, [n, n + 1]])
    left = np.concatenate([steps, [0.0, np.inf]])
    # each round doubles how far ahead is looked
    for _ in range(n.bit_length()):
        left, to = left + left[to], to[to]
    return np.asarray(left[:n])
