"""Expert data from the objects of imitation and Stable-Baselines3."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer, RolloutBuffer

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert import ExpertObservations
from tests.expert.strategies import equal

# imitation


class FakeDictObs:
    """Has what imitation's DictObs has."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays

    def unwrap(self) -> dict[str, np.ndarray]:
        """The dict inside."""
        return dict(self.arrays)


def fake(length: int, terminal: bool, **fields: Any) -> SimpleNamespace:
    """Has what imitation's Trajectory has."""
    return SimpleNamespace(
        obs=np.arange(length, dtype=np.float32)[:, None], acts=None, infos=None, terminal=terminal, **fields
    )


def test_imitation_by_duck_typing() -> None:
    data = ExpertObservations.from_imitation([fake(3, True), fake(2, False)])
    assert data.observations.tolist() == [[0], [1], [2], [0], [1]]
    assert data.offsets.tolist() == [0, 3, 5]
    assert data.terminated.tolist() == [True, False]
    assert data.rewards is None


def test_imitation_rewards_are_kept_if_all_have_them() -> None:
    rewarded = fake(3, True, rews=np.array([1.0, 2.0]))
    data = ExpertObservations.from_imitation(iter([rewarded, rewarded]))
    assert data.rewards is not None and data.rewards.tolist() == [1, 2, 1, 2]
    assert ExpertObservations.from_imitation([rewarded, fake(3, True)]).rewards is None


def test_imitation_dict_observations_by_duck_typing() -> None:
    arrays = {"a": np.zeros((3, 2)), "b": np.ones(3, np.int64)}
    data = ExpertObservations.from_imitation([SimpleNamespace(obs=FakeDictObs(arrays), terminal=True)])
    assert equal(data.observations, arrays)


def test_real_imitation_trajectories() -> None:
    types = pytest.importorskip("imitation.data.types")
    plain = types.TrajectoryWithRew(
        obs=np.arange(3.0)[:, None], acts=np.zeros(2), infos=None, terminal=True, rews=np.array([0.5, 1.0])
    )
    data = ExpertObservations.from_imitation([plain])
    assert data.observations.tolist() == [[0], [1], [2]]
    assert data.rewards is not None and data.rewards.tolist() == [0.5, 1]
    nested = types.Trajectory(obs=types.DictObs({"a": np.zeros((3, 2))}), acts=np.zeros(2), infos=None, terminal=False)
    assert equal(ExpertObservations.from_imitation([nested]).observations, {"a": np.zeros((3, 2))})
    flat = types.Transitions(
        obs=np.zeros((2, 1)), acts=np.zeros(2), infos=np.array([{}, {}]), next_obs=np.zeros((2, 1)), dones=np.zeros(2, bool)
    )
    with pytest.raises(ExpertDataError, match="use from_transitions"):
        ExpertObservations.from_imitation(flat)


BAD_IMITATION = {
    "one": (fake(3, True), "one SimpleNamespace: expected a list"),
    "number": (3, "one int: expected a list"),
    "text": ("file.npz", "trajectory 0 is of type str without 'obs'"),
    "arrays": ([np.zeros((3, 1))], "trajectory 0 is of type ndarray without 'obs'"),
    "no terminal": ([fake(3, True), SimpleNamespace(obs=np.zeros((3, 1)))], "trajectory 1 is of type .* without 'terminal'"),
    "short": ([fake(3, True), fake(1, True)], "trajectory 1 has 1 observations"),
    "transitions": (SimpleNamespace(obs=np.zeros(2), next_obs=np.zeros(2), dones=np.zeros(2)), "use from_transitions"),
    "none": ([], "is empty"),
}


@pytest.mark.parametrize(("trajectories", "message"), BAD_IMITATION.values(), ids=BAD_IMITATION)
def test_bad_imitation(trajectories: Any, message: str) -> None:
    with pytest.raises(ExpertDataError, match=message):
        ExpertObservations.from_imitation(trajectories)


# Replay buffers

VECTOR = spaces.Box(-1000, 1000, (1,), np.float32)


