"""Learning from the recorded rewards of all of the expert data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import DIIQN, HADIIQN, ExpertObservations
from sb3_diiqn.inference import draw_actions
from tests.diiqn.line_models import make
from tests.helpers import LENGTH, RIGHT, TINY, LineEnv, Unpaid, right_walks, walk

RECORDED: dict[str, Any] = {"expert_reward": "recorded", "recorded_weight": 1.0}


def paid_walks(look: str = "vector") -> ExpertObservations:
    """To the right, for 5 at the end."""
    rewards = np.array([0.0, 0.0, 0.0, 0.0, 5.0])
    return ExpertObservations.from_trajectories([walk(range(LENGTH), look)] * 2, terminated=True, rewards=[rewards] * 2)


def test_actions_are_drawn_by_their_likelihoods() -> None:
    likelihoods = np.array([[0.0, 3.0, 1.0], [2.0, 0.0, 0.0]]).repeat(4000, axis=0)
    actions = draw_actions(likelihoods, np.random.default_rng(0))
    shares = [np.bincount(part, minlength=3) / 4000 for part in (actions[:4000], actions[4000:])]
    np.testing.assert_allclose(shares, [[0, 0.75, 0.25], [1, 0, 0]], atol=0.03)


@pytest.mark.parametrize("look", ["vector", "bool planes", "discrete", "dict"])
@pytest.mark.parametrize("inference", ["nearest", "inverse_dynamics"])
def test_values_follow_the_recorded_rewards(look: str, inference: str) -> None:
    """The agent is never paid, and nothing is imitated: what it knows of the goal's worth, it has from the recording."""
    env = DummyVecEnv([lambda: Unpaid(LineEnv(look))])
    policy = "MultiInputPolicy" if look == "dict" else "MlpPolicy"
    learning: dict[str, Any] = {"gradient_steps": 4, "exploration_fraction": 1.0, "exploration_final_eps": 1.0, "gamma": 0.9}
    # nothing of the expert's is a match, so that the published loss has nothing to learn from
    settings: dict[str, Any] = {**TINY, **learning, "preset": "paper", "learning_rate": 0.005, "inference": inference}
    for weight, known in ((0.0, False), (1.0, True)):
        arguments = {**settings, **RECORDED, "recorded_weight": weight}
        model = DIIQN(policy, env, expert_data=paid_walks(look), **{**arguments, "target_update_interval": 20, "seed": 0})
        published = model.replay_buffer.knowledge.usable
        model.replay_buffer.knowledge.usable = lambda indices: np.zeros(len(indices), dtype=bool)
        model.learn(600)
        model.replay_buffer.knowledge.usable = published
        states = walk(range(LENGTH - 1), look)
        with th.no_grad():
            values = model.q_net(model.policy.obs_to_tensor(states)[0]).numpy()
        if known:
            assert (values[:, RIGHT] > values[:, 1 - RIGHT])[2:].all()
            assert values[-1, RIGHT] == pytest.approx(5, abs=1)
            assert values[-2, RIGHT] == pytest.approx(4.5, abs=1)
        else:
            assert np.abs(values).max() < 1


@pytest.mark.parametrize("n_envs", [1, 2])
def test_the_loss_by_hand(n_envs: int) -> None:
    exploring: dict[str, Any] = {"exploration_fraction": 1.0, "exploration_final_eps": 1.0}
    model = make(
        n_envs=n_envs,
        expert_data=paid_walks(),
        **RECORDED,
        **exploring,
        inference="inverse_dynamics",
        learning_rate=0.0,
        gradient_steps=4,
    ).learn(400)
    drawn = model._estimate_demonstrations()[0]
    assert drawn.recorded is not None
    samples = model.replay_buffer.sample_with_expert(16, env=None)
    model.replay_buffer.sample_with_expert = lambda batch_size, env: samples
    # an update would else change what the next one weighs
    model.replay_buffer.knowledge.count_training = lambda indices: None
    losses = []
    for recorded in (drawn.recorded, None):
        model._draw_demonstration = lambda kept=recorded: drawn._replace(recorded=kept)
        losses.append(model._update(16))
    expected = 0.0
    transitions, weights = drawn.recorded
    for row, index in enumerate(drawn.indices):
        step = index % (LENGTH - 1)
        with th.no_grad():
            value = float(model.q_net(transitions.observations[[row]])[0, transitions.actions[row, 0]])
            following = float(model.q_net_target(transitions.next_observations[[row]]).max())
        last = step == LENGTH - 2
        assert (float(transitions.rewards[row]), float(transitions.dones[row])) == (5.0 * last, float(last))
        error = abs(value - (5.0 if last else model.gamma * following))
        expected += float(weights[row]) * (error**2 / 2 if error < 1 else error - 0.5) / 16
        assert float(weights[row]) == pytest.approx(float(drawn.confidence[row]))
        assert drawn.plausible[row, transitions.actions[row, 0]]
    assert expected > 0.01
    assert losses[0] - losses[1] == pytest.approx(expected, abs=1e-5)


