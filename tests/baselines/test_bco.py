"""BCO: labels, the clone, rounds, and what all baselines that are made of DQN share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import ExpertObservations
from sb3_diiqn.baselines import BCO, JSRL, ORIL, LabelledReplayDQN
from sb3_diiqn.baselines.expert_dqn import ExpertDQN
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, MissingExpertDataError
from tests.helpers import LENGTH, RIGHT, TINY, LineEnv, right_walks, walk

SMALL: dict[str, Any] = {**TINY, "learning_rate": 1e-2, "learning_starts": 60, "updates": 100}
BASELINES: list[tuple[type[ExpertDQN], dict[str, Any]]] = [
    (BCO, {"updates": 20, "alpha": 0.5}),
    (LabelledReplayDQN, {"expert_reward": "terminal"}),
    (JSRL, {"updates": 20}),
    (ORIL, {}),
]


def line_return(model: Any, look: str = "vector") -> float:
    """Return of the greedy policy on the line; the best is 0.5."""
    env = LineEnv(look)
    observation, _ = env.reset()
    total, done = 0.0, False
    while not done:
        action, _ = model.predict(observation, deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(int(action))
        total, done = total + reward, terminated or truncated
    return total


@pytest.mark.parametrize("look", ["vector", "bool planes", "discrete", "dict"])
def test_labels_and_clone(look: str) -> None:
    data = ExpertObservations.from_trajectories([walk([0, 1, 2, 1, 2, 3, 4, 5], look), walk([0, 1, 2, 3, 4, 5], look)])
    policy = "MultiInputPolicy" if look == "dict" else "MlpPolicy"
    model = BCO(policy, LineEnv(look), data, **SMALL | {"learning_starts": 188}).learn(192)
    assert model.label_expert().tolist() == [1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    assert line_return(model, look) == pytest.approx(0.5)


class _OtherRewards(LineEnv):
    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, -100 * reward, *rest


def test_rewards_are_not_used() -> None:
    first, second = (
        BCO("MlpPolicy", env, right_walks(), **SMALL | {"updates": 20, "alpha": 0.5}).learn(160)
        for env in (LineEnv(), _OtherRewards())
    )
    for one, other in zip(first.policy.parameters(), second.policy.parameters(), strict=True):
        assert th.equal(one, other)
    assert first.replay_buffer.rewards.sum() != second.replay_buffer.rewards.sum()


@pytest.mark.parametrize(
    ("alpha", "n_envs", "rounds"),
    [(0, 1, [64]), (0.5, 1, [64, 92, 120, 152]), (1.0, 2, [64, 120])],
)
def test_rounds(alpha: float, n_envs: int, rounds: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """After 60 random steps, then every 60 * alpha; the policy is updated every 4 steps at most."""
    made: list[int] = []
    clone = BCO._clone_expert
    monkeypatch.setattr(BCO, "_clone_expert", lambda self, *args: (made.append(self.num_timesteps), clone(self, *args)))
    settings = SMALL | {"updates": 2, "train_freq": 4 // n_envs}
    model = BCO("MlpPolicy", make_vec_env(LineEnv, n_envs), right_walks(), alpha=alpha, **settings).learn(160)
    assert made == rounds
    assert model.num_timesteps == 160


def test_a_second_training_has_its_own_rounds() -> None:
    model = BCO("MlpPolicy", LineEnv(), right_walks(), alpha=0.5, **SMALL | {"updates": 2})
    for _ in range(2):
        assert model.learn(160).rounds == 4
    assert model.learn(60, reset_num_timesteps=False).rounds == 6


def test_acts_by_its_distribution() -> None:
    model = BCO("MlpPolicy", LineEnv(), right_walks(), **SMALL)
    output = model.q_net.q_net[-1]
    with th.no_grad():
        output.weight.zero_()
        output.bias.copy_(th.tensor([0.25, 0.75]).log())
    batch = np.zeros((4000, 3), dtype=np.float32)
    drawn, _ = model.predict(batch)
    assert drawn.mean() == pytest.approx(0.75, abs=0.03)
    assert model.predict(batch, deterministic=True)[0].tolist() == [RIGHT] * 4000
    assert model.predict(batch[0], deterministic=True)[0].shape == ()


# --- what they share ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("baseline", "settings"), BASELINES)
def test_saved_and_loaded(baseline: type[ExpertDQN], settings: dict[str, Any], tmp_path: Path) -> None:
    path = right_walks().save(tmp_path / "expert.npz")
    model = baseline("MlpPolicy", LineEnv(), path, **TINY, **settings).learn(80)
    model.save(tmp_path / "model.zip")
    path.unlink()
    loaded = baseline.load(tmp_path / "model.zip", env=LineEnv())
    observations = walk(range(LENGTH))
    assert (loaded.predict(observations, deterministic=True)[0] == model.predict(observations, deterministic=True)[0]).all()
    for name in baseline.networks:
        for key, value in getattr(model, name).state_dict().items():
            assert th.equal(value, getattr(loaded, name).state_dict()[key]), (name, key)
    with pytest.raises(MissingExpertDataError, match="expert_data"):
        loaded.learn(10)
    again = baseline.load(tmp_path / "model.zip", env=LineEnv(), expert_data=right_walks())
    assert again.learn(20, reset_num_timesteps=False).num_timesteps == 100


@pytest.mark.slow
@pytest.mark.parametrize(("baseline", "settings"), BASELINES)
def test_reproducible_with_several_environments(baseline: type[ExpertDQN], settings: dict[str, Any]) -> None:
    first, second = (
        baseline("MlpPolicy", make_vec_env(LineEnv, 3), right_walks(), **TINY, **settings).learn(120) for _ in range(2)
    )
    for one, other in zip(first.policy.parameters(), second.policy.parameters(), strict=True):
        assert th.equal(one, other)
    assert (first.replay_buffer.actions == second.replay_buffer.actions).all()


@pytest.mark.parametrize(("baseline", "settings"), BASELINES)
def test_bad_data(baseline: type[ExpertDQN], settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(MissingExpertDataError, match="expert_data"):
        baseline("MlpPolicy", LineEnv(), **TINY, **settings)
    with pytest.raises(ExpertDataError, match="absent"):
        baseline("MlpPolicy", LineEnv(), tmp_path / "absent.npz", **TINY, **settings)
    with pytest.raises(ExpertDataError, match="shape"):
        baseline("MlpPolicy", LineEnv(), right_walks("bool planes"), **TINY, **settings)
    if NStepReplayBuffer is not None:
        with pytest.raises(ConfigurationError, match="n_steps=3"):
            baseline("MlpPolicy", LineEnv(), right_walks(), n_steps=3, **TINY, **settings)


@pytest.mark.parametrize(
    ("baseline", "name", "value"),
    [
        (BCO, "alpha", -0.1),
        (BCO, "updates", 0),
        (BCO, "learning_starts", 0),
        (JSRL, "horizon", 0),
        (JSRL, "n_stages", 0),
        (JSRL, "window", 0),
        (JSRL, "tolerance", -1),
        (LabelledReplayDQN, "expert_reward", "guessed"),
        (LabelledReplayDQN, "batch_size", 1),
        (ORIL, "positive_prior", 1.5),
        (ORIL, "weighting", "linear"),
        (ORIL, "temperature", 0),
        (ORIL, "max_weight", 0),
    ],
)
def test_bad_arguments(baseline: type[ExpertDQN], name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}={value!r}"):
        baseline("MlpPolicy", LineEnv(), right_walks(), **TINY | {name: value})


@pytest.mark.parametrize(("baseline", "settings"), BASELINES)
def test_normalised_observations(baseline: type[ExpertDQN], settings: dict[str, Any]) -> None:
    """The expert's observations pass through VecNormalize as the agent's do."""
    env = VecNormalize(DummyVecEnv([LineEnv]))
    model = baseline("MlpPolicy", env, right_walks(), **TINY, **settings).learn(80)
    env.training = False
    observations, _ = model._expert_tensors(np.array([0, 3]))
    np.testing.assert_allclose(observations, env.normalize_obs(walk([0, 3])), rtol=1e-6)  # type: ignore[arg-type]
    assert not np.allclose(observations, walk([0, 3]))  # type: ignore[arg-type]
