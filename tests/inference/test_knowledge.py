"""What is inferred from the agent's transitions, and what they are matched with, against loops over all pairs."""

from __future__ import annotations

import itertools
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from sb3_diiqn import ExpertObservations
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, ExpertDataWarning
from sb3_diiqn.inference import NO_ACTION, NO_MATCH, AgentTransitions, ExpertKnowledge, InferenceSettings
from tests.helpers import global_random_state
from tests.inference.reference import (
    Slow,
    Tables,
    accepted,
    infer,
    slow_absolute,
    slow_jaccard,
    slow_mismatch,
    slow_range,
    tenths,
)

GRID = spaces.Box(0, 3, (2,), dtype=np.int64)

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def mean_square(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A user's own distance of all pairs."""
    return ((first[:, None] - second[None]) ** 2).mean(axis=-1) / 9


def slow_mean_square(first: Any, second: Any) -> float:
    return float(sum((x - y) ** 2 for x, y in zip(first.tolist(), second.tolist(), strict=True))) / 2 / 9


METRICS = {"range": None, "absolute": None, "jaccard": slow_jaccard, "mismatch": slow_mismatch}


def metric_and_reference(name: str, expert: ExpertObservations) -> tuple[Any, Slow]:
    if name == "custom":
        return mean_square, slow_mean_square
    if name == "absolute":
        # a constant recording has no range, and the space has
        return name, slow_absolute(float(np.ptp(expert.observations)) or 3.0)
    return name, METRICS[name] or slow_range(expert.observations, [1.0, 1.0])


def round_trips(generator: np.random.Generator, n_values: int = 4) -> ExpertObservations:
    """Trajectories that end where they began, so that a transition starts at every state."""
    trajectories = []
    for _ in range(generator.integers(1, 4)):
        there = generator.integers(0, n_values, (generator.integers(1, 5), 2))
        trajectories.append(np.concatenate([there, there[:1]]))
    return ExpertObservations.from_trajectories(trajectories)


def wandering(generator: np.random.Generator, n: int, n_values: int = 4) -> AgentTransitions:
    """Agent transitions on the same grid; rewards tell them apart."""
    observations, following = generator.integers(0, n_values, (2, n, 2))
    actions, terminals = generator.integers(0, 3, n), generator.integers(0, 2, n).astype(np.float32)
    return AgentTransitions(observations, following, actions, np.arange(n, dtype=np.float32) + 1, terminals, terminals)


def part(agent: AgentTransitions, rows: Any) -> AgentTransitions:
    return AgentTransitions(*(field[rows] for field in agent))


def tables_of(knowledge: ExpertKnowledge) -> Tables:
    inferred = knowledge.inferred
    return Tables(inferred.action.tolist(), inferred.error.tolist(), inferred.reward.tolist(), inferred.terminal.tolist())


@pytest.mark.parametrize("metric", [*METRICS, "custom"])
@settings(max_examples=60)
@given(
    generator=generators,
    n=st.integers(1, 12),
    k=st.integers(1, 4),
    threshold=st.sampled_from([0.0, 0.5, 5 / 6, 0.97, 1.0]),
    max_error=st.sampled_from([0.05, 0.13, 0.26, 0.4, 1.0]),
)
def test_inference_and_matching_equal_the_loops_over_all_pairs(
    metric: str, generator: np.random.Generator, n: int, k: int, threshold: float, max_error: float
) -> None:
    # to Jaccard's distance all active cells are the same
    n_values = 2 if metric == "jaccard" else 4
    expert, agent = round_trips(generator, n_values), wandering(generator, n, n_values)
    chosen, slow = metric_and_reference(metric, expert)
    parameters = InferenceSettings(chosen, threshold, k, max_inference_error=max_error)
    knowledge = ExpertKnowledge(expert, GRID, parameters, seed=0)

    matches = knowledge.observe(agent)

    assert tables_of(knowledge) == infer(expert, slow, agent, max_error)
    for match, observation in zip(matches, agent.observations, strict=True):
        possible = accepted(expert, slow, observation, k, threshold)
        assert match in possible if possible else match == NO_MATCH


@pytest.mark.slow
@given(generator=generators, cuts=st.lists(st.integers(0, 20), max_size=4))
def test_many_small_rollouts_teach_what_a_large_one_does(generator: np.random.Generator, cuts: list[int]) -> None:
    expert, agent = round_trips(generator), wandering(generator, 20)
    parameters = InferenceSettings(similarity_threshold=0.6, n_neighbors=3, max_inference_error=0.3)
    at_once, in_parts = (ExpertKnowledge(expert, GRID, parameters, seed=5) for _ in range(2))
    borders = [0, *sorted(cuts), 20]
    parts = [slice(start, stop) for start, stop in itertools.pairwise(borders) if start < stop]

    matches = np.concatenate([in_parts.observe(part(agent, rows)) for rows in parts])

    np.testing.assert_array_equal(matches, at_once.observe(agent))
    assert tables_of(in_parts) == tables_of(at_once)


@settings(max_examples=40)
@given(generator=generators, k=st.integers(1, 3))
def test_every_accepted_transition_can_be_drawn_and_no_other(generator: np.random.Generator, k: int) -> None:
    expert = round_trips(generator)
    slow = slow_absolute(10.0)
    knowledge = ExpertKnowledge(expert, GRID, InferenceSettings(tenths, 0.88, k), seed=int(generator.integers(100)))
    observation = generator.integers(0, 4, 2)
    copies = np.tile(observation, (600, 1))
    nothing = np.zeros(600)

    drawn = knowledge.observe(AgentTransitions(copies, copies, nothing.astype(int), nothing, nothing, nothing))

    possible = accepted(expert, slow, observation, k, 0.88)
    assert set(drawn.tolist()) == (possible or {NO_MATCH})
    if possible:
        # six standard deviations around equal shares
        share = 1 / len(possible)
        np.testing.assert_allclose(
            np.bincount(drawn)[sorted(possible)] / 600, share, atol=6 * np.sqrt(share * (1 - share) / 600)
        )


# --- by hand --------------------------------------------------------------------------------------------------------------


def line(*trajectories: list[int], **settings: Any) -> ExpertKnowledge:
    """Knowledge about an expert on a line of ten cells, where d is the distance in cells / 10."""
    expert = ExpertObservations.from_trajectories([np.array(one)[:, None] for one in trajectories])
    return ExpertKnowledge(expert, spaces.Box(0, 10, (1,), dtype=np.int64), InferenceSettings(tenths, **settings), seed=0)


def steps(*rows: tuple[int, int, int, float, float]) -> AgentTransitions:
    """Agent transitions: observation, next observation, action, reward, terminal."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return AgentTransitions(columns[0][:, None], columns[1][:, None], *columns[2:], episode_ends=columns[4])


def test_the_nearest_agent_transition_gives_action_error_reward_and_end() -> None:
    knowledge = line([2, 3, 4], max_inference_error=1.0)
    assert tables_of(knowledge) == Tables([NO_ACTION] * 2, [np.inf] * 2, [0, 0], [0, 0])

    knowledge.observe(steps((2, 5, 7, 1.5, 0.0)))
    # d = (0 + 0.2) / 2 and (0.1 + 0.1) / 2
    assert tables_of(knowledge) == Tables([7, 7], [pytest.approx(0.1)] * 2, [1.5, 1.5], [0, 0])

    knowledge.observe(steps((2, 4, 8, 2.5, 1.0), (9, 9, 9, 9.5, 0.0)))
    # the first is nearer to (2, 3) than before, and to (3, 4) as well: (0.1 + 0) / 2; the second is far from both
    assert tables_of(knowledge) == Tables([8, 8], [pytest.approx(0.05)] * 2, [2.5, 2.5], [1, 1])


def test_of_equally_near_agent_transitions_the_first_stays() -> None:
    knowledge = line([5, 6], max_inference_error=1.0)
    knowledge.observe(steps((5, 7, 1, 1, 0), (5, 5, 2, 2, 1), (6, 6, 3, 3, 0)))
    knowledge.observe(steps((4, 6, 4, 4, 0)))
    assert tables_of(knowledge) == Tables([1], [pytest.approx(0.05)], [1], [0])


def test_an_error_at_its_maximum_or_beyond_is_not_usable() -> None:
    knowledge = line([0, 0], [4, 4], [8, 8], max_inference_error=0.1)
    knowledge.observe(steps((0, 1, 1, 0, 0), (4, 6, 1, 0, 0), (8, 8, 1, 0, 0), (7, 10, 0, 0, 0)))
    assert knowledge.usable(np.array([0, 1, 2, NO_MATCH, 2])).tolist() == [True, False, True, False, True]


def test_nothing_is_usable_before_an_action_was_inferred() -> None:
    knowledge = line([0, 1, 2])
    assert not knowledge.usable(np.array([0, 1, NO_MATCH])).any()


@pytest.mark.parametrize(("threshold", "matched"), [(0.7, True), (0.7001, False), (1.0, False), (0.0, True)])
def test_a_similarity_exactly_at_the_threshold_is_a_match(threshold: float, matched: bool) -> None:
    knowledge = line([5, 5], similarity_threshold=threshold)
    assert (knowledge.observe(steps((8, 8, 0, 0, 0)))[0] != NO_MATCH) == matched
    assert (knowledge.observe(steps((2, 2, 0, 0, 0)))[0] != NO_MATCH) == matched


@pytest.mark.parametrize("threshold", [0.8, 0.9, 0.97, 0.99])
def test_the_threshold_is_exact_for_real_numbers_too(threshold: float) -> None:
    """A distance of 0.1 is within 1 - 0.9, which a computer thinks is less; one that is larger by a real difference is not."""
    space = spaces.Box(-10, 10, (1,), dtype=np.float64)
    expert = ExpertObservations.from_trajectories([np.array([[0.0], [0.0], [1.0], [0.0]])])
    knowledge = ExpertKnowledge(expert, space, InferenceSettings("range", threshold), seed=0)
    at = -round(1 - threshold, 5)
    beyond = at - 1e-5
    observations = np.array([[at], [beyond]])
    nothing = np.zeros(2)
    matches = knowledge.observe(AgentTransitions(observations, observations, nothing.astype(int), nothing, nothing, nothing))
    assert (matches != NO_MATCH).tolist() == [True, False]


def test_only_the_k_nearest_states_are_considered() -> None:
    trajectories = [5, 6, 8, 6, 5]
    for k, states in ((1, {5}), (2, {5, 6}), (3, {5, 6, 8})):
        knowledge = line(trajectories, similarity_threshold=0.5, n_neighbors=k)
        matches = knowledge.observe(steps(*[(4, 4, 0, 0, 0)] * 100))
        assert set(knowledge.expert.current(matches)[:, 0].tolist()) == states


def test_a_state_where_the_recording_ends_takes_no_neighbours_place() -> None:
    """s_i are the states at which an expert transition starts: (5) here; at (7) the recording was cut."""
    knowledge = line([5, 7], similarity_threshold=0.5, n_neighbors=1)
    assert knowledge.observe(steps((7, 7, 0, 0, 0))).tolist() == [0]


def test_no_transition_of_another_trajectory_is_made_up_at_a_border() -> None:
    """The first trajectory ends at 2, the next begins at 9: there is no expert transition from 2 to 9."""
    knowledge = line([1, 2], [9, 8], max_inference_error=0.04)
    knowledge.observe(steps((2, 9, 5, 0, 0)))
    assert knowledge.inferred.action.tolist() == [NO_ACTION, NO_ACTION]


def test_transitions_are_looked_up_with_the_newest_inference() -> None:
    knowledge = line([2, 3, 4], max_inference_error=1.0)
    knowledge.observe(steps((2, 5, 7, 1.5, 0)))
    knowledge.observe(steps((3, 4, 1, 2.5, 1)))
    looked_up = knowledge.transitions(np.array([1, 0, 1]))
    assert looked_up.observations[:, 0].tolist() == [3, 2, 3]
    assert looked_up.next_observations[:, 0].tolist() == [4, 3, 4]
    assert looked_up.actions.tolist() == [1, 7, 1]
    assert looked_up.rewards.tolist() == [2.5, 1.5, 2.5]
    assert looked_up.terminals.tolist() == [1, 0, 1]
    assert looked_up.steps.tolist() == [1, 1, 1]


def test_confidence_by_hand() -> None:
    knowledge = line([2, 3, 4], max_inference_error=0.2, max_training_count=3, usefulness_beta=2.0)
    knowledge.observe(steps((2, 4, 7, 0, 0), (3, 4, 1, 0, 0)))
    knowledge.count_training(np.array([1, 1, 1, 0]))
    confidence = knowledge.confidence(np.array([0, 1]), np.array([1.0, 1.0]), np.array([1.0, 0.5]))
    sigmoid = 1 / (1 + np.exp(-1.0))
    assert confidence.usefulness == pytest.approx([0.5, sigmoid])
    assert confidence.training == pytest.approx([0.5, 1])
    assert confidence.inference == pytest.approx([0.75, 1], abs=1e-6)
    assert confidence.phi == pytest.approx([0.25, sigmoid])


def test_counts_include_those_that_a_batch_has_more_than_once() -> None:
    knowledge = line([2, 3, 4, 5])
    knowledge.count_training(np.array([0, 2, 0, 0]))
    knowledge.count_training(np.array([2]))
    knowledge.count_training(np.array([], dtype=int))
    assert knowledge.training_count.tolist() == [3, 0, 2]


def test_statistics_by_hand() -> None:
    knowledge = line([2, 3, 4, 5, 9], max_inference_error=0.2)
    assert knowledge.statistics() == {"inferred": 0.0, "trained": 0.0}
    knowledge.observe(steps((2, 3, 0, 0, 0)))
    knowledge.count_training(np.array([0, 0]))
    # errors 0, 0.1 and, for (4, 5), 0.2; (5, 9) is further away than err_max
    assert knowledge.statistics() == pytest.approx({"inferred": 3 / 4, "trained": 1 / 4, "inference_error": 0.1})


def test_dict_observations() -> None:
    space = spaces.Dict({"cell": spaces.Box(0, 10, (1,), dtype=np.int64), "room": spaces.Discrete(3)})
    recording = {"cell": np.array([[1], [2], [3]]), "room": np.array([[0], [0], [1]])}
    expert = ExpertObservations.from_trajectories([recording])
    knowledge = ExpertKnowledge(expert, space, InferenceSettings(max_inference_error=0.3, similarity_threshold=0.97), seed=0)
    now = {"cell": np.array([[2], [1], [2]]), "room": np.array([[0], [0], [2]])}
    later = {"cell": np.array([[3], [2], [3]]), "room": np.array([[0], [0], [2]])}
    nothing = np.zeros(3)

    matches = knowledge.observe(AgentTransitions(now, later, np.array([4, 5, 6]), nothing, nothing, nothing))

    assert matches.tolist() == [1, 0, NO_MATCH]
    assert knowledge.inferred.action.tolist() == [5, 4]
    # only the room of (3, 1) differs: ((0 + 0) / 2 + (0 + 1) / 2) / 2
    assert knowledge.inferred.error.tolist() == pytest.approx([0, 0.25])


def test_the_seed_decides_the_draws() -> None:
    generator = np.random.default_rng(0)
    expert, agent = round_trips(generator), wandering(generator, 60)
    parameters = InferenceSettings(similarity_threshold=0.3)
    first, again, other = (ExpertKnowledge(expert, GRID, parameters, seed).observe(agent) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_draws_leave_the_global_generator_alone() -> None:
    generator = np.random.default_rng(0)
    knowledge = ExpertKnowledge(round_trips(generator), GRID, InferenceSettings(similarity_threshold=0.3), seed=None)
    before = global_random_state()
    knowledge.observe(wandering(generator, 60))
    assert global_random_state() == before


# --- what it costs --------------------------------------------------------------------------------------------------------


def test_matching_similar_images_takes_no_memory_for_all_pairs() -> None:
    """By such a threshold every agent frame is near every expert frame. All pairs of them would be 44 MB."""
    images = np.random.default_rng(0).integers(0, 60, (300, 24, 24, 1)).astype(np.uint8)
    expert = ExpertObservations.from_trajectories([images])
    with pytest.warns(ExpertDataWarning, match="100% of the pairs"):
        knowledge = ExpertKnowledge(
            expert, spaces.Box(0, 255, (24, 24, 1), dtype=np.uint8), InferenceSettings(similarity_threshold=0.5), seed=0
        )
    nothing = np.zeros(256)
    agent = AgentTransitions(images[:256], images[1:257], nothing.astype(int), nothing, nothing, nothing)
    tracemalloc.start()
    knowledge.observe(agent)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_a_users_own_distance_is_called_for_arrays_and_not_for_every_pair() -> None:
    calls = []

    def counted(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        calls.append((len(first), len(second)))
        return mean_square(first, second)

    generator = np.random.default_rng(0)
    expert = ExpertObservations.from_trajectories([generator.integers(0, 4, (100, 2))])
    knowledge = ExpertKnowledge(expert, GRID, InferenceSettings(counted, max_inference_error=1.0), seed=0)
    knowledge.observe(wandering(generator, 30))
    assert len(calls) < 100


# --- pickling -------------------------------------------------------------------------------------------------------------


def test_knowledge_from_a_file_goes_on_where_it_was_once_it_has_its_data_again() -> None:
    generator = np.random.default_rng(3)
    expert, agent = round_trips(generator), wandering(generator, 40)
    parameters = InferenceSettings(similarity_threshold=0.3, max_inference_error=0.4)
    original = ExpertKnowledge(expert, GRID, parameters, seed=1)
    original.observe(part(agent, slice(0, 20)))
    original.count_training(np.array([0, 0, 1]))

    fresh = ExpertKnowledge(expert, GRID, InferenceSettings(similarity_threshold=0.3, max_inference_error=0.4), seed=9)
    fresh.adopt(pickle.loads(pickle.dumps(original.for_file())))

    assert tables_of(fresh) == tables_of(original)
    assert fresh.training_count.tolist() == original.training_count.tolist()
    rest = part(agent, slice(20, 40))
    np.testing.assert_array_equal(fresh.observe(rest), original.observe(rest))
    assert tables_of(fresh) == tables_of(original)


def test_the_file_has_neither_expert_data_nor_search_index() -> None:
    many = ExpertObservations.from_trajectories([np.random.default_rng(0).random((3, 100_000)).astype(np.float32)])
    knowledge = ExpertKnowledge(many, spaces.Box(0, 1, (100_000,)), InferenceSettings(), seed=0)
    pickled = pickle.dumps(knowledge.for_file())
    assert len(pickled) < 10_000
    assert not {"expert", "matcher", "settings"} & set(vars(pickle.loads(pickled)))


def test_knowledge_about_other_data_is_refused() -> None:
    own, other = line([1, 2, 3]), line([1, 2, 4])
    with pytest.raises(ExpertDataError, match=f"{other.content_hash[:12]}.*{own.content_hash[:12]}"):
        own.adopt(pickle.loads(pickle.dumps(other.for_file())))


def test_an_unknown_metric_is_refused_at_once() -> None:
    expert = ExpertObservations.from_trajectories([np.zeros((3, 2), dtype=int)])
    with pytest.raises(ConfigurationError, match="similarity_metric='cosine' is unknown"):
        ExpertKnowledge(expert, GRID, InferenceSettings("cosine"))


def test_transitions_from_the_same_state_vote() -> None:
    here, there, elsewhere = [0, 0], [0, 3], [3, 0]
    ways = [[here, there], [here, elsewhere], [here, there], [there, elsewhere]]
    expert = ExpertObservations.from_trajectories([np.array(way) for way in ways])
    knowledge = ExpertKnowledge(expert, GRID, InferenceSettings("range", max_inference_error=0.1))
    everything = np.arange(4)
    assert knowledge.voted_probabilities(everything, 4) == pytest.approx(np.full((4, 4), 0.25)), "nobody knows anything"

    def go(start: list[int], end: list[int], action: int) -> None:
        flags = np.zeros(1)
        knowledge.observe(AgentTransitions(np.array([start]), np.array([end]), np.array([action]), flags, flags, flags))

    go(here, elsewhere, 2)
    few = [1 / 6, 1 / 6, 1 / 2, 1 / 6]
    assert knowledge.voted_probabilities(everything, 4) == pytest.approx(np.array([few, few, few, [0.25] * 4]))
    assert knowledge.action_probabilities(np.array([1]), 4).tolist() == [[0, 0, 1, 0]], "of itself it is sure"

    go(here, there, 1)
    go(there, elsewhere, 3)
    known = [0, 2 / 3, 1 / 3, 0]
    assert knowledge.voted_probabilities(everything, 4) == pytest.approx(np.array([known, known, known, [0, 0, 0, 1]]))
    assert knowledge.voted_probabilities(np.array([3, 0, 3]), 4) == pytest.approx(
        np.array([[0, 0, 0, 1], known, [0, 0, 0, 1]])
    )
