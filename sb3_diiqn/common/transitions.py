"""Transitions as the networks have them, and batches in which no observation goes through the networks twice."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch as th

from sb3_diiqn.common.buffers import TensorObservations
from sb3_diiqn.expert.types import count_observations


class Transitions(NamedTuple):
    """One-step or n-step transitions, n of them."""

    observations: TensorObservations
    """Shape (n, ``*observation_shape``)."""
    actions: th.Tensor
    """Shape (n, 1), int64."""
    next_observations: TensorObservations
    """Shape (n, ``*observation_shape``)."""
    dones: th.Tensor
    """Shape (n, 1)."""
    rewards: th.Tensor
    """Shape (n, 1)."""
    discounts: th.Tensor
    """Factor of the value of the next observation, shape (n, 1)."""


class Batch(NamedTuple):
    """Transitions of the agent and then of the expert, n altogether, with the observations that they consist of."""

    observations: TensorObservations
    """Shape (m, ``*observation_shape``), m <= n."""
    row: th.Tensor
    """Which of the observations each transition starts at, shape (n,), int64."""
    actions: th.Tensor
    """Shape (n, 1), int64."""
    next_observations: TensorObservations
    """Shape (m', ``*observation_shape``), m' <= n."""
    next_row: th.Tensor
    """Which of the next observations each transition leads to, shape (n,), int64."""
    dones: th.Tensor
    """Shape (n, 1)."""
    rewards: th.Tensor
    """Shape (n, 1)."""
    discounts: th.Tensor
    """Factor of the value of the next observation, shape (n, 1)."""


class Learning(NamedTuple):
    """What a network has to learn from a batch of n transitions with m observations, and what it says of these."""

    q_values: th.Tensor
    """Of all actions at the m observations, and at further ones, shape (m + m', n_actions)."""
    losses: th.Tensor
    """Temporal-difference losses, shape (n,)."""
    errors: th.Tensor
    """Absolute temporal-difference errors, shape (n,); no gradient flows through them."""


def batch_of(agent: Transitions, expert: Transitions, matched: np.ndarray) -> Batch:
    """
    Put the agent's and the expert's transitions together; an expert's observation that equals the agent's is not repeated.

    :param agent: transitions of the agent
    :param expert: transitions of the expert
    :param matched: for each of the expert's, which of the agent's it was matched with, shape (n_expert,)
    """
    observations, row = _shared(agent.observations, expert.observations, matched)
    next_observations, next_row = _shared(agent.next_observations, expert.next_observations, matched)
    return Batch(
        observations,
        row,
        _joined_field(agent.actions, expert.actions),
        next_observations,
        next_row,
        *(_joined_field(one, other) for one, other in zip(agent[3:], expert[3:], strict=True)),
    )


def batch_alone(agent: Transitions) -> Batch:
    """
    Make a batch of the agent's transitions only.

    :param agent: transitions of the agent
    """
    observations, actions, next_observations, *others = agent
    row = th.arange(len(actions), device=actions.device)
    return Batch(observations, row, actions, next_observations, row, *others)


def with_transitions(batch: Batch, further: Transitions) -> Batch:
    """
    Put further transitions at the end of a batch, and their observations at the end of its observations.

    :param batch: the batch
    :param further: n transitions
    """
    new = th.arange(len(further.actions), device=batch.row.device)
    observations, actions, next_observations, *others = further
    return Batch(
        _joined_field(batch.observations, observations),
        th.cat([batch.row, count_observations(batch.observations) + new]),
        _joined_field(batch.actions, actions),
        _joined_field(batch.next_observations, next_observations),
        th.cat([batch.next_row, count_observations(batch.next_observations) + new]),
        *(_joined_field(one, other) for one, other in zip(batch[5:], others, strict=True)),
    )


def with_further(observations: TensorObservations, also: TensorObservations | None) -> TensorObservations:
    """
    Put observations one after the other.

    :param observations: n observations
    :param also: m further ones, or none
    """
    joint: TensorObservations = observations if also is None else _joined_field(observations, also)
    return joint


def _shared(own: TensorObservations, expert: TensorObservations, matched: np.ndarray) -> tuple[TensorObservations, th.Tensor]:
    """Return the agent's observations and those of the expert that differ from them, and the row of each one's."""
    example = next(iter(own.values())) if isinstance(own, dict) else own
    rows = np.arange(len(example) + len(matched))
    if len(matched) and _often_equal(own):
        new = _differ(own, expert, matched)
        rows[len(example) :] = np.where(new, len(example) - 1 + new.cumsum(), matched)
        expert = (
            {key: _chosen(value, new) for key, value in expert.items()} if isinstance(expert, dict) else _chosen(expert, new)
        )
    return _joined_field(own, expert), th.as_tensor(rows, device=example.device)


def _often_equal(observations: TensorObservations) -> bool:
    """Tell whether it pays to look for equal ones: those of floating point hardly ever are, and on a GPU rows cost nothing."""
    values = observations.values() if isinstance(observations, dict) else [observations]
    return not any(value.is_floating_point() or value.device.type != "cpu" for value in values)


def _differ(own: TensorObservations, expert: TensorObservations, matched: np.ndarray) -> np.ndarray:
    if isinstance(own, dict) and isinstance(expert, dict):
        return np.asarray(np.any([_differ(own[key], expert[key], matched) for key in own], axis=0))
    differ: np.ndarray = own.numpy()[matched] != expert.numpy()  # type: ignore[union-attr]
    return np.asarray(differ.reshape(len(matched), -1).any(axis=1))


def _chosen(values: th.Tensor, chosen: np.ndarray) -> th.Tensor:
    return th.from_numpy(values.numpy()[chosen])


def _joined_field(first: TensorObservations, second: TensorObservations) -> Any:
    if isinstance(first, dict) and isinstance(second, dict):
        return {key: th.cat([first[key], second[key]]) for key in first}
    return th.cat([first, second])  # type: ignore[list-item]
