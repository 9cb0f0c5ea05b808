"""Compares agent observations and transitions with those of the expert."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sb3_diiqn.expert import ExpertObservations, Observations
from sb3_diiqn.inference.distances import Distance
from sb3_diiqn.inference.index import Hits, make_index


class TransitionHits(NamedTuple):
    """Pairs of an agent transition and an expert transition near it, sorted by agent transition."""

    query: np.ndarray
    """Index of the agent transition, shape (hits,), int64."""
    transition: np.ndarray
    """Index of the expert transition, shape (hits,), int64."""
    distance: np.ndarray
    """Mean of the distances of the observations and of the next observations, shape (hits,), float32."""


class ExpertMatcher:
    """
    Finds expert states and transitions near the agent's.

    Equal expert observations are one *state*, which is compared once and stands for them all.

    :param expert: the expert data
    :param distance: the distance of two observations
    """

    def __init__(self, expert: ExpertObservations, distance: Distance) -> None:
        self.distance = distance
        encoded = distance.encode(expert.observations)
        self.states, state_of_observation = _unique_rows(encoded)
        self._index = make_index(distance, self.states)
        #: the state that each expert observation is, shape (n_observations,)
        self.state_of_observation = state_of_observation
        self._observation_index = expert.observation_index
        self._transition_of_observation = expert.transition_of_observation
        # the observations that are state u are observations[offsets[u]:offsets[u + 1]]
        self._observations = np.argsort(state_of_observation, kind="stable")
        self._offsets = np.searchsorted(state_of_observation, np.arange(len(self.states) + 1), sorter=self._observations)

        self._starts_transition = np.zeros(len(self.states), dtype=bool)
        self._starts_transition[state_of_observation[expert.observation_index]] = True

    def encode(self, observations: Observations) -> np.ndarray:
        """
        Encode agent observations for the searches below.

        :param observations: shape (n, ``*observation_shape``), or a dictionary of such arrays
        :return: shape (n, width)
        """
        return self.distance.encode(observations)

    def states_within(self, encoded: np.ndarray, radius: float) -> Hits:
        """
        Find all expert states near agent observations.

        :param encoded: encoded agent observations, shape (n, width)
        :param radius: largest distance, in [0, 1]
        """
        return self._index.within(encoded, radius)

    def transitions_within(self, hits: Hits, encoded_next: np.ndarray, radius: float) -> TransitionHits:
        """
        Find all expert transitions near agent transitions: D_i = (d(s_a, s_i) + d(s'_a, s'_i)) / 2 <= radius.

        :param hits: the expert states within ``min(2 * radius, 1)`` of the agent's observations
        :param encoded_next: the agent's encoded next observations, shape (n, width)
        :param radius: largest distance D_i, in [0, 1]
        """
        source, transition = self.starting_at(hits.row)
        query = hits.query[source]
        next_state = self.state_of_observation[self._observation_index[transition] + 1]
        next_distance = self.distance.paired(encoded_next[query], self.states[next_state])
        distance = (hits.distance[source] + next_distance) / 2
        near = distance <= radius
        return TransitionHits(query[near], transition[near], distance[near])

    def with_transitions(self, hits: Hits) -> Hits:
        """
        Leave out the states at which no expert transition starts: those where a trajectory ends and no other goes on.

        :param hits: expert states near agent observations
        """
        starts = self._starts_transition[hits.row]
        return Hits(hits.query[starts], hits.row[starts], hits.distance[starts])

    def starting_at(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        List the expert transitions that start at some states.

        :param states: indices of expert states, shape (n,)
        :return: for every transition found, the position in ``states`` that it belongs to, and its index
        """
        source, observation = self.observed_at(states)
        transition = self._transition_of_observation[observation]
        # a trajectory's last observation starts none
        starts = transition >= 0
        return source[starts], transition[starts]

    def observed_at(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        List the expert observations that are some states.

        :param states: indices of expert states, shape (n,)
        :return: for every observation found, the position in ``states`` that it belongs to, and its index
        """
        counts = self._offsets[states + 1] - self._offsets[states]
        source = np.repeat(np.arange(len(states)), counts)
        within_state = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
        return source, self._observations[self._offsets[states][source] + within_state]


def nearest(hits: Hits, k: int, radius: float) -> Hits:
    """
    Keep, for every query, its k nearest hits within a radius. Of equally near ones, those with the lower index.

    :param hits: pairs of a query and a row
    :param k: how many to keep for each query
    :param radius: largest distance, in [0, 1]
    """
    near = hits.distance <= radius
    query, row, distance = hits.query[near], hits.row[near], hits.distance[near]
    order = np.lexsort((row, distance, query))
    query = query[order]
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    kept = order[rank < k]
    return Hits(query[rank < k], row[kept], distance[kept])


def _unique_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows, and for every row the index of its equal among them."""
    as_bytes = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1)
    _, first, inverse = np.unique(as_bytes, return_index=True, return_inverse=True)
    # numbered by first appearance, so that lower indices are earlier ones
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rows[first[order]], rank[inverse]
