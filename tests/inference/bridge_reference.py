"""Feasibility and bridges in plain Python: every path that the agent went through, with every pair of expert observations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from sb3_diiqn import ExpertObservations
from sb3_diiqn.inference import AgentTransitions, BridgingKnowledge, Feasibility

#: whether an agent observation and an expert observation match, and how far apart they are
Match = Callable[[Any, Any], float | None]


class AgentStep(NamedTuple):
    """A step of the agent in one environment."""

    observation: Any
    action: int
    reward: float
    following: Any
    terminal: bool
    """The episode ended for good."""
    ends: bool
    """The episode ended, or was cut."""
    begins: bool
    """It does not go on from the step before it."""


class Path(NamedTuple):
    """A way that the agent went from an expert transition's state to a later state of the same trajectory."""

    transition: int
    length: int
    end: int
    gain: int
    distance: float
    actions: list[int]
    reward: float
    terminal: float
    seen: tuple[int, bool, int, int]
    """Orders equally good ones: when the agent was seen at its end, there before on its way, its length, the environment."""

    @property
    def rank(self) -> tuple[Any, ...]:
        """Lower is better: expert steps per agent step, then distance, then the earlier."""
        return -Fraction(self.gain, self.length), self.distance, self.seen


def remembered(distance: Callable[[Any, Any], float]) -> Callable[[Any, Any], float]:
    """The same distance, computed once for each pair."""
    known: dict[tuple[bytes, bytes], float] = {}

    def look_up(one: Any, other: Any) -> float:
        pair = (np.asarray(one).tobytes(), np.asarray(other).tobytes())
        if pair not in known:
            known[pair] = distance(one, other)
        return known[pair]

    return look_up


def match_within(distance: Callable[[Any, Any], float], radius: float) -> Match:
    """Distances in the package are of single precision."""

    def match(one: Any, other: Any) -> float | None:
        d = np.float32(distance(one, other))
        return float(d) if d <= radius else None

    return match


def slow_paths(
    streams: list[list[AgentStep]], expert: ExpertObservations, match: Match, k: int, n: int, gamma: float
) -> Iterator[Path]:
    """
    Search the whole past: from every step to every later one, from every expert transition to every later observation.

    Where the agent was at the end is known when its episode ended there, or when it went on from there.
    """
    observations = [np.asarray(one) for one in expert.observations]  # type: ignore[union-attr]
    for env, steps in enumerate(streams):
        now = [[match(step.observation, other) for other in observations] for step in steps]
        later = [[match(step.following, other) for other in observations] for step in steps]
        for first in range(len(steps)):
            for last in range(first, min(first + k, len(steps))):
                path = steps[first : last + 1]
                if any(step.begins for step in path[1:]):
                    break
                ended = path[-1].ends
                if not ended and (last + 1 == len(steps) or steps[last + 1].begins):
                    continue
                seen = (last if ended else last + 1, ended, len(path), env)
                for transition in range(len(expert)):
                    start = int(expert.observation_index[transition])
                    from_start = now[first][start]
                    if from_start is None:
                        continue
                    trajectory_end = int(expert.offsets[expert.trajectory_index[transition] + 1])
                    for end in range(start + 1, trajectory_end):
                        to_end = later[last][end]
                        if to_end is None or end - start > n:
                            continue
                        yield Path(
                            transition,
                            len(path),
                            end,
                            end - start,
                            float((np.float32(from_start) + np.float32(to_end)) / 2),
                            [step.action for step in path],
                            sum(gamma**j * step.reward for j, step in enumerate(path)),
                            float(path[-1].terminal),
                            seen,
                        )


def best_paths(paths: Iterator[Path]) -> dict[int, Path]:
    """Keep the best path of every expert transition."""
    best: dict[int, Path] = {}
    for path in paths:
        if path.transition not in best or path.rank < best[path.transition].rank:
            best[path.transition] = path
    return best


def slow_feasibility(
    streams: list[list[AgentStep]],
    expert: ExpertObservations,
    match: Match,
    error: list[float],
    n_actions: int,
    evidence: int,
    threshold: float,
) -> list[Feasibility]:
    """Count, for every expert transition, all of the agent's actions at states that match its state."""
    result = []
    for transition, start in enumerate(expert.observation_index):
        state = np.asarray(expert.observations[start])  # type: ignore[index]
        tried = [
            sum(step.action == action and match(step.observation, state) is not None for steps in streams for step in steps)
            for action in range(n_actions)
        ]
        if error[transition] <= np.float32(threshold):
            result.append(Feasibility.FEASIBLE)
        else:
            result.append(Feasibility.INFEASIBLE if min(tried) >= evidence else Feasibility.UNKNOWN)
    return result


def agent_transitions(streams: list[list[AgentStep]], steps: slice) -> AgentTransitions:
    """Put a batch of steps of all environments in the order in which a replay buffer hands them over."""
    rows = [stream[index] for index in range(*steps.indices(len(streams[0]))) for stream in streams]
    return AgentTransitions(
        np.stack([np.asarray(row.observation) for row in rows]),
        np.stack([np.asarray(row.following) for row in rows]),
        np.array([row.action for row in rows], dtype=np.int64),
        np.array([row.reward for row in rows], dtype=np.float32),
        np.array([row.terminal for row in rows], dtype=np.float32),
        np.array([row.ends for row in rows], dtype=np.float32),
    )


def assert_bridges_equal(knowledge: BridgingKnowledge, expected: dict[int, Path]) -> None:
    """Compare all that is known about the bridges of transitions that are not feasible; what is feasible needs none."""
    bridges, needed = knowledge.bridges, knowledge.feasibility != Feasibility.FEASIBLE
    expected = {transition: path for transition, path in expected.items() if needed[transition]}
    assert np.flatnonzero((bridges.length > 0) & needed).tolist() == sorted(expected)
    for transition, path in expected.items():
        found = (
            bridges.length[transition],
            bridges.gain[transition],
            bridges.distance[transition],
            bridges.end_observation[transition],
            bridges.actions[transition, : path.length].tolist(),
            bridges.terminal[transition],
        )
        assert found == (path.length, path.gain, path.distance, path.end, path.actions, path.terminal), transition
        assert abs(bridges.reward[transition] - path.reward) < 1e-5
