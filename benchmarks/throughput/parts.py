"""Matching alone, and one update alone."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import torch as th
from stable_baselines3 import DQN

from benchmarks.throughput.measuring import Times, in_turns, megabytes, ratios, resident_megabytes, timed
from benchmarks.throughput.tasks import TASKS, record, with_random_actions
from benchmarks.throughput.training import SETTINGS, make_model, recall
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.types import take
from sb3_diiqn.inference import AgentTransitions, ExpertKnowledge, InferenceSettings

#: Agent transitions that are matched at once, as in a rollout of as many steps.
BATCH = 32


def measure_matching(task: str, expert: ExpertObservations, n_rounds: int, n_transitions: int = 2048) -> dict[str, Any]:
    """
    Match an agent's transitions, in batches, as a training does.

    :param task: key of :data:`TASKS`
    :param expert: expert data
    :param n_rounds: how often; each round has transitions of its own, since what was seen before is matched faster
    :param n_transitions: agent transitions in a round
    :return: a row of results, with ``us_per_transition``, median, least and most over the rounds
    """
    n_transitions = min(n_transitions, 256) if task == "images" else n_transitions
    space = TASKS[task].make_env().observation_space
    resident = resident_megabytes()
    made: list[ExpertKnowledge] = []
    building = timed(lambda: made.append(ExpertKnowledge(expert, space, InferenceSettings(), 0)))
    knowledge = made[0]
    index = resident_megabytes() - resident
    agents = [_transitions(task, n_transitions, seed) for seed in range(1, n_rounds + 2)]
    # the first round has more to infer than all others
    _match(knowledge, agents[0])
    taken = [timed(lambda agent=agent: _match(knowledge, agent)).cpu / n_transitions * 1e6 for agent in agents[1:]]  # type: ignore[misc]
    some = slice(None, None, max(1, n_transitions // 50))
    return {
        "env": task,
        "expert_transitions": len(expert),
        "states": len(knowledge.matcher.states),
        "us_per_transition": round(statistics.median(taken), 2),
        "us_min": round(min(taken), 2),
        "us_max": round(max(taken), 2),
        "recall": round(recall(knowledge, take(agents[-1].observations, some)), 4),
        "index_build_s": round(building.wall, 2),
        "expert_mb": round(megabytes(expert.observations), 1),
        "index_rss_mb": round(index, 1),
    }


def _transitions(task: str, n: int, seed: int) -> AgentTransitions:
    agent = record(with_random_actions(TASKS[task]), n, seed)
    generator = np.random.default_rng(seed)
    chosen, zeros = np.arange(n), np.zeros(n)
    return AgentTransitions(agent.current(chosen), agent.next(chosen), generator.integers(2, size=n), zeros, zeros, zeros)


def _match(knowledge: ExpertKnowledge, agent: AgentTransitions) -> None:
    for start in range(0, len(agent.actions), BATCH):
        knowledge.observe(agent.part(slice(start, start + BATCH)))


def measure_update(
    task: str, expert: ExpertObservations, n_rounds: int, n_updates: int, device: str = "cpu"
) -> dict[str, Any]:
    """
    Update networks in turns: DQN's update, DIIQN's, and the network's own arithmetic.

    The floor is one pass forward of the target network, one forward and backward of the online one, and the optimizer, over
    as many rows as a batch of DIIQN has on average, with nothing around it.

    :param task: key of :data:`TASKS`
    :param expert: expert data
    :param n_rounds: how often
    :param n_updates: updates in a round
    :param device: where the networks are
    :return: a row of results, with milliseconds per update
    """
    th.set_num_threads(1)
    dqn, diiqn = (make_model(name, task, 1, expert, device=device, buffer_size=5000) for name in ("dqn", "diiqn"))
    for model in (dqn, diiqn):
        model.learn(4 * SETTINGS["learning_starts"])
    batch = SETTINGS["batch_size"]
    drawn: Any = diiqn.replay_buffer
    rows = [len(drawn.sample_with_expert(batch).expert.rows) for _ in range(20)]
    n_expert = round(statistics.mean(rows))
    taken = in_turns(
        n_rounds,
        lambda: dqn.train(n_updates, batch),
        lambda: diiqn.train(n_updates, batch),
        lambda: _arithmetic(diiqn, n_updates, batch + n_expert),
    )
    milliseconds = (round(_median(times) / n_updates * 1e3, 3) for times in taken)
    names = ("dqn_ms", "diiqn_ms", "floor_ms")
    return {
        "env": task,
        "batch": batch,
        "expert_rows": n_expert,
        **dict(zip(names, milliseconds, strict=True)),
        **ratios(taken[0], taken[1]),
        "device": device,
    }


def _median(taken: list[Times]) -> float:
    return statistics.median(times.cpu for times in taken)


def _arithmetic(model: DQN, n_updates: int, n_rows: int) -> None:
    samples = model.replay_buffer.sample(n_rows)  # type: ignore[union-attr]
    for _ in range(n_updates):
        with th.no_grad():
            targets = model.q_net_target(samples.next_observations).max(dim=1, keepdim=True).values
        loss = th.nn.functional.smooth_l1_loss(model.q_net(samples.observations).gather(1, samples.actions), targets)
        model.policy.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        model.policy.optimizer.step()
