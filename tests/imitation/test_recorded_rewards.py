"""Learning from the recorded rewards of all of the expert data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import sb3_diiqn
from sb3_diiqn import DIIQN, HADIIQN, ExpertObservations
from sb3_diiqn.common.batch import Transitions
from sb3_diiqn.imitation.sampling import ExpertSampler
from sb3_diiqn.losses import ExpertTD
from tests.helpers import LENGTH, RIGHT, TINY, LineEnv, Unpaid, walk
from tests.imitation.line_models import BASE, PLAIN, learner_of, make

RECORDED: dict[str, Any] = {"expert_rewards": "recorded"}


def paid_walks(look: str = "vector") -> ExpertObservations:
    """To the right, for 5 at the end."""
    rewards = np.array([0.0, 0.0, 0.0, 0.0, 5.0])
    return ExpertObservations.from_trajectories([walk(range(LENGTH), look)] * 2, terminated=True, rewards=[rewards] * 2)


def expert_td_of(model: DIIQN) -> ExpertTD:
    (loss,) = (term for term in learner_of(model).losses if isinstance(term, ExpertTD))
    return loss


@pytest.mark.slow
@pytest.mark.parametrize(
    ("look", "inference"), [("vector", "nearest"), ("discrete", "inverse_dynamics"), ("dict", "inverse_dynamics")]
)
def test_values_follow_the_recorded_rewards(look: str, inference: str) -> None:
    """The agent is never paid, and nothing is imitated: what it knows of the goal's worth, it has from the recording."""
    env = DummyVecEnv([lambda: Unpaid(LineEnv(look))])
    policy = "MultiInputPolicy" if look == "dict" else "MlpPolicy"
    learning: dict[str, Any] = {"gradient_steps": 4, "exploration_fraction": 1.0, "exploration_final_eps": 1.0, "gamma": 0.9}
    settings = {**BASE, **learning, "buffer_size": 200, "learning_rate": 0.005, "inference": inference, "seed": 0}
    # nothing of the expert's is a match, so that the published loss has nothing to learn from
    for rewards, known in (("none", False), ("recorded", True)):
        model = PLAIN(policy, env, expert_data=paid_walks(look), **{**settings, "expert_rewards": rewards})
        published = model.knowledge.usable
        model.knowledge.usable = lambda indices: np.zeros(len(indices), dtype=bool)
        model.learn(600)
        model.knowledge.usable = published
        states = walk(range(LENGTH - 1), look)
        with th.no_grad():
            values = model.q_net(model.policy.obs_to_tensor(states)[0]).numpy()
        if known:
            assert (values[:, RIGHT] > values[:, 1 - RIGHT])[2:].all()
            assert values[-1, RIGHT] == pytest.approx(5, abs=1)
            assert values[-2, RIGHT] == pytest.approx(4.5, abs=1)
        else:
            assert np.abs(values).max() < 1


@pytest.mark.slow
@pytest.mark.parametrize("n_envs", [1, 2])
def test_the_loss_by_hand(n_envs: int) -> None:
    """Of an update with it and one without it, on the same batch."""
    exploring: dict[str, Any] = {"exploration_fraction": 1.0, "exploration_final_eps": 1.0, "gradient_steps": 4}
    arguments = {**RECORDED, **exploring, "inference": "inverse_dynamics", "learning_rate": 0.0}
    model = make(n_envs=n_envs, expert_data=paid_walks(), **arguments).learn(1000)
    learner = learner_of(model)
    drawn = learner.sampler.sample()
    batch = model.replay_buffer.sample_with_expert(16, env=None)
    model.replay_buffer.sample_with_expert = lambda batch_size, env: batch
    # an update would else change what the next one weighs
    model.knowledge.count_training = lambda indices: None
    learner.sampler.sample = lambda: drawn  # type: ignore[method-assign]
    with_it = learner.update(16, progress_remaining=0.5)
    loss = expert_td_of(model)
    learner.losses.remove(loss)
    without_it = learner.update(16, progress_remaining=0.5)
    samples, transitions = drawn
    assert isinstance(transitions, Transitions)
    weights = loss.weights(samples)
    expected = 0.0
    for row, index in enumerate(samples.indices):
        step = index % (LENGTH - 1)
        with th.no_grad():
            value = float(model.q_net(transitions.observations[[row]])[0, transitions.actions[row, 0]])  # type: ignore[index]
            following = float(model.q_net_target(transitions.next_observations[[row]]).max())  # type: ignore[index]
        last = step == LENGTH - 2
        assert (float(transitions.rewards[row]), float(transitions.dones[row])) == (5.0 * last, float(last))
        error = abs(value - (5.0 if last else model.gamma * following))
        expected += float(weights[row]) * (error**2 / 2 if error < 1 else error - 0.5) / 16
        assert float(weights[row]) == pytest.approx(float(samples.certainty[row]))
        assert samples.plausible[row, transitions.actions[row, 0]]
    assert expected > 0.01
    assert with_it - without_it == pytest.approx(expected, abs=1e-5)


