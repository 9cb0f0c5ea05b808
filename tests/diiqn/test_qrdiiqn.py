"""The same imitation on QR-DQN."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch as th

pytest.importorskip("sb3_contrib")

from sb3_contrib import QRDQN
from sb3_contrib.common.utils import quantile_huber_loss
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import DIIQN, PAPER, QRDIIQN, ExpertObservations
from sb3_diiqn.common.batch import Matches, Transitions, make_batch
from sb3_diiqn.diiqn.qrdiiqn import quantile_huber_losses
from sb3_diiqn.exceptions import ConfigurationError
from tests.helpers import TINY, LineEnv, right_walks

FEW = {"n_quantiles": 5, "net_arch": [16]}
SETTINGS = {**TINY, "policy_kwargs": FEW}


def parameters_of(model: QRDQN) -> list[np.ndarray]:
    return [parameter.detach().numpy() for parameter in model.policy.parameters()]


def test_the_loss_by_hand() -> None:
    """Quantiles at 0.25 and 0.75; the target 1 lies above the first by 1 and below the second by 2."""
    losses = quantile_huber_losses(th.tensor([[0.0, 3.0]]), th.tensor([[1.0]]))
    assert losses.tolist() == pytest.approx([0.25 * 0.5 + 0.25 * 1.5])


def test_the_mean_loss_is_that_of_sb3_contrib() -> None:
    generator = th.Generator().manual_seed(0)
    quantiles, targets = th.randn(7, 5, generator=generator), 2 * th.randn(7, 5, generator=generator)
    own, theirs = quantile_huber_losses(quantiles, targets).mean(), quantile_huber_loss(quantiles, targets)
    assert own.item() == pytest.approx(theirs.item(), rel=1e-6)


def test_it_has_the_arguments_that_diiqn_adds_and_their_defaults() -> None:
    def added(algorithm: type) -> dict[str, object]:
        parameters = inspect.signature(algorithm).parameters
        names = list(parameters)
        first, last = names.index("expert_data"), names.index("matching_kwargs")
        return {name: parameters[name].default for name in names[first : last + 1]}

    assert added(QRDIIQN) == added(DIIQN)
    assert len(added(DIIQN)) >= 8


@pytest.mark.slow
def test_without_expert_data_it_is_qrdqn() -> None:
    models = [algorithm("MlpPolicy", LineEnv(), **SETTINGS).learn(300) for algorithm in (QRDQN, QRDIIQN)]
    for one, other in zip(*map(parameters_of, models), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_an_expert_that_matches_nothing_gives_the_weights_of_qrdqn() -> None:
    """Recordings of states that the agent never sees. The loss is summed in another order, so only nearly."""
    elsewhere = ExpertObservations.from_trajectories([np.full((4, 3), value, dtype=np.float32) for value in (0.0, 1.0)])
    baseline = QRDQN("MlpPolicy", LineEnv(), **SETTINGS).learn(300)
    model = QRDIIQN("MlpPolicy", LineEnv(), **SETTINGS, expert_data=elsewhere, **PAPER).learn(300)
    assert model.expert_statistics()["matched"] == 0
    for one, other in zip(parameters_of(baseline), parameters_of(model), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_losses_of_agent_and_expert_by_hand() -> None:
    """Every quantile of every transition against r + gamma * (1 - done) * those of the best next action."""
    model = QRDIIQN("MlpPolicy", LineEnv(), **SETTINGS, expert_data=right_walks("vector", 2))
    generator = th.Generator().manual_seed(1)

    def transitions(n: int) -> Transitions:
        def observations() -> th.Tensor:
            return th.rand(n, *model.observation_space.shape, generator=generator)  # type: ignore[misc]

        actions, dones = th.randint(2, (n, 1), generator=generator), th.randint(2, (n, 1), generator=generator).float()
        rewards, discounts = th.randn(n, 1, generator=generator), th.full((n, 1), 0.9)
        return Transitions(observations(), actions, observations(), dones, rewards, discounts)

    agent, expert = transitions(4), transitions(2)
    matches = Matches(np.array([0, 2]), np.array([3, 1]))
    q_values, losses, errors = model.td_losses(make_batch(agent, expert, matches, th.zeros(4, dtype=th.bool)))
    assert losses.shape == errors.shape == (6,)
    for index, (observation, action, following, done, reward, discount) in enumerate(
        (*zip(*agent, strict=True), *zip(*expert, strict=True))
    ):
        quantiles, ahead = model.quantile_net(observation[None])[0], model.quantile_net_target(following[None])[0]
        target = reward + discount * (1 - done) * ahead[:, ahead.mean(dim=0).argmax()]
        by_hand = quantile_huber_loss(quantiles[:, int(action)][None], target[None].detach())
        assert losses[index].item() == pytest.approx(by_hand.item(), rel=1e-5)
        assert q_values[index].tolist() == pytest.approx(quantiles.mean(dim=0).tolist(), rel=1e-5)
        error = abs(float((quantiles[:, int(action)].mean() - target.mean()).detach()))
        assert errors[index].item() == pytest.approx(error, abs=1e-6)


@pytest.mark.slow
def test_learns_infers_saves_and_loads(tmp_path: Path) -> None:
    expert = right_walks("vector", 3)
    env = DummyVecEnv([LineEnv, LineEnv])
    imitation = {"expert_data": expert, "inference": "inverse_dynamics", "imitation_coef": 0.5}
    model = QRDIIQN("MlpPolicy", env, **SETTINGS, **imitation, exploration_fraction=1.0)
    model.learn(400)
    statistics = model.expert_statistics()
    assert statistics["inferred"] > 0.5
    model.save(tmp_path / "model")
    loaded = QRDIIQN.load(tmp_path / "model", env=env, expert_data=expert)
    observations = env.reset()
    assert (loaded.predict(observations, deterministic=True)[0] == model.predict(observations, deterministic=True)[0]).all()
    loaded.learn(50, reset_num_timesteps=False)


def test_the_arguments_of_diiqn_are_checked_and_the_callers_dictionary_stays() -> None:
    mine = dict(FEW)
    QRDIIQN("MlpPolicy", LineEnv(), **{**SETTINGS, "policy_kwargs": mine})
    assert mine == FEW
    with pytest.raises(ConfigurationError, match="similarity_threshold"):
        QRDIIQN("MlpPolicy", LineEnv(), **SETTINGS, matching_kwargs={"similarity_threshold": 2.0})
