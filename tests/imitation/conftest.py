"""What the tests of saving and of loading share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import DIIQN
from tests.helpers import TINY, LineEnv, right_walks


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    return right_walks().save(tmp_path / "expert.npz")


def make(expert_data: Any, look: str = "vector", n_envs: int = 1, **arguments: Any) -> DIIQN:
    policy = "MultiInputPolicy" if look == "dict" else "MlpPolicy"
    return DIIQN(policy, env(look, n_envs), **{**TINY, "expert_data": expert_data, **arguments})


def env(look: str = "vector", n_envs: int = 1) -> DummyVecEnv:
    return DummyVecEnv([lambda: LineEnv(look)] * n_envs)


def saved(model: DIIQN, path: Path) -> Path:
    model.save(path / "model")
    return path / "model.zip"
