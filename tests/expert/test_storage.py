"""Files: round trips, files made by hand, damaged and hostile ones, and writes that fail."""

from __future__ import annotations

import io
import os
import pickle
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert import ExpertObservations
from tests.expert.strategies import equal, trajectories

SHARED_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def some_data() -> ExpertObservations:
    """Two trajectories with rewards."""
    return ExpertObservations.from_trajectories(
        [np.arange(8, dtype=np.uint8).reshape(4, 2), np.ones((3, 2), np.uint8)], [True, False], [np.arange(3), np.arange(2)]
    )


@given(parts=trajectories(), rewarded=st.booleans(), terminated=st.booleans())
@settings(SHARED_FOLDER, max_examples=40)
def test_round_trip(tmp_path: Path, parts: list[Any], rewarded: bool, terminated: bool) -> None:
    data = ExpertObservations.from_trajectories(parts, terminated)
    if rewarded:
        data = ExpertObservations(data.observations, data.offsets, data.terminated, np.arange(len(data)) - 0.5)
    path = data.save(tmp_path / "data.npz")
    again = ExpertObservations.load(path)
    assert again.content_hash == data.content_hash
    if isinstance(data.observations, dict):
        assert all(equal(again.observations[key], data.observations[key]) for key in data.observations)
    else:
        assert equal(again.observations, data.observations)
    array = again.observations if isinstance(again.observations, np.ndarray) else next(iter(again.observations.values()))
    assert not array.flags.writeable


def test_suffix_and_folders(tmp_path: Path) -> None:
    assert some_data().save(tmp_path / "new" / "folder" / "expert") == tmp_path / "new" / "folder" / "expert.npz"
    assert len(ExpertObservations.load(str(tmp_path / "new" / "folder" / "expert"))) == 5
    assert some_data().save(tmp_path / "expert.data") == tmp_path / "expert.data"
    assert len(ExpertObservations.load(tmp_path / "expert.data")) == 5


def test_a_number_is_no_suffix(tmp_path: Path) -> None:
    assert some_data().save(tmp_path / "CartPole-v1-0.5") == tmp_path / "CartPole-v1-0.5.npz"
    assert some_data().save(tmp_path / "CartPole-v1-0.25") == tmp_path / "CartPole-v1-0.25.npz"
    assert len(ExpertObservations.load(tmp_path / "CartPole-v1-0.5")) == 5


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    path = some_data().save(tmp_path / "expert")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_the_file_is_a_plain_npz(tmp_path: Path) -> None:
    nested = ExpertObservations.from_trajectories([{"a/b": np.zeros((2, 1)), "c": np.zeros(2)}])
    with np.load(nested.save(tmp_path / "nested"), allow_pickle=False) as content:
        assert set(content.files) == {"schema_version", "observations/a/b", "observations/c", "offsets", "terminated"}
        assert content["schema_version"] == 1


# Files made by hand

STEPS = np.arange(6, dtype=np.float32)[:, None]


def test_hand_made_with_episode_starts(tmp_path: Path) -> None:
    path = tmp_path / "hand.npz"
    np.savez(path, observations=STEPS, episode_starts=[1, 0, 0, 1, 0, 0], terminated=[True, False], rewards=[1, 2, 0, 3, 4, 0])
    data = ExpertObservations.load(path)
    assert equal(data.observations, STEPS)
    assert data.offsets.tolist() == [0, 3, 6]
    assert data.terminated.tolist() == [True, False]
    assert data.rewards is not None and data.rewards.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("dones", "offsets", "terminated"),
    [
        ([0, 0, 1, 0, 0, 1], [0, 3, 6], [True, True]),
        ([0, 0, 1, 0, 0, 0], [0, 3, 6], [True, False]),
        ([0, 0, 0, 0, 0, 0], [0, 6], [False]),
    ],
)
def test_hand_made_with_dones(tmp_path: Path, dones: list[int], offsets: list[int], terminated: list[bool]) -> None:
    path = tmp_path / "hand.npz"
    np.savez_compressed(path, observations=STEPS, dones=dones, rewards=np.zeros(6))
    data = ExpertObservations.load(path)
    assert data.offsets.tolist() == offsets
    assert data.terminated.tolist() == terminated
    assert data.rewards is not None and len(data.rewards) == len(data)


