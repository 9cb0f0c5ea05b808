"""Recording from vectorised environments: the same as from single ones, step by step, whenever they reset."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

import sb3_diiqn
from sb3_diiqn import ExpertObservations, ExpertRecorder
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, ExpertDataWarning
from tests.expert.strategies import equal
from tests.expert.walk import Walk
from tests.helpers import LineEnv

HAS_MODES = hasattr(gym.vector, "AutoresetMode")
GYMNASIUM = ["NextStep", "SameStep"] if HAS_MODES else ["0.29"]
N_ENVS, N_STEPS, SEED = 3, 90, 5

Make = Callable[[], gym.Env[Any, Any]]


def vectorised(kind: str, make: Make, asynchronous: bool = False) -> Any:
    """Three environments in a vectorised one of each kind."""
    if kind == "sb3":
        env = DummyVecEnv([make] * N_ENVS)
        env.seed(SEED)
        return env
    modes = {"autoreset_mode": kind} if HAS_MODES else {}
    return (AsyncVectorEnv if asynchronous else SyncVectorEnv)([make] * N_ENVS, **modes)


def record(env: Any, act: Callable[[Any], np.ndarray], n_steps: int = N_STEPS) -> tuple[ExpertRecorder, list[np.ndarray]]:
    """The loop of the documentation, and the actions that were taken in it."""
    observations = env.reset() if isinstance(env, sb3_diiqn.expert.collecting.VecEnv) else env.reset(seed=SEED)[0]
    recorder = ExpertRecorder(env, observations)
    actions = []
    for _ in range(n_steps):
        actions.append(act(observations))
        step = env.step(actions[-1])
        recorder.add(*step)
        observations = step[0]
    env.close()
    return recorder, actions


def one_by_one(make: Make, actions: list[np.ndarray], kind: str) -> ExpertObservations:
    """The same actions in single environments, the slow way."""
    trajectories: list[list[Any]] = []
    terminated, rewards = [], []
    for number in range(N_ENVS):
        env = make()
        observation, _ = env.reset(seed=SEED + number)
        trajectory, received, is_over = [copied(observation)], list[float](), False
        for step in actions:
            if is_over:  # only where resetting takes a step of its own
                observation, is_over = env.reset()[0], False
                trajectory, received = [copied(observation)], []
                continue
            observation, reward, end, cut, _ = env.step(int(step[number]))
            trajectory.append(copied(observation))
            received.append(float(reward))
            if end or cut:
                trajectories.append(trajectory)
                terminated.append(end)
                rewards.append(np.array(received))
                trajectory, received, is_over = [], [], kind == "NextStep"
                if not is_over:
                    trajectory = [copied(env.reset()[0])]
        if received:
            trajectories.append(trajectory)
            terminated.append(False)
            rewards.append(np.array(received))
    return ExpertObservations.from_trajectories([stacked(one) for one in trajectories], terminated, rewards)


def copied(observation: Any) -> Any:
    return (
        {key: np.array(value) for key, value in observation.items()}
        if isinstance(observation, dict)
        else np.array(observation)
    )


def stacked(observations: list[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
    return np.stack(observations)


def random_actions() -> Callable[[Any], np.ndarray]:
    rng = np.random.default_rng(0)
    return lambda observations: rng.integers(2, size=N_ENVS)


def same(first: ExpertObservations, second: ExpertObservations) -> bool:
    return first.content_hash == second.content_hash


ENVIRONMENTS: dict[str, Make] = {
    "CartPole": lambda: gym.make("CartPole-v1"),
    "CartPole, cut": lambda: gym.make("CartPole-v1", max_episode_steps=15),
    "line": lambda: LineEnv(time_limit=7),
    "line, dict": lambda: LineEnv("dict", time_limit=7),
    "line, discrete": lambda: LineEnv("discrete", time_limit=7),
    "line, image": lambda: LineEnv("float image", time_limit=7),
}


@pytest.mark.parametrize("kind", ["sb3", *GYMNASIUM])
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_equals_what_single_environments_show(kind: str, name: str) -> None:
    make = ENVIRONMENTS[name]
    recorder, actions = record(vectorised(kind, make), random_actions())
    data = recorder.expert_data()
    assert same(data, one_by_one(make, actions, kind))
    assert len(recorder) == len(data)
    assert 3 * N_ENVS < recorder.n_episodes <= data.n_trajectories
    assert data.rewards is not None


@pytest.mark.parametrize("kind", ["sb3", *GYMNASIUM])
def test_an_environment_that_overwrites_what_it_returned_is_found_out(kind: str) -> None:
    """Where it is reset in the same step, the last observation in the infos has become the first one of the next episode."""
    recorder, actions = record(vectorised(kind, lambda: Walk(4)), random_actions())
    right = one_by_one(lambda: Walk(4), actions, kind)
    if kind == "NextStep":
        assert same(recorder.expert_data(), right)
        return
    with pytest.warns(ExpertDataWarning, match=r"of \d+ episodes is the first one of the next.*observation.copy"):
        assert not same(recorder.expert_data(), right)


def test_one_single_state_is_not_suspicious() -> None:
    recorder = ExpertRecorder(DummyVecEnv([Walk]), np.ones((1, 2)))
    for _ in range(3):
        recorder.add(np.ones((1, 2)), [1.0], [True], [{"terminal_observation": np.ones(2)}])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert recorder.expert_data().terminated.tolist() == [True] * 3


@pytest.mark.parametrize("kind", ["sb3", *GYMNASIUM])
def test_cut_and_ended_episodes_are_told_apart(kind: str) -> None:
    make = ENVIRONMENTS["CartPole, cut"]
    data = record(vectorised(kind, make), random_actions())[0].expert_data()
    assert data.terminated.any() and not data.terminated.all()
    last = data.next(slice(None))[data.terminals]
    assert (np.abs(last[:, [0, 2]]) >= [2.4, 0.2095]).any(axis=1).all(), "CartPole ends where it fell"
    lengths = np.diff(data.offsets) - 1
    assert lengths.max() == 15 and not data.terminated[lengths == 15].all()


@pytest.mark.parametrize("kind", GYMNASIUM)
def test_processes(kind: str) -> None:
    make = ENVIRONMENTS["line, dict"]
    recorder, actions = record(vectorised(kind, make, asynchronous=True), random_actions(), 20)
    assert same(recorder.expert_data(), one_by_one(make, actions, kind))


def test_the_data_teach_with_the_environment_they_come_from() -> None:
    env = vectorised("sb3", ENVIRONMENTS["line, dict"])
    data = record(env, random_actions())[0].expert_data()
    adapted = data.adapted_to(env.observation_space)
    assert adapted.observations["room"].shape == (data.n_observations, 1)


def test_wrappers_of_stable_baselines3_are_recorded_as_they_show() -> None:
    """Transposed and stacked frames, the last ones too."""
    env = VecFrameStack(VecMonitor(VecTransposeImage(DummyVecEnv([lambda: LineEnv("byte image", time_limit=4)] * N_ENVS))), 2)
    data = record(env, random_actions(), 12)[0].expert_data()
    assert data.observations.shape[1:] == (2, 36, 36)
    for number in range(data.n_trajectories):
        frames = data[number].observations
        assert equal(frames[1:, 0], frames[:-1, 1]), "each shows the newest frame of the one before"
    assert (np.diff(data.offsets) - 1 <= 4).all()


def test_a_wrapper_of_gymnasium() -> None:
    wrappers = gym.wrappers.vector if HAS_MODES else gym.wrappers
    env = wrappers.RecordEpisodeStatistics(vectorised(GYMNASIUM[0], ENVIRONMENTS["line"]))
    recorder, actions = record(env, random_actions())
    assert same(recorder.expert_data(), one_by_one(ENVIRONMENTS["line"], actions, GYMNASIUM[0]))


def test_by_hand() -> None:
    """Two environments that count; the second ends at 2 and begins at 0 again, in the same step."""
    env = DummyVecEnv([Walk] * 2)
    recorder = ExpertRecorder(env, np.float32([[0], [0]]))
    recorder.add(np.float32([[1], [1]]), [1, 2], [False, False], [{}, {}])
    recorder.add(np.float32([[2], [0]]), [3, 4], [False, True], [{}, {"terminal_observation": np.float64([2])}])
    recorder.add(np.float32([[3], [1]]), [5, 6], [False, False], [{}, {}])
    data = recorder.expert_data()
    assert [data[number].observations[:, 0].tolist() for number in range(3)] == [[0, 1, 2, 3], [0, 1, 2], [0, 1]]
    assert data.observations.dtype == np.float32
    assert data.terminated.tolist() == [False, True, False]
    assert data.rewards is not None and data.rewards.tolist() == [1, 3, 5, 2, 4, 6]
    assert (len(recorder), recorder.n_episodes) == (6, 1)


def test_what_is_recorded_already_does_not_change() -> None:
    recorder, _ = record(vectorised("sb3", ENVIRONMENTS["line"]), random_actions(), 5)
    before = recorder.expert_data()
    found = before.content_hash
    batch = np.ones((N_ENVS, 3), np.float32)
    recorder.add(batch, np.ones(N_ENVS), np.zeros(N_ENVS, bool), [{}] * N_ENVS)
    batch[:] = 7
    assert before.content_hash == found
    assert recorder.expert_data().observations.max() == 1
    assert len(recorder.expert_data()) == len(before) + N_ENVS


# Refused


class Other(gym.vector.VectorEnv):  # type: ignore[type-arg,misc]
    """Is never reset by itself, or says so."""

    def __init__(self, mode: Any) -> None:
        self.metadata = {"autoreset_mode": mode}
        self.single_observation_space = gym.spaces.Box(0, 1, (1,))
        self.num_envs = 2


def test_other_environments() -> None:
    with pytest.raises(ConfigurationError, match="got CartPoleEnv.*record_expert"):
        ExpertRecorder(gym.make("CartPole-v1").unwrapped, np.zeros((1, 4)))
    with pytest.raises(ConfigurationError, match="autoreset_mode is Disabled"):
        ExpertRecorder(Other("Disabled"), np.zeros((2, 4)))


@pytest.mark.parametrize("norms", [{}, {"norm_reward": False}, {"norm_obs": False}])
def test_normalised_observations_and_rewards_are_refused(norms: dict[str, bool]) -> None:
    env = VecMonitor(VecNormalize(DummyVecEnv([ENVIRONMENTS["CartPole"]]), **norms))
    with pytest.raises(ConfigurationError, match="VecNormalize.*normalize_obs"):
        ExpertRecorder(env, env.reset())
    plain = VecNormalize(DummyVecEnv([ENVIRONMENTS["CartPole"]]), norm_obs=False, norm_reward=False)
    ExpertRecorder(plain, plain.reset())


BAD_STEPS: dict[str, tuple[Any, str]] = {
    "no last observation": (
        [np.zeros((2, 1)), [0, 0], [True, False], [{}, {}]],
        r"environment 0 ended.*infos\[0\]\['terminal",
    ),
    "other shape": (
        [np.zeros((2, 1)), [0, 0], [False, True], [{}, {"terminal_observation": np.zeros(2)}]],
        r"environment 1 has shape \(2,\), the others have \(1,\)",
    ),
    "dict": (
        [np.zeros((2, 1)), [0, 0], [False, True], [{}, {"terminal_observation": {"a": 1}}]],
        "environment 1 ended, and its last observation is not",
    ),
    "batch": ([np.zeros((1, 1)), [0], [False], [{}]], "1 observations of 2 environments"),
}


@pytest.mark.parametrize(("step", "message"), BAD_STEPS.values(), ids=BAD_STEPS)
def test_bad_steps(step: Any, message: str) -> None:
    recorder = ExpertRecorder(DummyVecEnv([Walk] * 2), np.zeros((2, 1)))
    with pytest.raises(ExpertDataError, match=message):
        recorder.add(*step)


def test_gymnasium_without_last_observations() -> None:
    recorder = ExpertRecorder(Other("SameStep"), np.zeros((2, 1)))
    for infos in ({}, {"final_obs": np.array([None, np.zeros(1)], object), "_final_obs": np.array([False, True])}):
        with pytest.raises(ExpertDataError, match="environment 0 ended.*'final_obs'"):
            recorder.add(np.zeros((2, 1)), [0, 0], [True, False], [False, False], infos)


def test_last_observations_as_dicts_of_arrays() -> None:
    """Third-party environments, and some versions of Gymnasium, batch them by key."""
    recorder = ExpertRecorder(Other("SameStep"), {"a": np.zeros((2, 1))})
    infos = {"final_obs": {"a": np.array([[5.0], [6.0]])}, "_final_obs": np.array([False, True])}
    recorder.add({"a": np.ones((2, 1))}, [0, 0], [False, True], [False, False], infos)
    assert recorder.expert_data()[1].observations["a"].tolist() == [[0], [6]]


def test_nothing_was_recorded() -> None:
    recorder = ExpertRecorder(DummyVecEnv([Walk]), np.zeros((1, 2)))
    assert (len(recorder), recorder.n_episodes) == (0, 0)
    with pytest.raises(ExpertDataError, match="Nothing was recorded"):
        recorder.expert_data()
