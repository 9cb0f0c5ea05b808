"""Small environments with observations of a kind that MinAtar does not have: vectors of numbers, and images."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

IMAGE_SIDE = 84
N_FRAMES = 4


class Lander(gymnasium.Env[np.ndarray, Any]):
    """
    A lander in two dimensions: position, velocity, angle, its velocity, and whether each leg touches the ground.

    Actions: nothing, left engine, main engine, right engine.
    """

    observation_space = spaces.Box(-2, 2, (8,), dtype=np.float32)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start high above the ground, with a random push."""
        super().reset(seed=seed)
        self._state = np.array([0, 1.4, 0, 0, 0, 0]) + self.np_random.uniform(-0.3, 0.3, 6) * [1, 0, 1, 1, 0.5, 0.5]
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Fire an engine for a moment."""
        x, y, x_speed, y_speed, angle, turning = self._state
        thrust = 0.06 if action == 2 else 0.0
        turning += {1: 0.03, 3: -0.03}.get(int(action), 0.0) + 0.005 * self.np_random.normal()
        x_speed, y_speed = x_speed - thrust * np.sin(angle), y_speed + thrust * np.cos(angle) - 0.03
        angle += 0.3 * turning
        self._state = np.clip([x + 0.1 * x_speed, y + 0.1 * y_speed, x_speed, y_speed, angle, 0.98 * turning], -2, 2)
        landed = self._state[1] <= 0
        return self._observation(), float(landed and abs(y_speed) < 0.3), bool(landed or abs(x) > 1.5), False, {}

    def _observation(self) -> np.ndarray:
        near_ground = self._state[1] + 0.1 * np.sin(self._state[4]) * np.array([-1, 1]) < 0.05
        return np.concatenate([self._state, near_ground]).astype(np.float32)


class WideLander(Lander):
    """
    A lander whose state is followed by more numbers: smooth functions of the state, or noise that says nothing.

    :param n_numbers: numbers in an observation
    :param noisy: whether they are noise
    """

    def __init__(self, n_numbers: int, noisy: bool) -> None:
        n_more = n_numbers - Lander.observation_space.shape[0]
        self.observation_space = spaces.Box(-np.inf, np.inf, (n_numbers,), dtype=np.float32)
        self.weights = None if noisy else np.random.default_rng(0).normal(size=(n_more, 6))
        self._n_more = n_more

    def _observation(self) -> np.ndarray:
        more = self.np_random.normal(size=self._n_more) if self.weights is None else np.tanh(self.weights @ self._state)
        return np.concatenate([super()._observation(), more]).astype(np.float32)


class MovingBlocks(gymnasium.Env[np.ndarray, Any]):
    """Four frames of a small game: a paddle that the agent moves, and balls that fly."""

    observation_space = spaces.Box(0, 255, (IMAGE_SIDE, IMAGE_SIDE, N_FRAMES), dtype=np.uint8)
    action_space = spaces.Discrete(3)
    n_balls = 3
    n_steps = 500

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Put the balls somewhere."""
        super().reset(seed=seed)
        self._paddle, self._time = IMAGE_SIDE // 2, 0
        self._balls = self.np_random.integers(8, IMAGE_SIDE - 8, (self.n_balls, 2))
        self._speeds = self.np_random.choice([-2, -1, 1, 2], (self.n_balls, 2))
        self._frames = np.repeat(self._drawn()[:, :, None], N_FRAMES, axis=2)
        return self._frames.copy(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move the paddle and the balls."""
        self._time += 1
        self._paddle = int(np.clip(self._paddle + 3 * (action - 1), 6, IMAGE_SIDE - 6))
        self._balls = self._balls + self._speeds
        self._speeds = np.where((self._balls < 4) | (self._balls > IMAGE_SIDE - 6), -self._speeds, self._speeds)
        self._frames[:, :, :-1] = self._frames[:, :, 1:]
        self._frames[:, :, -1] = self._drawn()
        caught = (self._balls[:, 0] > IMAGE_SIDE - 8) & (np.abs(self._balls[:, 1] - self._paddle) < 6)
        return self._frames.copy(), float(caught.sum()), False, self._time >= self.n_steps, {}

    def _drawn(self) -> np.ndarray:
        frame = np.full((IMAGE_SIDE, IMAGE_SIDE), 40, dtype=np.uint8)
        frame[-3:, self._paddle - 5 : self._paddle + 6] = 200
        for row, column in self._balls:
            frame[row - 2 : row + 3, column - 2 : column + 3] = 255
        return frame
