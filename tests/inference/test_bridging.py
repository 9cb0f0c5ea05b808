"""Feasibility and bridges as they come out of a stream of transitions, against loops over all of it; and what is made of them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from sb3_diiqn import ExpertObservations
from sb3_diiqn.envs import Maze2D
from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.inference import (
    NO_ACTION,
    NO_MATCH,
    AgentTransitions,
    BridgingKnowledge,
    ExpertKnowledge,
    Feasibility,
    InferenceSettings,
)
from tests.inference.bridge_reference import agent_transitions
from tests.inference.bridging_worlds import (
    AROUND,
    GAMMA,
    LINE,
    N_ACTIONS,
    assert_equals_the_loops,
    episode,
    knowledge_of,
    observe,
    range_of,
    record_king,
    tables_of,
    trajectories,
    trying_all_at,
    wander,
    with_a_bridge,
)
from tests.inference.reference import slow_absolute, slow_mismatch
from tests.inference.test_paths import random_expert, random_streams, slices

UNKNOWN, FEASIBLE, INFEASIBLE = Feasibility

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)
batches = st.one_of(st.lists(st.integers(1, 40), max_size=6), st.just(list(range(40))))


@pytest.mark.slow
@settings(max_examples=80)
@given(
    generator=generators,
    cuts=batches,
    n_steps=st.integers(1, 40),
    n_envs=st.integers(1, 3),
    n_cells=st.integers(2, 6),
    k=st.integers(1, 5),
    n=st.integers(1, 5),
    threshold=st.sampled_from([0.8, 0.9, 1.0]),
    evidence=st.integers(1, 2),
    error=st.sampled_from([0.0, 0.05, 0.1]),
)
def test_online_equals_the_loops(
    generator: np.random.Generator,
    cuts: list[int],
    n_steps: int,
    n_envs: int,
    n_cells: int,
    k: int,
    n: int,
    threshold: float,
    evidence: int,
    error: float,
) -> None:
    """Several environments; ends, cuts and resets that nobody announced; batches of all sizes; matches of several cells."""
    expert = random_expert(generator, n_cells)
    streams = random_streams(generator, n_steps, n_envs, n_cells)
    knowledge = knowledge_of(
        expert,
        n_envs=n_envs,
        inference={"similarity_threshold": threshold, "max_inference_error": 0.05},
        bridge_length=k,
        bridge_gain=n,
        infeasibility_evidence=evidence,
        infeasibility_threshold=error,
    )
    for batch in slices(n_steps, cuts):
        knowledge.observe(agent_transitions(streams, batch))
    assert_equals_the_loops(knowledge, streams, slow_absolute(10.0))


# --- mazes ----------------------------------------------------------------------------------------------------------------


MAZES = {
    "NESW": ("one_hot", slow_mismatch, 1.0),
    "skew": ("one_hot", slow_mismatch, 1.0),
    "knight": ("coordinates", None, 0.85),
}


@pytest.mark.parametrize("actions", MAZES)
@settings(max_examples=10)
@given(generator=generators, cuts=st.lists(st.integers(1, 100), max_size=12), size=st.integers(5, 8), n_envs=st.integers(1, 2))
def test_online_equals_the_loops_in_random_mazes(
    actions: str, generator: np.random.Generator, cuts: list[int], size: int, n_envs: int
) -> None:
    """An expert with the king's moves, an agent with others."""
    observation, distance, threshold = MAZES[actions]
    seed = int(generator.integers(10**6))
    mazes = [
        Maze2D(size=size, layout_seed=seed, actions=actions, observation=observation, max_episode_steps=25, random_start=True)
        for _ in range(n_envs)
    ]
    expert = record_king(mazes[0], seed)
    streams = [wander(maze, 100, generator) for maze in mazes]
    knowledge = knowledge_of(
        expert,
        mazes[0].observation_space,
        n_envs,
        n_actions=len(mazes[0].moves),
        inference={"similarity_threshold": threshold, "similarity_metric": "mismatch" if distance else "range"},
    )
    for batch in slices(100, cuts):
        knowledge.observe(agent_transitions(streams, batch))
    assert_equals_the_loops(knowledge, streams, distance or range_of(knowledge))


# --- by hand --------------------------------------------------------------------------------------------------------------


