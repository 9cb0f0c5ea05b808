"""The distance of learned embeddings: its unit, equal observations, and changing to it while learning goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn import ExpertObservations
from sb3_diiqn.expert import Observations
from sb3_diiqn.inference import NO_ACTION, NO_MATCH, ExpertKnowledge, InferenceSettings
from sb3_diiqn.inference.embedding import EmbeddingDistance
from tests.inference.bridging_worlds import (
    AROUND,
    knowledge_of,
    observe,
    tables_of,
    trajectories,
    trying_all_at,
    with_a_bridge,
)
from tests.inference.test_distances import check_is_a_distance
from tests.inference.test_knowledge import wandering


def first_two(observations: Observations) -> np.ndarray:
    """Embed by what matters: the rest of an observation is noise."""
    return np.asarray(observations, dtype=np.float32)[:, :2]


def walking(*steps: float) -> ExpertObservations:
    """One walk to the right by steps of these lengths, beside a third dimension that says nothing."""
    position = np.concatenate([[0.0], np.cumsum(steps)])
    return ExpertObservations.from_trajectories([np.stack([position, 0 * position, 5 * np.sin(7 * position)], axis=1)])


def of(expert: ExpertObservations) -> EmbeddingDistance:
    distance = EmbeddingDistance.from_expert(first_two, expert)
    assert distance is not None
    return distance


def test_the_unit_is_the_upper_quartile_of_the_steps() -> None:
    distance = of(walking(0, 0, 1, 2, 4))  # its length is 2
    at = distance.encode(np.array([[0.0, 0.0, 9.0], [2.0, 0.0, -9.0], [3.0, 4.0, 0.0], [1000.0, 0.0, 0.0]]))
    expected = [[0, 0.09, 0.225, 1], [0.09, 0, np.sqrt(17) * 0.045, 1]]
    np.testing.assert_allclose(distance.pairwise(at[:2], at), expected, rtol=1e-5)


def test_an_expert_that_mostly_stands_still_takes_steps_as_long_as_any() -> None:
    assert of(walking(1e-3, 0, 2, 2)).scale == pytest.approx(of(walking(2, 2)).scale, rel=1e-6)


def test_where_no_step_leads_anywhere_there_is_no_unit() -> None:
    assert EmbeddingDistance.from_expert(first_two, walking(0, 1e-5)) is None


def test_no_two_networks_embed_alike() -> None:
    assert of(walking(1.0)).kind != of(walking(1.0)).kind


def test_different_observations_are_embedded_once_and_in_portions() -> None:
    calls: list[int] = []

    def embed(observations: Observations) -> np.ndarray:
        calls.append(len(observations))
        return first_two(observations)

    rows = np.random.default_rng(0).normal(size=(EmbeddingDistance.at_once + 5, 3))
    encoded = EmbeddingDistance(embed, 2.0).encode(np.concatenate([rows, rows[::-1]]))
    np.testing.assert_array_equal(encoded, 2.0 * first_two(np.concatenate([rows, rows[::-1]])))
    assert calls == [EmbeddingDistance.at_once, 5]


def test_parts_of_dict_observations_count_all() -> None:
    def embed(observations: Any) -> np.ndarray:
        return np.stack([observations["room"][:, 0], observations["at"][:, 0]], axis=1).astype(np.float32)

    observations = {"room": np.array([[0], [0], [1], [0]]), "at": np.float32([[0], [1], [0], [0]])}
    encoded = EmbeddingDistance(embed, 1.0).encode(observations)
    np.testing.assert_array_equal(encoded, [[0, 0], [0, 1], [1, 0], [0, 0]])


@given(st.integers(0, 2**32 - 1).map(np.random.default_rng))
def test_it_is_a_distance(generator: np.random.Generator) -> None:
    first, second = generator.normal(size=(2, 6, 3))
    check_is_a_distance(EmbeddingDistance(first_two, 0.3), first, second)


def test_rounding_makes_no_two_observations_of_one() -> None:
    distance = EmbeddingDistance(first_two, 1.0)
    first = np.array([[1.0, 2.0], [1.0, 2.0]])
    assert distance.equal(first, np.array([[1.0 + 1e-6, 2.0], [1.001, 2.0]])).tolist() == [True, False]


def test_no_observations_have_no_embeddings() -> None:
    assert EmbeddingDistance(first_two, 1.0).encode(np.zeros((0, 3))).shape[0] == 0


# --- changing to it -------------------------------------------------------------------------------------------------------


def test_what_was_concluded_by_another_distance_is_concluded_anew() -> None:
    """With noise beside, nothing matches by range; by what matters, it is the same as if that had been compared always."""
    generator = np.random.default_rng(0)
    space = spaces.Box(-10, 10, (6,))

    def with_noise(observations: np.ndarray) -> np.ndarray:
        return np.concatenate([observations, generator.uniform(-10, 10, (len(observations), 4))], axis=1)

    there = generator.integers(0, 4, (30, 2)).astype(float)
    expert = ExpertObservations.from_trajectories([with_noise(there)])
    agent = wandering(generator, 400)
    agent = agent._replace(
        observations=with_noise(np.asarray(agent.observations)),
        next_observations=with_noise(np.asarray(agent.next_observations)),
    )
    knowledge = ExpertKnowledge(expert, space, InferenceSettings(), seed=0)
    assert (knowledge.observe(agent) == NO_MATCH).all()
    knowledge.count_training(np.array([3, 3]))

    knowledge.compare_by(EmbeddingDistance(first_two, 0.1))
    assert (knowledge.inferred.action == NO_ACTION).all()
    matches = knowledge.observe(agent)
    assert knowledge.training_count[3] == 2

    now, later = (np.asarray(part)[:, :2] for part in (agent.observations, agent.next_observations))
    for index in range(len(expert)):
        reproduces = (now == there[index]).all(axis=1) & (later == there[index + 1]).all(axis=1)
        # the earliest of those that are equally near
        action = agent.actions[reproduces][0] if reproduces.any() else NO_ACTION
        assert knowledge.inferred.action[index] == action
    matched = np.flatnonzero(matches != NO_MATCH)
    np.testing.assert_array_equal(now[matched], there[matches[matched]])
    assert len(matched) == sum((there[:-1] == position).all(axis=1).any() for position in now)


def test_bridges_are_found_anew_though_embeddings_are_rounded_differently_each_time() -> None:
    """What goes on from one call to the next must be seen to go on, or no path is longer than a call."""
    knowledge = with_a_bridge(inference={"similarity_threshold": 0.97})
    assert knowledge.bridges.actions.tolist() == [[2, 1, 0, NO_ACTION]]
    generator = np.random.default_rng(0)

    def embed(observations: Observations) -> np.ndarray:
        cells = np.asarray(observations, dtype=np.float64)
        return (cells + 1e-6 * generator.random(cells.shape)).astype(np.float32)

    knowledge.compare_by(EmbeddingDistance(embed, 0.1))
    assert tables_of(knowledge) == tables_of(knowledge_of(trajectories([1, 3])))
    observe(knowledge, *trying_all_at(1))
    for step in AROUND:
        observe(knowledge, [step])
    assert knowledge.bridges.actions.tolist() == [[2, 1, 0, NO_ACTION]]
    assert knowledge.bridged(np.array([0])).all()
