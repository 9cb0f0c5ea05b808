"""Making experts: from a suite's recipe to recordings on disk and an entry in the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from sb3_diiqn.benchmark.algorithms import ALGORITHMS, BASELINE, import_object
from sb3_diiqn.benchmark.cell import make_evaluation
from sb3_diiqn.benchmark.curves import final_return
from sb3_diiqn.benchmark.heartbeat import heartbeats
from sb3_diiqn.benchmark.provenance import versions
from sb3_diiqn.benchmark.storage import read_json, write_json
from sb3_diiqn.benchmark.suite import Cell, ExpertRecipe, settings_hash
from sb3_diiqn.benchmark.training import CurveRecorder, GreedyEvaluation, make_model
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.storage import replacing
from sb3_diiqn.record import make_environment, read_actions, record_expert, write_actions


def policy_path(recipe: ExpertRecipe, folder: Path) -> Path:
    """File of a trained policy; recipes that differ only in what is recorded share it."""
    parts = {key: recipe.settings[key] for key in ("id", "env_kwargs", "seed", "training")}
    return folder / "policies" / f"{recipe.environment}-{settings_hash(parts)[:10]}.zip"


def train_policy(recipe: ExpertRecipe, folder: Path) -> dict[str, Any]:
    """
    Train the policy of an expert of kind ``train``, unless it is there. It is complete when the JSON file beside it is there.

    :param folder: folder of the experts
    :return: at which step the policy was taken, and its greedy return
    :raises ConfigurationError: if it does not get as far as the recipe demands
    """
    torch.set_num_threads(1)
    path, settings, training = policy_path(recipe, folder), recipe.settings, recipe.settings["training"]
    known: dict[str, Any] | None = read_json(path.with_suffix(".json"))
    if known is not None and path.exists():
        return known
    model = make_model(
        BASELINE, settings["id"], settings["env_kwargs"], training["n_envs"], training["settings"], settings["seed"]
    )
    evaluation = make_evaluation(settings["id"], settings["env_kwargs"], training["evaluation"])
    recorder = _CheckpointRecorder(evaluation, training["evaluation"]["every"], training)
    path.parent.mkdir(parents=True, exist_ok=True)
    with heartbeats(path.with_suffix(".running"), lambda: recorder.num_timesteps):
        model.learn(training["n_timesteps"], callback=recorder)
    chosen = recorder.choose(recipe.environment)
    model.policy.load_state_dict(recorder.checkpoints[chosen])
    with replacing(path) as temporary:
        model.save(temporary)
    known = {"steps": recorder.greedy["step"][chosen], "greedy_return": recorder.greedy["mean"][chosen]}
    write_json(path.with_suffix(".json"), known)
    return known


class _CheckpointRecorder(CurveRecorder):
    """Keeps the policy of every evaluation, and ends the training when a stated return is reached."""

    def __init__(self, evaluation: GreedyEvaluation, every: int, training: dict[str, Any]) -> None:
        super().__init__(evaluation, every, training["n_timesteps"])
        self.share, self.lowest, self.final = training["share"], training["lowest_return"], training["final_return"]
        self.checkpoints: list[dict[str, torch.Tensor]] = []

    def _on_step(self) -> bool:
        super()._on_step()
        return self.final is None or not self.checkpoints or self.greedy["mean"][-1] < self._bar(self.final)

    def evaluate(self, step: int) -> None:
        super().evaluate(step)
        self.checkpoints.append({key: value.clone() for key, value in self.model.policy.state_dict().items()})

    def choose(self, environment: str) -> int:
        """Find the first evaluation that reaches the demanded share; the last one if none is demanded."""
        means = np.asarray(self.greedy["mean"])
        if self.share is None:
            return len(means) - 1
        own = final_return(np.asarray(self.greedy["step"]), means, self.n_timesteps)
        bar = self._bar(own if self.final is None else self.final)
        if not (means >= bar).any():
            raise ConfigurationError(
                f"The expert of {environment!r} reached a greedy return of {means.max():.6g} at best, its recipe demands "
                f"{bar:.6g} (share={self.share}): give it more n_timesteps, or a lower share or final_return."
            )
        return int(np.argmax(means >= bar))

    def _bar(self, final: float) -> float:
        return float(self.lowest + self.share * (final - self.lowest))


def make_recordings(recipe: ExpertRecipe, folder: Path) -> dict[str, Any]:
    """
    Make the recordings of an expert: observations and rewards in NAME.npz, its true actions in NAME-actions.npz.

    Returns in the manifest are always those of the expert itself, also where its pairs are shuffled.

    No algorithm is ever given the actions; they are there to evaluate how good inferred actions are.

    :param folder: folder of the experts; of a trained expert, the policy is there already
    :return: the expert's entry in the manifest
    """
    torch.set_num_threads(1)
    settings = recipe.settings
    entry = {"environment": recipe.environment, "kind": recipe.kind, "settings": settings, "versions": versions()}
    if recipe.kind == "file":
        data = ExpertObservations.load(settings["path"])
        return entry | _describe(data, _returns(data)) | {"file": settings["path"]}
    env = gym.wrappers.TimeLimit(make_environment(settings["id"], **settings["env_kwargs"]), settings["max_steps"])
    recording = record_expert(
        env, _policy(recipe, env, folder), n_steps=settings["n_steps"], epsilon=settings["epsilon"], seed=settings["seed"]
    )
    env.close()
    data = recording.expert_data
    if settings.get("shuffle"):
        data = shuffle_pairs(data, settings["seed"])
    else:  # no action leads from one observation of a shuffled pair to the other
        write_actions(_actions_path(recipe, folder), recording.actions, data)
    data.save(folder / f"{recipe.name}.npz")
    if recipe.kind == "train":
        entry["policy"] = read_json(policy_path(recipe, folder).with_suffix(".json"))
    # a recording that is shorter than an episode has no complete one: then what it has counts
    returns = recording.episode_returns if len(recording.episode_returns) else _returns(recording.expert_data)
    return entry | _describe(data, returns) | {"file": f"{recipe.name}.npz", "seed": settings["seed"]}


def true_actions(cell: Cell, folder: Path, content_hash: str) -> np.ndarray | None:
    """
    Read what the expert of a cell did, for evaluations.

    :param folder: folder of the experts
    :param content_hash: of the expert data that the cell learns from
    :return: shape (n,); None if that is not known, or if the expert's actions need not be the agent's
    """
    recipe = cell.expert
    if recipe is None or recipe.settings.get("env_kwargs") != cell.settings["env_kwargs"]:
        return None
    path = _actions_path(recipe, folder)
    if not path.exists():
        return None
    actions, belongs_to = read_actions(path)
    return actions if belongs_to == content_hash else None


def _actions_path(recipe: ExpertRecipe, folder: Path) -> Path:
    return folder / f"{recipe.name}-actions.npz"


def shuffle_pairs(data: ExpertObservations, seed: int) -> ExpertObservations:
    """
    Pair the observation of every transition with the next observation of another one, drawn at random.

    The same observations are seen as often as before, first and second alike, but no pair tells what the expert did: a control
    for whether an algorithm learns from transitions. Reward and end of the episode stay with the next observation.

    :param data: recordings
    :param seed: of the permutation
    """
    order = np.random.default_rng(seed).permutation(len(data))
    rewards = None if data.rewards is None else data.rewards[order]
    return ExpertObservations.from_transitions(data.current(slice(None)), data.next(order), data.terminals[order], rewards)


def _policy(recipe: ExpertRecipe, env: gym.Env[Any, Any], folder: Path) -> Any:
    if recipe.kind == "random":
        return None
    if recipe.kind == "policy":
        return import_object(recipe.settings["policy"])(env, **recipe.settings["kwargs"])
    return ALGORITHMS[BASELINE].load().load(policy_path(recipe, folder), device="cpu")


def _returns(data: ExpertObservations) -> np.ndarray | None:
    if data.rewards is None:
        return None
    return np.bincount(data.trajectory_index, weights=data.rewards, minlength=data.n_trajectories)


def _describe(data: ExpertObservations, returns: np.ndarray | None) -> dict[str, Any]:
    return {
        "mean_return": None if returns is None else float(np.mean(returns)),
        "std_return": None if returns is None else float(np.std(returns)),
        "n_episodes": None if returns is None else len(returns),
        "n_transitions": data.n_transitions,
        "content_hash": data.content_hash,
    }