def test_it_is_learned_to_the_end_of_the_training() -> None:
    """The margin loss ends, once it would count for nothing; what was paid stays true."""
    for settings, drawn in (({}, False), (RECORDED, True)):
        model = make(expert_data=paid_walks(), margin_weight=1.0, **settings).learn(100)
        assert model._demonstration_weight() == 0
        assert (model._draw_demonstration() is not None) == drawn


def test_the_published_method_has_no_such_loss() -> None:
    model = make(expert_data=paid_walks(), expert_reward="recorded", preset="paper").learn(100)
    assert model.recorded_weight == 0
    assert model._draw_demonstration() is None
    assert make(expert_data=paid_walks(), preset="guided").recorded_weight == 1


@pytest.mark.parametrize("reward", ["matched", "agent"])
def test_without_recorded_rewards_it_does_not_matter(reward: str) -> None:
    weights = []
    for weight in (0.0, 1.0):
        model = make(expert_data=right_walks(), expert_reward=reward, recorded_weight=weight, margin_weight=1.0, seed=3).learn(
            200
        )
        weights.append(model.q_net.state_dict())
    assert all(th.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_rewards_are_normalised_as_the_agents_are() -> None:
    env = VecNormalize(DummyVecEnv([LineEnv]))
    arguments = {**TINY, **RECORDED, "preset": "paper"}
    model = DIIQN("MlpPolicy", env, expert_data=paid_walks(), **arguments).learn(100)
    rewards, _ = model.replay_buffer.recorded_outcomes(np.arange(LENGTH - 1), env)
    np.testing.assert_allclose(rewards[:, 0], env.normalize_reward(np.array([0, 0, 0, 0, 5.0])), rtol=1e-6)


def test_where_a_bridge_takes_the_place_of_a_transition_it_is_left_out() -> None:
    """The bridge's first action does not lead to where the expert's went."""
    data = ExpertObservations.from_trajectories([walk([0, 2, 4, 5])], terminated=True, rewards=[np.array([1.0, 2.0, 3.0])])
    model = HADIIQN("MlpPolicy", LineEnv(), expert_data=data, **{**TINY, **RECORDED, "exploration_final_eps": 1.0})
    model.learn(200)
    bridged = model.inspect_expert()["bridged"]
    assert bridged.any()
    assert not bridged.all()
    for drawn in model._estimate_demonstrations():
        assert drawn.recorded is not None
        assert (drawn.recorded.weights.numpy()[bridged[drawn.indices]] == 0).all()
        certain = ~bridged[drawn.indices] & (drawn.confidence.numpy() > 0.5)
        assert (drawn.recorded.weights.numpy()[certain] > 0.5).all()


@pytest.mark.parametrize("algorithm", ["DIIQN", "QRDIIQN"])
def test_both_hosts_save_and_go_on(tmp_path: Any, algorithm: str) -> None:
    if algorithm == "QRDIIQN":
        pytest.importorskip("sb3_contrib")
    import sb3_diiqn  # noqa: PLC0415

    algorithm_class = getattr(sb3_diiqn, algorithm)
    model = algorithm_class("MlpPolicy", LineEnv(), expert_data=paid_walks(), **TINY, expert_reward="recorded").learn(100)
    model.save(tmp_path / "model")
    loaded = algorithm_class.load(tmp_path / "model", env=LineEnv(), expert_data=paid_walks())
    assert loaded.recorded_weight == 1
    loaded.learn(50)
