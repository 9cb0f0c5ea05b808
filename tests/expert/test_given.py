"""Several recordings: joined, given as a list, and what is not one at all."""

from __future__ import annotations

import operator
import sys
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given

from sb3_diiqn import ExpertObservations
from sb3_diiqn.exceptions import ExpertDataError, ExpertDataWarning, MissingDependencyError
from sb3_diiqn.expert.given import index_path, load_expert, paths_of
from tests.expert.strategies import FEW, equal, trajectories
from tests.expert.walk import Walk

ZEROS = np.zeros((3, 2), np.float32)


def one(value: float, rewarded: bool = False) -> ExpertObservations:
    """A trajectory of three equal observations."""
    return ExpertObservations.from_trajectories([ZEROS + value], True, [[value, value]] if rewarded else None)


# Joined


@given(trajectories())
@FEW
def test_parts_make_the_whole(parts: list[Any]) -> None:
    whole = ExpertObservations.from_trajectories(parts, terminated=True)
    singles = [ExpertObservations.from_trajectories([part], terminated=True) for part in parts]
    assert ExpertObservations.concatenate(singles).content_hash == whole.content_hash
    assert reduce(operator.add, singles).content_hash == whole.content_hash
    assert ExpertObservations.concatenate(whole[number] for number in range(len(parts))).content_hash == whole.content_hash


def test_rewards_are_kept_if_all_have_them() -> None:
    both = one(1, rewarded=True) + one(2, rewarded=True)
    assert both.rewards is not None and both.rewards.tolist() == [1, 1, 2, 2]
    with pytest.warns(ExpertDataWarning, match=r"^1 of 3 recordings have no rewards .the first is number 1."):
        assert ExpertObservations.concatenate([one(1, True), one(2), one(3, True)]).rewards is None
    assert (one(1) + one(2)).rewards is None


def test_the_order_of_keys_does_not_matter() -> None:
    first, second = ({"a": ZEROS, "b": ZEROS + 1}, {"b": ZEROS + 1, "a": ZEROS})
    both = ExpertObservations.from_trajectories([first]) + ExpertObservations.from_trajectories([second])
    assert equal(both.observations, {"a": np.concatenate([ZEROS] * 2), "b": np.concatenate([ZEROS] * 2) + 1})
    assert ExpertObservations.from_trajectories([first, second]).content_hash == both.content_hash


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (ZEROS[:, :1], r"part 1 holds observations float32 \(1,\), part 0 holds float32 \(2,\)"),
        (ZEROS.astype(float), "part 1 holds observations float64"),
        ({"a": ZEROS}, r"part 1 holds observations {a: float32 \(2,\)}"),
    ],
)
def test_parts_that_do_not_fit(other: Any, message: str) -> None:
    with pytest.raises(ExpertDataError, match=message):
        one(0) + ExpertObservations.from_trajectories([other])


def test_what_cannot_be_added() -> None:
    with pytest.raises(TypeError):
        one(0) + 1  # type: ignore[operator]
    with pytest.raises(ExpertDataError, match="nothing to concatenate"):
        ExpertObservations.concatenate([])
    alone = one(0)
    assert ExpertObservations.concatenate([alone]) is alone


def test_what_was_accepted_beyond_the_bounds_stays_accepted() -> None:
    space = spaces.Box(-1, 1, (2,), np.float32)
    first, second = (one(value).adapted_to(space, check_range=False) for value in (2, 3))
    assert (first + second).adapted_to(space).n_trajectories == 2
    with pytest.raises(ExpertDataError, match="bounds"):
        (first + one(3)).adapted_to(space)


# Given as a list


def test_lists_of_paths_and_recordings(tmp_path: Path) -> None:
    paths = [one(number).save(tmp_path / str(number)) for number in range(2)]
    loaded = load_expert([paths[0], one(2), str(paths[1])])
    assert loaded.observations[:, 0].tolist() == [0, 0, 0, 2, 2, 2, 1, 1, 1]
    assert load_expert(tuple(paths)).content_hash == (one(0) + one(1)).content_hash
    assert load_expert(paths[:1]).content_hash == load_expert(paths[0]).content_hash == one(0).content_hash
    alone = one(0)
    assert load_expert(alone) is alone


