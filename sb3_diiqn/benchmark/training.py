"""Training one model and recording its curve."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from sb3_diiqn.benchmark.agreement import ActionAgreement
from sb3_diiqn.benchmark.algorithms import ALGORITHMS, import_object
from sb3_diiqn.record import make_environment

EVALUATION_SEED = 1_000_000
"""Episode i of every evaluation starts from this seed + i: the same for all algorithms, and never a training seed."""
N_SAMPLES = 100
"""How many points of the ``expert/`` statistics are kept per training."""


def make_model(
    algorithm: str, env_id: str, env_kwargs: dict[str, Any], n_envs: int, settings: dict[str, Any], seed: int, **kwargs: Any
) -> BaseAlgorithm:
    """
    Make an algorithm and its training environment.

    :param algorithm: key of :data:`~sb3_diiqn.benchmark.algorithms.ALGORITHMS`
    :param settings: constructor arguments as a suite has them
    :param kwargs: further constructor arguments
    """
    env = make_vec_env(lambda: make_environment(env_id, **env_kwargs), n_envs=n_envs, seed=seed)
    chosen = ALGORITHMS[algorithm]
    arguments = {"device": "cpu", "seed": seed, **chosen.defaults, **resolve_settings(settings), **kwargs}
    return chosen.load()(arguments.pop("policy"), env, **arguments)


def resolve_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """
    Turn settings as a suite has them into constructor arguments.

    A string of the form ``module:name``, at any depth, is replaced by what it names. A list as ``train_freq`` becomes a tuple.
    """
    resolved = {key: _resolve(value) for key, value in settings.items()}
    if isinstance(resolved.get("train_freq"), list):
        resolved["train_freq"] = tuple(resolved["train_freq"])
    return resolved


def _resolve(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _resolve(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_resolve(entry) for entry in value]
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
        return import_object(value)
    return value


class GreedyEvaluation:
    """
    Evaluates the greedy policy over fixed seeds, all episodes side by side.

    :param make_env: makes one environment
    :param episodes: number of episodes
    :param max_steps: an episode that is still running after this many steps is cut
    """

    def __init__(self, make_env: Callable[[], gym.Env[Any, Any]], episodes: int, max_steps: int) -> None:
        self.envs = [make_env() for _ in range(episodes)]
        self.max_steps = max_steps

    def __call__(self, model: BaseAlgorithm) -> list[float]:
        """
        Play the episodes.

        :return: return of each episode
        """
        observations = [env.reset(seed=EVALUATION_SEED + index)[0] for index, env in enumerate(self.envs)]
        returns = [0.0] * len(self.envs)
        running = list(range(len(self.envs)))
        for _ in range(self.max_steps):
            actions, _ = model.predict(stack_observations([observations[index] for index in running]), deterministic=True)
            still_running = []
            for index, action in zip(running, actions, strict=True):
                observations[index], reward, terminated, truncated, _ = self.envs[index].step(action)
                returns[index] += float(reward)
                if not (terminated or truncated):
                    still_running.append(index)
            running = still_running
            if not running:
                break
        return returns


def stack_observations(observations: list[Any]) -> Any:
    """Stack observations along a new first axis, those of Dict spaces key by key."""
    if isinstance(observations[0], dict):
        return {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
    return np.stack(observations)


class CurveRecorder(BaseCallback):
    """
    Records what a training went through.

    ``training``: step, return and length of every finished episode. ``greedy``: step, mean and returns of every evaluation.
    ``expert``: what the algorithm logs under ``expert/``, about :data:`N_SAMPLES` times. ``agreement``: with the expert's true
    actions, at every evaluation.

    :param evaluation: plays the greedy policy
    :param every: environment steps between two evaluations
    :param n_timesteps: length of the training; the last evaluation follows the last update
    :param agreement: compares what the algorithm knows of the expert's actions with the true ones; None if these are not known
    """

    def __init__(
        self, evaluation: GreedyEvaluation, every: int, n_timesteps: int, agreement: ActionAgreement | None = None
    ) -> None:
        super().__init__()
        self.evaluation, self.every, self.n_timesteps = evaluation, every, n_timesteps
        self.compare = agreement
        self.agreement: list[dict[str, float]] = []
        self.training: dict[str, list[float]] = {"step": [], "return": [], "length": []}
        self.greedy: dict[str, list[Any]] = {"step": [], "mean": [], "returns": []}
        self.expert: list[dict[str, float]] = []
        self.evaluation_time = 0.0
        self._next_evaluation = every
        self._next_sample = 0.0
        self._last_values: dict[str, float] = {}

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self.training["step"].append(self.num_timesteps)
                self.training["return"].append(float(info["episode"]["r"]))
                self.training["length"].append(int(info["episode"]["l"]))
        if self._next_evaluation < self.n_timesteps and self.num_timesteps >= self._next_evaluation:
            self.evaluate(self._next_evaluation)
            self._next_evaluation += self.every
        return True

    def _on_rollout_start(self) -> None:
        # what the last rollout's end has logged is still there; the next dump clears it
        if self.num_timesteps >= self._next_sample:
            self._sample_expert_statistics()

    def _on_training_end(self) -> None:
        self._sample_expert_statistics()
        self.evaluate(self.n_timesteps)

    def evaluate(self, step: int) -> None:
        """Evaluate the greedy policy and record it under a step."""
        started = time.perf_counter()
        returns = self.evaluation(self.model)
        self.greedy["step"].append(step)
        self.greedy["mean"].append(float(np.mean(returns)))
        self.greedy["returns"].append(returns)
        if self.compare is not None and (shares := self.compare(self.model)):
            self.agreement.append({"step": step, **shares})
        self.evaluation_time += time.perf_counter() - started

    def _sample_expert_statistics(self) -> None:
        values = {key: float(value) for key, value in self.logger.name_to_value.items() if key.startswith("expert/")}
        if values and values != self._last_values:  # the same values again: nothing was logged since
            finite = {key.removeprefix("expert/"): value for key, value in values.items() if np.isfinite(value)}
            self.expert.append({"step": self.num_timesteps, **finite})
            self._last_values = values
            self._next_sample = self.num_timesteps + self.n_timesteps / N_SAMPLES
