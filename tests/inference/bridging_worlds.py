"""Worlds small enough to see what bridges there are in them, and what tests of bridging share."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_diiqn import ExpertObservations
from sb3_diiqn.envs import Maze2D, MazeExpert
from sb3_diiqn.inference import (
    BridgingKnowledge,
    BridgingSettings,
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
from tests.inference.reference import Slow, infer, tenths

LINE = spaces.Box(0, 10, (1,), dtype=np.int64)
N_ACTIONS, GAMMA = 3, 0.9


def knowledge_of(
    expert: ExpertObservations,
    space: spaces.Space[Any] = LINE,
    n_envs: int = 1,
    n_actions: int = N_ACTIONS,
    gamma: float = GAMMA,
    inference: dict[str, Any] | None = None,
    **bridging: Any,
) -> BridgingKnowledge:
    by_hand = {"similarity_metric": tenths} if space is LINE else {}
    chosen = InferenceSettings(**{"similarity_threshold": 1.0, **by_hand, **(inference or {})})
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
    infeasible = np.array(expected) == Feasibility.INFEASIBLE
    assert knowledge.bridged(every).tolist() == (infeasible & (knowledge.bridges.length > 0)).tolist()


def record_king(maze: Maze2D, seed: int, n_episodes: int = 2, randomness: float = 0.3) -> ExpertObservations:
    """Recordings of an expert with all eight moves in this maze."""
    env = Maze2D(maze.layout, actions="king", observation=maze.observation, max_episode_steps=30)
    return record_expert(env, MazeExpert(env, randomness, seed), n_episodes=n_episodes, seed=seed).expert_data


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


def range_of(knowledge: BridgingKnowledge) -> Slow:
    """Distances of real numbers differ by rounding between implementations: the package's own, for one pair at a time."""
    distance = knowledge.matcher.distance
    return lambda one, other: float(distance.paired(*(distance.encode(np.asarray(each)[None]) for each in (one, other)))[0])


def episode(*moves: tuple[int, int, int, float], terminal: bool = False) -> list[AgentStep]:
    """Steps of (cell, action, next cell, reward), the last of which ends the episode, for good or by a cut."""
    return [
        AgentStep(
            [cell], action, reward, [following], terminal and number == len(moves) - 1, number == len(moves) - 1, number == 0
        )
        for number, (cell, action, following, reward) in enumerate(moves)
    ]


def observe(knowledge: BridgingKnowledge, *episodes: list[AgentStep]) -> np.ndarray:
    return knowledge.observe(agent_transitions([[step for one in episodes for step in one]], slice(None)))


def trying_all_at(cell: int, n_actions: int = N_ACTIONS) -> list[list[AgentStep]]:
    """Episodes of one step in which nothing moves the agent."""
    return [episode((cell, action, cell, 0.0)) for action in range(n_actions)]


def trajectories(*cells: list[int]) -> ExpertObservations:
    return ExpertObservations.from_trajectories([np.array(one)[:, None] for one in cells])


#: From 1 in three steps to 3, by 2 and 4.
AROUND = episode((1, 2, 2, 1.0), (2, 1, 4, 2.0), (4, 0, 3, 4.0))


def with_a_bridge(*cells: list[int], terminal: bool = False, **settings: Any) -> BridgingKnowledge:
    """The expert goes from 1 to 3 at once; the agent has tried everything there, and knows a way of three steps."""
    knowledge = knowledge_of(trajectories(*(cells or ([1, 3],))), **settings)
    around = [*AROUND[:2], AROUND[2]._replace(terminal=terminal)]
    observe(knowledge, *trying_all_at(1), around)
    return knowledge


def tables_of(knowledge: BridgingKnowledge) -> dict[str, Any]:
    tables = {**vars(knowledge.bridges), **vars(knowledge.inferred), **vars(knowledge.tried), "state": knowledge.feasibility}
    return {name: table.tolist() for name, table in tables.items()} | {"bridged": knowledge._bridged.tolist()}
