"""Training one model and recording its curve."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env

from benchmarks.agreement import ActionAgreement
from benchmarks.algorithms import find_algorithm, import_object
from sb3_diiqn.expert.training import EvaluationCallback, GreedyEvaluation
from sb3_diiqn.record import make_environment

N_SAMPLES = 100
"""How many points of the ``expert/`` statistics are kept per training."""


def make_model(
    algorithm: str, env_id: str, env_kwargs: dict[str, Any], n_envs: int, settings: dict[str, Any], seed: int, **kwargs: Any
) -> BaseAlgorithm:
    """
    Make an algorithm and its training environment.

    :param algorithm: name for :func:`~benchmarks.algorithms.find_algorithm`
    :param settings: constructor arguments as a suite has them
    :param kwargs: further constructor arguments
    """
    env = make_vec_env(lambda: make_environment(env_id, **env_kwargs), n_envs=n_envs, seed=seed)
    chosen = find_algorithm(algorithm)
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


class CurveRecorder(EvaluationCallback):
    """
    Records what happens in a training.

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
        super().__init__(evaluation, every, n_timesteps)
        self.compare = agreement
        self.agreement: list[dict[str, float]] = []
        self.training: dict[str, list[float]] = {"step": [], "return": [], "length": []}
        self.expert: list[dict[str, float]] = []
        self._next_sample = 0.0
        self._last_values: dict[str, float] = {}

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self.training["step"].append(self.num_timesteps)
                self.training["return"].append(float(info["episode"]["r"]))
                self.training["length"].append(int(info["episode"]["l"]))
        return super()._on_step()

    def _on_rollout_start(self) -> None:
        # what the last rollout's end has logged is still there; the next dump clears it
        if self.num_timesteps >= self._next_sample:
            self._sample_expert_statistics()

    def _on_training_end(self) -> None:
        self._sample_expert_statistics()
        super()._on_training_end()

    def evaluate(self, step: int) -> None:
        """Evaluate the greedy policy, and what is known of the expert's actions, and record both under a step."""
        super().evaluate(step)
        started = time.perf_counter()
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
