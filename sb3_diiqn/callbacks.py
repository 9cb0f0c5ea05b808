"""Callbacks for ``learn``: films of the agent for TensorBoard, and what keeps the confidence up to date."""

from __future__ import annotations

import importlib
import io
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import TensorBoardOutputFormat
from stable_baselines3.common.vec_env import VecEnv, sync_envs_normalization

from sb3_diiqn.exceptions import ConfigurationError, MissingDependencyError
from sb3_diiqn.imitation.callbacks import ConfidenceCallback

__all__ = ["ConfidenceCallback", "VideoCallback"]

DEFAULT_FRAMES_PER_SECOND = 30


class VideoCallback(BaseCallback):
    """
    Films an episode of the greedy agent, without exploration and without a guide, and shows it under *Images* in TensorBoard.

    It draws no random numbers of the training, which goes on as it does without the callback. Films are written as GIF: what
    PyTorch does with the ``Video`` of Stable-Baselines3's logger needs a version of moviepy before 2.

    :param env: environment to film in, one of its own, made with ``render_mode="rgb_array"``; or a vectorised one of a single
        environment, with the same wrappers as the agent's. Statistics of a ``VecNormalize`` are taken from the agent's.
    :param every: steps of the training between films, at least 1; the first film is after as many
    :param max_steps: a longer episode is cut
    :param largest_side: frames that are larger are thinned out to at most so many pixels in height and width
    :param seed: of the environment, so that all films begin alike; None: each time otherwise
    :param name: of the films in TensorBoard
    :raises ConfigurationError: if a number is below 1, the environment cannot be filmed, or the model that is to learn
        does not write to TensorBoard
    :raises MissingDependencyError: if Pillow is not installed
    """

    def __init__(
        self,
        env: gym.Env[Any, Any] | VecEnv,
        every: int = 10_000,
        *,
        max_steps: int = 500,
        largest_side: int = 300,
        seed: int | None = 0,
        name: str = "video/greedy",
    ) -> None:
        super().__init__()
        for argument, value in (("every", every), ("max_steps", max_steps), ("largest_side", largest_side)):
            if value < 1:
                raise ConfigurationError(f"{argument} is {value!r}: expected a whole number, at least 1")
        _check_environment(env)
        self.env, self.every, self.max_steps = env, every, max_steps
        self.largest_side, self.seed, self.name = largest_side, seed, name
        self._images = _pillow()
        self._next_film = every

    def _init_callback(self) -> None:
        # as EvalCallback's environment is made fit: images with their channels first
        self._env: VecEnv = BaseAlgorithm._wrap_env(self.env, verbose=0, monitor_wrapper=False)
        self._next_film = self.num_timesteps + self.every

    def _on_training_start(self) -> None:
        self._formats = [form for form in self.logger.output_formats if isinstance(form, TensorBoardOutputFormat)]
        if not self._formats:
            raise ConfigurationError(
                "VideoCallback shows its films in TensorBoard, and this model does not write to it: expected a folder, as in "
                f"{type(self.model).__name__}(..., tensorboard_log='tensorboard'), and pip install 'sb3-diiqn[video]'"
            )

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._next_film:
            self._next_film = self.num_timesteps + self.every
            self._show(self._film())
        return True

    def _film(self) -> list[np.ndarray]:
        """The frames of an episode, each of shape (height, width, 3)."""
        sync_envs_normalization(self.training_env, self._env)
        if self.seed is not None:
            self._env.seed(self.seed)
        observations: Any = self._env.reset()
        frames = [self._frame()]
        for _ in range(self.max_steps):
            actions, _ = self.model.predict(observations, deterministic=True)
            observations, _, dones, _ = self._env.step(actions)
            if dones[0]:  # what is to be seen now is the next episode
                break
            frames.append(self._frame())
        return frames

    def _frame(self) -> np.ndarray:
        frame = self._env.get_images()[0]
        if frame is None:
            raise ConfigurationError("The environment to film in has rendered nothing: expected an array from its render()")
        thinning = -(-max(frame.shape[:2]) // self.largest_side)
        return np.asarray(frame)[::thinning, ::thinning]

    def _show(self, frames: list[np.ndarray]) -> None:
        summaries = importlib.import_module("tensorboard.compat.proto.summary_pb2")
        height, width, channels = frames[0].shape
        image = summaries.Summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=self._as_gif(frames)
        )
        summary = summaries.Summary(value=[summaries.Summary.Value(tag=self.name, image=image)])
        for form in self._formats:
            writer: Any = form.writer
            writer.file_writer.add_summary(summary, self.num_timesteps)
            writer.flush()

    def _as_gif(self, frames: list[np.ndarray]) -> bytes:
        metadata = self._env.get_attr("metadata")[0] or {}
        frames_per_second = metadata.get("render_fps") or DEFAULT_FRAMES_PER_SECOND
        first, *others = (self._images.fromarray(np.ascontiguousarray(frame)) for frame in frames)
        buffer = io.BytesIO()
        first.save(buffer, format="GIF", save_all=True, append_images=others, duration=1000 / frames_per_second, loop=0)
        return buffer.getvalue()


def _check_environment(env: Any) -> None:
    if not isinstance(env, gym.Env | VecEnv):
        raise ConfigurationError(f"env is {env!r}: expected an environment to film in, as gymnasium.make makes it")
    if isinstance(env, VecEnv) and env.num_envs != 1:
        raise ConfigurationError(f"env has {env.num_envs} environments: expected a vectorised one with a single one to film")
    if env.render_mode != "rgb_array":
        raise ConfigurationError(
            f"env has the render_mode {env.render_mode!r}: expected 'rgb_array', as in "
            "gymnasium.make(..., render_mode='rgb_array')"
        )


def _pillow() -> Any:
    try:
        return importlib.import_module("PIL.Image")
    except ImportError as error:
        raise MissingDependencyError("Pillow", "video") from error
