"""The update against tables and loops: Q-values of a one-layer network on one-hot states, gradients written by hand."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import DIIQN, PAPER, ExpertObservations
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.inference import NO_MATCH, AgentTransitions
from tests.inference.reference import Tables, infer, slow_mismatch

N_STATES, N_ACTIONS = 5, 3
GAMMA, LEARNING_RATE = 0.8, 0.3
BATCH = 12

ROOMS = [np.array(rooms) for rooms in ([0, 1, 2, 1, 3, 0], [2, 0, 1, 2])]
RECORDED = [0.5, -1.0, 2.0, 0.0, 3.0, -0.25, 1.5, 4.0]
EXPERT = ExpertObservations.from_trajectories(ROOMS, terminated=[False, True], rewards=[RECORDED[:5], RECORDED[5:]])
PAIRS = [(0, 1), (1, 2), (2, 1), (1, 3), (3, 0), (2, 0), (0, 1), (1, 2)]

needs_n_steps = pytest.mark.skipif(NStepReplayBuffer is None, reason="this Stable-Baselines3 has no n-step returns")


class Rooms(gymnasium.Env[Any, Any]):
    """Five rooms; what happens in them is put into the replay buffer by hand."""

    observation_space = spaces.Discrete(N_STATES)
    action_space = spaces.Discrete(N_ACTIONS)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return 0, {}


class Step(NamedTuple):
    """A transition of the agent."""

    state: int
    action: int
    following: int
    reward: float
    done: bool
    cut: bool


class Sample(NamedTuple):
    """What one loss is made of."""

    state: int
    action: int
    following: int
    reward: float
    terminal: float
    discount: float


def random_steps(generator: np.random.Generator, n_steps: int, n_envs: int) -> list[list[Step]]:
    """Transitions by step and environment; a third are the expert's; a fifth of them end the episode, a fifth are cut."""

    def one() -> Step:
        ends = generator.random()
        reward = float(np.float32(generator.normal(scale=2)))
        state, following = generator.integers(0, N_STATES, 2)
        if generator.random() < 1 / 3:
            state, following = PAIRS[generator.integers(len(PAIRS))]
        return Step(int(state), int(generator.integers(N_ACTIONS)), int(following), reward, ends < 0.4, 0.2 < ends < 0.4)

    return [[one() for _ in range(n_envs)] for _ in range(n_steps)]


MATCHING = {"similarity_threshold": 1.0, "max_training_count": 6, "max_inference_error": 1.0}


def make_model(expert: ExpertObservations, n_envs: int = 1, matching: dict[str, Any] | None = None, **arguments: Any) -> DIIQN:
    model = DIIQN(
        "MlpPolicy",
        DummyVecEnv([Rooms] * n_envs),
        learning_rate=LEARNING_RATE,
        gamma=GAMMA,
        seed=0,
        device="cpu",
        policy_kwargs={"net_arch": [], "optimizer_class": th.optim.SGD},
        expert_data=expert,
        matching_kwargs={**MATCHING, **(matching or {})},
        **{"buffer_size": 10 * n_envs, "max_grad_norm": 1e9, **PAPER, **arguments},
    )
    model.set_logger(Logger(None, []))
    # whatever the rewards are, only what matches is learned from
    del model.learner.losses[1:]  # type: ignore[union-attr]
    return model


def store(model: DIIQN, steps: list[list[Step]]) -> None:
    for row in steps:
        state, action, following, reward, done, cut = (np.array(column) for column in zip(*row, strict=True))
        model.replay_buffer.add(state, following, action, reward, done, [{"TimeLimit.truncated": bool(one)} for one in cut])
    model.update_confidence()


