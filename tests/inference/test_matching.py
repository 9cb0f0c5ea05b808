"""Finding expert states and transitions, against comparing with all of them."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn import ExpertObservations
from sb3_diiqn.inference.distances import Distance, RangeDistance, ScaledAbsoluteDistance
from sb3_diiqn.inference.index import Hits, nearest
from sb3_diiqn.inference.matching import ExpertMatcher

# eight cells in one dimension: every distance is a multiple of 1/8, and exact
DISTANCES: dict[str, Distance] = {"tree": RangeDistance(np.array([8.0])), "scan": ScaledAbsoluteDistance(8.0)}
RADII = [0.0, 0.125, 0.25, 0.3, 0.5, 1.0]

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def random_expert(generator: np.random.Generator) -> ExpertObservations:
    lengths = generator.integers(2, 6, generator.integers(1, 4))
    return ExpertObservations.from_trajectories([generator.integers(0, 9, (length, 1)) for length in lengths])


@pytest.mark.parametrize("name", DISTANCES)
@given(generator=generators, n=st.integers(1, 6), radius=st.sampled_from(RADII))
def test_states_are_the_distinct_observations_and_all_within_the_radius_are_found(
    name: str, generator: np.random.Generator, n: int, radius: float
) -> None:
    expert, agent = random_expert(generator), generator.integers(0, 9, (n, 1))
    matcher = ExpertMatcher(expert, DISTANCES[name], radius)

    hits = matcher.states_within(matcher.encode(agent), radius)

    states = list(dict.fromkeys(expert.observations[:, 0].tolist()))
    assert len(matcher.states) == len(states)
    found = [(int(agent[query, 0]), states[row], float(d)) for query, row, d in zip(*hits, strict=True)]
    expected = [(int(a), s, abs(int(a) - s) / 8) for a in agent[:, 0] for s in states if abs(int(a) - s) / 8 <= radius]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("name", DISTANCES)
@given(generator=generators, n=st.integers(1, 6), radius=st.sampled_from(RADII))
def test_all_transitions_within_the_radius_are_found(name: str, generator: np.random.Generator, n: int, radius: float) -> None:
    expert = random_expert(generator)
    agent, following = generator.integers(0, 9, (2, n, 1))
    matcher = ExpertMatcher(expert, DISTANCES[name], radius)

    encoded, encoded_next = matcher.encode(agent), matcher.encode(following)
    now, later = matcher.states_within(encoded, radius), matcher.states_within(encoded_next, radius)
    found = matcher.closer_transitions(encoded, encoded_next, now, later, radius, np.full(len(expert), np.inf))

    expected = {}
    for j in range(n):
        for i in range(len(expert)):
            now, later = expert.current([i])[0, 0], expert.next([i])[0, 0]
            d = (abs(agent[j, 0] - now) + abs(following[j, 0] - later)) / 16
            if d <= radius:
                expected[j, i] = d
    assert np.all(np.diff(found.query) >= 0)
    pairs = list(zip(found.query.tolist(), found.transition.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert dict(zip(pairs, found.distance.tolist(), strict=True)) == expected


@given(generator=generators, data=st.data())
def test_transitions_that_start_at_states(generator: np.random.Generator, data: st.DataObject) -> None:
    expert = random_expert(generator)
    matcher = ExpertMatcher(expert, DISTANCES["tree"], 0.0)
    states = list(dict.fromkeys(expert.observations[:, 0].tolist()))
    chosen = np.array(data.draw(st.lists(st.integers(0, len(states) - 1), max_size=6)), dtype=int)

    source, transition = matcher.starting_at(chosen)

    starts = expert.current(np.arange(len(expert)))[:, 0].tolist()
    expected = [(position, i) for position, u in enumerate(chosen) for i, start in enumerate(starts) if start == states[u]]
    assert list(zip(source.tolist(), transition.tolist(), strict=True)) == expected


@given(generator=generators, size=st.integers(0, 30), k=st.integers(1, 4), radius=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_nearest_keeps_the_k_nearest_of_each_query(generator: np.random.Generator, size: int, k: int, radius: float) -> None:
    query = np.sort(generator.integers(0, 4, size))
    hits = Hits(query, generator.permutation(size), (generator.integers(0, 5, size) / 4).astype(np.float32))

    kept = nearest(hits, k, radius)

    expected = []
    for one in range(4):
        of_query = [(float(d), int(row)) for q, row, d in zip(*hits, strict=True) if q == one and d <= radius]
        expected += [(one, row, d) for d, row in sorted(of_query)[:k]]
    assert list(zip(kept.query.tolist(), kept.row.tolist(), kept.distance.tolist(), strict=True)) == expected


def test_equal_observations_of_every_kind_are_one_state() -> None:
    planes = np.zeros((4, 3, 5), dtype=bool)
    planes[[0, 2], 1, 1] = True
    for observations in (planes, planes.astype(np.uint8), planes.astype(np.float32), planes.astype(np.float64)):
        expert = ExpertObservations.from_trajectories([observations])
        space = spaces.Box(0, 1, (3, 5), dtype=observations.dtype)
        matcher = ExpertMatcher(expert, RangeDistance.from_expert(observations, space), 0.0)
        assert len(matcher.states) == 2
        assert matcher.state_of_observation.tolist() == [0, 1, 0, 1]
