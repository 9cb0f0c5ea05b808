"""Making experts: from a suite's recipe to recordings on disk and an entry in the manifest."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from benchmarks.algorithms import ALGORITHMS, BASELINE, import_object
from benchmarks.cell import make_evaluation
from benchmarks.heartbeat import heartbeats
from benchmarks.recipes import ExpertRecipe
from benchmarks.suite import Cell
from benchmarks.training import make_model
from sb3_diiqn.exceptions import ExpertDataWarning
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.manifest import describe_recording, read_json, recorded_returns, settings_hash, versions, write_json
from sb3_diiqn.expert.storage import replacing
from sb3_diiqn.expert.training import CheckpointCallback, Target, train_expert
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
    target = Target(training["share"], training["final_return"], training["lowest_return"])
    evaluation = make_evaluation(settings["id"], settings["env_kwargs"], training["evaluation"])
    recorder = CheckpointCallback(evaluation, training["evaluation"]["every"], training["n_timesteps"], target)
    path.parent.mkdir(parents=True, exist_ok=True)
    with heartbeats(path.with_suffix(".running"), lambda: recorder.num_timesteps):
        trained = train_expert(model, recorder, training["n_timesteps"], recipe.environment)
    with replacing(path) as temporary:
        model.save(temporary)
    write_json(path.with_suffix(".json"), trained._asdict())
    return trained._asdict()


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
    plain = plain_recording(recipe, folder)
    if plain is not None:
        return entry | _shuffle(plain, recipe, folder)
    if recipe.kind == "file":
        data = ExpertObservations.load(settings["path"])
        return entry | describe_recording(data, None) | {"file": settings["path"]}
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
    # those of the expert itself, also where its pairs are shuffled
    returns = recording.episode_returns if len(recording.episode_returns) else recorded_returns(recording.expert_data)
    return entry | describe_recording(data, returns) | {"file": f"{recipe.name}.npz", "seed": settings["seed"]}


def plain_recording(recipe: ExpertRecipe, folder: Path) -> ExpertRecipe | None:
    """
    Find the recordings whose pairs a recipe shuffles, from which it can be made without the expert.

    :param folder: folder of the experts
    :return: their recipe; None if nothing is to be shuffled, or they are not there
    """
    settings = {key: value for key, value in recipe.settings.items() if key != "shuffle"}
    plain = ExpertRecipe(recipe.environment, recipe.kind, settings)
    is_there = (folder / f"{plain.name}.npz").exists() and plain.name in (read_json(folder / "manifest.json") or {})
    return plain if recipe.settings.get("shuffle") and is_there else None


def _shuffle(plain: ExpertRecipe, recipe: ExpertRecipe, folder: Path) -> dict[str, Any]:
    """Make shuffled recordings of plain ones, and describe them: returns are the expert's own."""
    data = shuffle_pairs(ExpertObservations.load(folder / f"{plain.name}.npz"), recipe.settings["seed"])
    data.save(folder / f"{recipe.name}.npz")
    known = read_json(folder / "manifest.json")[plain.name]
    kept = {key: known[key] for key in ("mean_return", "std_return", "n_episodes", "policy", "seed") if key in known}
    return kept | {"n_transitions": len(data), "content_hash": data.content_hash, "file": f"{recipe.name}.npz"}


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
    with warnings.catch_warnings():
        # that no pair continues another is what is wanted here
        warnings.simplefilter("ignore", ExpertDataWarning)
        return ExpertObservations.from_transitions(data.current(slice(None)), data.next(order), data.terminals[order], rewards)


def _policy(recipe: ExpertRecipe, env: gym.Env[Any, Any], folder: Path) -> Any:
    if recipe.kind == "random":
        return None
    if recipe.kind == "policy":
        return import_object(recipe.settings["policy"])(env, **recipe.settings["kwargs"])
    return ALGORITHMS[BASELINE].load().load(policy_path(recipe, folder), device="cpu")
