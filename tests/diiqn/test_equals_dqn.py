"""Without expert data DIIQN is DQN to the bit; with data that matches nothing it learns the same. And its own determinism."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn import DIIQN, HADIIQN, PAPER, QRDIIQN, ExpertObservations
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from tests.helpers import TINY, LineEnv, global_random_state, right_walks

needs_n_steps = pytest.mark.skipif(NStepReplayBuffer is None, reason="this Stable-Baselines3 has no n-step returns")


class Case:
    """An environment and arguments that both algorithms get."""

    def __init__(
        self, policy: str = "MlpPolicy", look: str = "vector", n_envs: int = 1, normalize: bool = False, **arguments: Any
    ) -> None:
        self.policy, self.look, self.n_envs, self.normalize = policy, look, n_envs, normalize
        self.arguments = {**TINY, **arguments}

    def make(self, algorithm: type[DQN], **arguments: Any) -> DQN:
        random.seed(1)
        env: Any = DummyVecEnv([lambda: LineEnv(self.look)] * self.n_envs)
        env = VecNormalize(env) if self.normalize else env
        return algorithm(self.policy, env, **self.arguments, **arguments)


CASES = {
    "one environment": Case(),
    "two environments": Case(n_envs=2),
    "discrete": Case(look="discrete", n_envs=2),
    "dict": Case("MultiInputPolicy", look="dict", n_envs=2),
    "normalised": Case(n_envs=2, normalize=True),
    "optimiser and schedule": Case(
        learning_rate=lambda left: 0.01 * left, policy_kwargs={"net_arch": [8], "optimizer_class": th.optim.RMSprop}
    ),
    "episodes and Polyak": Case(train_freq=(1, "episode"), gradient_steps=-1, tau=0.1, target_update_interval=1),
    "buffer class": Case(replay_buffer_class=ReplayBuffer, replay_buffer_kwargs={"handle_timeout_termination": False}),
    "memory-optimised": Case(optimize_memory_usage=True, replay_buffer_kwargs={"handle_timeout_termination": False}),
}
if NStepReplayBuffer is not None:
    CASES["n-step"] = Case(n_envs=2, n_steps=3)


def trained(model: DQN, n: int = 120) -> DQN:
    """Train in two parts, as a user would continue."""
    model.learn(n)
    return model.learn(n // 2, reset_num_timesteps=False)


def weights(model: DQN) -> dict[str, th.Tensor]:
    return {key: value.clone() for key, value in model.policy.state_dict().items()}


def assert_equal_weights(one: DQN, other: DQN) -> None:
    first, second = weights(one), weights(other)
    assert list(first) == list(second)
    assert all(th.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", CASES)
def test_without_expert_data_it_is_dqn_to_the_bit(name: str) -> None:
    case = CASES[name]
    dqn = trained(case.make(DQN))
    expected = global_random_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        diiqn = trained(case.make(DIIQN, expert_data=None))

    assert global_random_state() == expected
    assert_equal_weights(diiqn, dqn)
    states = (model.policy.optimizer.state_dict()["state"].values() for model in (diiqn, dqn))
    for one, other in zip(*states, strict=True):
        assert all(th.equal(th.as_tensor(one[key]), th.as_tensor(other[key])) for key in other)
    assert type(diiqn.replay_buffer) is type(dqn.replay_buffer)
    assert diiqn.replay_buffer_class is dqn.replay_buffer_class
    np.testing.assert_array_equal(diiqn.replay_buffer.actions, dqn.replay_buffer.actions)
    np.testing.assert_array_equal(diiqn.replay_buffer.rewards, dqn.replay_buffer.rewards)
    assert diiqn._n_updates == dqn._n_updates > 0
    assert diiqn.exploration_rate == dqn.exploration_rate
    observation = diiqn.env.reset()
    np.testing.assert_array_equal(
        diiqn.predict(observation, deterministic=True)[0], dqn.predict(observation, deterministic=True)[0]
    )


@pytest.mark.parametrize("algorithm", [DIIQN, HADIIQN, QRDIIQN])
def test_arguments_that_do_nothing_without_expert_data_are_named_once(algorithm: type[DIIQN]) -> None:
    with pytest.warns(UserWarning) as warned:
        algorithm("MlpPolicy", LineEnv(), guide="clone", margin=0.5, imitation_coef=1.0)

    messages = [str(warning.message) for warning in warned]
    assert [message for message in messages if "expert_data" in message] == [
        "without expert_data, guide, margin does nothing: the agent learns as DQN"
    ]


def test_a_loaded_model_without_its_expert_data_does_not_name_its_arguments(tmp_path: Path) -> None:
    DIIQN("MlpPolicy", LineEnv(), expert_data=right_walks(), guide="clone").save(tmp_path / "model")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        DIIQN.load(tmp_path / "model")
    assert not [warning for warning in warned if "does nothing" in str(warning.message)]


def test_defaults_are_those_of_dqn() -> None:
    dqn, diiqn = DQN("MlpPolicy", LineEnv(), device="cpu"), DIIQN("MlpPolicy", LineEnv(), device="cpu")
    for name, value in vars(dqn).items():
        if isinstance(value, (int, float, str, bool, tuple, type(None))):
            assert getattr(diiqn, name) == value, name


def test_the_callers_arguments_are_not_written_into() -> None:
    arguments: dict[str, Any] = {
        "policy_kwargs": {"net_arch": [4]},
        "replay_buffer_kwargs": {"handle_timeout_termination": True},
    }
    steps = {"n_steps": 3} if NStepReplayBuffer is not None else {}
    for expert_data in (None, right_walks()):
        DIIQN("MlpPolicy", LineEnv(), **arguments, **steps, expert_data=expert_data, device="cpu")
        assert arguments == {"policy_kwargs": {"net_arch": [4]}, "replay_buffer_kwargs": {"handle_timeout_termination": True}}


@pytest.mark.parametrize("arguments", [{}, pytest.param({"n_steps": 3}, marks=needs_n_steps)], ids=str)
def test_the_users_choice_of_a_buffer_class_stays_with_expert_data(arguments: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = DIIQN("MlpPolicy", LineEnv(), **TINY, expert_data=right_walks(), **arguments)
    assert model.replay_buffer_class is None
    assert type(DIIQN("MlpPolicy", LineEnv(), **TINY).replay_buffer) is ReplayBuffer
    assert type(DIIQN("MultiInputPolicy", LineEnv("dict"), **TINY).replay_buffer) is DictReplayBuffer


# --- data that matches nothing ----------------------------------------------------------------------------------------------

NOWHERE = ExpertObservations.from_trajectories([np.full((4, 3), 1e6, dtype=np.float64) * np.arange(1, 5)[:, None]])


@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize("arguments", [{}, pytest.param({"n_steps": 3}, marks=needs_n_steps)], ids=str)
def test_with_data_that_matches_nothing_it_learns_what_dqn_does(n_envs: int, arguments: dict[str, Any]) -> None:
    case = Case(look="unbounded vector", n_envs=n_envs)
    # the scale is that of the recording, in which all of the agent's states are the same place: far away from it
    dqn = trained(case.make(DQN, **arguments))
    expected = global_random_state()
    few = {"matching_kwargs": {"similarity_threshold": 0.9}}
    diiqn = trained(case.make(DIIQN, **arguments, **PAPER, expert_data=NOWHERE, **few))
    assert diiqn.expert_statistics()["matched"] == 0
    assert global_random_state() == expected
    np.testing.assert_array_equal(diiqn.replay_buffer.actions, dqn.replay_buffer.actions)
    # the same arithmetic, though perhaps rounded differently in the last digit
    of_dqn = weights(dqn)
    for key, value in weights(diiqn).items():
        th.testing.assert_close(value, of_dqn[key], rtol=1e-4, atol=1e-6)


# --- determinism with data that matches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", ["vector", "bool planes", "discrete"])
@pytest.mark.parametrize("chosen", [{}, {"guide": "matching"}, {"guide": "both"}, PAPER], ids=str)
def test_the_same_seed_gives_the_same_result(look: str, chosen: dict[str, Any]) -> None:
    case = Case(look=look, n_envs=2)
    first, again = (trained(case.make(DIIQN, expert_data=right_walks(look), **chosen)) for _ in range(2))
    assert_equal_weights(first, again)
    np.testing.assert_array_equal(first.replay_buffer.expert_indices, again.replay_buffer.expert_indices)
    assert first.knowledge.training_count.tolist() == again.knowledge.training_count.tolist()
    assert first.knowledge.training_count.sum() > 0


def test_expert_data_makes_a_difference() -> None:
    """So that the tests above cannot pass by doing nothing."""
    case = Case(look="discrete")
    first, second = weights(trained(case.make(DIIQN, expert_data=right_walks("discrete")))), weights(trained(case.make(DQN)))
    assert any(not th.equal(first[key], second[key]) for key in first)


def test_matching_does_not_change_which_transitions_are_drawn() -> None:
    """While the network has not learned anything, both collect the same; the learning itself makes the difference."""
    case = Case(look="discrete", n_envs=2, learning_starts=60, exploration_fraction=1.0, exploration_final_eps=1.0)
    dqn = case.make(DQN).learn(120)
    expected = global_random_state()
    diiqn = case.make(DIIQN, expert_data=right_walks("discrete"), **PAPER).learn(120)
    assert global_random_state() == expected
    np.testing.assert_array_equal(diiqn.replay_buffer.actions, dqn.replay_buffer.actions)


class AlwaysLeft:
    """Rules all other actions out, as action masking in a project of one's own does."""

    def predict(self, *arguments: Any, **named: Any) -> Any:
        actions, state = super().predict(*arguments, **named)  # type: ignore[misc]
        return np.zeros_like(actions), state


