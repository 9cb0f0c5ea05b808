"""The tasks of the suite ``transfer``, and their experts."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
import numpy as np
import pytest

from benchmarks import transfer
from benchmarks.algorithms import import_object
from benchmarks.runner import check_runnable
from benchmarks.suite import load_suite
from sb3_diiqn.exceptions import MissingDependencyError
from sb3_diiqn.record import make_environment, record_expert

needs_tables = pytest.mark.skipif(gymnasium.__version__.startswith("0."), reason="has older versions of the tables")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lowest"),
    [
        pytest.param("Taxi", 3, marks=needs_tables),
        pytest.param("CliffWalking", -13, marks=needs_tables),
        ("Pendulum", -360),
        ("SimpleCrossing", 0.95),
    ],
)
def test_good_experts(name: str, lowest: float) -> None:
    if name == "SimpleCrossing":
        pytest.importorskip("minigrid")
    environment = load_suite("transfer").environments[name]
    assert environment.expert is not None
    env = make_environment(environment.id, **environment.env_kwargs)
    expert = import_object(environment.expert["policy"])(env)
    assert record_expert(env, expert, n_episodes=10, seed=0).episode_returns.min() >= lowest


def test_torques() -> None:
    env = transfer.make_pendulum()
    assert env.action_space == gymnasium.spaces.Discrete(5)
    inner: Any = env.unwrapped
    for action, torque in enumerate(transfer.TORQUES):
        env.reset(seed=0)
        env.step(action)
        assert inner.last_u == torque


@pytest.mark.parametrize(
    ("observation", "torque"),
    [
        ((1.0, 0.0, 0.0), 0.0),
        # falls over to the left, and to the right
        ((0.98, 0.2, 0.0), -2.0),
        ((0.98, -0.2, 0.0), 2.0),
        # hangs: gains energy either way
        ((-1.0, 0.0, 1.0), 2.0),
        ((-1.0, 0.0, -1.0), -2.0),
        # too fast to stop at the top: loses energy
        ((0.0, 1.0, 8.0), -2.0),
    ],
)
def test_swinging_up(observation: tuple[float, float, float], torque: float) -> None:
    assert transfer.TORQUES[transfer.pendulum(None)(np.array(observation))] == torque


def test_view() -> None:
    pytest.importorskip("minigrid")
    env = transfer.make_simple_crossing()
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation) and observation.dtype == bool
    # of each cell: what it is, its colour, and whether it is open
    assert (observation.reshape(49, 20).sum(axis=1) == 3).all()
    turned = env.step(0)[0]
    assert env.observation_space.contains(turned) and (turned != observation).any()


def test_without_minigrid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("minigrid.core.world_object", "minigrid.envs.crossing", "minigrid.wrappers"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match="grids"):
        transfer.make_simple_crossing()


@needs_tables
def test_the_suite_can_run() -> None:
    pytest.importorskip("minigrid")
    check_runnable(load_suite("transfer"))
