"""Batches and what a host says of them, with numbers chosen by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th

from sb3_diiqn.common.batch import Batch, Matches, Samples, TDOutput, Transitions, make_batch


def transitions(actions: list[int], paid: float | list[float] = 0.0) -> Transitions:
    """Transitions of which only the actions and the rewards matter."""
    n = len(actions)
    observations, column, rewards = th.rand(n, 2), th.zeros(n, 1), th.tensor(paid).expand(n).reshape(n, 1)
    return Transitions(observations, th.tensor(actions, dtype=th.int64).reshape(n, 1), observations, column, rewards, column)


def batch(
    agent: list[int],
    matched: dict[int, tuple[int, int]] | None = None,
    samples: Samples | None = None,
    sampled: list[int] | None = None,
    guided: list[bool] | None = None,
    paid: list[float] | None = None,
) -> Batch:
    """
    Make a batch.

    :param agent: the agent's actions
    :param matched: for some of the agent's rows, the expert transition that matches, and its action
    :param samples: what is known of the sampled expert transitions
    :param sampled: their actions, None if outcomes are not known
    :param guided: which of the agent's actions were the guide's
    :param paid: the agent's rewards; all others are 77
    """
    found = matched or {}
    rows, indices = np.array([*found], dtype=int), np.array([index for index, _ in found.values()], dtype=int)
    drawn: Any = None if samples is None else th.rand(len(samples.indices), 2)
    if sampled is not None:
        drawn = transitions(sampled, 77.0)
    return make_batch(
        transitions(agent, [0.0] * len(agent) if paid is None else paid),
        transitions([action for _, action in found.values()], 77.0),
        Matches(rows, indices),
        th.tensor([False] * len(agent) if guided is None else guided),
        samples,
        drawn,
    )


def output(of: Batch, q_values: list[list[float]], losses: list[float], errors: list[float] | None = None) -> TDOutput:
    """
    Say what a host might say; gradients flow through Q-values and losses.

    :param of: the batch
    :param q_values: of all actions at its observations
    :param losses: of its transitions
    :param errors: of its transitions, 0 if they do not matter
    """
    assert len(q_values) == len(of.observations) and len(losses) == len(of.row)
    known = [0.0] * len(losses) if errors is None else errors
    return TDOutput(th.tensor(q_values, requires_grad=True), th.tensor(losses, requires_grad=True), th.tensor(known))


def known(
    plausible: list[list[bool]],
    certainty: list[float],
    indices: list[int] | None = None,
    outcome_certainty: list[float] | None = None,
) -> Samples:
    """What is known of sampled expert transitions."""
    numbers = np.arange(len(certainty)) if indices is None else np.array(indices)
    of_outcomes = [1.0] * len(certainty) if outcome_certainty is None else outcome_certainty
    return Samples(numbers, th.tensor(plausible), th.tensor(certainty), th.tensor(of_outcomes))
