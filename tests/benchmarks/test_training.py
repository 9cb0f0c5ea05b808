"""Training one cell: settings, evaluations, curves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from benchmarks.cell import make_recorder, run_cell
from benchmarks.heartbeat import heartbeats
from benchmarks.provenance import git_revision
from benchmarks.suite import parse_suite
from benchmarks.training import make_model, resolve_settings
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert.manifest import versions
from sb3_diiqn.expert.training import EVALUATION_SEED, GreedyEvaluation


class _Countdown(gymnasium.Env[Any, int]):
    """Rewards 1 per step; its length is drawn from the seed of the reset, or there is no end."""

    action_space = spaces.Discrete(2)

    def __init__(self, endless: bool = False, as_dict: bool = False) -> None:
        box = spaces.Box(0, 1, (2,), np.float32)
        self.observation_space = spaces.Dict({"a": box}) if as_dict else box  # type: ignore[assignment]
        self.endless, self.as_dict, self.seeds = endless, as_dict, list[int | None]()

    def _observation(self) -> Any:
        observation = np.zeros(2, dtype=np.float32)
        return {"a": observation} if self.as_dict else observation

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.left = math.inf if self.endless else int(self.np_random.integers(1, 9))
        return self._observation(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        return self._observation(), 1.0, self.left <= 0, False, {}


class _Model:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict(self, observation: Any, deterministic: bool) -> tuple[np.ndarray, None]:
        assert deterministic
        array = observation["a"] if isinstance(observation, dict) else observation
        assert array.shape[1:] == (2,)
        self.batches.append(len(array))
        return np.zeros(len(array), dtype=int), None


@pytest.mark.parametrize("as_dict", [False, True])
def test_evaluation_plays_fixed_seeds(as_dict: bool) -> None:
    evaluation = GreedyEvaluation(lambda: _Countdown(as_dict=as_dict), episodes=5, max_steps=100)
    model: Any = _Model()
    returns = evaluation(model)
    lengths = [np.random.Generator(np.random.PCG64(EVALUATION_SEED + index)).integers(1, 9) for index in range(5)]
    assert returns == lengths
    assert model.batches == [sum(length > step for length in lengths) for step in range(max(lengths))]
    assert evaluation(model) == returns, "the same episodes at every evaluation"
    assert [env.seeds for env in evaluation.envs] == [[EVALUATION_SEED + index] * 2 for index in range(5)]  # type: ignore[attr-defined]


def test_evaluation_cuts_endless_episodes() -> None:
    model: Any = _Model()
    assert GreedyEvaluation(lambda: _Countdown(endless=True), episodes=2, max_steps=7)(model) == [7, 7]


def test_settings_become_arguments() -> None:
    resolved = resolve_settings(
        {
            "policy": "MlpPolicy",
            "train_freq": [1, "episode"],
            "device": "cuda:0",
            "policy_kwargs": {"activation_fn": "torch.nn:Tanh", "net_arch": [8]},
        }
    )
    assert resolved == {
        "policy": "MlpPolicy",
        "train_freq": (1, "episode"),
        "device": "cuda:0",
        "policy_kwargs": {"activation_fn": torch.nn.Tanh, "net_arch": [8]},
    }
    for path in ("torch.nn:Nothing", "no_such_module:Thing"):
        with pytest.raises(ConfigurationError, match=path):
            resolve_settings({"policy_kwargs": {"activation_fn": path}})


@pytest.mark.parametrize(("n_envs", "n_timesteps", "expected"), [(1, 100, [40, 80, 100]), (3, 120, [40, 80, 120])])
def test_evaluations_come_at_their_steps(n_envs: int, n_timesteps: int, expected: list[int]) -> None:
    recorder = make_recorder("CartPole-v1", {}, {"every": 40, "episodes": 2, "max_steps": 20}, n_timesteps)
    model = make_model("dqn", "CartPole-v1", {}, n_envs, {"policy": "MlpPolicy", "learning_starts": 1000}, seed=0)
    model.learn(n_timesteps, callback=recorder)
    assert recorder.greedy["step"] == expected
    assert all(len(returns) == 2 for returns in recorder.greedy["returns"])
    assert recorder.greedy["mean"] == [np.mean(returns) for returns in recorder.greedy["returns"]]
    assert recorder.training["return"] == recorder.training["length"], "CartPole gives 1 per step"
    assert recorder.training["step"] == sorted(recorder.training["step"])
    if n_envs == 1:
        assert recorder.training["step"] == list(np.cumsum(recorder.training["length"]))


@pytest.mark.slow
def test_cell_is_complete_and_reproducible(tmp_path: Path) -> None:
    source = {
        "seeds": [4],
        "evaluation": {"every": 150, "episodes": 2, "max_steps": 50},
        "environments": {
            "CartPole-v1": {
                "n_timesteps": 300,
                "settings": {"policy": "MlpPolicy", "learning_starts": 50, "policy_kwargs": {"net_arch": [8]}},
            }
        },
        "algorithms": {"dqn": {}},
    }
    (cell,) = parse_suite("small", source).cells()
    first, second = (run_cell(cell, None, {}, tmp_path / "beat") for _ in range(2))
    assert first["training"] == second["training"]
    assert first["greedy"] == second["greedy"]
    assert first["settings"] == cell.settings
    assert (first["status"], first["seed"], first["settings_hash"]) == ("finished", 4, cell.settings_hash)
    assert first["wall_time"] > 0 and first["steps_per_second"] > 0
    assert not (tmp_path / "beat").exists()


def test_heartbeat(tmp_path: Path) -> None:
    path = tmp_path / "beat"
    with heartbeats(path, lambda: 17):
        while not (path.exists() and path.read_text()):
            pass
        assert path.read_text() == "17"
    assert not path.exists()
    with heartbeats(tmp_path / "absent" / "beat", lambda: 17):
        pass
    assert not (tmp_path / "absent").exists()


def test_versions_and_revision() -> None:
    assert {"python", "sb3_diiqn", "stable_baselines3", "gymnasium", "torch", "numpy"} <= versions().keys()
    revision = git_revision()
    assert revision is None or set(revision.removesuffix("-dirty")) <= set("0123456789abcdef")
