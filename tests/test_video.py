"""Films of the greedy agent in TensorBoard, which change nothing about the training."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

from sb3_diiqn import DIIQN
from sb3_diiqn.callbacks import VideoCallback
from sb3_diiqn.exceptions import ConfigurationError, MissingDependencyError

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
Image = pytest.importorskip("PIL.Image")


class Corridor(gym.Env[Any, Any]):
    """The agent is a white column that goes to the right, five steps long; one picture is 600 pixels wide."""

    def __init__(self, render_mode: str | None = None, nothing: bool = False) -> None:
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
        self.render_mode, self.nothing = render_mode, nothing
        self.observation_space, self.action_space = spaces.Box(0, 5, (1,), np.float32), spaces.Discrete(2)
        self.seeds: list[int | None] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.place = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place += 1
        return np.full(1, self.place, np.float32), 1.0, self.place == 5, False, {}

    def render(self) -> Any:
        picture = np.zeros((60, 600, 3), np.uint8)
        picture[:, self.place * 100 : self.place * 100 + 100] = 255
        return None if self.nothing else picture


def films(folder: Path, name: str = "video/greedy") -> list[tuple[int, Any]]:
    """Steps and GIFs that TensorBoard finds."""
    (run,) = folder.iterdir()
    events = event_accumulator.EventAccumulator(str(run), size_guidance={"images": 0})
    events.Reload()
    return [(event.step, Image.open(io.BytesIO(event.encoded_image_string))) for event in events.Images(name)]


def learner(folder: Path | None, env: Any = None, **settings: Any) -> DIIQN:
    log = None if folder is None else str(folder)
    settings = {"learning_starts": 20, "buffer_size": 200, "seed": 0, "policy_kwargs": {"net_arch": [8]}, **settings}
    return DIIQN("MlpPolicy", Corridor() if env is None else env, tensorboard_log=log, **settings)


def test_films(tmp_path: Path) -> None:
    env = Corridor("rgb_array")
    learner(tmp_path).learn(100, callback=VideoCallback(env, every=40, name="own"))
    (first, film), (second, _) = films(tmp_path, "own")
    assert (first, second) == (40, 80)
    assert (film.format, film.size, film.n_frames, film.info["duration"]) == ("GIF", (300, 30), 5, 50)
    film.seek(3)
    assert np.asarray(film.convert("L")).mean(axis=0).argmax() // 50 == 3, "in the third step the agent is there"
    assert [seed for seed in env.seeds if seed is not None] == [0, 0], "each film has the same start"


def test_longer_episodes_are_cut(tmp_path: Path) -> None:
    learner(tmp_path).learn(40, callback=VideoCallback(Corridor("rgb_array"), every=40, max_steps=2, seed=None))
    ((_, film),) = films(tmp_path)
    assert film.n_frames == 3


def test_the_training_is_the_same(tmp_path: Path) -> None:
    settings = {"expert_data": "builtin:cartpole", "env": "CartPole-v1"}
    film = gym.make("CartPole-v1", render_mode="rgb_array")
    filmed = learner(tmp_path, **settings).learn(120, callback=VideoCallback(film, every=30, max_steps=5))
    other = learner(tmp_path / "other", **settings).learn(120)
    for name, value in filmed.policy.state_dict().items():
        assert th.equal(value, other.policy.state_dict()[name])


def test_normalised_and_stacked_observations(tmp_path: Path) -> None:
    env = VecNormalize(VecFrameStack(make_vec_env(Corridor), 2))
    film = VecNormalize(VecFrameStack(make_vec_env(lambda: Corridor("rgb_array")), 2), training=False)
    learner(tmp_path, env).learn(40, callback=VideoCallback(film, every=40))
    ((_, shown),) = films(tmp_path)
    assert shown.n_frames == 5
    assert film.obs_rms.mean == pytest.approx(env.obs_rms.mean), "statistics are the agent's"
    assert film.obs_rms.count == env.obs_rms.count > 40


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no environment": ("CartPole-v1", {}, "env is 'CartPole-v1': expected an environment to film in"),
    "several": (make_vec_env(Corridor, 2), {}, "env has 2 environments"),
    "not rendered": (Corridor(), {}, "env has the render_mode None: expected 'rgb_array'"),
    "every": (Corridor("rgb_array"), {"every": 0}, "every is 0: expected a whole number, at least 1"),
    "max_steps": (Corridor("rgb_array"), {"max_steps": 0}, "max_steps is 0"),
    "largest_side": (Corridor("rgb_array"), {"largest_side": -1}, "largest_side is -1"),
}


@pytest.mark.parametrize(("env", "arguments", "message"), BAD.values(), ids=BAD)
def test_bad_arguments(env: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        VideoCallback(env, **arguments)


def test_without_tensorboard() -> None:
    with pytest.raises(ConfigurationError, match="tensorboard_log='tensorboard'"):
        learner(None).learn(10, callback=VideoCallback(Corridor("rgb_array")))


def test_nothing_is_rendered(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has rendered nothing"):
        learner(tmp_path).learn(10, callback=VideoCallback(Corridor("rgb_array", nothing=True), every=5))


def test_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingDependencyError, match=r"sb3-diiqn\[video\]"):
        VideoCallback(Corridor("rgb_array"))