def test_paths_are_known_if_all_are_paths() -> None:
    assert paths_of([Path("a"), "b"]) == ["a", "b"]
    assert paths_of("a") == ["a"]
    for other in (None, one(0), ["a", one(0)], np.zeros(3)):
        assert paths_of(other) == []


def test_the_index_lies_beside_the_first_file() -> None:
    assert index_path("folder/a.npz", "abcdefghij") == Path("folder/a.index.npz")
    assert index_path(["folder/a", Path("b.hdf5")], "abcdefghij") == Path("folder/a-and-1-more-abcdefgh.index.npz")
    assert index_path([one(0), "a"], "abcdefghij") is None


NOT_DATA: dict[str, tuple[Any, str]] = {
    "array": (np.zeros((50, 4)), r"expert_data is an array, float64 of shape \(50, 4\)"),
    "arrays": ([np.zeros((50_000, 4))] * 20, r"expert_data\[0\] is an array, float64 of shape \(50000, 4\)"),
    "lists": ([[0.0] * 4] * 50_000, r"expert_data\[0\] is of type list"),
    "mixed": (["a.npz", np.zeros(3)], r"expert_data\[1\] is an array, float64 of shape \(3,\)"),
    "environment": (Walk(), "expert_data is of type Walk"),
    "number": (3, "expert_data is of type int"),
}


@pytest.mark.parametrize(("data", "message"), NOT_DATA.values(), ids=NOT_DATA)
def test_what_is_no_recording_gets_one_short_line(data: Any, message: str) -> None:
    with pytest.raises(ExpertDataError, match=f"{message}.*from_trajectories") as raised:
        load_expert(data)
    assert len(str(raised.value)) < 400 and "\n" not in str(raised.value)


def test_an_empty_list() -> None:
    with pytest.raises(ExpertDataError, match="nothing to concatenate"):
        load_expert([])


# Masked arrays


def test_masked_values_are_refused() -> None:
    masked = np.ma.masked_greater(np.arange(6.0).reshape(3, 2), 4)
    for given_value in ([masked], [list(masked)]):
        with pytest.raises(ExpertDataError, match=r"trajectory 0 has masked values: .*filled"):
            ExpertObservations.from_trajectories(given_value)
    with pytest.raises(ExpertDataError, match=r"observations\['a'\] has masked values"):
        ExpertObservations.from_transitions({"a": masked}, {"a": masked})
    with pytest.raises(ExpertDataError, match="rewards has masked values"):
        ExpertObservations(np.zeros(3), [0, 3], True, np.ma.masked_less([1.0, -1.0], 0))
    nothing_masked = np.ma.masked_greater(np.arange(6.0), 100)
    assert ExpertObservations.from_trajectories([nothing_masked]).observations.tolist() == [0, 1, 2, 3, 4, 5]


# For imitation


def test_to_imitation_and_back() -> None:
    types = pytest.importorskip("imitation.data.types")
    data = ExpertObservations.from_trajectories([ZEROS, ZEROS[:2]], [True, False], [[1, 2], [3]])
    made = data.to_imitation()
    assert [type(trajectory) for trajectory in made] == [types.TrajectoryWithRew] * 2
    assert [trajectory.acts.tolist() for trajectory in made] == [[0, 0], [0]]
    assert ExpertObservations.from_imitation(made).content_hash == data.content_hash
    nested = ExpertObservations.from_trajectories([{"a": ZEROS, "b": np.arange(3)}])
    assert type(nested.to_imitation()[0]) is types.Trajectory
    assert ExpertObservations.from_imitation(nested.to_imitation()).content_hash == nested.content_hash


def test_to_imitation_without_imitation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("imitation", "imitation.data", "imitation.data.types"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=r"'imitation'.*sb3-diiqn\[imitation\]"):
        one(0).to_imitation()