class TabularDIIQN:
    """
    The method with nothing but tables and loops.

    :param model: where to take the first Q-values from; they are read once
    :param expert: expert data
    :param steps: the agent's transitions by step and environment, as many as the buffer holds
    :param matches: the expert transition that each was matched with, of the same shape
    """

    def __init__(self, model: DIIQN, expert: ExpertObservations, steps: list[list[Step]], matches: np.ndarray) -> None:
        self.weight, self.bias = self._values(model.q_net)
        self.target_weight, self.target_bias = self._values(model.q_net_target)
        self.steps, self.matches = steps, matches
        settings = model.knowledge.settings  # type: ignore[union-attr]
        self.beta, self.max_count = settings.usefulness_beta, settings.max_training_count
        self.max_grad_norm, self.expert_rewards = model.max_grad_norm, model.expert_rewards
        self.n_steps = getattr(model, "n_steps", 1)
        self.tables = self._infer(expert)
        self.counts = [0] * len(expert)

    @staticmethod
    def _values(network: th.nn.Module) -> tuple[np.ndarray, np.ndarray]:
        weight, bias = (parameter.detach().numpy().astype(float) for parameter in network.parameters())
        return weight, bias

    def _infer(self, expert: ExpertObservations) -> Tables:
        flat = [step for row in self.steps for step in row]
        state, action, following, reward, done, cut = (np.array(column) for column in zip(*flat, strict=True))
        terminal = done & ~cut
        agent = AgentTransitions(state[:, None], following[:, None], action, reward, terminal, done)
        return infer(expert, slow_mismatch, agent, max_error=1.0)

    def value(self, state: int, action: int) -> float:
        return float(self.weight[action, state] + self.bias[action])

    def target(self, sample: Sample) -> float:
        best = max(self.target_weight[action, sample.following] + self.target_bias[action] for action in range(N_ACTIONS))
        return sample.reward + (1 - sample.terminal) * sample.discount * float(best)

    def agent_sample(self, step: int, env: int) -> Sample:
        first = self.steps[step][env]
        reward, discount = 0.0, 1.0
        for number in range(step, len(self.steps)):
            last = self.steps[number][env]
            reward += discount * last.reward
            discount *= GAMMA
            if last.done or number - step + 1 == self.n_steps:
                break
        return Sample(first.state, first.action, last.following, reward, float(last.done and not last.cut), discount)

    def expert_sample(self, step: int, env: int) -> tuple[int, Sample] | None:
        index = int(self.matches[step, env])
        if index == NO_MATCH or self.tables.error[index] >= 1.0:
            return None
        now, later = PAIRS[index]
        reward, terminal = self.tables.reward[index], self.tables.terminal[index]
        if self.expert_rewards == "recorded":
            reward, terminal = RECORDED[index], float(index == len(PAIRS) - 1)
        return index, Sample(now, self.tables.action[index], later, reward, terminal, GAMMA)

    def phi(self, index: int, expert: Sample, agent_action: int) -> float:
        difference = self.value(expert.state, expert.action) - self.value(expert.state, agent_action)
        usefulness = 1 / (1 + np.exp(-self.beta * difference))
        training = np.log(1 + min(self.counts[index], self.max_count)) / np.log(1 + self.max_count)
        return float(min(usefulness * training, 1 - self.tables.error[index] / 1.0))

    def update(self, drawn: list[tuple[int, int]]) -> float:
        """Make one update, and return the loss."""
        weight_gradient, bias_gradient = np.zeros_like(self.weight), np.zeros_like(self.bias)
        loss, trained = 0.0, []

        def learn(sample: Sample, share: float) -> None:
            nonlocal loss
            error = self.value(sample.state, sample.action) - self.target(sample)
            loss += share / BATCH * (0.5 * error**2 if abs(error) < 1 else abs(error) - 0.5)
            slope = share / BATCH * min(max(error, -1.0), 1.0)
            weight_gradient[sample.action, sample.state] += slope
            bias_gradient[sample.action] += slope

        for step, env in drawn:
            agent, matched = self.agent_sample(step, env), self.expert_sample(step, env)
            phi = 0.0
            if matched is not None:
                index, expert = matched
                phi = self.phi(index, expert, agent.action)
                trained.append(index)
                learn(expert, phi)
            learn(agent, 1 - phi)
        norm = np.sqrt((weight_gradient**2).sum() + (bias_gradient**2).sum())
        clipping = min(1.0, self.max_grad_norm / (norm + 1e-6))
        self.weight -= LEARNING_RATE * clipping * weight_gradient
        self.bias -= LEARNING_RATE * clipping * bias_gradient
        for index in trained:
            self.counts[index] += 1
        return loss


