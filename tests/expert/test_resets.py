"""Transitions across a reset, and pairs that hardly ever continue each other: refused, left out, or warned of."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import ExpertObservations
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, ExpertDataWarning
from tests.expert.strategies import FEW, equal
from tests.helpers import LineEnv

HAS_MODES = hasattr(gym.vector, "AutoresetMode")


class Rows(NamedTuple):
    """What a loop keeps that takes the last observation and the new one for a transition."""

    observations: np.ndarray
    next_observations: np.ndarray
    ended: np.ndarray
    truncated: np.ndarray
    rewards: np.ndarray


def naive(env: Any, n_steps: int = 120) -> Rows:
    """Random actions in one vectorised environment; terminal observations in the infos are not looked at."""
    env.action_space.seed(1)
    actions = np.random.default_rng(0)
    observations = env.reset() if isinstance(env, DummyVecEnv) else env.reset(seed=3)[0]
    rows: list[list[Any]] = [[], [], [], [], []]
    for _ in range(n_steps):
        following, rewards, ended, *rest = env.step(actions.integers(2, size=1))
        truncated = rest[0] if len(rest) == 2 else ended & rest[0][0].get("TimeLimit.truncated", False)
        values = (observations[0], following[0], (ended | truncated)[0], truncated[0], rewards[0])
        for row, value in zip(rows, values, strict=True):
            row.append(value)
        observations = following
    return Rows(*map(np.array, rows))


def cart_poles(mode: str) -> Any:
    """One CartPole in a vectorised environment of each kind."""
    if mode == "sb3":
        env = DummyVecEnv([lambda: gym.make("CartPole-v1")])
        env.seed(3)
        return env
    modes = {"autoreset_mode": mode} if HAS_MODES else {}
    return SyncVectorEnv([lambda: gym.make("CartPole-v1")], **modes)


SAME_STEP = ["sb3", "SameStep"] if HAS_MODES else ["sb3", "0.29"]


def truth() -> ExpertObservations:
    """The same steps, in a single environment."""
    env = gym.make("CartPole-v1")
    actions = np.random.default_rng(0)
    trajectory = [env.reset(seed=3)[0]]
    trajectories, terminated = [trajectory], []
    for _ in range(120):
        observation, _, end, _, _ = env.step(int(actions.integers(2, size=1)[0]))
        trajectory.append(observation)
        if end:
            terminated.append(True)
            trajectory = [env.reset()[0]]
            trajectories.append(trajectory)
    return ExpertObservations.from_trajectories([np.stack(one) for one in trajectories], [*terminated, False])


# Refused


@pytest.mark.parametrize("mode", SAME_STEP)
@pytest.mark.parametrize("rewarded", [True, False])
def test_same_step_resets_are_refused(mode: str, rewarded: bool) -> None:
    rows = naive(cart_poles(mode))
    assert rows.ended.sum() > 2
    with pytest.raises(
        ExpertDataError, match=r"next_observations holds the first .*'terminal_observation'.*'final_obs'.*drop_last"
    ) as e:
        ExpertObservations.from_transitions(*rows[:3], rewards=rows.rewards if rewarded else None)
    assert (
        f"After {rows.ended.sum()} of {rows.ended.sum()} episodes (the first ends with transition {rows.ended.argmax()})"
        in str(e.value)
    )
    assert "drop_first" not in str(e.value)


@pytest.mark.skipif(not HAS_MODES, reason="this Gymnasium resets in the same step")
@pytest.mark.parametrize("rewarded", [True, False])
def test_next_step_resets_are_refused(rewarded: bool) -> None:
    rows = naive(cart_poles("NextStep"))
    with pytest.raises(ExpertDataError, match=r"a transition leads from the last .*AutoresetMode.NEXT_STEP.*drop_first") as e:
        ExpertObservations.from_transitions(*rows[:3], rewards=rows.rewards if rewarded else None)
    assert "drop_last" not in str(e.value)


def test_where_both_are_possible_both_are_explained() -> None:
    # one-hot states 0 -> 1 -> 0 -> 1: each step leads equally far, and no rewards tell
    states = np.eye(2, dtype=np.float32)
    with pytest.raises(ExpertDataError, match="One of two: .*drop_last.*Or: .*drop_first"):
        ExpertObservations.from_transitions(states[[0, 1, 0, 1]], states[[1, 0, 1, 0]], [0, 1, 0, 1])


def test_line_by_hand() -> None:
    # 3 -> 4 -> (5, ends) reset to 0 -> 1; recorded as 4 -> 0
    before, after = np.array([3, 4, 0, 1]), np.array([4, 0, 1, 2])
    with pytest.raises(
        ExpertDataError, match="After 1 of 1 episodes .the first ends with transition 1. next_observations holds"
    ):
        ExpertObservations.from_transitions(before, after, [0, 1, 0, 0])
    data = ExpertObservations.from_transitions(before, after, [0, 1, 0, 0], [1, 2, 3, 4], across_resets="drop_last")
    assert [one.observations.tolist() for one in (data[0], data[1])] == [[3, 4], [0, 1, 2]]
    assert data.terminated.tolist() == [False, False]
    assert data.rewards is not None and data.rewards.tolist() == [1, 3, 4]


def test_next_step_by_hand() -> None:
    # 3 -> 4 -> 5 (ends), then 5 -> 0 without reward, then on
    before, after = np.array([3, 4, 5, 0, 1]), np.array([4, 5, 0, 1, 2])
    with pytest.raises(ExpertDataError, match="a transition leads from the last observation"):
        ExpertObservations.from_transitions(before, after, [0, 1, 0, 0, 0])
    data = ExpertObservations.from_transitions(before, after, [0, 1, 0, 0, 0], [1, 2, 0, 3, 4], across_resets="drop_first")
    assert [one.observations.tolist() for one in (data[0], data[1])] == [[3, 4, 5], [0, 1, 2]]
    assert data.terminated.tolist() == [True, False]
    assert data.rewards is not None and data.rewards.tolist() == [1, 2, 3, 4]


def test_rewards_tell_the_one_from_the_other() -> None:
    states = np.eye(3, dtype=np.float32)
    same = (states[[0, 1, 0, 1, 0, 1]], states[[1, 0, 1, 0, 1, 0]], [0, 1, 0, 1, 0, 1])
    with pytest.raises(ExpertDataError, match="next_observations holds") as refused:
        ExpertObservations.from_transitions(*same, rewards=[-1, 1, -1, 1, -1, 1])
    assert "drop_first" not in str(refused.value)
    following = (states[[0, 1, 2, 0, 1, 2, 0]], states[[1, 2, 0, 1, 2, 0, 1]], [0, 1, 0, 0, 1, 0, 0])
    with pytest.raises(ExpertDataError, match="AutoresetMode.NEXT_STEP") as refused:
        ExpertObservations.from_transitions(*following, rewards=[-1, 1, 0, -1, 1, 0, -1])
    assert "drop_last" not in str(refused.value)


@pytest.mark.parametrize("flags", ["truncated", "episode_starts"])
def test_episodes_that_were_cut_are_seen_by_other_flags(flags: str) -> None:
    rows = naive(DummyVecEnv([lambda: LineEnv(time_limit=3)]), 30)
    assert rows.ended.sum() == rows.truncated.sum() == 10
    starts = np.append(True, rows.ended[:-1])
    told: dict[str, Any] = {"truncated": rows.truncated} if flags == "truncated" else {"episode_starts": starts}
    with pytest.raises(ExpertDataError, match="After 9 of 9 episodes"):
        ExpertObservations.from_transitions(*rows[:2], **told)
    data = ExpertObservations.from_transitions(*rows[:2], **told, across_resets="drop_last")
    assert (np.diff(data.offsets)[:9] == 3).all() and not data.terminated.any()


def test_dict_observations() -> None:
    before, after = {"a": np.array([3, 4, 0, 1]), "b": np.zeros(4)}, {"a": np.array([4, 0, 1, 2]), "b": np.zeros(4)}
    with pytest.raises(ExpertDataError, match="drop_last"):
        ExpertObservations.from_transitions(before, after, [0, 1, 0, 0])


@pytest.mark.parametrize("extra", [{}, {"rewards": np.ones(4)}, {"episode_starts": [1, 0, 1, 0]}, {"truncated": [0, 1, 0, 0]}])
def test_files_made_by_hand(tmp_path: Path, extra: dict[str, Any]) -> None:
    path = tmp_path / "hand.npz"
    dones = {} if {"episode_starts", "truncated"} & extra.keys() else {"dones": [0, 1, 0, 0]}
    np.savez(path, observations=[3, 4, 0, 1], next_observations=[4, 0, 1, 2], **dones, **extra)
    with pytest.raises(ExpertDataError, match=f"{path}: After 1 of 1 episodes .*drop_last"):
        ExpertObservations.load(path)
    data = ExpertObservations.load(path, across_resets="drop_last")
    assert data.observations.tolist() == [3, 4, 0, 1, 2]
    assert not data.terminated.any()
    assert ExpertObservations.load(path, across_resets="keep").offsets.tolist() == [0, 3, 6]


# Left out


@pytest.mark.parametrize("mode", SAME_STEP)
def test_without_last_transitions_the_rest_is_right(mode: str) -> None:
    rows = naive(cart_poles(mode))
    found = ExpertObservations.from_transitions(*rows[:3], across_resets="drop_last")
    right = truth()
    assert found.n_trajectories == right.n_trajectories
    for number in range(right.n_trajectories):
        whole = right[number].observations
        # seeds beyond the first reset are the environment's own, and the same
        assert equal(found[number].observations, whole[:-1] if right.terminated[number] else whole)
    assert not found.terminated.any()


@pytest.mark.skipif(not HAS_MODES, reason="this Gymnasium resets in the same step")
def test_without_first_transitions_next_step_data_are_whole() -> None:
    rows = naive(cart_poles("NextStep"))
    found = ExpertObservations.from_transitions(*rows[:3], rows.rewards, across_resets="drop_first")
    assert found.terminated.sum() == rows.ended.sum()
    ends = found.observations[found.offsets[1:] - 1][found.terminated]
    starts = found.observations[found.offsets[:-1]]
    assert (np.abs(ends[:, [0, 2]]) >= [2.4, 0.2095]).any(axis=1).all(), "CartPole ends where it fell"
    assert (np.abs(starts) <= 0.05).all(), "and starts upright"
    assert found.rewards is not None and (found.rewards == 1).all()


def test_nothing_left() -> None:
    with pytest.raises(ExpertDataError, match="No transition is left"):
        ExpertObservations.from_transitions(np.arange(3), np.array([1, 2, 0]), np.ones(3), across_resets="drop_last")


def test_unknown_ways() -> None:
    with pytest.raises(ConfigurationError, match="across_resets='drop'"):
        ExpertObservations.from_transitions(np.arange(3), np.arange(3), across_resets="drop")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="tolerance is -1"):
        ExpertObservations.from_transitions(np.arange(3), np.arange(3), tolerance=-1)


def test_it_is_for_files_with_pairs_only(tmp_path: Path) -> None:
    path = ExpertObservations.from_trajectories([np.arange(3)]).save(tmp_path / "own")
    with pytest.raises(ConfigurationError, match="across_resets='drop_last'.*no 'next_observations'"):
        ExpertObservations.load(path, across_resets="drop_last")


# Right data


def test_an_end_may_look_like_a_beginning_now_and_then() -> None:
    # two of five episodes end where the next one begins
    lengths = [[0, 1, 7], [7, 2, 3], [4, 5, 8], [8, 6, 9], [1, 2, 3], [5, 6]]
    before = np.array([state for episode in lengths for state in episode[:-1]])
    after = np.array([state for episode in lengths for state in episode[1:]])
    last = np.cumsum([len(episode) - 1 for episode in lengths]) - 1
    dones = np.isin(np.arange(len(before)), last)
    data = ExpertObservations.from_transitions(before, after, dones)
    assert [data[number].observations.tolist() for number in range(6)] == lengths


def test_one_single_state_is_no_reset() -> None:
    data = ExpertObservations.from_transitions(np.ones((6, 2)), np.ones((6, 2)), [0, 1, 0, 1, 0, 1])
    assert data.terminated.tolist() == [True] * 3


def test_data_that_are_right_can_be_kept() -> None:
    # a round trip: each episode ends at home, where the next one begins
    before, after, dones = np.array([0, 1, 0, 1]), np.array([1, 0, 1, 0]), [0, 1, 0, 1]
    data = ExpertObservations.from_transitions(before, after, dones, across_resets="keep")
    assert [data[number].observations.tolist() for number in range(2)] == [[0, 1, 0], [0, 1, 0]]
    assert data.terminated.all()


@given(st.lists(st.integers(1, 6), min_size=2, max_size=6), st.integers(0, 10_000))
@FEW
def test_right_transitions_of_any_lengths_pass(lengths: list[int], seed: int) -> None:
    episodes = [np.random.default_rng([seed, n]).random((length + 1, 2)) for n, length in enumerate(lengths)]
    last = np.concatenate([np.arange(length) == length - 1 for length in lengths])
    before, after = (np.concatenate([episode[part] for episode in episodes]) for part in (slice(-1), slice(1, None)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = ExpertObservations.from_transitions(before, after, last)
    assert data.content_hash == ExpertObservations.from_trajectories(episodes, terminated=True).content_hash


# Pairs that do not continue each other


def walk(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of one trajectory."""
    states = np.random.default_rng(0).normal(size=(n + 1, 3)).cumsum(axis=0)
    return states[:-1], states[1:]


