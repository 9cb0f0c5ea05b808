"""Whole trainings against each other: environment steps per second."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env

from benchmarks.throughput.measuring import in_turns, median_rate, megabytes, ratios, resident_megabytes, timed
from benchmarks.throughput.tasks import TASKS
from sb3_diiqn import PAPER
from sb3_diiqn.diiqn import DIIQN
from sb3_diiqn.expert import ExpertObservations, Observations
from sb3_diiqn.ha_diiqn import HADIIQN
from sb3_diiqn.inference import NO_MATCH
from sb3_diiqn.inference.index import ScanIndex

ALGORITHMS: dict[str, type[DQN]] = {"dqn": DQN, "diiqn": DIIQN, "hadiiqn": HADIIQN, "default": DIIQN}

#: Agent observations that are compared with every expert state, to find out the recall, and numbers to compare for that.
N_RECALL, MAX_COMPARED = 100, 2_000_000_000

#: The same for all: what DQN is often run with on these environments.
SETTINGS: dict[str, Any] = {
    "learning_rate": 1e-4,
    "learning_starts": 200,
    "batch_size": 32,
    "train_freq": 4,
    "target_update_interval": 1000,
    "exploration_fraction": 1e-3,
    "exploration_final_eps": 0.1,
    "seed": 0,
}


def make_model(name: str, task: str, n_envs: int, expert: ExpertObservations | None, **settings: Any) -> DQN:
    """
    Make a model.

    :param name: key of :data:`ALGORITHMS`
    :param task: key of :data:`TASKS`
    :param n_envs: number of environments
    :param expert: for all but DQN
    :param settings: arguments laid over :data:`SETTINGS` and the arguments of the published method
    """
    env = make_vec_env(TASKS[task].make_env, n_envs=n_envs, seed=0)
    # the published methods, if nothing else is said
    data = {} if name == "dqn" else {"expert_data": expert, **({} if name == "default" else PAPER)}
    arguments = {**SETTINGS, "policy_kwargs": dict(TASKS[task].policy_kwargs), **data, **settings}
    return ALGORITHMS[name](TASKS[task].policy, env, **arguments)


def compare_trainings(
    names: tuple[str, str],
    task: str,
    n_envs: int,
    expert: ExpertObservations | None,
    n_pairs: int,
    n_steps: int,
    device: str = "cpu",
    buffer_size: int = 20_000,
) -> dict[str, Any]:
    """
    Train two algorithms in turns.

    :param names: keys of :data:`ALGORITHMS`; the ratio is the second's speed relative to the first's
    :param task: key of :data:`TASKS`
    :param n_envs: number of environments
    :param expert: expert data
    :param n_pairs: number of pairs of stretches
    :param n_steps: environment steps in a stretch
    :param device: where the networks are
    :param buffer_size: of the replay buffer
    :return: a row of results
    """
    th.set_num_threads(1)
    settings = {"device": device, "buffer_size": buffer_size}
    before = make_model(names[0], task, n_envs, expert, **settings)
    resident = resident_megabytes()
    models = []
    building = timed(lambda: models.append(make_model(names[1], task, n_envs, expert, **settings)))
    row = {
        "rss_mb": round(resident_megabytes()),
        "index_rss_mb": round(resident_megabytes() - resident),
        "index_build_s": round(building.wall, 2),
    }
    model = models[0]
    for one in (before, model):
        _train(one, max(n_steps, 2 * SETTINGS["learning_starts"]))
    taken = in_turns(n_pairs, lambda: _train(before, n_steps), lambda: _train(model, n_steps))
    speeds = {f"{name}_steps_per_s": median_rate(n_steps, times) for name, times in zip(names, taken, strict=True)}
    return {
        "env": task,
        "n_envs": n_envs,
        "expert_transitions": 0 if expert is None else len(expert),
        "expert_mb": 0.0 if expert is None else round(megabytes(expert.observations), 1),
        **speeds,
        **ratios(*taken),
        **({} if expert is None else _about_matching(model)),
        **row,
        "pairs": n_pairs,
        "steps": n_steps,
        "device": device,
        "buffer_size": buffer_size,
    }


def _train(model: BaseAlgorithm, n_steps: int) -> None:
    model.learn(n_steps, reset_num_timesteps=False)


def _about_matching(model: Any) -> dict[str, float]:
    """Tell how many of the agent's transitions had a match, and whether the search found what there is."""
    buffer, knowledge = model.replay_buffer, model.knowledge
    n_stored = buffer.buffer_size if buffer.full else buffer.pos
    n_numbers = max(1, knowledge.matcher.states.shape[0] * knowledge.matcher.states.shape[1])
    n_compared = min(N_RECALL, n_stored, max(10, MAX_COMPARED // n_numbers))
    rows = np.linspace(0, n_stored - 1, n_compared).astype(int)
    usable = knowledge.usable(buffer.expert_indices[:n_stored].reshape(-1).astype(np.int64))
    return {
        "recall": round(recall(knowledge, buffer.observations[rows, 0]), 4),
        "states": len(knowledge.matcher.states),
        "matched": round(float((buffer.expert_indices[:n_stored] != NO_MATCH).mean()), 3),
        "usable": round(float(usable.mean()), 3),
    }


def recall(knowledge: Any, observations: Observations) -> float:
    """
    Compute the share of the nearest neighbours that are found: of the k nearest states, those with a similarity of tau.

    :param knowledge: what has the search
    :param observations: of the agent, shape (n, ``*observation_shape``)
    :return: 1 if there are none
    """
    matcher, k = knowledge.matcher, knowledge.settings.n_neighbors
    radius = 1.0 - knowledge.settings.similarity_threshold
    encoded = matcher.encode(observations)
    there, found = ScanIndex(matcher.distance, matcher.states).within(encoded, radius), matcher.states_within(encoded, radius)
    n_found = n_there = 0
    for query in range(len(encoded)):
        nearest = np.sort(there.distance[there.query == query])[:k]
        n_there += len(nearest)
        # equally near ones are as good
        near = found.distance[found.query == query] <= nearest[-1:].max(initial=0)
        n_found += min(k, len(nearest), np.count_nonzero(near))
    return n_found / n_there if n_there else 1.0
