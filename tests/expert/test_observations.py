"""ExpertObservations itself: construction, derived indices, slices, identity."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

import sb3_diiqn
from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert import ExpertObservations
from tests.expert.strategies import FEW, equal, trajectories


@pytest.fixture
def data() -> ExpertObservations:
    """Trajectories of 3 and 2 observations: 2 + 1 transitions."""
    return ExpertObservations.from_trajectories(
        [np.float32([[0], [1], [2]]), np.float32([[10], [11]])], terminated=[True, False], rewards=[[1, 2], [3]]
    )


def test_is_a_public_name() -> None:
    assert sb3_diiqn.ExpertObservations is ExpertObservations


def test_hand_computed_indices(data: ExpertObservations) -> None:
    assert data.observations.tolist() == [[0], [1], [2], [10], [11]]
    assert data.offsets.tolist() == [0, 3, 5]
    assert (data.n_trajectories, data.n_observations, data.n_transitions, len(data)) == (2, 5, 3, 3)
    assert data.observation_index.tolist() == [0, 1, 3]
    assert data.trajectory_index.tolist() == [0, 0, 1]
    assert data.position.tolist() == [0, 1, 0]
    assert data.transition_of_observation.tolist() == [0, 1, -1, 2, -1]
    assert data.terminated.tolist() == [True, False]
    assert data.terminals.tolist() == [False, True, False]
    assert data.rewards is not None and data.rewards.tolist() == [1, 2, 3]
    assert data.current([0, 2]).tolist() == [[0], [10]]
    assert data.next(np.array([2, 1, 1])).tolist() == [[11], [2], [2]]


def test_types_are_as_documented(data: ExpertObservations) -> None:
    for name in ("offsets", "observation_index", "trajectory_index", "position", "transition_of_observation"):
        assert getattr(data, name).dtype == np.int64
    assert data.terminated.dtype == np.bool_
    assert data.rewards is not None and data.rewards.dtype == np.float32
    assert data.observations.dtype == np.float32


@given(trajectories())
@FEW
def test_invariants(parts: list[Any]) -> None:
    data = ExpertObservations.from_trajectories(parts)
    transition = 0
    for number, part in enumerate(parts):
        length = len(part if isinstance(part, np.ndarray) else next(iter(part.values())))
        for position in range(length - 1):
            row = int(data.offsets[number]) + position
            assert data.trajectory_index[transition] == number
            assert data.position[transition] == position
            assert data.observation_index[transition] == row
            assert data.transition_of_observation[row] == transition
            transition += 1
        assert data.transition_of_observation[data.offsets[number + 1] - 1] == -1
    assert transition == len(data)
    everything = slice(None)
    assert equal(data.current(everything), ExpertObservations.from_trajectories(parts).current(np.arange(len(data))))


@given(trajectories())
@FEW
def test_transitions_with_dones_give_the_same_data(parts: list[Any]) -> None:
    data = ExpertObservations.from_trajectories(parts, terminated=True)
    is_last = np.append(data.trajectory_index[1:] != data.trajectory_index[:-1], True)
    pairs = data.current(slice(None)), data.next(slice(None))
    again = ExpertObservations.from_transitions(*pairs, dones=is_last, across_resets="keep")
    assert again.content_hash == data.content_hash


@given(trajectories())
@FEW
def test_transitions_without_dones_keep_every_pair(parts: list[Any]) -> None:
    data = ExpertObservations.from_trajectories(parts)
    pairs = data.current(slice(None)), data.next(slice(None))
    joined = ExpertObservations.from_transitions(*pairs)
    # Fewer trajectories only where one happens to go on where the last one stopped.
    assert joined.n_trajectories <= data.n_trajectories
    assert not joined.terminated.any()
    assert equal(joined.current(slice(None)), pairs[0])
    assert equal(joined.next(slice(None)), pairs[1])


@given(trajectories())
@FEW
def test_one_array_with_episode_starts_gives_the_same_data(parts: list[Any]) -> None:
    data = ExpertObservations.from_trajectories(parts, terminated=True)
    starts = np.zeros(data.n_observations, dtype=bool)
    starts[data.offsets[:-1]] = True
    again = ExpertObservations.from_trajectories(data.observations, terminated=True, episode_starts=starts)
    assert again.content_hash == data.content_hash


def test_pairs_are_joined_where_they_continue_each_other() -> None:
    before, after = np.array([0, 1, 5, 6, 9]), np.array([1, 2, 6, 7, 8])
    data = ExpertObservations.from_transitions(before, after, dones=[0, 0, 0, 1, 0], rewards=[1, 2, 3, 4, 5])
    assert [data[number].observations.tolist() for number in range(3)] == [[0, 1, 2], [5, 6, 7], [9, 8]]
    assert data.terminated.tolist() == [False, True, False]
    assert data.rewards is not None and data.rewards.tolist() == [1, 2, 3, 4, 5]


def test_dict_pairs_need_every_key_to_continue() -> None:
    before = {"a": np.array([0, 1]), "b": np.array([0, 9])}
    after = {"a": np.array([1, 2]), "b": np.array([1, 2])}
    assert ExpertObservations.from_transitions(before, after).n_trajectories == 2


def test_rewards_per_observation_leave_out_each_last_one() -> None:
    data = ExpertObservations.from_trajectories(np.arange(5), episode_starts=[1, 0, 0, 1, 0], rewards=[1, 2, 99, 3, 99])
    assert data.rewards is not None and data.rewards.tolist() == [1, 2, 3]


@pytest.mark.parametrize("key", [0, -1, slice(0, 1), slice(1, None), slice(None), slice(None, None, -1), np.int64(1)])
def test_selection_of_trajectories(data: ExpertObservations, key: Any) -> None:
    numbers = np.atleast_1d(np.arange(2)[key])
    chosen = data[key]
    assert chosen.n_trajectories == len(numbers)
    rows = np.concatenate([np.arange(data.offsets[number], data.offsets[number + 1]) for number in numbers])
    assert equal(chosen.observations, data.observations[rows])
    assert equal(chosen.terminated, data.terminated[numbers])
    assert data.rewards is not None and chosen.rewards is not None
    assert equal(chosen.rewards, np.concatenate([data.rewards[data.trajectory_index == number] for number in numbers]))


@given(trajectories(), st.integers(-5, 5), st.integers(-5, 5))
@FEW
def test_slices_of_slices(parts: list[Any], start: int, stop: int) -> None:
    data = ExpertObservations.from_trajectories(parts)
    if not parts[start:stop]:
        with pytest.raises(IndexError, match="none of the"):
            data[start:stop]
        return
    assert data[start:stop].content_hash == ExpertObservations.from_trajectories(parts[start:stop]).content_hash


def test_a_range_of_trajectories_is_no_copy(data: ExpertObservations) -> None:
    assert np.shares_memory(data[1].observations, data.observations)


@pytest.mark.parametrize(("key", "error"), [(2, IndexError), (-3, IndexError), ("a", TypeError), (1.0, TypeError)])
def test_bad_selection(data: ExpertObservations, key: Any, error: type[Exception]) -> None:
    # of those that are no numbers Python itself tells
    with pytest.raises(error, match="2 of them, with 3 transitions" if error is IndexError else None):
        data[key]


def test_nothing_can_be_changed(data: ExpertObservations) -> None:
    names = ("observations", "offsets", "terminated", "rewards", "observation_index", "trajectory_index", "position")
    for array in [getattr(data, name) for name in names] + [data.transition_of_observation, data[0].observations]:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError, match="cannot be changed"):
        data.offsets = np.array([0, 5])


def test_the_callers_arrays_stay_his_own() -> None:
    observations = {"a": np.zeros((2, 1))}
    data = ExpertObservations(observations, [0, 2], [True])
    observations["a"][0] = 7
    observations["b"] = np.zeros((2, 1))
    data.observations.pop("a")
    assert list(data.observations) == ["a"]
    assert data.observations["a"].tolist() == [[0], [0]]


def test_read_only_arrays_are_not_copied() -> None:
    observations = np.zeros((2, 1))
    observations.setflags(write=False)
    assert ExpertObservations(observations, [0, 2], False).observations is observations


@given(trajectories())
@FEW
def test_pickle_and_deepcopy(parts: list[Any]) -> None:
    data = ExpertObservations.from_trajectories(
        parts, rewards=[np.ones(len(ExpertObservations.from_trajectories([p]))) for p in parts]
    )
    for again in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data), copy.copy(data)):
        assert again.content_hash == data.content_hash
        array = again.observations if isinstance(again.observations, np.ndarray) else next(iter(again.observations.values()))
        assert not array.flags.writeable


def test_what_was_accepted_beyond_the_bounds_is_accepted_in_part_and_elsewhere() -> None:
    space = spaces.Box(-1, 1, (1,), dtype=np.float32)
    beyond = ExpertObservations.from_trajectories([np.full((3, 1), 2.0, dtype=np.float32)] * 4)
    accepted = beyond.adapted_to(space, check_range=False)
    for part in (accepted[1], accepted[:2], accepted[::2], pickle.loads(pickle.dumps(accepted)), copy.copy(accepted)):
        assert part.adapted_to(space) is part
    with pytest.raises(ExpertDataError, match="bounds"):
        beyond[:2].adapted_to(space)


def test_hash_sees_every_part() -> None:
    zeros = np.zeros((4, 2), np.float32)
    variants = [
        ExpertObservations(zeros, [0, 4], False),
        ExpertObservations(zeros, [0, 4], True),
        ExpertObservations(zeros, [0, 2, 4], False),
        ExpertObservations(zeros.astype(np.float64), [0, 4], False),
        ExpertObservations(zeros.astype(np.int32), [0, 4], False),
        ExpertObservations(zeros.reshape(4, 2, 1), [0, 4], False),
        ExpertObservations(zeros + 1, [0, 4], False),
        ExpertObservations(zeros, [0, 4], False, [0, 0, 0]),
        ExpertObservations({"a": zeros}, [0, 4], False),
        ExpertObservations({"b": zeros}, [0, 4], False),
    ]
    assert len({variant.content_hash for variant in variants}) == len(variants)


def test_hash_depends_on_content_only() -> None:
    array = np.arange(12, dtype=np.float64).reshape(4, 3)
    same = [array, np.asfortranarray(array), array.astype(">f8"), array.tolist()]
    assert len({ExpertObservations(value, [0, 4], False).content_hash for value in same}) == 1
    pair = {"a": array, "b": array + 1}
    assert (
        ExpertObservations(pair, [0, 4], False).content_hash
        == ExpertObservations(dict(reversed(pair.items())), [0, 4], False).content_hash
    )


def test_foreign_byte_order_becomes_native() -> None:
    assert ExpertObservations(np.arange(3, dtype=">i4"), [0, 3], False).observations.dtype.isnative


def test_repr() -> None:
    plain = ExpertObservations(np.zeros((6, 4), np.float32), [0, 2, 6], [True, False], np.zeros(4))
    assert repr(plain) == (
        "ExpertObservations(2 trajectories, 4 transitions, observations float32 (4,), 1 terminated, with rewards)"
    )
    nested = ExpertObservations({"image": np.zeros((2, 3, 8, 8), np.uint8), "step": np.zeros(2, np.int64)}, [0, 2], False)
    assert repr(nested) == (
        "ExpertObservations(1 trajectory, 1 transition, "
        "observations {image: uint8 (3, 8, 8), step: int64 ()}, 0 terminated, no rewards)"
    )


OBSERVATIONS = np.zeros((4, 2), np.float32)
NAN = float("nan")

BAD_CONSTRUCTIONS = {
    "text": ({"observations": ["a", "b"], "offsets": [0, 2], "terminated": False}, "observations has dtype <U1"),
    "objects": ({"observations": np.array([None, None]), "offsets": [0, 2], "terminated": False}, "dtype object"),
    "complex": ({"observations": np.zeros(2, complex), "offsets": [0, 2], "terminated": False}, "dtype complex128"),
    "ragged": ({"observations": [[1, 2], [3]], "offsets": [0, 2], "terminated": False}, "cannot be read as one array"),
    "scalar": ({"observations": 3.0, "offsets": [0, 2], "terminated": False}, "single value 3.0"),
    "empty": ({"observations": np.zeros((0, 2)), "offsets": [0], "terminated": []}, "is empty"),
    "empty dict": ({"observations": {}, "offsets": [0, 2], "terminated": False}, "empty dict"),
    "key type": ({"observations": {1: OBSERVATIONS}, "offsets": [0, 4], "terminated": False}, "has the key 1: expected names"),
    "key lengths": (
        {"observations": {"a": OBSERVATIONS, "b": OBSERVATIONS[1:]}, "offsets": [0, 4], "terminated": False},
        "different lengths, {'a': 4, 'b': 3}",
    ),
    "nested": (
        {"observations": {"a": {"b": OBSERVATIONS}}, "offsets": [0, 4], "terminated": False},
        r"observations\['a'\] has dtype object",
    ),
    "float offsets": ({"observations": OBSERVATIONS, "offsets": [0.0, 4.0], "terminated": False}, "offsets is float64"),
    "offsets end": (
        {"observations": OBSERVATIONS, "offsets": [0, 3], "terminated": False},
        "from 0 to 3: expected from 0 to .* 4",
    ),
    "offsets start": ({"observations": OBSERVATIONS, "offsets": [1, 4], "terminated": False}, "from 1 to 4"),
    "no offsets": ({"observations": OBSERVATIONS, "offsets": [0], "terminated": False}, "is empty"),
    "one observation": (
        {"observations": OBSERVATIONS, "offsets": [0, 3, 4], "terminated": False},
        "trajectory 1 has 1 observations",
    ),
    "no observation": (
        {"observations": OBSERVATIONS, "offsets": [0, 2, 2, 4], "terminated": False},
        "trajectory 1 has 0 observations",
    ),
    "descending": (
        {"observations": OBSERVATIONS, "offsets": [0, 5, 4], "terminated": False},
        "trajectory 1 has -1 observations",
    ),
    "flags": ({"observations": OBSERVATIONS, "offsets": [0, 4], "terminated": [True, False]}, r"terminated has shape \(2,\)"),
    "flag values": ({"observations": OBSERVATIONS, "offsets": [0, 4], "terminated": [2]}, "terminated contains 2"),
    "flag nan": ({"observations": OBSERVATIONS, "offsets": [0, 4], "terminated": [NAN]}, "terminated contains nan"),
    "rewards": (
        {"observations": OBSERVATIONS, "offsets": [0, 4], "terminated": False, "rewards": [1, 2]},
        r"expected one reward .* \(3,\)",
    ),
    "reward nan": (
        {"observations": OBSERVATIONS, "offsets": [0, 2, 4], "terminated": False, "rewards": [1, NAN]},
        "trajectory 1, step 0: the reward is nan",
    ),
    "reward too large": (
        {"observations": OBSERVATIONS, "offsets": [0, 4], "terminated": False, "rewards": [0, 0, 1e300]},
        "trajectory 0, step 2: the reward is 1e[+]300",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_CONSTRUCTIONS.values(), ids=BAD_CONSTRUCTIONS)
def test_bad_construction(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ExpertDataError, match=message):
        ExpertObservations(**arguments)


BAD_TRAJECTORIES = {
    "none": ({"trajectories": []}, "is empty"),
    "array": ({"trajectories": OBSERVATIONS}, "pass a list of trajectories"),
    "dict": ({"trajectories": {"a": OBSERVATIONS}}, "pass a list of trajectories"),
    "path": ({"trajectories": "expert.npz"}, "from_trajectories got 'expert.npz'"),
    "number": ({"trajectories": 3}, "from_trajectories got 3"),
    "short": ({"trajectories": [OBSERVATIONS, OBSERVATIONS[:1]]}, "trajectory 1 has 1 observations"),
    "shape": (
        {"trajectories": [OBSERVATIONS, np.zeros((4, 3), np.float32)]},
        r"trajectory 1 holds .* \(3,\), trajectory 0 .* \(2,\)",
    ),
    "dtype": ({"trajectories": [OBSERVATIONS, OBSERVATIONS.astype(float)]}, "trajectory 1 holds observations float64"),
    "kind": ({"trajectories": [OBSERVATIONS, {"a": OBSERVATIONS}]}, "trajectory 1 holds observations {a"),
    "keys": ({"trajectories": [{"a": OBSERVATIONS}, {"b": OBSERVATIONS}]}, "trajectory 1 holds observations {b"),
    "rewards number": ({"trajectories": [OBSERVATIONS], "rewards": [[1, 2, 3], [1]]}, "rewards has 2 entries"),
    "rewards length": (
        {"trajectories": [OBSERVATIONS] * 2, "rewards": [[1, 2, 3], [1]]},
        r"rewards of trajectory 1 .* \(3,\)",
    ),
    "rewards type": ({"trajectories": [OBSERVATIONS], "rewards": 5}, "rewards is 5"),
    "starts length": ({"trajectories": OBSERVATIONS, "episode_starts": [1, 0]}, r"episode_starts has shape \(2,\)"),
    "starts first": ({"trajectories": OBSERVATIONS, "episode_starts": [0, 0, 1, 0]}, r"episode_starts\[0\] is False"),
    "starts short": ({"trajectories": OBSERVATIONS, "episode_starts": [1, 0, 0, 1]}, "trajectory 1 has 1 observations"),
    "starts value": ({"trajectories": OBSERVATIONS, "episode_starts": [1, 0, 3, 0]}, "episode_starts contains 3"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_TRAJECTORIES.values(), ids=BAD_TRAJECTORIES)
def test_bad_trajectories(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ExpertDataError, match=message):
        ExpertObservations.from_trajectories(**arguments)


BAD_TRANSITIONS = {
    "lengths": ((OBSERVATIONS, OBSERVATIONS[1:]), "3 times .* do not match observations .4 times"),
    "shapes": ((OBSERVATIONS, OBSERVATIONS[:, :1]), "do not match"),
    "kinds": ((OBSERVATIONS, {"a": OBSERVATIONS}), "do not match"),
    "none": ((OBSERVATIONS[:0], OBSERVATIONS[:0]), "at least one transition"),
    "dones": ((OBSERVATIONS, OBSERVATIONS, [True]), r"dones has shape \(1,\)"),
    "dones value": ((OBSERVATIONS, OBSERVATIONS, [0, 0, 0, 0.5]), "dones contains 0.5"),
    "rewards": ((OBSERVATIONS, OBSERVATIONS, None, [1]), r"rewards has shape \(1,\)"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_TRANSITIONS.values(), ids=BAD_TRANSITIONS)
def test_bad_transitions(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ExpertDataError, match=message):
        ExpertObservations.from_transitions(*arguments)