def fill(
    buffer: ReplayBuffer, n_steps: int, lengths: list[int], truncated: bool = False, nested: bool = False
) -> list[list[Any]]:
    """Step ``n_envs`` environments whose observations count up without end; episodes take turns in length.

    :return: for each environment all its transitions (observation, next observation, reward, done, timeout)
    """
    n_envs = buffer.n_envs
    counts, ages, episodes = np.arange(n_envs) * 100, np.zeros(n_envs, int), np.arange(n_envs)
    log: list[list[Any]] = [[] for _ in range(n_envs)]

    def observe(values: np.ndarray) -> Any:
        array = values[:, None].astype(np.float32)
        return {"a": array, "b": values.copy()} if nested else array

    for step in range(n_steps):
        before, after = counts.copy(), counts + 1
        ages += 1
        dones = np.array([ages[env] == lengths[episodes[env] % len(lengths)] for env in range(n_envs)])
        timeouts = dones & truncated & (episodes % 2 == 0)
        buffer.add(
            observe(before),
            observe(after),
            np.zeros((n_envs, 1)),
            np.full(n_envs, float(step)),
            dones,
            [{"TimeLimit.truncated": bool(timeout)} for timeout in timeouts],
        )
        for env in range(n_envs):
            log[env].append((before[env], after[env], float(step), bool(dones[env]), bool(timeouts[env])))
        counts = after + dones * 10
        episodes += dones
        ages[dones] = 0
    return log


def expected(log: list[list[Any]], capacity: int) -> tuple[list[list[int]], list[bool], list[float]]:
    """Trajectories, ends and rewards of the newest transitions of each environment, the slow way."""
    trajectories: list[list[int]] = []
    terminated, rewards = [], []
    for transitions in log:
        trajectory: list[int] = []
        for before, after, reward, done, timeout in transitions[-capacity:]:
            trajectory = trajectory or [before]
            trajectory.append(after)
            rewards.append(reward)
            if done:
                trajectories.append(trajectory)
                terminated.append(not timeout)
                trajectory = []
        if trajectory:
            trajectories.append(trajectory)
            terminated.append(False)
    return trajectories, terminated, rewards


def check_against_log(data: ExpertObservations, log: list[list[Any]], capacity: int) -> None:
    """Compare with the slow way."""
    trajectories, terminated, rewards = expected(log, capacity)
    found = data.observations if isinstance(data.observations, np.ndarray) else data.observations["a"]
    assert found[:, 0].tolist() == [value for trajectory in trajectories for value in trajectory]
    assert np.diff(data.offsets).tolist() == [len(trajectory) for trajectory in trajectories]
    assert data.terminated.tolist() == terminated
    assert data.rewards is not None and data.rewards.tolist() == rewards


