"""Batches: whatever is shared, every transition keeps its own observations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th

from sb3_diiqn.common.batch import Transitions, batch_of, with_further, with_transitions
from sb3_diiqn.imitation.buffers import TensorObservations

AGENT = th.tensor([[0, 1], [2, 3], [4, 5]], dtype=th.uint8)
AHEAD = th.tensor([[2, 3], [4, 5], [6, 7]], dtype=th.uint8)


def transitions(observations: TensorObservations, following: TensorObservations, first: float) -> Transitions:
    n = len(next(iter(observations.values())) if isinstance(observations, dict) else observations)
    numbers = th.arange(n, dtype=th.float32).reshape(-1, 1) + first
    return Transitions(observations, numbers.long(), following, numbers + 0.1, numbers + 0.2, numbers + 0.3)


def test_equal_observations_are_there_once() -> None:
    """The expert's first transition equals the agent's second, of its second only the end does, of its third nothing."""
    expert = th.tensor([[2, 3], [9, 9], [8, 8]], dtype=th.uint8), th.tensor([[4, 5], [6, 7], [7, 7]], dtype=th.uint8)
    batch = batch_of(transitions(AGENT, AHEAD, 0), transitions(*expert, 10), np.array([1, 2, 0]))
    assert batch.observations.tolist() == [[0, 1], [2, 3], [4, 5], [9, 9], [8, 8]]
    assert batch.row.tolist() == [0, 1, 2, 1, 3, 4]
    assert batch.next_observations.tolist() == [[2, 3], [4, 5], [6, 7], [7, 7]]
    assert batch.next_row.tolist() == [0, 1, 2, 1, 2, 3]
    assert batch.actions.tolist() == [[0], [1], [2], [10], [11], [12]]


def test_only_the_matched_observation_is_compared() -> None:
    expert = AGENT[[0]], AHEAD[[0]]
    batch = batch_of(transitions(AGENT, AHEAD, 0), transitions(*expert, 10), np.array([2]))
    assert batch.row.tolist() == [0, 1, 2, 3]
    assert batch.next_row.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", ["bytes", "bool", "float", "dict", "dict with floats"])
@pytest.mark.parametrize("n_expert", [0, 1, 5])
def test_every_transition_keeps_its_observations(kind: str, n_expert: int) -> None:
    generator = th.Generator().manual_seed(n_expert)

    def draw(n: int) -> Any:
        numbers = th.randint(0, 2, (n, 2), generator=generator)
        if kind.startswith("dict"):
            room = th.randint(0, 2, (n, 1), generator=generator)
            return {"where": numbers.float() if "floats" in kind else numbers, "room": room}
        return numbers.to({"bytes": th.uint8, "bool": th.bool, "float": th.float32}[kind])

    agent, expert = transitions(draw(8), draw(8), 0), transitions(draw(n_expert), draw(n_expert), 10)
    batch = batch_of(agent, expert, np.random.default_rng(0).integers(8, size=n_expert))
    plain = Transitions(*(with_further(one, other) for one, other in zip(agent, expert, strict=True)))  # type: ignore[arg-type]
    for values, row, expected in (
        (batch.observations, batch.row, plain.observations),
        (batch.next_observations, batch.next_row, plain.next_observations),
    ):
        if isinstance(values, dict):
            assert all(th.equal(values[key][row], expected[key]) for key in expected)  # type: ignore[index,call-overload]
        else:
            assert th.equal(values[row], expected)  # type: ignore[arg-type]
    for name in ("actions", "dones", "rewards", "discounts"):
        assert th.equal(getattr(batch, name), getattr(plain, name))


def test_further_transitions_come_last() -> None:
    batch = batch_of(transitions(AGENT, AHEAD, 0), transitions(AGENT[1:2], AHEAD[1:2], 10), np.array([1]))
    batch = with_transitions(batch, transitions(AHEAD[:2], AGENT[:2], 20))
    assert batch.observations.tolist() == [*AGENT.tolist(), *AHEAD[:2].tolist()]
    assert batch.next_observations.tolist() == [*AHEAD.tolist(), *AGENT[:2].tolist()]
    assert batch.row.tolist() == batch.next_row.tolist() == [0, 1, 2, 1, 3, 4]
    assert batch.actions[:, 0].tolist() == [0, 1, 2, 10, 20, 21]
    assert batch.rewards[:, 0].tolist() == pytest.approx([0.2, 1.2, 2.2, 10.2, 20.2, 21.2])


def test_further_observations_come_last() -> None:
    assert with_further(AGENT, None) is AGENT
    assert with_further(AGENT, AHEAD[:1]).tolist() == [*AGENT.tolist(), [2, 3]]  # type: ignore[union-attr]