def test_hand_made_pairs(tmp_path: Path) -> None:
    path = tmp_path / "hand.npz"
    rows = STEPS[[0, 1, 3, 4]]
    np.savez(path, observations=rows, next_observations=rows + 1, dones=[False, True, False, False], rewards=np.ones(4))
    data = ExpertObservations.load(path)
    assert [data[number].observations[:, 0].tolist() for number in range(2)] == [[0, 1, 2], [3, 4, 5]]
    assert data.terminated.tolist() == [True, False]


def test_hand_made_dict_observations(tmp_path: Path) -> None:
    path = tmp_path / "hand.npz"
    np.savez(path, **{"observations/a": STEPS, "observations/b": STEPS > 2, "episode_starts": np.arange(6) % 3 == 0})
    assert equal(ExpertObservations.load(path).observations, {"a": STEPS, "b": STEPS > 2})


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        """What a hostile pickle looks like."""
        return open, (str(self.path), "w")


def test_actions_and_other_arrays_are_not_read(tmp_path: Path) -> None:
    path, trace = tmp_path / "hand.npz", tmp_path / "executed"
    np.savez(path, observations=STEPS, dones=np.zeros(6), infos=np.array([Bomb(trace)], object), actions=np.zeros(3))
    assert len(ExpertObservations.load(path)) == 5
    assert not trace.exists()


@pytest.mark.parametrize("name", ["observations", "dones", "schema_version", "rewards"])
def test_pickles_are_never_executed(tmp_path: Path, name: str) -> None:
    path, trace = tmp_path / "hostile.npz", tmp_path / "executed"
    content: dict[str, Any] = {"observations": STEPS, "dones": np.zeros(6)}
    np.savez(path, **{**content, name: np.array([Bomb(trace)] * 6, object)})
    with pytest.raises(ExpertDataError, match=r"plain arrays .*Object arrays cannot be loaded"):
        ExpertObservations.load(path)
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(ExpertDataError, match="is a pickle, and reading one executes what is in it.*load_from_pkl"):
        ExpertObservations.load(tmp_path / "pickle.npz")
    assert not trace.exists()


def bad_files() -> dict[str, tuple[dict[str, Any], str]]:
    """Contents and the error each must give."""
    own = {"schema_version": 1, "observations": STEPS, "offsets": [0, 6], "terminated": [True]}
    return {
        "no observations": ({"dones": np.zeros(6)}, "no 'observations'"),
        "no borders": ({"observations": STEPS}, "nothing says where trajectories begin"),
        "actions only": ({"actions": np.zeros(6), "content_hash": "ab"}, "no 'observations'"),
        "text": ({"observations": np.array(["a", "b"]), "dones": np.zeros(2)}, "observations has dtype <U1"),
        "dones length": ({"observations": STEPS, "dones": np.zeros(5)}, r"dones has shape \(5,\).* \(6,\)"),
        "dones values": ({"observations": STEPS, "dones": np.full(6, 0.5)}, "dones contains 0.5"),
        "short": ({"observations": STEPS, "dones": [1, 0, 0, 0, 0, 0]}, "trajectory 0 has 1 observations"),
        "starts": ({"observations": STEPS, "episode_starts": [0, 1, 0, 0, 0, 0]}, r"episode_starts\[0\] is False"),
        "empty": ({"observations": STEPS[:0], "dones": []}, "is empty"),
        "both kinds": ({"observations": STEPS, "observations/a": STEPS, "dones": np.zeros(6)}, "both 'observations' and"),
        "rewards": ({"observations": STEPS, "dones": np.zeros(6), "rewards": [1]}, r"rewards has shape \(1,\)"),
        "reward nan": ({"observations": STEPS, "dones": np.zeros(6), "rewards": [np.nan] * 5}, "step 0: the reward is nan"),
        "pairs": ({"observations": STEPS, "next_observations": STEPS[1:]}, "do not match observations"),
        "newer": ({**own, "schema_version": 2}, r"newer version of sb3-diiqn \(schema 2.*upgrade"),
        "version 0": ({**own, "schema_version": 0}, "schema_version is 0"),
        "version kind": ({**own, "schema_version": [1, 2]}, r"schema_version is \[1 2\]"),
        "version text": ({**own, "schema_version": "1"}, "schema_version is 1"),
        "no offsets": ({"schema_version": 1, "observations": STEPS}, "offsets and terminated missing"),
        "wrong offsets": ({**own, "offsets": [0, 7]}, "offsets go from 0 to 7"),
        "own without observations": ({"schema_version": 1, "offsets": [0, 6], "terminated": [True]}, "no 'observations'"),
    }


