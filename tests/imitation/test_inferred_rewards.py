"""Learning from all of the expert data what the agent itself would have been paid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import sb3_diiqn
from sb3_diiqn import HADIIQN, ExpertObservations
from sb3_diiqn.common.batch import Batch, Samples, TDOutput, Transitions
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.imitation.expert_rewards import InferredRewards
from sb3_diiqn.imitation.sampling import ExpertSampler
from sb3_diiqn.losses import ExpertTD
from tests.helpers import LENGTH, RIGHT, TINY, LineEnv, right_walks, walk
from tests.imitation.line_models import BASE, PLAIN, learner_of, make

#: The agent goes everywhere, and often to the end.
INFERRED: dict[str, Any] = {
    "expert_rewards": "inferred",
    "guide": "matching",
    "batch_size": 32,
    "gradient_steps": 4,
    "exploration_fraction": 1.0,
    "exploration_final_eps": 1.0,
}
#: What the environment pays for the expert's steps.
TRUE = np.float32([-0.1, -0.1, -0.1, -0.1, 0.9])


@pytest.fixture(autouse=True)
def _short_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InferredRewards, "warm_up", 12)


def sampled(model: Any) -> tuple[Samples, Transitions]:
    """Sample anew: the learner's own has some waiting, from before the last update."""
    learner = learner_of(model)
    samples, transitions = ExpertSampler(
        learner.host, learner.inference, np.random.default_rng(0), learner.reward_source
    ).sample()
    assert isinstance(transitions, Transitions)
    return samples, transitions


def weights_of(model: Any, samples: Samples) -> np.ndarray:
    (loss,) = (term for term in learner_of(model).losses if isinstance(term, ExpertTD))
    return loss.weights(samples).numpy()


def reward_model_of(model: Any) -> Any:
    return learner_of(model).networks["reward_model"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("look", "inference"), [("vector", "nearest"), ("discrete", "inverse_dynamics"), ("dict", "inverse_dynamics")]
)
def test_sampled_transitions_pay_what_the_agent_would_get(look: str, inference: str) -> None:
    model = make(look, **INFERRED, inference=inference).learn(1200)
    samples, transitions = sampled(model)
    step = samples.indices % (LENGTH - 1)
    np.testing.assert_array_equal(transitions.rewards[:, 0], TRUE[step])
    np.testing.assert_array_equal(transitions.dones[:, 0], step == LENGTH - 2)
    assert (samples.outcome_certainty > 0.7).all()
    certainty = (samples.certainty * samples.outcome_certainty).numpy()
    np.testing.assert_allclose(weights_of(model, samples), certainty)
    assert (weights_of(model, samples) > 0.6).all()


@pytest.mark.slow
@pytest.mark.parametrize("rewards", ["none", "inferred"])
def test_values_follow_where_nothing_else_is_learned_from(rewards: str) -> None:
    """Neither the agent's own transitions nor those that match count: what it knows, it has from the sampled ones."""
    model = make(**{**INFERRED, "expert_rewards": rewards, "learning_rate": 0.005, "gamma": 0.9})
    td_losses = model.td_losses

    def of_sampled_ones(batch: Batch) -> TDOutput:
        td = td_losses(batch)
        counts = th.zeros_like(td.losses)
        counts[batch.sampled] = 1.0
        return td._replace(losses=td.losses * counts)

    model.td_losses = of_sampled_ones
    model.learn(800)
    with th.no_grad():
        values = model.q_net(th.as_tensor(walk(range(LENGTH)))).numpy()
    expected = TRUE + 0.9 * np.append(values[1:-1].max(axis=1), 0.0)
    errors = np.abs(values[:-1, RIGHT] - expected)
    assert errors.max() < 0.1 if rewards == "inferred" else errors[-1] > 0.5
    assert (abs(values[-2, RIGHT] - 0.9) < 0.1) == (rewards == "inferred")


@pytest.mark.parametrize("time_limit", [3, 20])
def test_a_goal_that_the_agent_never_reached_is_left_out(time_limit: int) -> None:
    """Three steps do not reach the end of the line."""
    env = LineEnv(time_limit=time_limit)
    arguments = {**BASE, **INFERRED, "inference": "inverse_dynamics"}
    model = PLAIN("MlpPolicy", env, expert_data=right_walks(), **arguments).learn(400)
    samples, _ = sampled(model)
    goal = samples.indices % (LENGTH - 1) == LENGTH - 2
    assert goal.any()
    assert (samples.outcome_certainty[goal] > 0.5).all() == (time_limit == 20)
    assert (weights_of(model, samples)[goal] < 0.05).all() == (time_limit == 3)
    assert (samples.outcome_certainty[samples.indices % (LENGTH - 1) < 2] > 0.8).all()


