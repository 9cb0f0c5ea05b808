"""Batches: whatever is shared, every transition keeps its own observations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th

from sb3_diiqn.common.batch import Batch, Matches, Samples, Transitions, joined, make_batch
from sb3_diiqn.common.types import TensorObservations

AGENT = th.tensor([[0, 1], [2, 3], [4, 5]], dtype=th.uint8)
AHEAD = th.tensor([[2, 3], [4, 5], [6, 7]], dtype=th.uint8)
GUIDED = th.tensor([True, False, True])


def transitions(observations: TensorObservations, following: TensorObservations, first: float) -> Transitions:
    n = len(next(iter(observations.values())) if isinstance(observations, dict) else observations)
    numbers = th.arange(n, dtype=th.float32).reshape(-1, 1) + first
    return Transitions(observations, numbers.long(), following, numbers + 0.1, numbers + 0.2, numbers + 0.3)


def matches(*rows: int) -> Matches:
    return Matches(np.array(rows, dtype=int), np.arange(len(rows)))


def samples(n: int) -> Samples:
    return Samples(np.arange(n), th.ones(n, 2, dtype=th.bool), th.ones(n), th.ones(n))


def batch_of(agent: Transitions, matched: Transitions, *rows: int, **sampled: Any) -> Batch:
    return make_batch(agent, matched, matches(*rows), GUIDED, **sampled)


def test_equal_observations_are_there_once() -> None:
    """The expert's first transition equals the agent's second, of its second only the end does, of its third nothing."""
    expert = th.tensor([[2, 3], [9, 9], [8, 8]], dtype=th.uint8), th.tensor([[4, 5], [6, 7], [7, 7]], dtype=th.uint8)
    batch = batch_of(transitions(AGENT, AHEAD, 0), transitions(*expert, 10), 1, 2, 0)
    assert batch.observations.tolist() == [[0, 1], [2, 3], [4, 5], [9, 9], [8, 8]]  # type: ignore[union-attr]
    assert batch.row.tolist() == [0, 1, 2, 1, 3, 4]
    assert batch.next_observations.tolist() == [[2, 3], [4, 5], [6, 7], [7, 7]]  # type: ignore[union-attr]
    assert batch.next_row.tolist() == [0, 1, 2, 1, 2, 3]
    assert batch.actions.tolist() == [[0], [1], [2], [10], [11], [12]]


def test_only_the_matched_observation_is_compared() -> None:
    batch = batch_of(transitions(AGENT, AHEAD, 0), transitions(AGENT[[0]], AHEAD[[0]], 10), 2)
    assert batch.row.tolist() == [0, 1, 2, 3]
    assert batch.next_row.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", ["bytes", "bool", "float", "dict", "dict with floats"])
@pytest.mark.parametrize("n_sampled", [0, 4])
@pytest.mark.parametrize("n_matched", [0, 1, 5])
def test_every_transition_keeps_its_observations(kind: str, n_matched: int, n_sampled: int) -> None:
    generator = th.Generator().manual_seed(n_matched)

    def draw(n: int) -> Any:
        numbers = th.randint(0, 2, (n, 2), generator=generator)
        if kind.startswith("dict"):
            room = th.randint(0, 2, (n, 1), generator=generator)
            return {"where": numbers.float() if "floats" in kind else numbers, "room": room}
        return numbers.to({"bytes": th.uint8, "bool": th.bool, "float": th.float32}[kind])

    agent, matched = transitions(draw(8), draw(8), 0), transitions(draw(n_matched), draw(n_matched), 10)
    parts = [agent, matched]
    sampled: dict[str, Any] = {}
    if n_sampled:
        parts.append(transitions(draw(n_sampled), draw(n_sampled), 20))
        sampled = {"samples": samples(n_sampled), "sampled": parts[-1]}
    rows = np.random.default_rng(0).integers(8, size=n_matched)
    batch = batch_of(agent, matched, *rows, **sampled)
    for values, row, own in (
        (batch.observations, batch.row, [part.observations for part in parts]),
        (batch.next_observations, batch.next_row, [part.next_observations for part in parts]),
    ):
        if isinstance(values, dict):
            assert all(th.equal(values[key][row], th.cat([part[key] for part in own])) for key in values)  # type: ignore[call-overload, index, misc]
        else:
            assert th.equal(values[row], th.cat(own))  # type: ignore[arg-type]
    for name in ("actions", "dones", "rewards", "discounts"):
        assert th.equal(getattr(batch, name), th.cat([getattr(part, name) for part in parts]))


def test_the_parts_of_a_batch_with_sampled_transitions() -> None:
    sampled = transitions(AHEAD[:2], AGENT[:2], 20)
    batch = batch_of(
        transitions(AGENT, AHEAD, 0), transitions(AGENT[1:2], AHEAD[1:2], 10), 1, samples=samples(2), sampled=sampled
    )
    assert batch.observations.tolist() == [*AGENT.tolist(), *AHEAD[:2].tolist()]  # type: ignore[union-attr]
    assert batch.next_observations.tolist() == [*AHEAD.tolist(), *AGENT[:2].tolist()]  # type: ignore[union-attr]
    assert batch.row.tolist() == batch.next_row.tolist() == [0, 1, 2, 1, 3, 4]
    assert batch.actions[:, 0].tolist() == [0, 1, 2, 10, 20, 21]
    assert batch.rewards[:, 0].tolist() == pytest.approx([0.2, 1.2, 2.2, 10.2, 20.2, 21.2])
    numbers = batch.actions[:, 0]
    parts = [numbers[part].tolist() for part in (batch.agent, batch.matched, batch.sampled)]
    assert parts == [[0, 1, 2], [10], [20, 21]]
    assert th.equal(batch.observations[batch.agent], AGENT)  # type: ignore[index]
    assert th.equal(batch.observations[batch.sampled_observations], AHEAD[:2])  # type: ignore[index]


def test_of_samples_without_outcomes_only_the_observations_are_there() -> None:
    known = samples(2)
    batch = batch_of(transitions(AGENT, AHEAD, 0), transitions(AGENT[:0], AHEAD[:0], 10), samples=known, sampled=AHEAD[:2])
    assert batch.actions[:, 0].tolist() == [0, 1, 2]
    assert batch.actions[batch.matched].shape == batch.actions[batch.sampled].shape == (0, 1)
    assert th.equal(batch.next_observations, AHEAD)  # type: ignore[arg-type]
    assert th.equal(batch.observations[batch.sampled_observations], AHEAD[:2])  # type: ignore[index]
    assert batch.samples is known


def test_without_samples_there_are_none() -> None:
    batch = batch_of(transitions(AGENT, AHEAD, 0), transitions(AGENT[:1], AHEAD[:1], 10), 0)
    assert batch.samples is None
    assert len(batch.observations[batch.sampled_observations]) == len(batch.actions[batch.sampled]) == 0  # type: ignore[index]
    assert batch.guided.tolist() == GUIDED.tolist()
    assert batch.matches.rows.tolist() == [0]


def test_batches_are_put_one_after_the_other() -> None:
    assert joined(AGENT, AHEAD[:1]).tolist() == [*AGENT.tolist(), [2, 3]]
    both = joined({"a": AGENT, "b": AHEAD}, {"b": AGENT[:1], "a": AHEAD[:1]})
    assert both["a"].tolist() == [*AGENT.tolist(), [2, 3]] and both["b"].tolist() == [*AHEAD.tolist(), [0, 1]]
