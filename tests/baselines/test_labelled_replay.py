"""DQN with labelled expert transitions: what is in its batches, and the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th

from sb3_diiqn import ExpertObservations
from sb3_diiqn.baselines import LabelledReplayDQN
from sb3_diiqn.exceptions import ExpertDataError
from tests.baselines.test_bco import line_return
from tests.helpers import TINY, LineEnv, walk

#: the first one ends, the second one is cut
WALKS = [[0, 1, 2, 1, 2, 3, 4, 5], [2, 1, 0, 1]]
LABELS = [1, 1, 0, 1, 1, 1, 1, 0, 0, 1]
REWARDS = [[1.0, 2, 3, 4, 5, 6, 7], [8.0, 9, 10]]


def _data(rewards: Any = REWARDS) -> ExpertObservations:
    return ExpertObservations.from_trajectories([walk(states) for states in WALKS], [True, False], rewards)


def _model(data: ExpertObservations, **settings: Any) -> LabelledReplayDQN:
    return LabelledReplayDQN("MlpPolicy", LineEnv(), data, **TINY | {"learning_rate": 1e-2} | settings)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [16, 5])
def test_batch(batch_size: int) -> None:
    """The first half are the agent's, the second are the expert's with the right labels."""
    data = _data()
    model = _model(data, train_freq=1).learn(200)
    own = model.replay_buffer.sample(batch_size)
    batch = model._batch(own)
    n_own = (batch_size + 1) // 2
    assert [len(field) for field in batch] == [batch_size] * 6
    assert (batch.discounts == model.gamma).all()
    for name in batch._fields[:-1]:
        np.testing.assert_array_equal(getattr(batch, name)[:n_own], getattr(own, name)[:n_own])
    current, following = data.current(slice(None)), data.next(slice(None))
    seen = set()
    for row in range(n_own, batch_size):
        same = (current == batch.observations[row].numpy()).all(1) & (following == batch.next_observations[row].numpy()).all(1)
        same &= data.rewards == batch.rewards[row].item()
        (index,) = np.flatnonzero(same)
        assert batch.actions[row].item() == LABELS[index]
        assert batch.dones[row].item() == (index == 6), "only the seventh transition really ends an episode"
        seen.add(index)
    assert len(seen) > 1


def test_rewards_of_the_last_step() -> None:
    model = _model(_data(None), expert_reward="terminal", terminal_reward=3.0)
    assert model._rewards(np.arange(10)).tolist() == [0] * 6 + [3] + [0] * 3
    assert _model(_data())._rewards(np.arange(10)).tolist() == list(range(1, 11))
    with pytest.raises(ExpertDataError, match="expert_reward='terminal'"):
        _model(_data(None))


def test_loss_is_that_of_dqn() -> None:
    model = _model(_data(), gamma=0.9).learn(60)
    batch = model._batch(model.replay_buffer.sample(12))
    with th.no_grad():
        values = model.q_net(batch.observations).numpy()
        following = model.q_net_target(batch.next_observations).numpy()
    losses = []
    for row in range(12):
        target = batch.rewards[row].item() + 0.9 * (1 - batch.dones[row].item()) * following[row].max()
        error = abs(values[row, int(batch.actions[row])] - target)
        losses.append(0.5 * error**2 if error < 1 else error - 0.5)
    assert model._td_loss(batch).item() == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.slow
def test_learns_what_only_the_expert_has_seen() -> None:
    """With the recorded rewards the way to the goal is learned, although the agent's own episodes are too short to get there."""
    data = ExpertObservations.from_trajectories([walk(range(6))], terminated=True, rewards=[[-0.1] * 4 + [0.9]])
    settings = TINY | {"learning_rate": 1e-2, "train_freq": 1}
    model = LabelledReplayDQN("MlpPolicy", LineEnv(time_limit=4), data, **settings).learn(300)
    assert not (model.replay_buffer.rewards > 0).any()
    assert line_return(model) == pytest.approx(0.5)