def test_unvisited_is_unknown_tried_is_infeasible_and_reproduced_is_feasible() -> None:
    knowledge = knowledge_of(trajectories([1, 3, 4, 5]))
    assert knowledge.feasibility.tolist() == [UNKNOWN] * 3
    observe(knowledge, *trying_all_at(1), *trying_all_at(3)[:2], episode((4, 0, 5, 0.0)))
    assert knowledge.feasibility.tolist() == [INFEASIBLE, UNKNOWN, FEASIBLE]
    observe(knowledge, trying_all_at(3)[2])
    assert knowledge.feasibility.tolist() == [INFEASIBLE, INFEASIBLE, FEASIBLE]
    observe(knowledge, episode((1, 0, 3, 0.0)))
    assert knowledge.feasibility.tolist() == [FEASIBLE, INFEASIBLE, FEASIBLE]


def test_where_the_agent_only_arrived_it_has_tried_nothing() -> None:
    knowledge = knowledge_of(trajectories([1, 3]))
    observe(knowledge, *[episode((2, action, 1, 0.0)) for action in range(N_ACTIONS)] * 3)
    assert knowledge.feasibility.tolist() == [UNKNOWN]


def test_the_evidence_counts_tries_of_each_action() -> None:
    knowledge = knowledge_of(trajectories([1, 3]), infeasibility_evidence=3)
    observe(knowledge, *trying_all_at(1) * 2, trying_all_at(1)[0])
    assert knowledge.feasibility.tolist() == [UNKNOWN]
    observe(knowledge, *trying_all_at(1)[1:])
    assert knowledge.feasibility.tolist() == [INFEASIBLE]


@pytest.mark.parametrize(("threshold", "expected"), [(1.0, UNKNOWN), (0.9, INFEASIBLE)])
def test_tries_count_at_all_states_that_are_similar_enough(threshold: float, expected: Feasibility) -> None:
    knowledge = knowledge_of(trajectories([1, 5]), inference={"similarity_threshold": threshold})
    observe(knowledge, trying_all_at(0)[0], trying_all_at(1)[1], trying_all_at(2)[2])
    assert knowledge.feasibility.tolist() == [expected]


def test_a_threshold_above_the_largest_believed_error() -> None:
    """d = 0.1 of (1, 1) to (1, 3): nothing to be believed, but feasible by the user's own choice."""
    knowledge = knowledge_of(trajectories([1, 3]), infeasibility_threshold=0.1)
    observe(knowledge, *trying_all_at(1))
    assert knowledge.feasibility.tolist() == [FEASIBLE]
    assert not knowledge.usable(np.array([0])).any()


def test_a_bridge_takes_the_place_of_an_infeasible_transition() -> None:
    knowledge = with_a_bridge([1, 3, 5])
    indices = np.array([0, 0])
    assert knowledge.bridged(indices).all()
    assert knowledge.usable(indices).all()
    assert knowledge.action(indices).tolist() == [2, 2]
    looked_up = knowledge.transitions(indices)
    assert looked_up.observations.tolist() == [[1], [1]]
    assert looked_up.next_observations.tolist() == [[3], [3]]
    assert looked_up.actions.tolist() == [2, 2]
    assert looked_up.rewards == pytest.approx([1 + GAMMA * 2 + GAMMA**2 * 4] * 2)
    assert looked_up.steps.tolist() == [3, 3]
    assert looked_up.terminals.tolist() == [0, 0]


def test_a_bridge_that_ended_the_episode_for_good() -> None:
    assert with_a_bridge(terminal=True).transitions(np.array([0])).terminals.tolist() == [1]


def test_next_to_bridges_the_others_are_what_they_were() -> None:
    """A feasible transition keeps its own action and reward, and no bridge is searched for it."""
    knowledge = with_a_bridge([5, 6, 7], [1, 3])
    observe(knowledge, episode((5, 0, 6, 7.0), (6, 2, 7, 8.0), terminal=True), *trying_all_at(5))
    assert knowledge.feasibility.tolist() == [FEASIBLE, FEASIBLE, INFEASIBLE]
    assert knowledge.bridges.length.tolist() == [0, 0, 3]
    assert knowledge.bridged(np.arange(3)).tolist() == [False, False, True]
    looked_up = knowledge.transitions(np.array([1, 2, 0]))
    assert looked_up.actions.tolist() == [2, 2, 0]
    assert looked_up.next_observations[:, 0].tolist() == [7, 3, 6]
    assert looked_up.rewards[[0, 2]].tolist() == [8, 7]
    assert looked_up.terminals.tolist() == [1, 0, 0]
    assert looked_up.steps.tolist() == [1, 3, 1]