@pytest.mark.parametrize("where", ["model", "policy"])
def test_who_chooses_actions_anew_is_heard(where: str) -> None:
    model_class, policy = (type("Own", (AlwaysLeft, DIIQN), {}), "MlpPolicy") if where == "model" else (DIIQN, LeftPolicy)
    settings = TINY | {"learning_starts": 20, "exploration_fraction": 0.01, "exploration_final_eps": 0.0}
    model = model_class(policy, LineEnv(), **settings, expert_data=right_walks(), **PAPER).learn(60)
    assert not model.replay_buffer.actions[25:60].any()


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [PAPER, {}], ids=["paper", "default"])
def test_without_a_seed_the_global_generators_decide(chosen: dict[str, Any]) -> None:
    def run() -> DIIQN:
        set_random_seed(3)
        env = LineEnv()
        env.action_space.seed(3)
        return DIIQN("MlpPolicy", env, **{**TINY, "seed": None}, expert_data=right_walks(), **chosen).learn(120)

    first, again = run(), run()
    assert_equal_weights(first, again)
    np.testing.assert_array_equal(first.replay_buffer.actions, again.replay_buffer.actions)


class LeftPolicy(AlwaysLeft, DQNPolicy):
    """A policy that does."""


class SimplePolicy(DQNPolicy):
    """A policy of the user's own, with an optimizer of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "optimizer_class": th.optim.RMSprop})


def test_a_policy_of_the_users_own_keeps_its_optimizer() -> None:
    model = DIIQN(SimplePolicy, LineEnv(), **TINY, expert_data=right_walks())
    assert type(model.learn(60).policy.optimizer) is th.optim.RMSprop


def test_a_seed_is_not_needed() -> None:
    model = Case(seed=None).make(DIIQN, expert_data=right_walks()).learn(60)
    assert model.knowledge.training_count.sum() > 0