@pytest.mark.parametrize("case", bad_files())
def test_bad_content(tmp_path: Path, case: str) -> None:
    content, message = bad_files()[case]
    path = tmp_path / "bad.npz"
    np.savez(path, **content)
    with pytest.raises(ExpertDataError, match=message) as raised:
        ExpertObservations.load(path)
    assert str(path) in str(raised.value)


def npy(array: np.ndarray) -> bytes:
    """The bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


FOREIGN_FILES = {
    "empty": (b"", "is empty"),
    "text": (b"observations: 1, 2, 3\n", "is not an .npz file"),
    "npy": (npy(STEPS), "is a single .npy array"),
    "zip start": (b"PK\x03\x04", "damaged, truncated"),
    "random": (bytes(range(256)), "is not an .npz file"),
}


@pytest.mark.parametrize(("content", "message"), FOREIGN_FILES.values(), ids=FOREIGN_FILES)
def test_foreign_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "foreign.npz"
    path.write_bytes(content)
    with pytest.raises(ExpertDataError, match=message):
        ExpertObservations.load(path)


def test_other_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("data", "{}")
    with pytest.raises(ExpertDataError, match="no 'observations'"):
        ExpertObservations.load(tmp_path / "model.zip")


def test_missing_folder_and_other_paths(tmp_path: Path) -> None:
    with pytest.raises(ExpertDataError, match=f"There is no file {tmp_path / 'absent.npz'}"):
        ExpertObservations.load(tmp_path / "absent")
    with pytest.raises(ExpertDataError, match="is a folder"):
        ExpertObservations.load(tmp_path)
    for path in (None, 3, "x" * 5000):
        with pytest.raises(ExpertDataError, match="is not a path"):
            ExpertObservations.load(path)  # type: ignore[arg-type]


# Damage


def loads_or_refuses(path: Path, content: bytes) -> None:
    """No other exception than ours."""
    path.write_bytes(content)
    try:
        data = ExpertObservations.load(path)
    except ExpertDataError as error:
        assert len(str(error)) > 20
    else:
        assert data.observation_index[-1] == data.n_observations - 2


@given(content=st.binary(max_size=300), prefix=st.sampled_from([b"", b"PK\x03\x04", b"\x93NUMPY"]))
@settings(SHARED_FOLDER, max_examples=60)
def test_random_bytes(tmp_path: Path, content: bytes, prefix: bytes) -> None:
    loads_or_refuses(tmp_path / "fuzz.npz", prefix + content)


@given(share=st.floats(0, 1, exclude_max=True))
@settings(SHARED_FOLDER, max_examples=60)
def test_truncated_files(tmp_path: Path, share: float) -> None:
    whole = some_data().save(tmp_path / "whole").read_bytes()
    path = tmp_path / "cut.npz"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ExpertDataError):
        ExpertObservations.load(path)


@pytest.mark.parametrize("compressed", [True, False])
@given(data=st.data())
@settings(SHARED_FOLDER, max_examples=150)
def test_flipped_bytes(tmp_path: Path, compressed: bool, data: st.DataObject) -> None:
    file = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(file, schema_version=1, observations=STEPS, offsets=[0, 3, 6], terminated=[True, False], rewards=np.zeros(4))
    content = bytearray(file.getvalue())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[position] ^= data.draw(st.integers(1, 255))
    loads_or_refuses(tmp_path / "fuzz.npz", bytes(content))


def test_a_changed_value_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, observations=STEPS, dones=np.zeros(6))
    content = path.read_bytes()
    for damaged in (content.replace(np.float32(5).tobytes(), np.float32(6).tobytes()), content.replace(b"(6, 1)", b"(5, 1)")):
        assert damaged != content
        path.write_bytes(damaged)
        with pytest.raises(ExpertDataError, match=r"Bad CRC-32|longer than its header says"):
            ExpertObservations.load(path)


# Writes that fail


@pytest.mark.parametrize("failing", ["savez_compressed", "replace"])
def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = some_data().save(tmp_path / "expert")
    before = path.read_bytes()

    def fail_midway(first: Any, *_: Any, **__: Any) -> None:
        if hasattr(first, "write"):
            first.write(b"half of it")
        raise OSError("no space left")

    monkeypatch.setattr(np if failing == "savez_compressed" else os, failing, fail_midway)
    with pytest.raises(OSError, match="no space left"):
        some_data()[0].save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["expert.npz"]
