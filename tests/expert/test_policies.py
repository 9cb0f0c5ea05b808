"""Trained models as experts: what they are shown, and that they are loaded as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import DQN, PPO, HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecNormalize

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert.policies import ModelPolicy, find_algorithm, find_vec_normalize, load_model, load_vec_normalize
from sb3_diiqn.record import record_expert
from tests.expert.walk import Walk, cart_poles


def rolled_out(model: BaseAlgorithm, venv: VecEnv, n_steps: int) -> list[int]:
    """The actions that the model takes in the vectorised environment it was made for."""
    state, starts = None, np.ones(1, bool)
    observations, actions = venv.reset(), []
    for _ in range(n_steps):
        action, state = model.predict(observations, state=state, episode_start=starts, deterministic=True)
        observations, _, starts, _ = venv.step(action)
        actions.append(int(action[0]))
    return actions


def watched(model: BaseAlgorithm, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Every observation that the model is asked about from now on."""
    seen: list[np.ndarray] = []
    predict = model.predict

    def watching(observation: Any, **kwargs: Any) -> Any:
        seen.append(np.array(observation))
        return predict(observation, **kwargs)

    monkeypatch.setattr(model, "predict", watching)
    return seen


def shown(venv: VecEnv, actions: np.ndarray) -> list[np.ndarray]:
    """What the vectorised environment shows before each of these actions."""
    observations = []
    observation = venv.reset()
    for action in actions:
        observations.append(np.array(observation[0]))  # type: ignore[index]
        observation = venv.step(np.array([action]))[0]
    return observations


