"""Registration of the package's environments."""

from __future__ import annotations

import importlib
import subprocess
import sys

import gymnasium
import pytest
from stable_baselines3.common.env_util import make_vec_env

import sb3_diiqn.envs


def test_ids_make_the_environments() -> None:
    env = gymnasium.make("sb3_diiqn/Maze2D-v0", actions="king", layout="small")
    assert isinstance(env.unwrapped, sb3_diiqn.envs.Maze2D)
    assert env.action_space.n == 8
    assert gymnasium.spec("sb3_diiqn/PointMaze-v0").entry_point == "sb3_diiqn.envs.point_maze:PointMaze"


def test_importing_again_neither_warns_nor_overrides(recwarn: pytest.WarningsRecorder) -> None:
    spec = gymnasium.spec("sb3_diiqn/Maze2D-v0")
    importlib.reload(sb3_diiqn.envs)
    assert not list(recwarn)
    assert gymnasium.spec("sb3_diiqn/Maze2D-v0") is spec


def test_vectorised_environment_takes_the_keywords() -> None:
    env = make_vec_env("sb3_diiqn/Maze2D-v0", n_envs=2, env_kwargs={"layout": "open_5", "actions": ["N", "SE"], "slip": 0.1})
    assert env.action_space.n == 2
    assert env.reset().shape == (2, 49)


def test_environments_alone_need_no_torch_and_no_mujoco() -> None:
    code = f"""
import sys, types
package = types.ModuleType("sb3_diiqn")  # without the algorithms, which do need torch
package.__path__ = {list(sb3_diiqn.__path__)!r}
sys.modules["sb3_diiqn"] = package
import gymnasium  # older ones import gymnasium_robotics themselves
before = set(sys.modules)
import sb3_diiqn.envs
print({{"torch", "stable_baselines3", "mujoco", "gymnasium_robotics"}} & (set(sys.modules) - before))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
