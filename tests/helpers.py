"""A tiny world of whole numbers that can look like any observation space, and recordings of an expert in it."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from sb3_diiqn import ExpertObservations
from sb3_diiqn.imitation.config import WHERE_STATES_VARY, Habits

LENGTH = 6
LEFT, RIGHT = 0, 1


class Look(NamedTuple):
    """An observation space and what a state looks like in it."""

    space: spaces.Space[Any]
    show: Callable[[int], Any]


def _one_hot(state: int, dtype: Any) -> np.ndarray:
    return np.eye(LENGTH, dtype=dtype)[state]


def _vector(state: int) -> np.ndarray:
    return np.array([state / 5, 1 - state / 5, (state / 5) ** 2], dtype=np.float32)


def _column_image(state: int, size: int, width: int, value: float, dtype: Any) -> np.ndarray:
    image = np.zeros((size, LENGTH * width, 1), dtype=dtype)
    image[:, state * width : (state + 1) * width] = value
    return image


def _byte_image(state: int) -> np.ndarray:
    return _column_image(state, 36, 6, 255, np.uint8)


def _planes(state: int) -> np.ndarray:
    return np.stack([np.tile(_one_hot(state, bool), (2, 1)), np.zeros((2, LENGTH), dtype=bool)], axis=-1)


def _unit_box(shape: tuple[int, ...], dtype: Any) -> spaces.Box:
    return spaces.Box(0, 1, shape, dtype=dtype)


LOOKS: dict[str, Look] = {
    "vector": Look(_unit_box((3,), np.float32), _vector),
    "unbounded vector": Look(spaces.Box(-np.inf, np.inf, (3,), dtype=np.float64), lambda state: _vector(state).astype(float)),
    "float image": Look(_unit_box((2, LENGTH, 1), np.float32), lambda state: _column_image(state, 2, 1, 1.0, np.float32)),
    "bool vector": Look(_unit_box((LENGTH,), np.bool_), lambda state: _one_hot(state, bool)),
    "bool planes": Look(_unit_box((2, LENGTH, 2), np.bool_), _planes),
    "byte vector": Look(spaces.Box(0, 255, (LENGTH,), dtype=np.uint8), lambda state: _one_hot(state, np.uint8) * 255),
    "byte image": Look(spaces.Box(0, 255, (36, 36, 1), dtype=np.uint8), _byte_image),
    "discrete": Look(spaces.Discrete(LENGTH), lambda state: state),
    "multi-discrete": Look(spaces.MultiDiscrete([2, 3]), lambda state: np.array([state // 3, state % 3])),
    "multi-binary": Look(spaces.MultiBinary(LENGTH), lambda state: _one_hot(state, np.int8)),
    "dict": Look(
        spaces.Dict({"where": _unit_box((3,), np.float32), "room": spaces.Discrete(2), "seen": spaces.MultiBinary(LENGTH)}),
        lambda state: {"where": _vector(state), "room": state // 3, "seen": _one_hot(state, np.int8)},
    ),
    "dict with image": Look(
        spaces.Dict({"camera": spaces.Box(0, 255, (36, 36, 1), dtype=np.uint8), "where": _unit_box((3,), np.float32)}),
        lambda state: {"camera": _byte_image(state), "where": _vector(state)},
    ),
}


class LineEnv(gymnasium.Env[Any, Any]):
    """
    A line of states: action 1 goes right, 0 goes left. The right end pays 1 and ends the episode, every step costs 0.1.

    :param look: key of ``LOOKS``
    :param time_limit: steps after which an episode is cut
    """

    def __init__(self, look: str = "vector", time_limit: int = 20) -> None:
        self.observation_space, self.show = LOOKS[look]
        self.action_space = spaces.Discrete(2)
        self.time_limit = time_limit
        self.state = 0
        self.n_steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start at the left end."""
        super().reset(seed=seed)
        self.state = self.n_steps = 0
        return self.show(self.state), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Go left or right."""
        self.n_steps += 1
        self.state = min(max(self.state + (1 if action == RIGHT else -1), 0), LENGTH - 1)
        arrived = self.state == LENGTH - 1
        return self.show(self.state), float(arrived) - 0.1, arrived, self.n_steps >= self.time_limit, {}


class Unpaid(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Nothing is ever paid."""

    def step(self, action: Any) -> Any:
        observation, _, *others = self.env.step(action)
        return (observation, 0.0, *others)


def walk(states: Any, look: str = "vector") -> Any:
    """
    What these states look like, one after the other.

    :param states: whole numbers
    :param look: key of ``LOOKS``
    :return: array, or a dictionary of arrays
    """
    shown = [LOOKS[look].show(state) for state in states]
    if isinstance(shown[0], dict):
        return {key: np.stack([np.asarray(one[key]) for one in shown]) for key in shown[0]}
    return np.stack([np.asarray(one) for one in shown])


def right_walks(look: str = "vector", n: int = 2) -> ExpertObservations:
    """
    Recordings of an expert that always goes right.

    :param look: key of ``LOOKS``
    :param n: number of trajectories
    """
    return ExpertObservations.from_trajectories([walk(range(LENGTH), look)] * n, terminated=True)


#: Arguments that make DQN tiny and let it learn from the first steps on.
def q_values(model: Any, averaged: bool = True) -> torch.Tensor:
    """
    Values, or quantiles, of all states of the line.

    :param model: of this package, or plain
    :param averaged: whether those that the model predicts with, or those of the network itself
    """
    model.policy.set_training_mode(False)
    averaging = model._averaging() if averaged and hasattr(model, "_averaging") else nullcontext()
    with torch.no_grad(), averaging:
        network = getattr(model.policy, "quantile_net", None) or model.policy.q_net
        return network(model.policy.obs_to_tensor(walk(range(LENGTH)))[0])  # type: ignore[no-any-return]


TINY: dict[str, Any] = {
    "learning_starts": 20,
    "buffer_size": 200,
    "batch_size": 16,
    "train_freq": 4,
    "target_update_interval": 20,
    "seed": 3,
    "device": "cpu",
    "policy_kwargs": {"net_arch": [8]},
}


def global_random_state() -> list[Any]:
    """Everything that decides the next draws of Python's, numpy's and torch's global generators."""
    name, keys, position, *rest = np.random.get_state()  # noqa: NPY002, this is the one that Stable-Baselines3 draws from
    return [random.getstate(), name, keys.tolist(), position, rest, torch.get_rng_state().tolist()]


def with_habits(algorithm: Any, habits: Habits = WHERE_STATES_VARY, **changes: Any) -> Any:
    """
    Make an algorithm whose habits do not depend on the expert data.

    :param algorithm: its class
    :param habits: in any case
    :param changes: what is different about them
    """
    fixed = replace(habits, **changes)
    return type(algorithm.__name__, (algorithm,), {"where_states_repeat": fixed, "where_states_vary": fixed})
