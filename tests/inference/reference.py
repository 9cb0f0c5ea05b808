"""Distances, action inference and expert sampling in plain Python, as the paper says it: loops over all pairs, in order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sb3_diiqn import ExpertObservations
from sb3_diiqn.inference import NO_ACTION, AgentTransitions

#: distance of two observations
Slow = Callable[[Any, Any], float]


def slow_jaccard(first: Any, second: Any) -> float:
    a, b = ({i for i, value in enumerate(np.ravel(one)) if value != 0} for one in (first, second))
    return 1 - len(a & b) / len(a | b) if a | b else 0.0


def slow_absolute(width: float) -> Slow:
    def distance(first: Any, second: Any) -> float:
        pairs = list(zip(np.ravel(first).tolist(), np.ravel(second).tolist(), strict=True))
        return min(1.0, sum(abs(x - y) for x, y in pairs) / len(pairs) / width)

    return distance


def tenths(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What ``slow_absolute(10.0)`` is, for all pairs, as a user writes it: by hand, and not in units of the expert data."""
    return np.abs(first[:, None] - second[None]).sum(axis=-1) / first.shape[-1] / 10


def slow_range(observations: np.ndarray, fallback: list[float]) -> Slow:
    rows = observations.reshape(len(observations), -1).tolist()
    widths = [max(column) - min(column) or other for column, other in zip(zip(*rows, strict=True), fallback, strict=True)]

    def distance(first: Any, second: Any) -> float:
        pairs = zip(np.ravel(first).tolist(), np.ravel(second).tolist(), widths, strict=True)
        return min(1.0, math.sqrt(sum(((x - y) / width) ** 2 for x, y, width in pairs) / len(widths)))

    return distance


def slow_mismatch(first: Any, second: Any) -> float:
    pairs = list(zip(np.ravel(first).tolist(), np.ravel(second).tolist(), strict=True))
    return sum(x != y for x, y in pairs) / len(pairs)


class Tables(NamedTuple):
    """What is inferred for every expert transition."""

    action: list[int]
    error: list[float]
    reward: list[float]
    terminal: list[float]


def pairs_of(expert: ExpertObservations) -> list[tuple[Any, Any]]:
    """List the expert's pairs (s_i, s'_i)."""
    every = np.arange(len(expert))
    return list(zip(expert.current(every), expert.next(every), strict=True))


def infer(expert: ExpertObservations, distance: Slow, agent: AgentTransitions, max_error: float) -> Tables:
    """Let every agent transition in turn, compared with every expert transition in turn, replace what is further away."""
    n = len(expert)
    tables = Tables([NO_ACTION] * n, [np.inf] * n, [0.0] * n, [0.0] * n)
    for j, (now, later) in enumerate(zip(agent.observations, agent.next_observations, strict=True)):
        for i, (expert_now, expert_later) in enumerate(pairs_of(expert)):
            d = (np.float32(distance(now, expert_now)) + np.float32(distance(later, expert_later))) / np.float32(2)
            if d <= max_error and d < tables.error[i]:
                tables.action[i], tables.error[i] = int(agent.actions[j]), float(d)
                tables.reward[i], tables.terminal[i] = float(agent.rewards[j]), float(agent.terminals[j])
    return tables


def accepted(expert: ExpertObservations, distance: Slow, observation: Any, k: int, threshold: float) -> set[int]:
    """Collect the transitions that start at one of the k nearest expert states, if that is similar enough."""
    states: list[Any] = []
    transitions: list[list[int]] = []
    for i, (state, _) in enumerate(pairs_of(expert)):
        known = next((u for u, other in enumerate(states) if np.array_equal(state, other)), None)
        if known is None:
            states.append(state)
            transitions.append([i])
        else:
            transitions[known].append(i)
    near = sorted((np.float32(distance(observation, state)), u) for u, state in enumerate(states))[:k]
    # similarities are compared to five digits: one exactly at the threshold is similar enough
    return {i for d, u in near if round(1 - float(d) - threshold, 5) >= 0 for i in transitions[u]}
