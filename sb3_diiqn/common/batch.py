"""Transitions as the networks have them, and the batch of an update, in which no observation goes through a network twice."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch as th

from sb3_diiqn.common.types import TensorObservations
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


class Matches(NamedTuple):
    """The expert transitions that some of the agent's were matched with, m of them ("Expert sampling" in the paper)."""

    rows: np.ndarray
    """Which of the agent's transitions each belongs to, shape (m,)."""
    indices: np.ndarray
    """Which expert transition each is, shape (m,)."""


class Samples(NamedTuple):
    """Expert transitions sampled from all of the data, k of them, and what is known of their actions."""

    indices: np.ndarray
    """Which expert transitions they are, shape (k,)."""
    plausible: th.Tensor
    """Which actions the expert may have taken, shape (k, n_actions), bool."""
    certainty: th.Tensor
    """That it was one of them, beyond chance, in [0, 1], shape (k,)."""
    outcome_certainty: th.Tensor
    """That reward and end of the episode are those that the agent would see, in [0, 1], shape (k,)."""


class Batch(NamedTuple):
    """
    The batch of one update: n transitions that start at some of m observations.

    First come the agent's transitions, then the expert's that they were matched with, then those sampled from all of the
    expert data, if their outcomes are known. The observations have the same order; those of the samples are there in any case.
    """

    observations: TensorObservations
    """Shape (m, ``*observation_shape``)."""
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
    agent: slice
    """The agent's: rows of the transitions, and of the observations."""
    matched: slice
    """Rows of the transitions that were matched with the agent's."""
    sampled: slice
    """Rows of the transitions that were sampled, none if their outcomes are not known."""
    sampled_observations: slice
    """Rows of the observations that were sampled."""
    matches: Matches
    samples: Samples | None
    guided: th.Tensor
    """Which of the agent's actions were the guide's, shape (n_agent,), bool."""
    largest_value: float = float("inf")
    """No next observation is worth more."""

    @property
    def _is_in_order(self) -> bool:
        """Whether each transition starts at, and leads to, observations of its own: only matched ones share the agent's."""
        return len(self.matches.rows) == 0

    def at_starts(self, values: th.Tensor) -> th.Tensor:
        """
        Look up what transitions start with.

        :param values: one for each of the observations, shape (m, ...)
        :return: shape (n, ...)
        """
        return values[: len(self.row)] if self._is_in_order else values[self.row]

    def at_ends(self, values: th.Tensor) -> th.Tensor:
        """
        Look up what transitions lead to.

        :param values: one for each of the next observations, shape (m', ...)
        :return: shape (n, ...)
        """
        return values[: len(self.next_row)] if self._is_in_order else values[self.next_row]


class TDOutput(NamedTuple):
    """What the host says of a batch of n transitions and m observations."""

    q_values: th.Tensor
    """Of all actions at the observations, shape (m, n_actions)."""
    losses: th.Tensor
    """Temporal-difference losses of the transitions, shape (n,)."""
    errors: th.Tensor
    """Absolute temporal-difference errors, shape (n,); no gradient flows through them."""


def make_batch(
    agent: Transitions,
    matched: Transitions,
    matches: Matches,
    guided: th.Tensor,
    samples: Samples | None = None,
    sampled: Transitions | TensorObservations | None = None,
) -> Batch:
    """
    Put the agent's and the expert's transitions together; an expert's observation that equals the agent's is not repeated.

    :param agent: transitions of the agent, n of them
    :param matched: transitions of the expert that were matched with them, m of them
    :param matches: which they are
    :param guided: which of the agent's actions were the guide's, shape (n,), bool
    :param samples: what is known of the sampled expert transitions, k of them, if there are any
    :param sampled: these transitions, or only their observations where outcomes are not known
    """
    observations, row = _shared(agent.observations, matched.observations, matches.rows)
    next_observations, next_row = _shared(agent.next_observations, matched.next_observations, matches.rows)
    parts = [agent, matched]
    n_agent, n_before, m_before = (
        len(agent.actions),
        len(agent.actions) + len(matched.actions),
        count_observations(observations),
    )
    if isinstance(sampled, Transitions):
        new = th.arange(len(sampled.actions), device=row.device)
        row = th.cat([row, m_before + new])
        next_row = th.cat([next_row, count_observations(next_observations) + new])
        next_observations = joined(next_observations, sampled.next_observations)
        parts.append(sampled)
        sampled = sampled.observations
    if sampled is not None:
        observations = joined(observations, sampled)
    return Batch(
        observations,
        row,
        th.cat([part.actions for part in parts]),
        next_observations,
        next_row,
        th.cat([part.dones for part in parts]),
        th.cat([part.rewards for part in parts]),
        th.cat([part.discounts for part in parts]),
        agent=slice(0, n_agent),
        matched=slice(n_agent, n_before),
        sampled=slice(n_before, len(row)),
        sampled_observations=slice(m_before, count_observations(observations)),
        matches=matches,
        samples=samples,
        guided=guided,
    )


def _shared(own: TensorObservations, expert: TensorObservations, matched: np.ndarray) -> tuple[TensorObservations, th.Tensor]:
    """Return the agent's observations and those of the expert that differ from them, and the row of each one's."""
    example = next(iter(own.values())) if isinstance(own, dict) else own
    if len(matched) == 0:
        return own, th.arange(len(example), device=example.device)
    rows = np.arange(len(example) + len(matched))
    if _often_equal(own):
        new = _differ(own, expert, matched)
        rows[len(example) :] = np.where(new, len(example) - 1 + new.cumsum(), matched)
        expert = (
            {key: _chosen(value, new) for key, value in expert.items()} if isinstance(expert, dict) else _chosen(expert, new)
        )
    return joined(own, expert), th.as_tensor(rows, device=example.device)


def _often_equal(observations: TensorObservations) -> bool:
    """Tell whether it pays to look for equal ones: those of floating point hardly ever are, and on a GPU rows cost nothing."""
    values = observations.values() if isinstance(observations, dict) else [observations]
    return not any(value.is_floating_point() or value.device.type != "cpu" for value in values)


def _differ(own: Any, expert: Any, matched: np.ndarray) -> np.ndarray:
    if isinstance(own, dict):
        return np.asarray(np.any([_differ(own[key], expert[key], matched) for key in own], axis=0))
    differ: np.ndarray = own.numpy()[matched] != expert.numpy()
    return np.asarray(differ.reshape(len(matched), -1).any(axis=1))


def _chosen(values: th.Tensor, chosen: np.ndarray) -> th.Tensor:
    return th.from_numpy(values.numpy()[chosen])


def joined(first: Any, second: Any) -> Any:
    """
    Put batches of tensors one after the other.

    :param first: a tensor, or a dict of tensors
    :param second: the same, with the same keys
    """
    if isinstance(first, dict):
        return {key: th.cat([first[key], second[key]]) for key in first}
    return th.cat([first, second])
