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
from sb3_diiqn.envs import Maze2D, MazeExpert
from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.inference import (
    NO_ACTION,
    NO_MATCH,
    AgentTransitions,
    BridgingKnowledge,
    BridgingSettings,
    ExpertKnowledge,
    Feasibility,
    InferenceSettings,
)
from sb3_diiqn.record import record_expert
from tests.inference.bridge_reference import (
    AgentStep,
    agent_transitions,
    assert_bridges_equal,
    best_paths,
    match_within,
    remembered,
    slow_feasibility,
    slow_paths,
)
from tests.inference.reference import Slow, infer, slow_absolute, slow_mismatch
from tests.inference.test_paths import random_expert, random_streams, slices

LINE = spaces.Box(0, 10, (1,), dtype=np.int64)
N_ACTIONS, GAMMA = 3, 0.9

UNKNOWN, FEASIBLE, INFEASIBLE = Feasibility

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)
batches = st.one_of(st.lists(st.integers(1, 40), max_size=6), st.just(list(range(40))))


def knowledge_of(
    expert: ExpertObservations,
    space: spaces.Space[Any] = LINE,
    n_envs: int = 1,
    n_actions: int = N_ACTIONS,
    gamma: float = GAMMA,
    inference: dict[str, Any] | None = None,
    **bridging: Any,
) -> BridgingKnowledge:
    chosen = InferenceSettings(**{"similarity_threshold": 1.0, **(inference or {})})
    return BridgingKnowledge(
        expert, space, chosen, 0, bridging=BridgingSettings(**bridging), n_actions=n_actions, n_envs=n_envs, gamma=gamma
    )


def assert_equals_the_loops(knowledge: BridgingKnowledge, streams: list[list[AgentStep]], distance: Slow) -> None:
    """Compare bridges, errors and feasibility with a look at everything at once."""
    expert, chosen, distance = knowledge.expert, knowledge.bridging, remembered(distance)
    match = match_within(distance, 1 - knowledge.settings.similarity_threshold + 1e-6)
    paths = slow_paths(streams, expert, match, chosen.bridge_length, chosen.bridge_gain, knowledge.gamma)
    assert_bridges_equal(knowledge, best_paths(paths))

    radius = max(knowledge.settings.max_inference_error, chosen.infeasibility_threshold)
    error = infer(expert, distance, agent_transitions(streams, slice(None)), radius).error
    assert knowledge.inferred.error.tolist() == error
    n_actions, evidence = knowledge.tried.counts.shape[1], chosen.infeasibility_evidence
    expected = slow_feasibility(streams, expert, match, error, n_actions, evidence, chosen.infeasibility_threshold)
    assert knowledge.feasibility.tolist() == expected

    every = np.arange(len(expert))
    infeasible = np.array(expected) == INFEASIBLE
    assert knowledge.bridged(every).tolist() == (infeasible & (knowledge.bridges.length > 0)).tolist()


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


def record_king(maze: Maze2D, seed: int, n_episodes: int = 2) -> ExpertObservations:
    """Recordings of an imperfect expert with all eight moves in this maze."""
    env = Maze2D(maze.layout, actions="king", observation=maze.observation, max_episode_steps=30)
    return record_expert(env, MazeExpert(env, 0.3, seed), n_episodes=n_episodes, seed=seed).expert_data


def wander(maze: Maze2D, n_steps: int, generator: np.random.Generator) -> list[AgentStep]:
    """Random moves; now and then an episode is left without a word."""
    steps: list[AgentStep] = []
    observation, begins = maze.reset(seed=int(generator.integers(10**6)))[0], True
    for _ in range(n_steps):
        if not begins and generator.random() < 0.03:
            observation = maze.reset()[0]
            begins = not np.array_equal(observation, steps[-1].following)
        action = int(generator.integers(len(maze.moves)))
        following, reward, terminated, truncated, _ = maze.step(action)
        ends = terminated or truncated
        steps.append(AgentStep(observation, action, float(np.float32(reward)), following, terminated, ends, begins))
        observation, begins = (maze.reset()[0], True) if ends else (following, False)
    return steps


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


def range_of(knowledge: BridgingKnowledge) -> Slow:
    """Distances of real numbers differ by rounding between implementations: the package's own, for one pair at a time."""
    distance = knowledge.matcher.distance
    return lambda one, other: float(distance.paired(*(distance.encode(np.asarray(each)[None]) for each in (one, other)))[0])
