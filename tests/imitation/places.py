"""Buffers whose observations say when and where they were made, and expert data of some of these places."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer

from sb3_diiqn import ExpertObservations
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.imitation import buffers
from sb3_diiqn.imitation.buffers import ExpertDictReplayBuffer, ExpertReplayBuffer
from sb3_diiqn.inference import ExpertKnowledge, InferenceSettings

PLACES = spaces.Box(0, 1000, (2,), dtype=np.float32)
PLACES_BY_KEY = spaces.Dict({"step": spaces.Box(0, 1000, (1,), dtype=np.float32), "env": spaces.Discrete(10)})
ACTIONS = spaces.Discrete(100)
EXACT = InferenceSettings("range", similarity_threshold=1.0, max_inference_error=1e-4)


def place(step: Any, env: Any) -> np.ndarray:
    """An observation that says when and where it was made."""
    return np.stack(np.broadcast_arrays(np.float32(step), np.float32(env)), axis=-1)


def shown(places: np.ndarray, kind: str) -> Any:
    return {"step": places[:, :1], "env": places[:, 1].astype(np.int64)} if kind == "dict" else places


def places_of(observations: Any) -> np.ndarray:
    """The inverse of ``shown``, for what a buffer returns."""
    if isinstance(observations, dict):
        return np.concatenate(
            [np.asarray(observations[key], dtype=np.float32).reshape(-1, 1) for key in ("step", "env")], axis=1
        )
    return np.asarray(observations)


def expert_at(places: list[tuple[int, int]], kind: str = "plain") -> ExpertObservations:
    """Expert transition i is what the agent goes through at the i-th of these steps and environments."""
    trajectories = [shown(np.stack([place(step, env), place(step + 0.5, env)]), kind) for step, env in places]
    expert = ExpertObservations.from_trajectories(trajectories)
    return expert.adapted_to(PLACES_BY_KEY) if kind == "dict" else expert


def make_buffer(
    expert: ExpertObservations,
    kind: str = "plain",
    size: int = 8,
    n_envs: int = 1,
    settings: InferenceSettings = EXACT,
    **arguments: Any,
) -> Any:
    space = PLACES_BY_KEY if kind == "dict" else PLACES
    if kind == "dict":
        settings = InferenceSettings("auto", settings.similarity_threshold, max_inference_error=settings.max_inference_error)
    knowledge = ExpertKnowledge(expert, space, settings, seed=0)
    buffer_class: Any = ExpertDictReplayBuffer if kind == "dict" else ExpertReplayBuffer
    if kind == "n-step":
        buffer_class = buffers.ExpertNStepReplayBuffer
        arguments |= {"n_steps": 3, "gamma": 0.5}
    return buffer_class(size * n_envs, space, ACTIONS, device="cpu", n_envs=n_envs, knowledge=knowledge, **arguments)


def make_host(kind: str, size: int, n_envs: int) -> ReplayBuffer:
    if kind == "dict":
        return DictReplayBuffer(size * n_envs, PLACES_BY_KEY, ACTIONS, device="cpu", n_envs=n_envs)
    if kind == "n-step":
        return NStepReplayBuffer(size * n_envs, PLACES, ACTIONS, device="cpu", n_envs=n_envs, n_steps=3, gamma=0.5)
    return ReplayBuffer(size * n_envs, PLACES, ACTIONS, device="cpu", n_envs=n_envs)


def reward_of(step: Any, env: Any) -> Any:
    return np.float32(step) + np.float32(env) / 10


def add(buffer: Any, steps: range, kind: str = "plain", done_at: tuple[int, ...] = (), cut_at: tuple[int, ...] = ()) -> None:
    """Store these steps of every environment; the action is the step, modulo 50, plus 50 in odd environments."""
    envs = np.arange(buffer.n_envs)
    for step in steps:
        done = np.full(len(envs), step in done_at or step in cut_at)
        buffer.add(
            shown(place(step, envs), kind),
            shown(place(step + 0.5, envs), kind),
            step % 50 + 50 * (envs % 2),
            reward_of(step, envs),
            done,
            [{"TimeLimit.truncated": step in cut_at} for _ in envs],
        )


def every_place(n_steps: int, n_envs: int) -> list[tuple[int, int]]:
    return [(step, env) for step in range(n_steps) for env in range(n_envs)]
