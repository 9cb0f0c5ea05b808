"""Training the expert that is to be recorded, up to the moment at which it is as good as was asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sb3_diiqn.exceptions import ConfigurationError

EVALUATION_SEED = 1_000_000
"""Episode i of every evaluation starts from this seed + i: the same for all algorithms, and never a training seed."""


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
            actions, _ = model.predict(_stacked([observations[index] for index in running]), deterministic=True)
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


def _stacked(observations: list[Any]) -> Any:
    """Stack observations along a new first axis, those of Dict spaces key by key."""
    if isinstance(observations[0], dict):
        return {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
    return np.stack(observations)


class EvaluationCallback(BaseCallback):
    """
    Evaluates the greedy policy at regular steps, and at the end of the training.

    ``greedy`` holds what came out: ``step``, ``mean`` and ``returns`` of every evaluation.

    :param evaluation: plays the greedy policy
    :param every: environment steps between two evaluations
    :param n_timesteps: length of the training; the last evaluation follows the last update
    """

    def __init__(self, evaluation: GreedyEvaluation, every: int, n_timesteps: int) -> None:
        super().__init__()
        self.evaluation, self.every, self.n_timesteps = evaluation, every, n_timesteps
        self.greedy: dict[str, list[Any]] = {"step": [], "mean": [], "returns": []}
        self.evaluation_time = 0.0
        self._next_evaluation = every

    def _on_step(self) -> bool:
        if self._next_evaluation < self.n_timesteps and self.num_timesteps >= self._next_evaluation:
            self.evaluate(self._next_evaluation)
            self._next_evaluation += self.every
        return True

    def _on_training_end(self) -> None:
        self.evaluate(self.n_timesteps)

    def evaluate(self, step: int) -> None:
        """
        Evaluate the greedy policy.

        :param step: what to record it under
        """
        started = time.perf_counter()
        returns = self.evaluation(self.model)
        self.greedy["step"].append(step)
        self.greedy["mean"].append(float(np.mean(returns)))
        self.greedy["returns"].append(returns)
        self.evaluation_time += time.perf_counter() - started


def final_return(steps: Any, means: Any, n_timesteps: float) -> float:
    """
    Mean return over the evaluations, or points of a training curve, in the last tenth of the training, at least the last one.

    :param steps: step of each of them, shape (n,), ascending
    :param means: mean return of each of them, shape (n,)
    :param n_timesteps: length of the training
    """
    late = np.asarray(steps) > 0.9 * n_timesteps
    late[-1] = True
    return float(np.mean(np.asarray(means)[late]))


@dataclass(frozen=True)
class Target:
    """
    How good an expert is to be: the policy of the first evaluation that reaches a fraction of the :func:`final_return`.

    :param share: in (0, 1]; None: the policy at the end of the training
    :param final_return: what ``share`` is a fraction of; None: the training's own. With it, training ends when it is reached
    :param lowest_return: fractions are measured from here
    """

    share: float | None
    final_return: float | None = None
    lowest_return: float = 0.0


class TrainedPolicy(NamedTuple):
    """At which step a policy was taken, and its mean greedy return."""

    steps: int
    greedy_return: float


class CheckpointCallback(EvaluationCallback):
    """
    Keeps the policy of every evaluation, and ends the training when a stated return is reached.

    :param evaluation: plays the greedy policy
    :param every: environment steps between two evaluations
    :param n_timesteps: length of the training
    :param target: how good the policy is to be
    """

    def __init__(self, evaluation: GreedyEvaluation, every: int, n_timesteps: int, target: Target) -> None:
        super().__init__(evaluation, every, n_timesteps)
        self.target = target
        self.checkpoints: list[dict[str, th.Tensor]] = []

    def _on_step(self) -> bool:
        super()._on_step()
        final = self.target.final_return
        return final is None or not self.checkpoints or self.greedy["mean"][-1] < self._bar(final)

    def evaluate(self, step: int) -> None:
        """
        Evaluate the greedy policy and keep it.

        :param step: what to record it under
        """
        super().evaluate(step)
        self.checkpoints.append({key: value.clone() for key, value in self.model.policy.state_dict().items()})

    def choose(self, name: str) -> int:
        """
        Find the first evaluation that reaches the target; the last one if there is none.

        :param name: of the environment, for the error
        :return: its index
        :raises ConfigurationError: if none does
        """
        means, target = np.asarray(self.greedy["mean"]), self.target
        if target.share is None:
            return len(means) - 1
        own = final_return(self.greedy["step"], means, self.n_timesteps)
        bar = self._bar(own if target.final_return is None else target.final_return)
        if not (means >= bar).any():
            raise ConfigurationError(
                f"The expert of {name!r} reached a greedy return of {means.max():.6g} at best, its recipe demands "
                f"{bar:.6g} (share={target.share}): give it more n_timesteps, or a lower share or final_return."
            )
        return int(np.argmax(means >= bar))

    def _bar(self, final: float) -> float:
        share = 1.0 if self.target.share is None else self.target.share
        return float(self.target.lowest_return + share * (final - self.target.lowest_return))


def train_expert(
    model: BaseAlgorithm, recorder: CheckpointCallback, n_timesteps: int, name: str, progress_bar: bool = False
) -> TrainedPolicy:
    """
    Train a model, and give it the policy of the evaluation at which it was first good enough.

    :param model: is trained, and left with that policy
    :param recorder: evaluates, and knows how good it is to be
    :param n_timesteps: length of the training
    :param name: of the environment, for the error
    :param progress_bar: whether to show one, which needs ``tqdm`` and ``rich``
    :raises ConfigurationError: if it never was good enough
    """
    model.learn(n_timesteps, callback=recorder, progress_bar=progress_bar)
    chosen = recorder.choose(name)
    model.policy.load_state_dict(recorder.checkpoints[chosen])
    return TrainedPolicy(recorder.greedy["step"][chosen], recorder.greedy["mean"][chosen])