def test_noise_between_pairs_is_named_and_can_be_tolerated() -> None:
    before, after = walk()
    noisy = after + np.random.default_rng(1).uniform(-1e-6, 1e-6, after.shape)
    with pytest.warns(ExpertDataWarning, match=r"^40 of 40 trajectories are a single transition, .*at most 1e-06") as caught:
        data = ExpertObservations.from_transitions(before, noisy)
    assert len(caught) == 1 and "tolerance=1e-06" in str(caught[0].message)
    assert Path(caught[0].filename).name == "test_resets.py"
    assert data.n_trajectories == 40
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        joined = ExpertObservations.from_transitions(before, noisy, tolerance=1e-6)
    assert joined.n_trajectories == 1
    assert equal(joined.observations[:-1], before)


def test_rounding_to_another_float_is_noise() -> None:
    before, after = walk()
    with pytest.warns(ExpertDataWarning, match="differ by noise"):
        ExpertObservations.from_transitions(before, after.astype(np.float32).astype(np.float64))


def test_resets_are_seen_through_noise_that_is_tolerated() -> None:
    before, after = np.array([3, 4, 0, 1.0]), np.array([4, 0, 1, 2.0]) + 1e-7
    with pytest.raises(ExpertDataError, match="drop_last"):
        ExpertObservations.from_transitions(before, after, [0, 1, 0, 0], tolerance=1e-6)


def test_environments_that_take_turns_are_warned_of() -> None:
    before, after = walk()
    other, after_other = before + 100, after + 100
    turns = [np.stack(pair, axis=1).reshape(80, 3) for pair in ((before, other), (after, after_other))]
    with pytest.warns(ExpertDataWarning, match="^80 of 80 trajectories are a single .*take turns"):
        ExpertObservations.from_transitions(*turns)


def test_short_episodes_are_no_reason_to_warn() -> None:
    before = np.arange(40.0) * 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ExpertObservations.from_transitions(before, before + 1, np.ones(40)).n_trajectories == 40
        assert ExpertObservations.from_transitions(before[:3], before[:3] + 1).n_trajectories == 3