def scatter(network: th.nn.Module, generator: np.random.Generator, scale: float) -> None:
    with th.no_grad():
        for parameter in network.parameters():
            parameter.copy_(th.as_tensor(generator.normal(scale=scale, size=tuple(parameter.shape))))


def draws(n_stored: int, n_envs: int, n_updates: int) -> list[list[tuple[int, int]]]:
    """Draw as a buffer of Stable-Baselines3 does: all steps, then all environments, for every update."""
    batches = []
    for _ in range(n_updates):
        steps = np.random.randint(0, n_stored, size=BATCH)  # noqa: NPY002
        envs = np.random.randint(0, n_envs, size=BATCH)  # noqa: NPY002
        batches.append(list(zip(steps.tolist(), envs.tolist(), strict=True)))
    return batches


def check(
    seed: int, n_updates: int, *, n_stored: int = 10, n_envs: int = 1, scale: float = 1.0, **arguments: Any
) -> TabularDIIQN:
    """Train a model and the tables side by side, and compare all they have."""
    generator = np.random.default_rng(seed)
    model = make_model(EXPERT, n_envs, **arguments)
    steps = random_steps(generator, n_stored, n_envs)
    store(model, steps)
    scatter(model.q_net, generator, scale)
    scatter(model.q_net_target, generator, scale)
    tables = TabularDIIQN(model, EXPERT, steps, model.replay_buffer.expert_indices[:n_stored])

    np.random.seed(seed)  # noqa: NPY002
    losses = [tables.update(drawn) for drawn in draws(n_stored, n_envs, n_updates)]
    np.random.seed(seed)  # noqa: NPY002
    model.train(gradient_steps=n_updates, batch_size=BATCH)

    weight, bias = tables._values(model.q_net)
    tolerance = {"rtol": 2e-5, "atol": 2e-6 * scale}
    np.testing.assert_allclose(weight, tables.weight, **tolerance)
    np.testing.assert_allclose(bias, tables.bias, **tolerance)
    assert model.logger.name_to_value["train/loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert model.logger.name_to_value["train/n_updates"] == n_updates
    assert model.knowledge is not None
    assert model.knowledge.training_count.tolist() == tables.counts
    return tables


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("expert_rewards", ["inferred", "recorded", "none"])
@pytest.mark.parametrize("n_updates", [1, 8])
def test_update_equals_the_tables(seed: int, expert_rewards: str, n_updates: int) -> None:
    tables = check(seed, n_updates, expert_rewards=expert_rewards)
    # all kinds of samples occur: without a match, with an exactly and with a roughly inferred action
    assert (tables.matches == NO_MATCH).any()
    assert {0.0, 0.5} <= set(tables.tables.error)
    assert sum(tables.counts) > 0


@pytest.mark.parametrize("n_stored", [6, 10])
@pytest.mark.parametrize("n_envs", [2, 3])
def test_update_with_parallel_environments(n_stored: int, n_envs: int) -> None:
    check(5, 8, n_stored=n_stored, n_envs=n_envs)


@pytest.mark.parametrize("scale", [0.01, 30.0])
def test_update_with_small_and_large_differences_in_value(scale: float) -> None:
    check(6, 5, scale=scale)


@pytest.mark.parametrize(
    "matching", [{"usefulness_beta": 4.0}, {"max_training_count": 1}, {"max_training_count": 1000}], ids=str
)
def test_update_with_other_parameters(matching: dict[str, Any]) -> None:
    check(7, 8, matching=matching)


def test_gradients_are_clipped() -> None:
    check(8, 5, max_grad_norm=0.1)


@needs_n_steps
@pytest.mark.parametrize("n_steps", [2, 3, 20])
@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize("expert_rewards", ["none", "recorded"])
def test_only_the_agents_half_has_n_step_returns(n_steps: int, n_envs: int, expert_rewards: str) -> None:
    check(9, 8, n_envs=n_envs, n_steps=n_steps, expert_rewards=expert_rewards)


# --- by hand ----------------------------------------------------------------------------------------------------------------


def one_sample_model(**arguments: Any) -> DIIQN:
    """The agent went from room 0 to 1 by action 2 and got 1; the expert went there, too. All values are 0."""
    expert = ExpertObservations.from_trajectories([np.array([0, 1])])
    model = make_model(expert, matching={"max_training_count": 3}, **arguments)
    store(model, [[Step(0, 2, 1, 1.0, False, False)]])
    for network in (model.q_net, model.q_net_target):
        scatter(network, np.random.default_rng(0), 0.0)
    return model


def test_the_first_time_an_expert_sample_counts_and_nothing_else() -> None:
    """delta = 0: the update is DQN's."""
    model = one_sample_model()
    model.train(gradient_steps=1, batch_size=BATCH)
    # every row of the batch is the same sample with error -1
    assert model.q_net.q_net[0].weight[2, 0].item() == pytest.approx(LEARNING_RATE)
    assert model.knowledge.training_count.tolist() == [BATCH]
    assert model.expert_statistics()["confidence"] == 0


def test_confidence_is_logged_as_it_was_used() -> None:
    """dQ = 1/2 as the actions are the same; delta = 1 after the first batch of 12; zeta = 1."""
    model = one_sample_model()
    model.train(gradient_steps=1, batch_size=BATCH)
    model.expert_statistics()
    model.train(gradient_steps=1, batch_size=BATCH)
    statistics = model.expert_statistics()
    assert {key: statistics[key] for key in ("confidence", "usefulness", "training", "inference")} == {
        "confidence": 0.5,
        "usefulness": 0.5,
        "training": 1.0,
        "inference": 1.0,
    }


def test_no_gradient_flows_through_the_confidence() -> None:
    """
    Room 0, in which the value of action 0 enters the usefulness, and nothing else.

    The agent took action 1 there, the expert's action is 2: where the loss of the two differs, a gradient through Phi would
    move both values beyond what their own errors do. A learning rate that moves values by their error shows it exactly.
    """
    expert = ExpertObservations.from_trajectories([np.array([0, 1])])
    model = make_model(expert, matching={"max_training_count": 1}, buffer_size=1)
    store(model, [[Step(0, 2, 1, 5.0, True, False)]])
    store(model, [[Step(0, 1, 3, -3.0, True, False)]])
    assert model.knowledge.inferred.action.tolist() == [2]
    model.knowledge.count_training(np.array([0]))
    for network in (model.q_net, model.q_net_target):
        scatter(network, np.random.default_rng(0), 0.0)
    model.train(gradient_steps=1, batch_size=BATCH)
    # Phi = 1/2, and the Huber loss has slope 1 for both errors
    weight = model.q_net.q_net[0].weight[:, 0].tolist()
    assert weight == pytest.approx([0, -LEARNING_RATE / 2, LEARNING_RATE / 2])


def test_the_target_network_stays() -> None:
    model = one_sample_model()
    before = [parameter.clone() for parameter in model.q_net_target.parameters()]
    model.train(gradient_steps=3, batch_size=BATCH)
    assert all(th.equal(one, other) for one, other in zip(before, model.q_net_target.parameters(), strict=True))