def test_it_is_learned_to_the_end_of_the_training() -> None:
    """The margin loss ends, once it would count for nothing; what was paid stays true."""
    for settings, wanted in (({}, False), (RECORDED, True)):
        model = make(expert_data=paid_walks(), imitation_coef=1.0, **settings)
        assert any(term.wants_samples(0.1) for term in learner_of(model).losses) == wanted


def test_without_rewards_there_is_no_such_loss() -> None:
    model = make(expert_data=paid_walks(), expert_rewards="none", imitation_coef=1.0)
    assert not any(isinstance(term, ExpertTD) for term in learner_of(model).losses)
    assert learner_of(model).sampler.reward_source is None


def test_rewards_are_normalised_as_the_agents_are() -> None:
    env = VecNormalize(DummyVecEnv([LineEnv]))
    model = PLAIN("MlpPolicy", env, expert_data=paid_walks(), **{**BASE, **RECORDED}).learn(100)
    learner = learner_of(model)
    # the learner's own has some waiting, from before the last statistics
    sampler = ExpertSampler(learner.host, learner.inference, np.random.default_rng(0), learner.reward_source)
    samples, transitions = sampler.sample()
    assert isinstance(transitions, Transitions)
    recorded = np.array([0, 0, 0, 0, 5.0])[samples.indices % (LENGTH - 1)]
    np.testing.assert_allclose(transitions.rewards[:, 0], env.normalize_reward(recorded), rtol=1e-6)


def test_where_a_bridge_takes_the_place_of_a_transition_it_is_left_out() -> None:
    """The bridge's first action does not lead to where the expert's went."""
    data = ExpertObservations.from_trajectories([walk([0, 2, 4, 5])], terminated=True, rewards=[np.array([1.0, 2.0, 3.0])])
    choice = {"inference": "nearest", "guide": "matching", "exploration_final_eps": 1.0}
    model = HADIIQN("MlpPolicy", LineEnv(), expert_data=data, **{**TINY, **RECORDED, **choice})
    model.learn(200)
    bridged = model.inspect_expert()["bridged"]
    assert bridged.any()
    assert not bridged.all()
    for _ in range(32):
        samples, _ = learner_of(model).sampler.sample()
        weights = expert_td_of(model).weights(samples).numpy()
        assert (weights[bridged[samples.indices]] == 0).all()
        certain = ~bridged[samples.indices] & (samples.certainty.numpy() > 0.5)
        assert (weights[certain] > 0.5).all()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["DIIQN", "QRDIIQN"])
def test_both_hosts_save_and_go_on(tmp_path: Any, algorithm: str) -> None:
    if algorithm == "QRDIIQN":
        pytest.importorskip("sb3_contrib")
    algorithm_class = getattr(sb3_diiqn, algorithm)
    model = algorithm_class("MlpPolicy", LineEnv(), expert_data=paid_walks(), **TINY, **RECORDED).learn(100)
    model.save(tmp_path / "model")
    loaded = algorithm_class.load(tmp_path / "model", env=LineEnv(), expert_data=paid_walks())
    assert loaded.expert_rewards == "recorded" and isinstance(expert_td_of(loaded), ExpertTD)
    loaded.learn(50)