def test_of_a_bridge_zeta_is_dropped() -> None:
    """dQ = sigmoid(2 * 0.5), delta = log(1 + 1) / log(1 + 3); of the feasible one zeta = 1 is larger than their product."""
    inference = {"usefulness_beta": 2.0, "max_training_count": 3, "max_inference_error": 0.2}
    knowledge = with_a_bridge([1, 3], [5, 7], inference=inference)
    observe(knowledge, episode((5, 0, 6, 0.0)))
    knowledge.count_training(np.array([0, 1, 1, 1]))
    confidence = knowledge.confidence(np.array([0, 1]), np.array([1.0, 1.0]), np.array([0.5, 1.0]))
    useful = 1 / (1 + np.exp(-1.0))
    assert knowledge.feasibility.tolist() == [INFEASIBLE, UNKNOWN]
    assert confidence.usefulness == pytest.approx([useful, 0.5])
    assert confidence.training == pytest.approx([0.5, 1])
    # err = 0.05 of (5, 6) to (5, 7)
    assert confidence.inference == pytest.approx([1, 0.75])
    assert confidence.phi == pytest.approx([useful / 2, 0.5])


def test_a_bridge_of_an_unknown_transition_has_to_wait() -> None:
    knowledge = knowledge_of(trajectories([1, 3]))
    observe(knowledge, AROUND)
    assert knowledge.bridges.length.tolist() == [3]
    assert not knowledge.bridged(np.array([0])).any()
    assert not knowledge.usable(np.array([0])).any()
    observe(knowledge, *trying_all_at(1))
    assert knowledge.usable(np.array([0])).all()


def test_a_transition_that_turns_out_feasible_needs_no_bridge() -> None:
    knowledge = with_a_bridge()
    observe(knowledge, episode((1, 1, 3, 9.0)))
    assert not knowledge.bridged(np.array([0])).any()
    assert knowledge.action(np.array([0])).tolist() == [1]


def test_no_match_is_no_bridge() -> None:
    """Its number is the last transition's, which is bridged."""
    knowledge = with_a_bridge()
    assert knowledge.usable(np.array([NO_MATCH, 0])).tolist() == [False, True]


def test_nothing_is_known_at_first() -> None:
    knowledge = knowledge_of(trajectories([1, 3, 5]))
    every = np.arange(2)
    assert not knowledge.bridged(every).any()
    assert knowledge.action(every).tolist() == [NO_ACTION] * 2
    shares = {name: knowledge.statistics()[name] for name in ("feasible", "infeasible", "bridged")}
    assert shares == {"feasible": 0, "infeasible": 0, "bridged": 0}
    assert "bridge_length" not in knowledge.statistics()


def test_statistics_by_hand() -> None:
    knowledge = with_a_bridge([1, 3], [5, 6], [7, 9], [8, 9])
    observe(knowledge, episode((5, 0, 6, 0.0)), *trying_all_at(7))
    statistics = knowledge.statistics()
    assert statistics["feasible"] == 1 / 4
    assert statistics["infeasible"] == 2 / 4
    assert statistics["bridged"] == 1 / 4
    assert statistics["bridge_length"] == 3
    # what DIIQN has is there as well
    assert {"inferred", "trained", "inference_error"} <= statistics.keys()


def test_what_can_be_followed_are_bridges_and_whatever_may_be_feasible() -> None:
    """Infeasible without a bridge, infeasible with one, feasible, unknown."""
    knowledge = with_a_bridge([5, 9, 9], [1, 3], [2, 4], [3, 5])
    observe(knowledge, *trying_all_at(5), *trying_all_at(2))
    assert knowledge.feasibility.tolist() == [INFEASIBLE, UNKNOWN, INFEASIBLE, FEASIBLE, UNKNOWN]
    query, transition = knowledge.followable(np.array([[5], [1], [2], [3], [8], [1]]))
    assert (query.tolist(), transition.tolist()) == ([1, 2, 3, 5], [2, 3, 4, 2])


@pytest.mark.parametrize(("threshold", "expected"), [(1.0, [True, False, False]), (0.9, [True, True, False])])
def test_the_end_of_a_bridge_is_where_the_expert_is_then(threshold: float, expected: list[bool]) -> None:
    knowledge = with_a_bridge(inference={"similarity_threshold": threshold})
    assert knowledge.at_bridge_end(np.array([[3], [4], [1]]), np.array([0, 0, 0])).tolist() == expected