def seeded(venv: VecEnv) -> VecEnv:
    """Starts where a recording with seed 0 starts."""
    venv.seed(0)
    return venv


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("normalised", [False, True])
def test_models_see_what_they_were_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int, normalised: bool
) -> None:
    venv: VecEnv = cart_poles()
    path = tmp_path / "normalise.pkl"
    if normalised:
        venv = VecNormalize(venv, clip_obs=3.0)
        venv.reset()
        for step in range(100):
            venv.step(np.array([step // 2 % 2]))
        venv.training = False
        venv.save(str(path))
    if frames > 1:
        venv = VecFrameStack(venv, frames)
    model = DQN("MlpPolicy", venv, buffer_size=10, seed=0)
    seen = watched(model, monkeypatch)
    env = gym.make("CartPole-v1")
    policy = ModelPolicy(model, env, load_vec_normalize(str(path), env) if normalised else None, frames)
    seen.clear()
    recording = record_expert(env, policy, n_steps=60, epsilon=0.5, seed=0)
    # Later episodes start differently: the seed is for the first reset.
    length = int(np.diff(recording.expert_data.offsets)[0]) - 1
    np.testing.assert_array_equal(seen[:length], shown(seeded(venv), recording.actions[:length]))
    assert seen[length][:-4].tolist() == [0] * 4 * (frames - 1)
    originals = shown(seeded(cart_poles()), recording.actions[:length])
    np.testing.assert_array_equal(recording.expert_data.observations[:length], originals)


class Picture(Walk):
    """An image whose first columns are lit."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Box(0, 255, (36, 40, 1), np.uint8)

    def picture(self) -> np.ndarray:
        image = np.zeros((36, 40, 1), np.uint8)
        image[:, : 10 * int(self.place[0])] = 255
        return image

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.picture(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.picture(), *super().step(action)[1:]


def test_image_models_and_original_images(monkeypatch: pytest.MonkeyPatch) -> None:
    venv = VecFrameStack(DummyVecEnv([Picture]), 2)
    model = PPO("CnnPolicy", venv, n_steps=8, batch_size=8)
    seen = watched(model, monkeypatch)
    policy = ModelPolicy(model, Picture(), frame_stack=2)
    seen.clear()
    recording = record_expert(Picture(), policy, n_episodes=1, epsilon=0.7, seed=0)
    np.testing.assert_array_equal(seen, shown(venv, recording.actions))
    assert len({int(image.sum()) for image in seen}) > 1
    assert recording.expert_data.observations.shape[1:] == (36, 40, 1)
    assert recording.expert_data.adapted_to(model.observation_space).observations.shape[1:] == (2, 36, 40)


@pytest.mark.parametrize("name", ["dqn", "PPO", "qrdqn", "RecurrentPPO", "diiqn", "QRDIIQN"])
def test_any_algorithm_by_name(tmp_path: Path, name: str) -> None:
    if name in {"qrdqn", "RecurrentPPO", "QRDIIQN"}:
        pytest.importorskip("sb3_contrib")
    algorithm = find_algorithm(name)
    assert algorithm.__name__.lower() == name.lower()
    model = algorithm("MlpLstmPolicy" if name == "RecurrentPPO" else "MlpPolicy", cart_poles())
    path = tmp_path / "model.zip"
    model.save(path)
    loaded = load_model(str(path), name)
    weights = loaded.policy.state_dict()
    assert all(tensor.equal(weights[key]) for key, tensor in model.policy.state_dict().items())
    recording = record_expert("CartPole-v1", loaded, n_steps=30, seed=0)
    length = int(np.diff(recording.expert_data.offsets)[0]) - 1
    assert recording.actions[:length].tolist() == rolled_out(model, seeded(cart_poles()), length)


def test_models_with_a_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = PPO("MlpPolicy", Walk(), n_steps=8, batch_size=8)
    asked = []

    def predict(observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False) -> Any:
        asked.append((state, bool(episode_start[0]) if episode_start is not None else None, deterministic))
        return np.array(1), (state or 0) + 1

    monkeypatch.setattr(model, "predict", predict)
    policy = ModelPolicy(model, Walk())
    asked.clear()
    record_expert(Walk(), policy, n_episodes=2)
    assert asked == [(None, True, True), (1, False, True), (2, False, True)] * 2


def test_models_with_hindsight_buffers(tmp_path: Path) -> None:
    env = BitFlippingEnv(n_bits=4)
    her = {"replay_buffer_class": HerReplayBuffer, "replay_buffer_kwargs": {"n_sampled_goal": 2}}
    model = DQN("MultiInputPolicy", env, buffer_size=100, **her)
    model.save(tmp_path / "model")
    data = record_expert(BitFlippingEnv(n_bits=4), load_model(str(tmp_path / "model"), "DQN"), n_episodes=2).expert_data
    assert set(data.observations) == {"observation", "achieved_goal", "desired_goal"}


def test_a_loaded_model_needs_no_room_for_its_replay_buffer(tmp_path: Path) -> None:
    DQN("MlpPolicy", "CartPole-v1", buffer_size=1000).save(tmp_path / "model")
    loaded = load_model(str(tmp_path / "model"), "DQN")
    assert isinstance(loaded, DQN) and loaded.replay_buffer is not None and loaded.replay_buffer.buffer_size == 1


class Masked(Walk):
    """Only action 0 is allowed."""

    def action_masks(self) -> np.ndarray:
        return np.array([True, False])


def test_action_masks_are_passed_on() -> None:
    contrib = pytest.importorskip("sb3_contrib")
    model = contrib.MaskablePPO("MlpPolicy", Walk(), n_steps=8, batch_size=8)
    model.policy.action_net.bias.data += model.policy.action_net.bias.new_tensor([0.0, 100.0])
    assert set(record_expert(Walk(), model, n_episodes=1).actions) == {1}
    env = gym.wrappers.TimeLimit(Masked(), 4)
    assert set(record_expert(env, model, n_episodes=1).actions) == {0}


def test_models_for_other_environments_are_refused() -> None:
    model = DQN("MlpPolicy", "CartPole-v1", buffer_size=10)
    with pytest.raises(ConfigurationError, match=r"action space is Discrete\(2\), the environment's Discrete\(3\)"):
        record_expert("MountainCar-v0", model, n_steps=5)
    with pytest.raises(ConfigurationError, match=r"trained on observations Box.*\(4,\).*do not fit.*\(2,\).*frame stacking"):
        record_expert(Walk(), model, n_steps=5)
    with pytest.raises(ConfigurationError, match="frame_stack is 0"):
        ModelPolicy(model, gym.make("CartPole-v1"), frame_stack=0)


def fallen() -> VecNormalize:
    """With statistics of poles that have fallen to the left."""
    venv = VecNormalize(cart_poles())
    venv.reset()
    for _ in range(50):
        venv.step(np.array([1]))
    venv.training = False
    return venv


def test_a_model_at_hand_sees_what_its_own_environment_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    venv = fallen()
    model = DQN("MlpPolicy", venv, buffer_size=10, seed=0)
    env = gym.make("CartPole-v1")
    policy = ModelPolicy(model, env)
    assert ModelPolicy(model, env, vec_normalize=False).vec_normalize is None
    seen = watched(model, monkeypatch)
    data = record_expert(env, policy, n_episodes=1, seed=0).expert_data
    np.testing.assert_allclose(seen, venv.normalize_obs(data.observations[:-1]))
    assert not np.allclose(seen, data.observations[:-1])


def test_a_loaded_model_without_its_statistics_is_refused_where_that_is_known(tmp_path: Path) -> None:
    for normalised in (True, False):
        venv = fallen() if normalised else cart_poles()
        PPO("MlpPolicy", venv, n_steps=8, batch_size=8).learn(8).save(tmp_path / "model")
        model = load_model(str(tmp_path / "model"), "PPO")
        env = gym.make("CartPole-v1")
        if normalised:
            with pytest.raises(ConfigurationError, match="trained with VecNormalize.*--vec-normalize"):
                ModelPolicy(model, env)
            venv.save(str(tmp_path / "statistics.pkl"))
            ModelPolicy(model, env, load_vec_normalize(tmp_path / "statistics.pkl", env))
        ModelPolicy(model, env, vec_normalize=None if not normalised else False)


def test_statistics_of_other_observations_are_refused() -> None:
    """Those of four components and of one could be calculated with each other."""
    model = DQN("MlpPolicy", fallen(), buffer_size=10)

    class OneNumber(gym.ObservationWrapper[Any, Any, Any]):
        observation_space = spaces.Box(-1, 1, (1,), np.float32)

        def observation(self, observation: Any) -> Any:
            return observation[:1]

    with pytest.raises(ConfigurationError, match="do not fit the environment"):
        ModelPolicy(model, OneNumber(gym.make("CartPole-v1")))


def test_where_statistics_are_looked_for(tmp_path: Path) -> None:
    model = tmp_path / "CartPole-v1.zip"
    assert find_vec_normalize(model) is None
    (tmp_path / "notes.pkl").touch()
    (tmp_path / "CartPole-v1").mkdir()
    of_zoo = tmp_path / "CartPole-v1" / "vecnormalize.pkl"
    of_zoo.touch()
    assert find_vec_normalize(model) is None, "rl-zoo keeps its settings in the same folder"
    (tmp_path / "CartPole-v1" / "config.yml").touch()
    assert find_vec_normalize(model) == of_zoo
    (tmp_path / "CartPole-v1" / "config.yml").unlink()
    for name in ("vec_normalize.pkl", "rl_model_vecnormalize_10_steps.pkl"):
        (tmp_path / name).touch()
        with pytest.raises(ConfigurationError, match=f"{name}: if it was trained"):
            find_vec_normalize(model)
        (tmp_path / name).unlink()
