"""Compares agent observations and transitions with those of the expert."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sb3_diiqn.exceptions import ExpertDataWarning
from sb3_diiqn.expert import ExpertObservations, Observations
from sb3_diiqn.inference.cache import IndexCache
from sb3_diiqn.inference.cells import CellIndex
from sb3_diiqn.inference.custom import CustomDistance
from sb3_diiqn.inference.distances import (
    Distance,
    JaccardDistance,
    MismatchDistance,
    ScaledAbsoluteDistance,
    SharpenedDistance,
)
from sb3_diiqn.inference.distinct_pairs import as_octets
from sb3_diiqn.inference.index import EqualIndex, Hits, Index, ScanIndex, SharpenedIndex, TreeIndex
from sb3_diiqn.inference.intentions import Moves
from sb3_diiqn.inference.partition import PartitionIndex
from sb3_diiqn.inference.rows import Groups, Rows, distinct, expanded, portions
from sb3_diiqn.inference.sketch import SketchIndex
from sb3_diiqn.inference.states import States

#: Largest number of pairs of agent and expert that should be held at once.
MAX_PAIRS = 1 << 21

#: A function that takes longer to compare an observation with all expert states is warned about.
MAX_SECONDS_OF_A_COMPARISON = 0.005


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
    :param radius: the radius that will be asked for most; searches are prepared for it
    :param n_neighbors: of the states within a radius, the nearest so many are found at least
    :param cache_path: file that keeps what takes long to compute; None: nothing is kept
    """

    def __init__(
        self,
        expert: ExpertObservations,
        distance: Distance,
        radius: float,
        n_neighbors: int = 1,
        cache_path: Path | None = None,
    ) -> None:
        self.distance = distance
        cache = IndexCache(cache_path, f"{expert.content_hash}|{distance.kind}|{radius}")
        on_demand = distance.encodes_on_demand
        encoded = as_octets(expert.observations) if on_demand else distance.encode(expert.observations)
        first, state_of_observation = cache.get("states", lambda: distinct(encoded))
        chosen = None if len(first) == len(encoded) else first
        if on_demand:
            self.states: Rows = States(distance, expert.observations, chosen)
        else:
            self.states = encoded if chosen is None else encoded[chosen]
        self._index = make_index(distance, self.states, radius, n_neighbors, cache)
        compares_all = isinstance(self._index, (ScanIndex, SketchIndex))
        #: how many agent transitions should be compared at once: where all states are compared, all may be near
        self.at_once = max(1, MAX_PAIRS // len(self.states)) if compares_all else MAX_PAIRS
        #: the state that each expert observation is, shape (n_observations,)
        self.state_of_observation = state_of_observation
        n_states = len(self.states)
        self._observations_at = Groups(state_of_observation, n_states)
        start = state_of_observation[expert.observation_index]
        self._transitions_from = Groups(start, n_states)
        # equal transitions are compared once, too
        end = state_of_observation[expert.observation_index + 1]
        moves, example, move = cache.get(
            "moves", lambda: np.unique(start * n_states + end, return_index=True, return_inverse=True)
        )
        # 32 bits: these lists are as long as the data
        self._example = example.astype(np.int32)
        self._move_start, self._move_end = (ends.astype(np.int32) for ends in np.divmod(moves, n_states))
        self._moves_from, self._moves_to = Groups(self._move_start, n_states), Groups(self._move_end, n_states)
        self._transitions_of_move = Groups(move.reshape(-1), len(moves))
        cache.save()

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
        distinct_rows, number = _few_distinct(encoded)
        hits = self._index.within(encoded[distinct_rows], radius)
        if len(distinct_rows) == len(encoded):
            return hits
        borders = np.searchsorted(hits.query, np.arange(len(distinct_rows) + 1))
        query, member = expanded(borders[number], borders[number + 1])
        return Hits(query, hits.row[member], hits.distance[member])

    def closer_transitions(
        self, encoded: np.ndarray, encoded_next: np.ndarray, now: Hits, later: Hits, radius: float, error: np.ndarray
    ) -> TransitionHits:
        """
        Find all expert transitions i that come nearer to an agent transition than to any before.

        That is D_i = (d(s_a, s_i) + d(s'_a, s'_i)) / 2 <= radius, and D_i < err_i. One of the two distances is then within
        the radius itself, so that both ends together lead to all of them; and neither is as large as 2 err_i.

        :param encoded: the agent's encoded observations, shape (n, width)
        :param encoded_next: the agent's encoded next observations, shape (n, width)
        :param now: the expert states within the radius, or further, of the agent's observations
        :param later: the expert states within the radius, or further, of the agent's next observations
        :param radius: largest distance D_i, in [0, 1]
        :param error: err_i, the smallest distance so far, the same for equal expert transitions, shape (n_transitions,)
        """
        n_moves = len(self._example)
        starting, ending = self._pairs(now, self._moves_from, error), self._pairs(later, self._moves_to, error)
        query, move = np.divmod(np.unique(np.concatenate([starting, ending])), n_moves)
        distance = (
            self._paired(encoded, query, self._move_start[move]) + self._paired(encoded_next, query, self._move_end[move])
        ) / 2
        closer = (distance <= radius) & (distance < error[self._example[move]])
        source, transition = self._transitions_of_move.members(move[closer])
        return TransitionHits(query[closer][source], transition, distance[closer][source])

    def _pairs(self, hits: Hits, moves_at: Groups, error: np.ndarray) -> np.ndarray:
        """List the expert's moves at states near the agent's that may come nearer than before, numbered with their query."""
        source, move = moves_at.members(hits.row)
        promising = hits.distance[source] < 2 * error[self._example[move]]
        return np.asarray(hits.query[source[promising]] * len(self._example) + move[promising])

    def _paired(self, encoded: np.ndarray, query: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Compute the distances of pairs of an agent observation and an expert state."""
        parts = portions(self.states, len(query))
        distances = [self.distance.paired(encoded[query[part]], self.states[state[part]]) for part in parts]
        return distances[0] if len(distances) == 1 else np.concatenate([np.zeros(0, dtype=np.float32), *distances])

    def with_transitions(self, hits: Hits) -> Hits:
        """
        Leave out the states at which no expert transition starts: those where a trajectory ends and no other goes on.

        :param hits: expert states near agent observations
        """
        return hits.where(self._transitions_from.counts(hits.row) > 0)

    def moves(self) -> Moves:
        """List the expert's distinct moves from state to state."""
        visits = self._transitions_of_move.counts(np.arange(len(self._example)))
        return Moves(self._move_start, self._move_end, visits)

    def starting_at(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        List the expert transitions that start at some states.

        :param states: indices of expert states, shape (n,)
        :return: for every transition found, the position in ``states`` that it belongs to, and its index
        """
        return self._transitions_from.members(states)

    def draw_starting(self, hits: Hits, n_queries: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """
        Draw, for every query, one of all the transitions that start at its hits.

        :param hits: expert states near agent observations
        :param n_queries: number of agent observations
        :param generator: draws one number for each query that has transitions to draw from
        :return: these queries, and the transition for each
        """
        counts = self._transitions_from.counts(hits.row)
        per_query = np.bincount(hits.query, weights=counts, minlength=n_queries).astype(np.int64)
        drawn_for = np.flatnonzero(per_query)
        number = (generator.random(len(drawn_for)) * per_query[drawn_for]).astype(np.int64)
        # the number counts through all transitions of all queries
        number += (np.cumsum(per_query) - per_query)[drawn_for]
        until = np.cumsum(counts)
        hit = np.searchsorted(until, number, side="right")
        return drawn_for, self._transitions_from.member(hits.row[hit], number - (until - counts)[hit])

    def observed_at(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        List the expert observations that are some states.

        :param states: indices of expert states, shape (n,)
        :return: for every observation found, the position in ``states`` that it belongs to, and its index
        """
        return self._observations_at.members(states)


def make_index(
    distance: Distance, states: Rows, radius: float, n_neighbors: int = 1, cache: IndexCache | None = None
) -> Index:
    """
    Choose the search that suits the distance.

    :param distance: the distance
    :param states: encoded expert states, shape (n, width)
    :param radius: the radius that will be asked for most
    :param n_neighbors: the nearest so many are found at least
    :param cache: keeps what takes long to compute
    """
    if isinstance(distance, SharpenedDistance):
        plain = make_index(distance.plain, states, radius / distance.factor, n_neighbors, cache)
        # what compares with every row can do so by any distance
        return ScanIndex(distance, states) if isinstance(plain, ScanIndex) else SharpenedIndex(distance, plain)
    if isinstance(distance, JaccardDistance) and radius < PartitionIndex.max_radius:
        return PartitionIndex(distance, states, radius, cache)
    if isinstance(distance, MismatchDistance) and radius < 1 / states.shape[1]:
        return EqualIndex(distance, states, 1 / states.shape[1])
    # some more than are needed, since at some states no transition starts
    if isinstance(distance, ScaledAbsoluteDistance) and SketchIndex.suits(states):
        return SketchIndex(distance, states, max(16, 3 * n_neighbors), cache)
    # the sums of an image alone say too little
    if distance.coordinates(states[:1]) is not None and not isinstance(distance, ScaledAbsoluteDistance):
        return _index_of_points(distance, states, radius, max(distance.max_hits, 3 * n_neighbors), cache)
    if isinstance(distance, CustomDistance):
        _warn_of_cost(distance, states)
    return ScanIndex(distance, states)


def _index_of_points(distance: Distance, states: Rows, radius: float, max_hits: int, cache: IndexCache | None) -> Index:
    if radius >= distance.coordinates_hold_below:
        return ScanIndex(distance, states)
    if CellIndex.suits(distance, states, radius, max_hits):
        return CellIndex(distance, states, radius, max_hits, cache)
    return TreeIndex(distance, states, max_hits)


def _warn_of_cost(distance: CustomDistance, states: Rows) -> None:
    start = time.perf_counter()
    for portion in portions(states):
        distance.pairwise(states[:1], states[portion])
    seconds = time.perf_counter() - start
    if seconds > MAX_SECONDS_OF_A_COMPARISON:
        warnings.warn(
            f"similarity_metric is a function: each observation of the agent is compared with all {len(states)} states of the "
            f"expert, which takes {1000 * seconds:.3g} ms. Searches are faster by the named metrics",
            ExpertDataWarning,
            stacklevel=2,
        )


def _few_distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Do what :func:`~sb3_diiqn.inference.rows.distinct` does, faster where there are only a few rows."""
    numbers: dict[bytes, int] = {}
    number = [numbers.setdefault(row.tobytes(), len(numbers)) for row in rows]
    first = np.empty(len(numbers), dtype=np.int64)
    first[number[::-1]] = np.arange(len(rows))[::-1]
    return first, np.array(number, dtype=np.int64)