def test_as_long_as_little_is_known_nothing_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InferredRewards, "warm_up", 1000)
    model = make(**INFERRED).learn(100)
    assert 0 < int(reward_model_of(model).n_learned) < InferredRewards.warm_up
    assert (weights_of(model, sampled(model)[0]) == 0).all()


@pytest.mark.slow
def test_rewards_are_normalised_as_the_agents_are() -> None:
    env = VecNormalize(DummyVecEnv([LineEnv]), clip_reward=1000.0)
    model = PLAIN("MlpPolicy", env, expert_data=right_walks(), **{**BASE, **INFERRED}).learn(600)
    amounts = reward_model_of(model).amounts[: int(reward_model_of(model).n_amounts)]
    np.testing.assert_array_equal(np.sort(amounts), np.unique(TRUE))
    samples, transitions = sampled(model)
    expected = env.normalize_reward(TRUE[samples.indices % (LENGTH - 1)])
    known = samples.outcome_certainty.numpy() > 0.5
    assert known.mean() > 0.9
    np.testing.assert_allclose(transitions.rewards[known, 0], expected[known], rtol=1e-5)


@pytest.mark.skipif(NStepReplayBuffer is None, reason="this Stable-Baselines3 has no n-step returns")
def test_of_n_steps_it_learns_what_a_single_one_pays() -> None:
    model = make(**INFERRED, n_steps=3).learn(200)
    network = reward_model_of(model)
    np.testing.assert_array_equal(np.sort(network.amounts[: int(network.n_amounts)]), np.unique(TRUE))
    _, transitions = sampled(model)
    assert transitions.discounts.unique().tolist() == pytest.approx([model.gamma])


@pytest.mark.slow
@pytest.mark.parametrize("n_envs", [1, 2])
def test_the_error_is_told(n_envs: int) -> None:
    """It is that of the agent's newest transitions, which it has not learned from at once."""
    model = make(n_envs=n_envs, **INFERRED)
    assert not {"reward_error", "reward_loss"} & model.expert_statistics().keys()
    statistics = model.learn(600).expert_statistics()
    assert statistics["reward_error"] < 0.02
    assert 0 < statistics["reward_loss"] < 2
    assert "reward_error" not in make(expert_rewards="none").learn(100).expert_statistics()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["DIIQN", "QRDIIQN"])
def test_both_hosts_save_and_go_on(tmp_path: Any, algorithm: str) -> None:
    settings = {**TINY, **INFERRED}
    if algorithm == "QRDIIQN":
        pytest.importorskip("sb3_contrib")
        settings["policy_kwargs"] = {"net_arch": [8], "n_quantiles": 5}
    algorithm_class = getattr(sb3_diiqn, algorithm)
    model = algorithm_class("MlpPolicy", LineEnv(), expert_data=right_walks(), **settings).learn(800)
    model.save(tmp_path / "model")
    loaded = algorithm_class.load(tmp_path / "model", env=LineEnv(), expert_data=right_walks())
    assert loaded.expert_rewards == "inferred"
    for values in zip(*(reward_model_of(one).state_dict().values() for one in (model, loaded)), strict=True):
        assert th.equal(*values)
    before = int(reward_model_of(loaded).n_learned)
    loaded.learn(100, reset_num_timesteps=False)
    assert int(reward_model_of(loaded).n_learned) > before > InferredRewards.warm_up
    samples, transitions = sampled(loaded)
    certain = samples.outcome_certainty.numpy() > 0.5
    assert certain.mean() > 0.9
    np.testing.assert_array_equal(transitions.rewards[certain, 0], TRUE[samples.indices[certain] % (LENGTH - 1)])


@pytest.mark.slow
def test_where_a_bridge_takes_the_place_of_a_transition_it_is_left_out() -> None:
    """The bridge's first action does not lead to where the expert's went."""
    data = ExpertObservations.from_trajectories([walk([0, 2, 4, 5])], terminated=True)
    model = HADIIQN("MlpPolicy", LineEnv(), expert_data=data, **{**TINY, **INFERRED, "inference": "nearest"}).learn(800)
    bridged = model.inspect_expert()["bridged"]
    assert bridged.any() and not bridged.all()
    samples, _ = sampled(model)
    weights = weights_of(model, samples)
    assert (weights[bridged[samples.indices]] == 0).all()
    assert (weights[~bridged[samples.indices]] > 0.5).all()


def test_where_no_end_is_recorded_the_last_transitions_are_left_out() -> None:
    """There a goal may have been reached, which the agent has never seen."""
    data = ExpertObservations.from_trajectories([walk(range(LENGTH)), walk(range(3))])
    model = make(**INFERRED, inference="inverse_dynamics", expert_data=data).learn(200)
    samples, _ = sampled(model)
    last = np.isin(samples.indices, [LENGTH - 2, LENGTH])
    assert last.any() and not last.all()
    assert (samples.outcome_certainty.numpy()[last] == 0).all()
    assert (samples.outcome_certainty.numpy()[~last] > 0).all()
