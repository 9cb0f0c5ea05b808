"""The update with bridges against tables and loops, and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import HADIIQN, PAPER, ExpertObservations
from sb3_diiqn.inference import NO_MATCH, BridgingKnowledge, Feasibility
from tests.diiqn.test_update import (
    BATCH,
    EXPERT,
    GAMMA,
    LEARNING_RATE,
    MATCHING,
    N_ACTIONS,
    N_STATES,
    Rooms,
    Sample,
    Step,
    TabularDIIQN,
    draws,
    needs_n_steps,
    scatter,
    store,
)
from tests.inference.bridge_reference import AgentStep, best_paths, match_within, slow_feasibility, slow_paths
from tests.inference.reference import slow_mismatch

LENGTH, GAIN = 3, 4

#: Where the agent's actions lead from each room. Of what the expert did, 0 to 1, 1 to 3 and 2 to 0 are not among it.
MOVES = [(0, 2, 4), (2, 1, 4), (1, 3, 2), (0, 1, 3), (0, 1, 3)]


def make_model(
    expert: ExpertObservations, n_envs: int = 1, matching: dict[str, Any] | None = None, **arguments: Any
) -> HADIIQN:
    model = HADIIQN(
        "MlpPolicy",
        DummyVecEnv([Rooms] * n_envs),
        learning_rate=LEARNING_RATE,
        gamma=GAMMA,
        seed=0,
        device="cpu",
        policy_kwargs={"net_arch": [], "optimizer_class": th.optim.SGD},
        expert_data=expert,
        matching_kwargs={**MATCHING, **(matching or {})},
        bridge_kwargs={"bridge_length": LENGTH, "bridge_gain": GAIN},
        **{"buffer_size": 60 * n_envs, "max_grad_norm": 1e9, **PAPER, **arguments},
    )
    model.set_logger(Logger(None, []))
    return model


def wandering(generator: np.random.Generator, n_steps: int, n_envs: int) -> list[list[Step]]:
    """Random walks through the rooms, in which a fifth of the steps end the episode, half of them for good."""
    rows: list[list[Step]] = []
    for number in range(n_steps):
        row = []
        for env in range(n_envs):
            goes_on = number > 0 and not rows[-1][env].done
            state = rows[-1][env].following if goes_on else int(generator.integers(N_STATES))
            ends = generator.random()
            reward = float(np.float32(generator.normal()))
            action = int(generator.integers(N_ACTIONS))
            row.append(Step(state, action, MOVES[state][action], reward, ends < 0.2, 0.1 < ends < 0.2))
        rows.append(row)
    return rows


def as_streams(steps: list[list[Step]]) -> list[list[AgentStep]]:
    streams = []
    for env in range(len(steps[0])):
        stream: list[AgentStep] = []
        for row in steps:
            one = row[env]
            begins = not stream or stream[-1].ends
            ended = bool(one.done)
            stream.append(
                AgentStep([one.state], one.action, one.reward, [one.following], ended and not one.cut, ended, begins)
            )
        streams.append(stream)
    return streams


class TabularHADIIQN(TabularDIIQN):
    """The method with nothing but tables and loops; the bridges are searched for in all that happened."""

    def __init__(self, model: HADIIQN, expert: ExpertObservations, steps: list[list[Step]], matches: np.ndarray) -> None:
        super().__init__(model, expert, steps, matches)
        streams, match = as_streams(steps), match_within(slow_mismatch, 0.0)
        self.paths = best_paths(slow_paths(streams, expert, match, LENGTH, GAIN, GAMMA))
        self.feasibility = slow_feasibility(streams, expert, match, self.tables.error, N_ACTIONS, 1, 0.03)
        self.rooms = np.ravel(expert.observations).tolist()
        self.start = expert.observation_index

    def is_bridged(self, index: int) -> bool:
        return self.feasibility[index] == Feasibility.INFEASIBLE and index in self.paths

    def expert_sample(self, step: int, env: int) -> tuple[int, Sample] | None:
        index = int(self.matches[step, env])
        if index == NO_MATCH or not self.is_bridged(index):
            return super().expert_sample(step, env)
        path = self.paths[index]
        room, end = self.rooms[self.start[index]], self.rooms[path.end]
        return index, Sample(room, path.actions[0], end, path.reward, path.terminal, GAMMA**path.length)

    def phi(self, index: int, expert: Sample, agent_action: int) -> float:
        if not self.is_bridged(index):
            return super().phi(index, expert, agent_action)
        difference = self.value(expert.state, expert.action) - self.value(expert.state, agent_action)
        training = np.log(1 + min(self.counts[index], self.max_count)) / np.log(1 + self.max_count)
        return float(training / (1 + np.exp(-self.beta * difference)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("n_envs", "arguments"),
    [
        (1, {}),
        (2, {}),
        (1, {"matching": {"usefulness_beta": 4.0, "max_training_count": 2}}),
        pytest.param(2, {"n_steps": 3}, marks=needs_n_steps),
    ],
    ids=str,
)
def test_update_equals_the_tables(seed: int, n_envs: int, arguments: dict[str, Any]) -> None:
    n_stored, n_updates = 60, 6
    generator = np.random.default_rng(seed)
    model = make_model(EXPERT, n_envs, **arguments)
    steps = wandering(generator, n_stored, n_envs)
    store(model, steps)
    scatter(model.q_net, generator, 1.0)
    scatter(model.q_net_target, generator, 1.0)
    tables = TabularHADIIQN(model, EXPERT, steps, model.replay_buffer.expert_indices)
    bridged = [index for index in range(len(EXPERT)) if tables.is_bridged(index)]

    np.random.seed(seed)  # noqa: NPY002
    losses = [tables.update(drawn) for drawn in draws(n_stored, n_envs, n_updates)]
    np.random.seed(seed)  # noqa: NPY002
    model.train(gradient_steps=n_updates, batch_size=BATCH)

    weight, bias = tables._values(model.q_net)
    np.testing.assert_allclose(weight, tables.weight, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(bias, tables.bias, rtol=2e-5, atol=2e-6)
    assert model.logger.name_to_value["train/loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert model.knowledge.training_count.tolist() == tables.counts
    # both kinds of expert sample were learned from
    assert sum(tables.counts[index] for index in bridged) > 0
    assert sum(tables.counts) > sum(tables.counts[index] for index in bridged)


# --- by hand ------------------------------------------------------------------------------------------------------------------


def one_bridge_model(terminal: bool, **arguments: Any) -> HADIIQN:
    """
    The expert goes from room 0 to 3; the agent by 1 and 2, for 1, 2 and 4. Everything else at 0 leads nowhere.

    Only the last step is stored any more: action 0 at room 0, which stays there for -7.
    """
    expert = ExpertObservations.from_trajectories([np.array([0, 3])], rewards=[[9.0]])
    model = make_model(expert, matching={"max_training_count": 1}, buffer_size=1, **arguments)
    for action in (1, 2):
        store(model, [[Step(0, action, 0, 0.0, True, True)]])
    store(model, [[Step(0, 2, 1, 1.0, False, False)]])
    store(model, [[Step(1, 0, 2, 2.0, False, False)]])
    store(model, [[Step(2, 0, 3, 4.0, True, not terminal)]])
    store(model, [[Step(0, 0, 0, -7.0, True, False)]])
    knowledge = model.knowledge
    assert isinstance(knowledge, BridgingKnowledge)
    assert knowledge.bridged(np.array([0])).all()
    knowledge.count_training(np.array([0]))
    for network in (model.q_net, model.q_net_target):
        scatter(network, np.random.default_rng(0), 0.0)
    return model


@pytest.mark.parametrize("terminal", [True, False])
def test_an_update_by_hand(terminal: bool) -> None:
    """
    dQ = 1/2 since all values are equal, delta = 1, and zeta does not count: Phi = 1/2 (zeta would be 0).

    The value of the target network at room 3 is 0.5 for action 1. The bridge's target is its return, then 0.8^3 * 0.5 unless
    it ended for good. With the target moved to within 1 of the value, the Huber loss's slope is the error itself.
    """
    model = one_bridge_model(terminal)
    path_return = 1 + 0.8 * 2 + 0.64 * 4
    with th.no_grad():
        model.q_net_target.q_net[0].weight[1, 3] = 0.5
        # at room 0 all actions are worth 5
        model.q_net.q_net[0].weight[:, 0] = 5.0
    target = path_return + (0.0 if terminal else 0.512 * 0.5)
    model.train(gradient_steps=1, batch_size=BATCH)

    weight = model.q_net.q_net[0].weight[:, 0].tolist()
    assert abs(target - 5) < 1
    # the agent's own half has a slope of 1 down
    assert weight[2] == pytest.approx(5 + LEARNING_RATE * 0.5 * (target - 5), rel=1e-5)
    assert weight[0] == pytest.approx(5 - LEARNING_RATE * 0.5, rel=1e-5)
    assert weight[1] == 5
    statistics = model.expert_statistics()
    assert (statistics["confidence"], statistics["inference"]) == (0.5, 1.0)


def test_a_bridge_has_its_own_return_whatever_reward_the_others_have() -> None:
    model = one_bridge_model(True, expert_rewards="recorded")
    samples = model.replay_buffer.sample_with_expert(1).expert
    assert samples.steps.item() == 3
    assert samples.rewards.item() == pytest.approx(1 + 0.8 * 2 + 0.64 * 4)
