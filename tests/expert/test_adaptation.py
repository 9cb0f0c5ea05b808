"""Fitting expert data to an observation space, compared with what Stable-Baselines3's own wrappers do."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecTransposeImage

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert import ExpertObservations
from tests.expert.strategies import equal


def image(height: int, width: int, channels: int) -> spaces.Box:
    """An image space as SB3 recognises it, channels last."""
    return spaces.Box(0, 255, (height, width, channels), np.uint8)


IMAGE = image(9, 8, 3)
PLANES = spaces.Box(0, 1, (6, 5, 4), np.bool_)
BOUNDED = spaces.Box(np.float32([-1, -5]), np.float32([1, np.inf]))
UNBOUNDED = spaces.Box(-np.inf, np.inf, (3,), np.float32)
NESTED = spaces.Dict({"image": IMAGE, "vector": BOUNDED})


class Replay(gym.Env[Any, Any]):
    """Shows random observations in episodes of the given numbers of steps."""

    action_space = spaces.Discrete(2)

    def __init__(self, space: spaces.Space[Any], lengths: list[int], seed: int = 0) -> None:
        self.observation_space = space
        space.seed(seed)
        self.episodes = [[space.sample() for _ in range(length + 1)] for length in lengths]
        self.episode = -1

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Next episode."""
        self.episode, self.age = self.episode + 1, 0
        return self.episodes[self.episode % len(self.episodes)][0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Next observation."""
        self.age += 1
        observations = self.episodes[self.episode]
        return observations[self.age], 0.0, self.age == len(observations) - 1, False, {}

    def recorded(self) -> ExpertObservations:
        """What an expert would have recorded here."""
        return ExpertObservations.from_trajectories([stack(episode) for episode in self.episodes])


def stack(observations: list[Any]) -> Any:
    """A list of observations as one batch."""
    if isinstance(observations[0], dict):
        return {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
    return np.stack(observations)


def seen_through(venv: VecEnv, lengths: list[int]) -> Any:
    """All observations as the wrapped environment gives them, the last one of each episode included."""

    def first(batch: Any) -> Any:
        return {key: array[0].copy() for key, array in batch.items()} if isinstance(batch, dict) else batch[0].copy()

    seen = [first(venv.reset())]
    for number, length in enumerate(lengths):
        for step in range(length):
            batch, _, _, infos = venv.step(np.array([0]))
            is_last = step == length - 1
            seen.append(infos[0]["terminal_observation"] if is_last else first(batch))
        if number < len(lengths) - 1:
            seen.append(first(batch))
    return stack(seen)


WRAPPERS: dict[str, tuple[spaces.Space[Any], Any]] = {
    "transposed": (IMAGE, VecTransposeImage),
    "square": (image(8, 8, 3), VecTransposeImage),
    "planes stacked last": (PLANES, lambda venv: VecFrameStack(venv, 3)),
    "planes stacked first": (PLANES, lambda venv: VecFrameStack(venv, 2, channels_order="first")),
    "image stacked last": (IMAGE, lambda venv: VecFrameStack(venv, 4)),
    "image stacked and transposed": (IMAGE, lambda venv: VecTransposeImage(VecFrameStack(venv, 4))),
    "gray stacked and transposed": (image(9, 8, 1), lambda venv: VecTransposeImage(VecFrameStack(venv, 4))),
    "image transposed and stacked": (IMAGE, lambda venv: VecFrameStack(VecTransposeImage(venv), 3)),
    "channels first stacked": (spaces.Box(0, 255, (3, 9, 8), np.uint8), lambda venv: VecFrameStack(venv, 2)),
    "vector stacked": (BOUNDED, lambda venv: VecFrameStack(venv, 4)),
    "dict transposed": (NESTED, VecTransposeImage),
    "dict stacked and transposed": (NESTED, lambda venv: VecTransposeImage(VecFrameStack(venv, 2))),
}


@pytest.mark.parametrize("case", WRAPPERS)
def test_same_as_the_wrappers_of_sb3(case: str) -> None:
    space, wrap = WRAPPERS[case]
    lengths = [3, 1, 6]
    venv = wrap(DummyVecEnv([lambda: Replay(space, lengths)]))
    data = Replay(space, lengths).recorded()
    adapted = data.adapted_to(venv.observation_space)
    assert equal(adapted.observations, seen_through(venv, lengths))
    assert adapted.offsets.tolist() == data.offsets.tolist()
    assert adapted.adapted_to(venv.observation_space) is adapted


@given(n_stack=st.integers(2, 5), lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_stacking_of_unbounded_vectors_when_told(n_stack: int, lengths: list[int]) -> None:
    venv = VecFrameStack(DummyVecEnv([lambda: Replay(UNBOUNDED, lengths)]), n_stack)
    data = Replay(UNBOUNDED, lengths).recorded()
    adapted = data.adapted_to(venv.observation_space, n_stack=n_stack)
    assert equal(adapted.observations, seen_through(venv, lengths))
    assert adapted.adapted_to(venv.observation_space, n_stack=n_stack) is adapted


def test_rewards_and_ends_stay() -> None:
    data = ExpertObservations.from_trajectories([np.zeros((3, 9, 8, 3), np.uint8)], True, [[1, 2]])
    adapted = data.adapted_to(spaces.Box(0, 255, (3, 9, 8), np.uint8))
    assert adapted.terminated.tolist() == [True]
    assert adapted.rewards is not None and adapted.rewards.tolist() == [1, 2]


SIMPLE_SPACES: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(-1, 1, (2, 3), np.float32),
    "box of floats of 64 bits": spaces.Box(-1, 1, (2,), np.float64),
    "box of one number": spaces.Box(0, 1, (), np.float32),
    "booleans": PLANES,
    "integers": spaces.Box(-4, 9, (3,), np.int16),
    "discrete": spaces.Discrete(5),
    "shifted discrete": spaces.Discrete(5, start=-2),
    "multi binary": spaces.MultiBinary(4),
    "multi binary planes": spaces.MultiBinary([2, 3]),
    "multi discrete": spaces.MultiDiscrete([2, 5, 3]),
    "dict": spaces.Dict({"b": spaces.Discrete(3), "a": spaces.MultiBinary(2), "c": PLANES}),
}


@pytest.mark.parametrize("name", SIMPLE_SPACES)
def test_stored_as_a_replay_buffer_stores_it(name: str) -> None:
    space = SIMPLE_SPACES[name]
    env = Replay(space, [5])
    adapted = env.recorded().adapted_to(space)
    buffer_class = DictReplayBuffer if isinstance(space, spaces.Dict) else ReplayBuffer
    buffer = buffer_class(5, space, env.action_space, "cpu", handle_timeout_termination=False)
    venv = DummyVecEnv([lambda: Replay(space, [5])])
    before = venv.reset()
    for _ in range(5):
        after, _, dones, infos = venv.step(np.array([0]))
        after = {key: array.copy() for key, array in after.items()} if isinstance(after, dict) else after.copy()
        final = infos[0].get("terminal_observation")
        following = after if final is None else stack([final])
        buffer.add(before, following, np.zeros((1, 1)), np.zeros(1), dones, infos)
        before = after
    assert equal(adapted.observations, ExpertObservations.from_replay_buffer(buffer).observations)
    assert adapted.adapted_to(space) is adapted


CASTS: list[tuple[np.ndarray, spaces.Space[Any]]] = [
    (np.array([[0.1], [0.2]]), spaces.Box(-1, 1, (1,), np.float32)),
    (np.float32([[0.1], [0.2]]), spaces.Box(-1, 1, (1,), np.float64)),
    (np.array([[True], [False]]), spaces.Box(0, 255, (1,), np.uint8)),
    (np.array([[True], [False]]), spaces.Box(0, 1, (1,), np.float32)),
    (np.array([[1], [0]]), spaces.Box(0, 1, (1,), np.bool_)),
    (np.array([[1.0], [0.0]]), spaces.Box(0, 1, (1,), np.bool_)),
    (np.array([[200.0], [0.0]]), spaces.Box(0, 255, (1,), np.uint8)),
    (np.array([[200], [0]]), spaces.Box(0, 255, (1,), np.uint8)),
    (np.uint8([3, 0]), spaces.Discrete(4)),
    (np.array([[3], [0]], np.int32), spaces.Discrete(4)),
    (np.array([[True], [False]]), spaces.MultiBinary(1)),
    (np.uint8([[3, 0], [1, 1]]), spaces.MultiDiscrete([4, 2])),
]


@pytest.mark.parametrize(("array", "space"), CASTS)
def test_casts_that_lose_nothing_but_rounding(array: np.ndarray, space: spaces.Space[Any]) -> None:
    adapted = ExpertObservations.from_trajectories([array]).adapted_to(space).observations
    assert isinstance(adapted, np.ndarray)
    assert adapted.dtype == space.dtype
    np.testing.assert_allclose(adapted.ravel().astype(float), array.ravel().astype(float), rtol=1e-6)


def test_rounding_may_miss_a_bound() -> None:
    space = spaces.Box(np.float32([-0.1, 0]), np.float32([0.1, 1000]))
    data = ExpertObservations.from_trajectories([np.float32([[-0.1000001, 0], [0.1000001, 1000.0005]])])
    assert data.adapted_to(space) is data


def test_the_range_check_can_be_left_out() -> None:
    space = spaces.Box(-1, 1, (1,), np.float32)
    data = ExpertObservations.from_trajectories([np.float32([[0], [5]])])
    assert data.adapted_to(space, check_range=False).observations is data.observations
    with pytest.raises(ExpertDataError, match="is nan"):
        ExpertObservations.from_trajectories([np.float32([[0], [np.nan]])]).adapted_to(space, check_range=False)


def test_keys_come_in_the_order_of_the_space() -> None:
    data = ExpertObservations.from_trajectories([{"b": np.zeros((2, 1)), "a": np.zeros((2, 1))}])
    space = spaces.Dict({key: spaces.Box(0, 1, (1,), np.float64) for key in ("a", "b")})
    assert list(data.adapted_to(space).observations) == ["a", "b"]


def two(first: Any, second: Any) -> list[np.ndarray]:
    """Two trajectories of two observations each; the bad one comes second."""
    return [np.asarray([first, first]), np.asarray([first, second])]


ONE_KEY = spaces.Dict({"image": PLANES, "step": spaces.Discrete(4)})
BAD_DATA: dict[str, tuple[Any, spaces.Space[Any], str]] = {
    "nan": (
        two([0.0, 0.0], [0.0, np.nan]),
        spaces.Box(-1, 1, (2,), np.float32),
        r"trajectory 1, step 1: observation\[1\] is nan, expected a finite number: repair",
    ),
    "inf": (two([0.0, 0.0], [-np.inf, 0.0]), UNBOUNDED, "has shape"),
    "inf in an unbounded space": (
        two([0.0] * 3, [-np.inf, 0.0, 0.0]),
        UNBOUNDED,
        r"trajectory 1, step 1: observation\[0\] is -inf, expected a finite",
    ),
    "too large for the float": (
        two([0.0], [1e300]),
        spaces.Box(-np.inf, np.inf, (1,), np.float32),
        r"trajectory 1, step 1: observation\[0\] is 1e\+300, which float32.* cannot hold",
    ),
    "above": (
        two([0.0, 0.0], [0.0, 1.5]),
        spaces.Box(np.float32([-1, -1]), np.float32([2, 1])),
        r"trajectory 1, step 1: observation\[1\] is 1.5, outside .* \[-1.0, 1.0\].* clip the data",
    ),
    "below": (
        two(np.zeros((1, 2)), np.array([[0, -2.5]])),
        spaces.Box(-1, 1, (1, 2), np.float32),
        r"observation\[0, 1\] is -2.5",
    ),
    "integer range": (two([3], [10]), spaces.Box(0, 9, (1,), np.int64), r"observation\[0\] is 10, outside .*\[0, 9\]"),
    "one number": (
        two(0.5, 3.0),
        spaces.Box(0, 1, (), np.float32),
        r"trajectory 1, step 1: observation is 3.0, outside .*\[0.0, 1.0\]",
    ),
    "stacked range": (
        two([0.0, 0.0], [0.0, -6.0]),
        spaces.Box(np.repeat(BOUNDED.low, 2), np.repeat(BOUNDED.high, 2)),
        r"observation\[1\] is -6.0, outside .*\[-5.0, inf\]",
    ),
    "fraction in a byte": (two([0.0], [0.5]), spaces.Box(0, 255, (1,), np.uint8), "is 0.5, which uint8.* cannot hold"),
    "byte overflow": (two([0], [256]), spaces.Box(0, 255, (1,), np.uint8), "is 256, which uint8"),
    "negative byte": (two([0], [-1]), spaces.Box(0, 255, (1,), np.uint8), "is -1, which uint8"),
    "boolean": (two([0], [2]), spaces.Box(0, 1, (1,), np.bool_), "is 2, which bool"),
    "integer too long for a float": (
        two([0], [2**24 + 1]),
        spaces.Box(-np.inf, np.inf, (1,), np.float32),
        "is 16777217, which float32",
    ),
    "discrete": (two(3, 4), spaces.Discrete(4), r"trajectory 1, step 1: observation\[0\] is 4, outside .*\[0, 3\]"),
    "discrete start": (two(3, 0), spaces.Discrete(4, start=1), r"observation\[0\] is 0, outside .*\[1, 4\]"),
    "discrete fraction": (two(3.0, 2.5), spaces.Discrete(4), "is 2.5, which int64"),
    "discrete shape": (two([1, 2], [1, 2]), spaces.Discrete(4), r"has shape \(2,\), the observation space has shape \(1,\)"),
    "multi binary": (two([0, 1], [0, 2]), spaces.MultiBinary(2), r"observation\[1\] is 2, outside .*\[0, 1\]"),
    "multi discrete": (two([1, 1], [0, 2]), spaces.MultiDiscrete([5, 2]), r"observation\[1\] is 2, outside .*\[0, 1\]"),
    "vector": (two([0.0] * 3, [0.0] * 3), BOUNDED, r"shape \(3,\), .* shape \(2,\): record the expert in this environment"),
    "another environment's vector": (
        two([0.0, 0.0], [0.0, 0.0]),
        spaces.Box(np.float32([-4.8, -9, -0.4, -8]), np.float32([4.8, 9, 0.4, 8])),
        r"shape \(2,\), .* shape \(4,\): record the expert",
    ),
    "another maze's cells": (
        two([True, False], [True, False]),
        spaces.Box(0, 1, (8,), np.bool_),
        r"shape \(2,\), .* shape \(8,\)\. If the environment stacks 4 frames .*n_stack=4\).* another environment's data",
    ),
    "planes transposed": (
        two(np.zeros((6, 5, 4), bool), np.zeros((6, 5, 4), bool)),
        spaces.Box(0, 1, (4, 6, 5), np.bool_),
        r"only uint8 images .* np.moveaxis",
    ),
    "cube": (
        two(np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)),
        spaces.Box(0, 255, (8, 4, 4), np.uint8),
        r"\(4, 4, 4\), .*\(8, 4, 4\): channels first or last, both would fit",
    ),
    "image size": (two(np.zeros((9, 7, 3), np.uint8), np.zeros((9, 7, 3), np.uint8)), IMAGE, r"\(9, 7, 3\), .*\(9, 8, 3\)"),
    "axes": (two([0.0], [0.0]), IMAGE, r"\(1,\), .*\(9, 8, 3\)"),
    "no elements": (two([], []), BOUNDED, r"\(0,\), .*\(2,\)"),
    "keys": (
        [{"image": np.zeros((2, 6, 5, 4), bool), "steps": np.zeros(2, int)}],
        ONE_KEY,
        r"keys \['image', 'steps'\], the observation space has \['image', 'step'\]",
    ),
    "value of a key": (
        [{"image": np.zeros((2, 6, 5, 4), bool), "step": np.array([0, 9])}],
        ONE_KEY,
        r"trajectory 0, step 1: observation\['step'\]\[0\] is 9, outside",
    ),
    "shape of a key": (
        [{"image": np.zeros((2, 6, 5, 5), bool), "step": np.array([0, 1])}],
        ONE_KEY,
        r"The expert's observation\['image'\] has shape \(6, 5, 5\)",
    ),
    "array for dict": (two(0, 0), ONE_KEY, r"Dict with the keys \['image', 'step'\], but the expert data is one array"),
    "dict for array": ([{"a": np.zeros((2, 2))}], BOUNDED, r"dict with the keys \['a'\], but the observation space is Box"),
    "tuple space": (two(0, 0), spaces.Tuple([spaces.Discrete(2)]), "is not supported: expected Box"),
    "nested dict": (
        [{"a": np.zeros((2, 1))}],
        spaces.Dict({"a": spaces.Dict({"b": spaces.Discrete(2)})}),
        r"The observation\['a'\] space Dict.* is not supported",
    ),
    "not a space": (two(0, 0), None, "space None is not supported"),  # type: ignore[dict-item]
}


@pytest.mark.parametrize(("trajectories", "space", "message"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data(trajectories: Any, space: spaces.Space[Any], message: str) -> None:
    with pytest.raises(ExpertDataError, match=message):
        ExpertObservations.from_trajectories(trajectories).adapted_to(space)


@pytest.mark.parametrize("n_stack", [1, 3])
def test_another_number_of_frames_than_told(n_stack: int) -> None:
    data = ExpertObservations.from_trajectories([np.zeros((2, 6, 5, 4), bool)])
    with pytest.raises(ExpertDataError, match=f"it would take 2 of the data's frames, not {n_stack}. Record single frames"):
        data.adapted_to(spaces.Box(0, 1, (6, 5, 8), np.bool_), n_stack=n_stack)


def test_data_accepted_outside_the_bounds_stay_accepted_for_that_space_only() -> None:
    space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    data = ExpertObservations.from_trajectories([np.array([[0.0, 0.0], [0.5, 1.5]], np.float32)])
    accepted = data.adapted_to(space, check_range=False)
    assert accepted.adapted_to(space) is accepted
    with pytest.raises(ExpertDataError, match=r"1\.5"):
        data.adapted_to(space)
    with pytest.raises(ExpertDataError, match=r"1\.5"):
        accepted.adapted_to(spaces.Box(-1.2, 1.2, (2,), np.float32))
