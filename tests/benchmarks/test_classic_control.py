"""The scripted experts of classic control are good, and know their environments."""

from __future__ import annotations

import importlib.util
from typing import Any

import gymnasium
import numpy as np
import pytest

from benchmarks import classic_control
from sb3_diiqn.envs import classic_control as experts
from sb3_diiqn.record import record_expert

needs_acrobot = pytest.mark.skipif(gymnasium.__version__.startswith("0."), reason="its Acrobot does not run with numpy 2")
has_lander = importlib.util.find_spec("Box2D") is not None and "LunarLander-v3" in gymnasium.registry
needs_lander = pytest.mark.skipif(not has_lander, reason="needs the extra box2d, and gymnasium 1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "make", "lowest"),
    [
        ("CartPole-v1", classic_control.cart_pole, 500),
        ("MountainCar-v0", classic_control.mountain_car, -108),
        pytest.param("Acrobot-v1", classic_control.acrobot, -95, marks=needs_acrobot),
        pytest.param("LunarLander-v3", classic_control.lunar_lander, 200, marks=needs_lander),
    ],
)
def test_good_experts(env_id: str, make: Any, lowest: float) -> None:
    env = gymnasium.make(env_id)
    assert record_expert(env, make(env), n_episodes=6, seed=0).episode_returns.mean() >= lowest


def test_equations_of_the_mountain_car() -> None:
    env = gymnasium.make("MountainCar-v0").unwrapped
    generator = np.random.default_rng(0)
    states = generator.uniform(experts._LOW, experts._HIGH, (50, 2))
    states[:5] = [-1.19, -0.05], [-1.2, 0.0], [0.59, 0.07], [-0.5, 0.07], [-1.0, -0.07]
    successors = experts._successors(states)
    assert successors.shape == (3, 50, 2)
    for row, state in enumerate(states):
        for action in range(3):
            env.reset(seed=0)
            env.state = tuple(state)  # type: ignore[attr-defined]
            observation, *_ = env.step(action)
            np.testing.assert_allclose(successors[action, row], observation, atol=1e-6)


def test_steps_are_interpolated() -> None:
    """In units of cells, a table of 2 i + 3 j is met exactly between its points; beyond the goal nothing is left."""
    i, j = np.meshgrid(np.arange(experts._GRID), np.arange(experts._GRID), indexing="ij")
    cell = (experts._HIGH - experts._LOW) / (experts._GRID - 1)
    states = experts._LOW + np.array([[3.25, 7.5], [0.0, 0.0], [120.0, 10.0]]) * cell
    np.testing.assert_allclose(experts._steps_left(2.0 * i + 3.0 * j, states), [29.0, 0.0, 0.0], atol=1e-9)
