"""No value is larger than that of the largest reward for ever: imitation raises values, though nobody pays for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import DIIQN, PAPER
from tests.helpers import TINY, LineEnv, right_walks
from tests.imitation.line_models import learner_of, make


def test_by_hand() -> None:
    learner = learner_of(make(gamma=0.75, imitation_coef=1.0))
    assert learner.largest_value == np.inf, "nothing is known yet"
    for rewards, expected in (
        ([-1.0, -2.0], 0.0),
        ([-1.0, 0.0], np.inf),
        ([0.0, 2.0], 8.0),
        ([1.0, 0.5], 8.0),
        ([3.0, 0.0], 12.0),
    ):
        learner.note_rewards(np.array(rewards))
        assert learner.largest_value == expected


@pytest.mark.parametrize("arguments", [{"gamma": 1.0}, {**PAPER}])
def test_without_discounting_or_imitation_there_is_no_bound(arguments: dict[str, Any]) -> None:
    learner = learner_of(make(**{"imitation_coef": 1.0, **arguments}))
    learner.note_rewards(np.array([1.0]))
    assert learner.largest_value == np.inf


@pytest.mark.parametrize(("arguments", "expected"), [({"gamma": 1.0, "imitation_coef": 1.0}, 0.0), ({**PAPER}, np.inf)])
def test_nothing_is_worth_more_than_0_where_all_rewards_are_negative(arguments: dict[str, Any], expected: float) -> None:
    learner = learner_of(make(**arguments))
    learner.note_rewards(np.array([-1.0]))
    assert learner.largest_value == expected


def test_it_is_in_the_unit_of_normalised_rewards() -> None:
    env = VecNormalize(DummyVecEnv([LineEnv]))
    model = DIIQN("MlpPolicy", env, expert_data=right_walks(), **{**TINY, "gamma": 0.75}).learn(100)
    learner = learner_of(model)
    largest = learner.state.largest_reward
    assert largest > 0
    assert learner.largest_value == pytest.approx(float(env.normalize_reward(np.array([largest]))[0]) / 0.25)


@pytest.mark.parametrize("algorithm", ["DIIQN", "QRDIIQN"])
def test_targets_obey_it(algorithm: str) -> None:
    """The target network says 50 everywhere, and nobody is ever paid more than 1."""
    if algorithm == "QRDIIQN":
        pytest.importorskip("sb3_contrib")
    import sb3_diiqn  # noqa: PLC0415

    model = getattr(sb3_diiqn, algorithm)("MlpPolicy", LineEnv(), expert_data=right_walks(), **{**TINY, "gamma": 0.5})
    model.learn(60)
    learner = learner_of(model)
    learner.state.largest_reward = 1.0
    target = model.q_net_target if algorithm == "DIIQN" else model.quantile_net_target
    own = model.q_net if algorithm == "DIIQN" else model.quantile_net
    with th.no_grad():
        for network, value in ((target, 50.0), (own, 0.0)):
            for parameter in network.parameters():
                parameter.zero_()
            list(network.parameters())[-1].fill_(value)
    batch = learner._batch(16, 0.5)
    reached = batch.rewards + (1 - batch.dones) * batch.discounts * 2.0
    np.testing.assert_allclose(model.td_losses(batch).errors, reached.abs().squeeze(1), rtol=1e-5)


def test_it_is_saved(tmp_path: Any) -> None:
    """A loaded model has an empty replay buffer, and values of what it was paid before."""
    model = make(imitation_coef=1.0).learn(60)
    largest = learner_of(model).state.largest_reward
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model", env=LineEnv(), expert_data=right_walks())
    assert np.isfinite(largest) and learner_of(loaded).state.largest_reward == largest


def test_a_loaded_buffer_counts(tmp_path: Any) -> None:
    """It holds what was paid before, and values of that are learned from it."""
    model = make(imitation_coef=1.0).learn(60)
    model.replay_buffer.rewards[3] = 77.0
    model.save_replay_buffer(tmp_path / "buffer")
    other = make(imitation_coef=1.0)
    other.load_replay_buffer(tmp_path / "buffer")
    assert learner_of(other).state.largest_reward == 77.0


def test_with_other_expert_data_the_values_stay(tmp_path: Any) -> None:
    model = make(imitation_coef=1.0).learn(60)
    learner_of(model).note_rewards(np.array([77.0]))
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model", env=LineEnv(), expert_data=right_walks(n=3))
    assert learner_of(loaded).state.largest_reward == 77.0
