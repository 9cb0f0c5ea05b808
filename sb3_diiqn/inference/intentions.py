"""What the expert means to do where outcomes are chance: no single transition tells, all that start at a state together do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_NONE = -1


class Moves(NamedTuple):
    """The distinct pairs of states that the expert went from and to, sorted by both, n of them."""

    start: np.ndarray
    """Shape (n,), int64."""
    end: np.ndarray
    """Shape (n,), int64."""
    visits: np.ndarray
    """How often the expert did so, at least once, shape (n,)."""


class Intentions:
    """
    Counts where own actions lead at the expert's states, and estimates from it which ones the expert takes there.

    Only states count where outcomes are chance: where some own action was seen to lead here and there.

    :param moves: what the expert did
    :param n_states: number of the expert's states
    :param n_actions: number of the agent's actions
    """

    #: a state is estimated anew when its own transitions have become so many times more
    growth = 1.25

    def __init__(self, moves: Moves, n_states: int, n_actions: int) -> None:
        self.n_actions = n_actions
        #: what the expert did
        self.moves = moves
        #: n(s, a, s') for each of the expert's moves from s to s', shape (n_moves, n_actions)
        self.counts = np.zeros((len(moves.start), n_actions), dtype=np.int32)
        #: n(s, a), also with outcomes that the expert never had, shape (n_states, n_actions)
        self.tries = np.zeros((n_states, n_actions), dtype=np.int32)
        #: whether some own action was seen to have several outcomes, shape (n_states,), bool
        self.is_chance = np.zeros(n_states, dtype=bool)
        self._keys = moves.start * (n_states + 1) + moves.end
        # where each action led when it was first tried
        self._first = np.full((n_states, n_actions), _NONE, dtype=np.int32)
        self._policy = np.full((n_states, n_actions), 1.0 / n_actions)
        self._n_estimated_from = np.zeros(n_states, dtype=np.int64)

    def note(self, starts: np.ndarray, actions: np.ndarray, ends: np.ndarray) -> None:
        """
        Count transitions of the agent that start at the expert's states.

        :param starts: the states, shape (n,)
        :param actions: own actions, shape (n,)
        :param ends: the states that they led to; the number of states where it was none of them, shape (n,)
        """
        np.add.at(self.tries, (starts, actions), 1)
        keys = starts * (len(self.tries) + 1) + ends
        move = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        known = self._keys[move] == keys
        np.add.at(self.counts, (move[known], actions[known]), 1)
        new = np.flatnonzero(self._first[starts, actions] == _NONE)
        self._first[starts[new], actions[new]] = ends[new]
        self.is_chance[starts[self._first[starts, actions] != ends]] = True

    def probabilities(self, states: np.ndarray) -> np.ndarray:
        """
        Estimate which actions the expert takes at states.

        :param states: where expert transitions start, shape (n,)
        :return: uniform where nothing is known, shape (n, n_actions), rows add up to 1
        """
        n_tries = self.tries[states].sum(axis=1)
        outdated = np.unique(states[n_tries > self.growth * self._n_estimated_from[states]])
        if len(outdated):
            self._policy[outdated] = self._estimate(outdated)
            self._n_estimated_from[outdated] = self.tries[outdated].sum(axis=1)
        return np.asarray(self._policy[states])

    def _estimate(self, states: np.ndarray) -> np.ndarray:
        move = np.flatnonzero(np.isin(self.moves.start, states))
        state = np.searchsorted(states, self.moves.start[move])
        return mixture_weights(state, self.moves.visits[move], self.counts[move], self.tries[states])


def mixture_weights(
    state: np.ndarray,
    visits: np.ndarray,
    counts: np.ndarray,
    tries: np.ndarray,
    smoothing: float = 0.5,
    prior: float = 0.5,
    n_iterations: int = 100,
) -> np.ndarray:
    """
    Estimate with which weights mixing the outcomes of own actions gives those of the expert, at m states.

    By expectation maximisation of the expert's likelihood, with Dirichlet priors: what cannot be told apart stays at equal
    weights. Two samples are compared, so that n visits of the expert and n' own tries are worth n n' / (n + n') visits. An
    outcome that no own action was seen to have tells nothing of them: it speaks for all alike.

    :param state: at which of the states each of n moves starts, ascending, each state at least once, shape (n,)
    :param visits: how often the expert made each move, shape (n,)
    :param counts: how often each own action did, shape (n, n_actions)
    :param tries: how often each own action was tried, with any outcome, shape (m, n_actions)
    :param smoothing: pseudo-count of each outcome, and of any that the expert never had, for each action
    :param prior: pseudo-count of each action
    :param n_iterations: steps of expectation maximisation
    :return: shape (m, n_actions), rows add up to 1
    """
    n_states, n_actions = tries.shape
    first = np.searchsorted(state, np.arange(n_states))
    n_outcomes = np.bincount(state, minlength=n_states) + 1
    likelihood = (counts + smoothing) / (tries + smoothing * n_outcomes[:, np.newaxis])[state]
    n_own, n_visits = tries.sum(axis=1), np.add.reduceat(visits, first)
    worth = (visits * (n_own / (n_own + n_visits))[state])[:, np.newaxis]
    is_explained = counts.any(axis=1, keepdims=True)
    start = prior + np.add.reduceat(worth * ~is_explained, first) / n_actions
    worth = worth * is_explained
    weights = np.full((n_states, n_actions), 1.0 / n_actions)
    for _ in range(n_iterations):
        share = weights[state] * likelihood
        weights = start + np.add.reduceat(worth * share / share.sum(axis=1, keepdims=True), first)
        weights /= weights.sum(axis=1, keepdims=True)
    return weights