@given(
    n_envs=st.integers(1, 3),
    n_steps=st.integers(1, 25),
    lengths=st.lists(st.integers(1, 5), min_size=1),
    truncated=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_replay_buffer(n_envs: int, n_steps: int, lengths: list[int], truncated: bool) -> None:
    buffer = ReplayBuffer(8 * n_envs, VECTOR, spaces.Discrete(2), "cpu", n_envs)
    log = fill(buffer, n_steps, lengths, truncated)
    check_against_log(ExpertObservations.from_replay_buffer(buffer), log, 8)


@pytest.mark.parametrize("n_steps", [3, 8, 21])
def test_dict_replay_buffer(n_steps: int) -> None:
    space = spaces.Dict({"a": VECTOR, "b": spaces.Discrete(1000)})
    buffer = DictReplayBuffer(16, space, spaces.Discrete(2), "cpu", 2)
    log = fill(buffer, n_steps, [3, 4], truncated=True, nested=True)
    data = ExpertObservations.from_replay_buffer(buffer)
    check_against_log(data, log, 8)
    assert data.observations["b"].shape == (data.n_observations, 1)
    assert data.observations["b"].dtype == np.int64
    assert data.adapted_to(space) is data


def test_n_step_replay_buffer_holds_single_steps() -> None:
    buffers = pytest.importorskip("stable_baselines3.common.buffers")
    if not hasattr(buffers, "NStepReplayBuffer"):
        pytest.skip("this version has no n-step buffer")
    buffer = buffers.NStepReplayBuffer(8, VECTOR, spaces.Discrete(2), "cpu", n_steps=3)
    log = fill(buffer, 13, [4])
    check_against_log(ExpertObservations.from_replay_buffer(buffer), log, 8)


def make_shared(n_envs: int, n_steps: int, lengths: list[int]) -> tuple[ReplayBuffer, list[list[Any]]]:
    """A memory-optimised buffer of 8 rows."""
    buffer = ReplayBuffer(
        8 * n_envs, VECTOR, spaces.Discrete(2), "cpu", n_envs, optimize_memory_usage=True, handle_timeout_termination=False
    )
    return buffer, fill(buffer, n_steps, lengths)


def test_memory_optimised_buffer_by_hand() -> None:
    buffer, _ = make_shared(1, 6, [3])
    data = ExpertObservations.from_replay_buffer(buffer)
    # 0 1 2 (3 is overwritten by the next start, 13), 13 14 15 16 (still there)
    assert [data[number].observations[:, 0].tolist() for number in range(2)] == [[0, 1, 2], [13, 14, 15, 16]]
    assert data.terminated.tolist() == [False, True]
    assert data.rewards is not None and data.rewards.tolist() == [0, 1, 3, 4, 5]


@given(n_envs=st.integers(1, 3), n_steps=st.integers(1, 25), lengths=st.lists(st.integers(1, 5), min_size=1))
@settings(max_examples=60, deadline=None)
def test_memory_optimised_buffer(n_envs: int, n_steps: int, lengths: list[int]) -> None:
    buffer, log = make_shared(n_envs, n_steps, lengths)
    data = ExpertObservations.from_replay_buffer(buffer)
    kept = [
        (before, after, reward, done)
        for transitions in log
        for place, (before, after, reward, done, _) in enumerate(transitions)
        if place >= len(transitions) - (7 if n_steps >= 8 else n_steps) and (not done or place == len(transitions) - 1)
    ]
    assert data.current(slice(None))[:, 0].tolist() == [before for before, _, _, _ in kept]
    assert data.next(slice(None))[:, 0].tolist() == [after for _, after, _, _ in kept]
    assert data.rewards is not None and data.rewards.tolist() == [reward for _, _, reward, _ in kept]
    assert data.terminated.sum() == sum(done for _, _, _, done in kept)


def test_adjacent_starts_are_not_joined_in_memory_optimised_buffers() -> None:
    buffer = ReplayBuffer(8, VECTOR, spaces.Discrete(2), "cpu", optimize_memory_usage=True, handle_timeout_termination=False)
    # The lost end looks like the start that follows: 5 -> 5 (reset to 5) -> 6.
    for before, after, done in [(4, 5, False), (5, 9, True), (5, 6, False)]:
        arrays = [np.float32([[value]]) for value in (before, after)]
        buffer.add(*arrays, np.zeros((1, 1)), np.zeros(1), np.array([done]), [{}])
    data = ExpertObservations.from_replay_buffer(buffer)
    assert [data[number].observations[:, 0].tolist() for number in range(2)] == [[4, 5], [5, 6]]


def test_bad_replay_buffers() -> None:
    with pytest.raises(ExpertDataError, match="The replay buffer is empty"):
        ExpertObservations.from_replay_buffer(ReplayBuffer(8, VECTOR, spaces.Discrete(2), "cpu"))
    with pytest.raises(ExpertDataError, match="RolloutBuffer without 'dones'"):
        ExpertObservations.from_replay_buffer(RolloutBuffer(8, VECTOR, spaces.Discrete(2), "cpu"))
    buffer = ReplayBuffer(8, VECTOR, spaces.Discrete(2), "cpu")
    del buffer.timeouts
    with pytest.raises(ExpertDataError, match="ReplayBuffer without 'timeouts'"):
        ExpertObservations.from_replay_buffer(buffer)
    with pytest.raises(ExpertDataError, match="NoneType without 'observations'"):
        ExpertObservations.from_replay_buffer(None)
