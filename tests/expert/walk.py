"""A small environment whose recordings can be written down by hand."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv


class Walk(gym.Env[Any, Any]):
    """Action 1 moves on, action 0 stays. Ends at 3 with reward 10, is cut after ``limit`` steps; each step costs 1.

    The observation is always the same array, as in many environments.
    """

    def __init__(self, limit: int = 5, high: float = 3) -> None:
        self.limit = limit
        self.action_space = spaces.Discrete(2)
        self.observation_space = spaces.Box(0, high, (2,), np.float32)
        self.place = np.zeros(2, np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place[:] = 0
        self.age = 0
        return self.place, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place += (action, 0.25 * action)
        self.age += 1
        ended = self.place[0] == 3
        return self.place, 10.0 if ended else -1.0, bool(ended), self.age == self.limit, {}


def forward(observation: Any) -> int:
    """Always on."""
    return 1


def cart_poles() -> DummyVecEnv:
    return DummyVecEnv([lambda: gym.make("CartPole-v1")])
