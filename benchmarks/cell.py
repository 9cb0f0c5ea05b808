"""Running one cell, in whatever process or on whatever machine: settings in, result out."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from benchmarks.agreement import ActionAgreement
from benchmarks.algorithms import find_algorithm
from benchmarks.heartbeat import heartbeats
from benchmarks.provenance import git_revision
from benchmarks.storage import FORMAT
from benchmarks.suite import Cell
from benchmarks.training import CurveRecorder, make_model
from sb3_diiqn.expert.manifest import versions
from sb3_diiqn.expert.training import GreedyEvaluation
from sb3_diiqn.record import make_environment


def run_cell(
    cell: Cell, expert_data: Any, expert: dict[str, Any], heartbeat: Path, actions: np.ndarray | None = None
) -> dict[str, Any]:
    """
    Train one cell.

    :param expert_data: what the algorithm learns from: a path or an ``ExpertObservations``; None if it uses none
    :param expert: the expert's entry in the manifest, kept in the result; empty if none is used
    :param heartbeat: file that shows other processes how far the cell is; not written where its folder does not exist
    :param actions: the expert's true actions, which only the evaluation sees, shape (n,); None if the agent has others
    :return: the content of the cell's file, see the package's docstring
    """
    torch.set_num_threads(1)
    revision = git_revision()  # before somebody commits while this trains
    settings = cell.settings
    model = model_of(cell, expert_data)
    recorder = make_recorder(settings["id"], settings["env_kwargs"], settings["evaluation"], settings["n_timesteps"], actions)
    started = time.perf_counter()
    with heartbeats(heartbeat, lambda: recorder.num_timesteps):
        model.learn(settings["n_timesteps"], callback=recorder)
    wall_time = time.perf_counter() - started
    steps = model.num_timesteps
    del model
    gc.collect()  # a replay buffer must not wait for the next cell's
    return {
        "format": FORMAT,
        "status": "finished",
        "suite": cell.suite,
        "environment": cell.environment,
        "algorithm": cell.algorithm,
        "variation": cell.variation,
        "seed": cell.seed,
        "settings": settings,
        "settings_hash": cell.settings_hash,
        "expert": expert,
        "versions": versions(),
        "git_revision": revision,
        "wall_time": round(wall_time, 3),
        "steps_per_second": round(steps / max(wall_time - recorder.evaluation_time, 1e-9), 1),
        "training": recorder.training,
        "greedy": recorder.greedy,
        "expert_statistics": recorder.expert,
        "agreement": recorder.agreement,
    }


def model_of(cell: Cell, expert_data: Any) -> BaseAlgorithm:
    """
    Make the untrained model of a cell, and its training environment.

    :param expert_data: see :func:`run_cell`
    """
    settings = cell.settings
    arguments = {"expert_data": expert_data} if find_algorithm(settings["class"]).uses_expert else {}
    return make_model(
        settings["class"],
        settings["id"],
        settings["env_kwargs"],
        settings["n_envs"],
        settings["settings"],
        cell.seed,
        **arguments,
    )


def make_recorder(
    env_id: str,
    env_kwargs: dict[str, Any],
    evaluation: dict[str, int],
    n_timesteps: int,
    actions: np.ndarray | None = None,
) -> CurveRecorder:
    """Make the recorder for a training."""
    greedy = make_evaluation(env_id, env_kwargs, evaluation)
    return CurveRecorder(greedy, evaluation["every"], n_timesteps, None if actions is None else ActionAgreement(actions))


def make_evaluation(env_id: str, env_kwargs: dict[str, Any], evaluation: dict[str, int]) -> GreedyEvaluation:
    """Make what plays the greedy policy during a training."""
    return GreedyEvaluation(lambda: make_environment(env_id, **env_kwargs), evaluation["episodes"], evaluation["max_steps"])