def test_a_bridge_that_fails_is_dropped_and_can_be_found_again() -> None:
    knowledge = with_a_bridge([1, 3], [1, 3], bridge_patience=2)
    failed, arrived = np.array([False, True]), np.array([0, 1])
    knowledge.judge_bridges(arrived, failed)
    assert knowledge.bridged(np.arange(2)).all()
    knowledge.judge_bridges(arrived, failed)
    assert knowledge.bridged(np.arange(2)).tolist() == [False, True]
    assert knowledge.usable(np.arange(2)).tolist() == [False, True]
    assert knowledge.statistics()["bridged"] == 1 / 2
    observe(knowledge, AROUND)
    assert knowledge.bridged(np.arange(2)).all()


# --- pickling -------------------------------------------------------------------------------------------------------------


def restored(knowledge: BridgingKnowledge, **settings: Any) -> BridgingKnowledge:
    """Knowledge as a model has it that was made anew, with settings of its own, and then given a saved replay buffer."""
    fresh = knowledge_of(knowledge.expert, n_envs=knowledge.n_envs, **settings)
    fresh.adopt(pickle.loads(pickle.dumps(knowledge.for_file())))
    return fresh


@settings(max_examples=30)
@given(generator=generators, cut=st.integers(1, 39), n_envs=st.integers(1, 2))
def test_restored_knowledge_has_all_tables_and_goes_on(generator: np.random.Generator, cut: int, n_envs: int) -> None:
    """What comes after is a new episode, whatever it looks like."""
    expert = random_expert(generator, 5)
    streams = random_streams(generator, 40, n_envs, 5)
    knowledge = knowledge_of(expert, n_envs=n_envs)
    knowledge.observe(agent_transitions(streams, slice(0, cut)))

    again = restored(knowledge)

    assert tables_of(again) == tables_of(knowledge)
    again.observe(agent_transitions(streams, slice(cut, 40)))
    for stream in streams:
        stream[cut] = stream[cut]._replace(begins=True)
    assert_equals_the_loops(again, streams, slow_absolute(10.0))


def test_the_file_has_neither_expert_data_nor_search() -> None:
    large = ExpertObservations.from_trajectories([np.random.default_rng(0).random((3, 100_000)).astype(np.float32)])
    knowledge = knowledge_of(large, spaces.Box(0, 1, (100_000,)))
    copies = np.zeros((50, 100_000), dtype=np.float32)
    nothing = np.zeros(50)
    knowledge.observe(AgentTransitions(copies, copies, nothing.astype(int), nothing, nothing, nothing))
    assert len(pickle.dumps(knowledge.for_file())) < 10_000


def test_restored_knowledge_follows_the_settings_of_the_model() -> None:
    """d of (1, 1) to (1, 3) is 0.1."""
    knowledge = with_a_bridge(inference={"max_inference_error": 0.2})
    assert restored(knowledge).feasibility.tolist() == [INFEASIBLE]
    other = restored(knowledge, infeasibility_threshold=0.1)
    assert other.feasibility.tolist() == [FEASIBLE]
    assert not other.bridged(np.array([0])).any()
    other = restored(knowledge, infeasibility_evidence=2)
    assert other.feasibility.tolist() == [UNKNOWN]
    other = restored(knowledge, bridge_gain=1, gamma=0.5, bridge_patience=1)
    other.judge_bridges(np.array([0]), np.array([False]))
    assert not other.bridged(np.array([0])).any()
    observe(other, AROUND)
    assert other.bridges.reward.tolist() == [1 + 0.5 * 2 + 0.25 * 4]


def test_bridges_of_another_length_are_refused() -> None:
    with pytest.raises(ExpertDataError, match="no bridges of up to 7 steps.*bridge_length"):
        restored(with_a_bridge(), bridge_length=7)


def test_knowledge_about_other_data_is_refused() -> None:
    own, other = knowledge_of(trajectories([1, 3])), knowledge_of(trajectories([1, 4]))
    with pytest.raises(ExpertDataError, match=f"{other.content_hash[:12]}.*{own.content_hash[:12]}"):
        own.adopt(pickle.loads(pickle.dumps(other.for_file())))


def test_knowledge_without_bridges_is_refused() -> None:
    plain = ExpertKnowledge(trajectories([1, 3]), LINE, InferenceSettings(), 0)
    with pytest.raises(ExpertDataError, match="another algorithm"):
        knowledge_of(trajectories([1, 3])).adopt(pickle.loads(pickle.dumps(plain.for_file())))


def test_knowledge_with_bridges_is_refused_where_there_are_none() -> None:
    plain = ExpertKnowledge(trajectories([1, 3]), LINE, InferenceSettings(), 0)
    with pytest.raises(ExpertDataError):
        plain.adopt(pickle.loads(pickle.dumps(with_a_bridge().for_file())))
