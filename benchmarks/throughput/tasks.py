"""What is measured: environments, networks, and experts for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from benchmarks.throughput.environments import Lander, MovingBlocks, WideLander
from sb3_diiqn.envs.minatar import MinAtarExtractor, register_minatar
from sb3_diiqn.expert import ExpertObservations

#: Chooses an action for an observation: ``script(observation, space, generator)``.
Script = Callable[[np.ndarray, spaces.Discrete, np.random.Generator], int]

#: Share of random actions of a script, which keeps its episodes apart.
EPSILON = 0.1


@dataclass(frozen=True)
class Task:
    """
    An environment with a network.

    :param make_env: makes the environment
    :param policy: name of the policy
    :param policy_kwargs: arguments of the policy
    :param script: what the expert does
    :param max_transitions: longest recording that is reasonable
    """

    make_env: Callable[[], gymnasium.Env[Any, Any]]
    policy: str
    policy_kwargs: dict[str, Any]
    script: Script
    max_transitions: int = 1_000_000


def random_actions(observation: np.ndarray, space: spaces.Discrete, generator: np.random.Generator) -> int:
    """Do anything."""
    return int(generator.integers(space.n))


def play_breakout(observation: np.ndarray, space: spaces.Discrete, generator: np.random.Generator) -> int:
    """Keep the paddle where the ball will be."""
    if generator.random() < EPSILON:
        return random_actions(observation, space, generator)
    paddle, ball, trail = (np.flatnonzero(observation[:, :, plane].any(axis=0)) for plane in range(3))
    if len(ball) == 0 or len(trail) == 0:
        return 0
    ahead = int(np.clip(2 * ball[0] - trail[0], 0, observation.shape[1] - 1)) - int(paddle[0])
    return 0 if ahead == 0 else 1 if ahead < 0 else 2


def fly(observation: np.ndarray, space: spaces.Discrete, generator: np.random.Generator) -> int:
    """Fall slowly and upright."""
    if generator.random() < EPSILON:
        return random_actions(observation, space, generator)
    if observation[3] < -0.2:
        return 2
    lean = observation[4] + observation[5]
    return 0 if abs(lean) < 0.1 else 1 if lean < 0 else 3


def _minatar(game: str, script: Script) -> Task:
    def make_env() -> gymnasium.Env[Any, Any]:
        register_minatar()
        return gymnasium.make(f"MinAtar/{game}-v1")

    return Task(make_env, "MlpPolicy", {"features_extractor_class": MinAtarExtractor, "net_arch": []}, script)


TASKS = {
    "breakout": _minatar("Breakout", play_breakout),
    "seaquest": _minatar("Seaquest", random_actions),
    "lander": Task(Lander, "MlpPolicy", {"net_arch": [64, 64]}, fly),
    **{
        f"{name}{n_numbers}": Task(partial(WideLander, n_numbers, noisy), "MlpPolicy", {"net_arch": [64, 64]}, fly)
        for name, noisy in (("vector", False), ("noisy", True))
        for n_numbers in (32, 128)
    },
    "images": Task(MovingBlocks, "CnnPolicy", {}, random_actions, max_transitions=30_000),
}


def with_random_actions(task: Task) -> Task:
    """Let somebody do anything there."""
    return replace(task, script=random_actions)


def record(task: Task, n_transitions: int, seed: int = 0) -> ExpertObservations:
    """
    Record an expert.

    :param task: what it does, and where
    :param n_transitions: length of the recording
    :param seed: seed of the environment and of the expert
    """
    env, generator = task.make_env(), np.random.default_rng(seed)
    space: Any = env.action_space
    observation, _ = env.reset(seed=seed)
    # one array for everything, large enough for episodes of one step; what stays unused takes no memory
    shape, dtype = observation.shape, observation.dtype
    recorded = np.empty((2 * n_transitions + 2, *shape), dtype=dtype)
    starts, really_ended, n_recorded, n_left = [0], [False], 1, n_transitions
    recorded[0] = observation
    while n_left:
        observation, _, terminated, truncated, _ = env.step(task.script(observation, space, generator))
        recorded[n_recorded] = observation
        n_recorded, n_left = n_recorded + 1, n_left - 1
        really_ended[-1] = terminated
        if (terminated or truncated) and n_left:
            starts.append(n_recorded)
            really_ended.append(False)
            recorded[n_recorded], _ = env.reset()
            observation = recorded[n_recorded]
            n_recorded += 1
    recorded = recorded[:n_recorded]
    recorded.setflags(write=False)
    return ExpertObservations(recorded, [*starts, n_recorded], terminated=really_ended)
