"""Files and folders of other packages, as these packages write them and built by hand in the same layout."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn import ExpertObservations
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, ExpertDataWarning, MissingDependencyError
from tests.expert.strategies import FEW, equal
from tests.expert.test_storage import Bomb

KINDS: list[tuple[Any, tuple[int, ...]]] = [
    (np.float32, (4,)),
    (np.float64, (2,)),
    (np.uint8, (5, 6, 3)),
    (np.int64, ()),
    (np.bool_, (3,)),
]


def some_data(dtype: Any = np.float32, shape: tuple[int, ...] = (2,), rewarded: bool = True) -> ExpertObservations:
    """Three trajectories, of 3, 1 and 4 transitions."""
    rng = np.random.default_rng(0)
    made = [(rng.random((length + 1, *shape)) * 200).astype(dtype) for length in (3, 1, 4)]
    rewards = [rng.random(length).astype(np.float32) for length in (3, 1, 4)] if rewarded else None
    return ExpertObservations.from_trajectories(made, [True, False, True], rewards)


# imitation, earlier versions


def write_old_imitation(path: Path, data: ExpertObservations, infos: Any = None) -> None:
    """The layout of imitation before 1.0."""
    content: dict[str, Any] = {
        "obs": data.observations,
        "acts": np.zeros(len(data), np.int64),
        "infos": np.array([{}] * len(data)) if infos is None else infos,
        "terminal": data.terminated,
        "indices": np.cumsum(np.diff(data.offsets)[:-1] - 1),
    }
    if data.rewards is not None:
        content["rews"] = data.rewards
    np.savez_compressed(path, **content)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("rewarded", [True, False])
def test_npz_of_imitation(tmp_path: Path, n: int, rewarded: bool) -> None:
    data = some_data(rewarded=rewarded)[:n]
    path, trace = tmp_path / "demos.npz", tmp_path / "executed"
    write_old_imitation(path, data, np.array([Bomb(trace)] * len(data), object))
    assert ExpertObservations.load(path).content_hash == data.content_hash
    assert not trace.exists()


def test_the_layout_is_that_which_imitation_reads(tmp_path: Path) -> None:
    serialize = pytest.importorskip("imitation.data.serialize")
    data = some_data()
    write_old_imitation(tmp_path / "demos.npz", data)
    with pytest.warns(DeprecationWarning, match="npz"):
        read = serialize.load(tmp_path / "demos.npz")
    assert ExpertObservations.from_imitation(read).content_hash == data.content_hash


BAD_IMITATION = {
    "indices": ({"indices": [3]}, r"indices has shape \(1,\) and terminal \(3,\)"),
    "order": ({"indices": [4, 3]}, "trajectory 1 has 0 observations"),
    "terminal": ({"terminal": True}, r"terminal \(\)"),
    "kind": ({"indices": [0.5, 1.5]}, "offsets is float64"),
    "rewards": ({"rews": [1, 2]}, r"rewards has shape \(2,\)"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_IMITATION.values(), ids=BAD_IMITATION)
def test_damaged_npz_of_imitation(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    data = some_data()
    content = {"obs": data.observations, "terminal": data.terminated, "indices": [3, 4]} | changes
    np.savez(tmp_path / "demos.npz", **content)
    with pytest.raises(ExpertDataError, match=message):
        ExpertObservations.load(tmp_path / "demos.npz")


# imitation, saved as a Hugging Face dataset


def write_hugging_face(folder: Path, data: ExpertObservations, n_files: int = 1, infos: str = "{}") -> None:
    """The layout of ``datasets.Dataset.save_to_disk``, with the columns of imitation."""
    arrow = pytest.importorskip("pyarrow")
    folder.mkdir()
    rows = []
    for number in range(data.n_trajectories):
        one = data[number]
        assert isinstance(one.observations, np.ndarray)
        row: dict[str, Any] = {
            "obs": one.observations.tolist(),
            "acts": [0] * len(one),
            "infos": [infos] * len(one),
            "terminal": bool(one.terminated[0]),
        }
        rows.append(row if one.rewards is None else {**row, "rews": one.rewards.tolist()})
    assert isinstance(data.observations, np.ndarray)
    kind = arrow.from_numpy_dtype(data.observations.dtype)
    for _ in range(data.observations.ndim):
        kind = arrow.list_(kind)
    fields = [("obs", kind), ("acts", arrow.list_(arrow.int64())), ("infos", arrow.list_(arrow.string()))]
    fields += [("terminal", arrow.bool_()), *([] if data.rewards is None else [("rews", arrow.list_(arrow.float32()))])]
    names = [f"data-{number:05d}-of-{n_files:05d}.arrow" for number in range(n_files)]
    for number, name in enumerate(names):
        table = arrow.Table.from_pylist(rows[number::n_files] if n_files > 1 else rows, schema=arrow.schema(fields))
        with arrow.OSFile(str(folder / name), "wb") as file, arrow.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))


@pytest.mark.parametrize(("dtype", "shape"), KINDS)
@pytest.mark.parametrize("rewarded", [True, False])
def test_hugging_face_folder(tmp_path: Path, dtype: Any, shape: tuple[int, ...], rewarded: bool) -> None:
    data = some_data(dtype, shape, rewarded)
    write_hugging_face(tmp_path / "demos", data)
    assert ExpertObservations.load(tmp_path / "demos").content_hash == data.content_hash


def test_hugging_face_in_several_files(tmp_path: Path) -> None:
    data = some_data()
    write_hugging_face(tmp_path / "demos", data, n_files=2)
    expected = data[0] + data[2] + data[1]
    assert ExpertObservations.load(tmp_path / "demos").content_hash == expected.content_hash


@pytest.mark.parametrize(("dtype", "shape"), KINDS)
@pytest.mark.parametrize("rewarded", [True, False])
def test_what_imitation_saves(tmp_path: Path, dtype: Any, shape: tuple[int, ...], rewarded: bool) -> None:
    serialize = pytest.importorskip("imitation.data.serialize")
    data = some_data(dtype, shape, rewarded)
    serialize.save(tmp_path / "demos", data.to_imitation())
    assert ExpertObservations.load(tmp_path / "demos").content_hash == data.content_hash
    # imitation's own reader makes float64 and int64 of everything
    read = serialize.load(tmp_path / "demos")
    assert np.array_equal(np.concatenate([trajectory.obs for trajectory in read]), data.observations)
    assert [trajectory.terminal for trajectory in read] == data.terminated.tolist()


def test_infos_are_left_unread(tmp_path: Path) -> None:
    write_hugging_face(tmp_path / "demos", some_data(), infos=json.dumps({"py/reduce": [{"py/function": "os.abort"}]}))
    assert len(ExpertObservations.load(tmp_path / "demos")) == 8


def test_damaged_hugging_face_folders(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    folder = tmp_path / "demos"
    write_hugging_face(folder, some_data())
    file = next(folder.glob("*.arrow"))
    with pytest.raises(ExpertDataError, match=f"load the folder {folder}"):
        ExpertObservations.load(file)
    whole = file.read_bytes()
    for damage in (whole[:100], b"", b"nothing like it"):
        file.write_bytes(damage)
        with pytest.raises(ExpertDataError, match=f"{folder} is damaged"):
            ExpertObservations.load(folder)
    for columns, message in [
        ({"text": ["a"]}, "no column 'obs' among text"),
        ({"obs": [[[1.0, 2.0], [3.0]]], "terminal": [True]}, "obs of 0 has rows of different lengths"),
        ({"obs": [["a", "b"]], "terminal": [True]}, "trajectory 0 has dtype object"),
        ({"obs": [[1.0]], "terminal": [True]}, "trajectory 0 has 1 observations"),
        ({"obs": [None], "terminal": [True]}, "is damaged"),
    ]:
        table = arrow.table(columns)
        with arrow.OSFile(str(file), "wb") as sink, arrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        with pytest.raises(ExpertDataError, match=message):
            ExpertObservations.load(folder)
    (folder / "state.json").write_text("{")
    with pytest.raises(ExpertDataError, match="is damaged"):
        ExpertObservations.load(folder)


def test_several_datasets_in_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "train").mkdir()
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(ExpertDataError, match=r"several datasets: load the folder of one of them \(train\)"):
        ExpertObservations.load(tmp_path)


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"sb3-diiqn\[huggingface\]"):
        ExpertObservations.load(tmp_path)


# D4RL


def write_hdf5(path: Path, **content: Any) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            file[name] = value
    return path


STEPS = np.arange(7, dtype=np.float32)[:, None]
# 0 1 2 | 3 4 | 5 6: the first ends, the second is cut, the third goes on
FLAGS = {"terminals": np.arange(7) == 2, "timeouts": np.arange(7) == 4}


def test_d4rl_without_next_observations(tmp_path: Path) -> None:
    """The observation in which an episode ended is not in the file: each is cut before, and none is known to have ended."""
    path = write_hdf5(tmp_path / "d4rl.hdf5", observations=STEPS, actions=np.zeros((7, 2)), rewards=np.arange(7), **FLAGS)
    path.rename(tmp_path / "any name")
    data = ExpertObservations.load(tmp_path / "any name")
    assert [data[number].observations[:, 0].tolist() for number in range(3)] == [[0, 1, 2], [3, 4], [5, 6]]
    assert not data.terminated.any()
    assert data.rewards is not None and data.rewards.tolist() == [0, 1, 3, 5]


def test_d4rl_with_next_observations(tmp_path: Path) -> None:
    following = STEPS + 1
    following[[2, 4]] = [[20], [40]]
    path = write_hdf5(tmp_path / "d4rl.hdf5", observations=STEPS, next_observations=following, rewards=np.arange(7), **FLAGS)
    data = ExpertObservations.load(path)
    assert [data[number].observations[:, 0].tolist() for number in range(3)] == [[0, 1, 2, 20], [3, 4, 40], [5, 6, 7]]
    assert data.terminated.tolist() == [True, False, False]
    assert data.rewards is not None and data.rewards.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_d4rl_across_resets(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "d4rl.hdf5", observations=STEPS, next_observations=STEPS + 1, **FLAGS)
    with pytest.raises(ExpertDataError, match=f"{path}: .*After 2 of 2 episodes.*drop_last"):
        ExpertObservations.load(path)
    data = ExpertObservations.load(path, across_resets="drop_last")
    assert [data[number].observations[:, 0].tolist() for number in range(3)] == [[0, 1, 2], [3, 4], [5, 6, 7]]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
@FEW
def test_episodes_of_a_single_observation_are_left_out(tmp_path_factory: pytest.TempPathFactory, lengths: list[int]) -> None:
    total = sum(lengths)
    ends = np.isin(np.arange(total), np.cumsum(lengths) - 1)
    path = write_hdf5(
        tmp_path_factory.mktemp("d4rl") / "d", observations=np.arange(total), terminals=ends, timeouts=np.zeros(total)
    )
    if max(lengths) == 1:
        with pytest.raises(ExpertDataError, match="no episode has two observations"):
            ExpertObservations.load(path)
        return
    data = ExpertObservations.load(path)
    starts = np.cumsum([0, *lengths])
    expected = [list(range(start, start + length)) for start, length in zip(starts, lengths, strict=False) if length > 1]
    assert [data[number].observations.tolist() for number in range(data.n_trajectories)] == expected


def test_d4rl_that_does_not_say_where_episodes_were_cut(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "d4rl.hdf5", observations=STEPS, terminals=FLAGS["terminals"])
    with pytest.warns(ExpertDataWarning, match="neither 'timeouts' nor 'next_observations'"):
        assert ExpertObservations.load(path).n_trajectories == 2


def test_d4rl_dict_observations(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "d4rl.hdf5", **{"observations/a": STEPS, "observations/b": STEPS > 3}, **FLAGS)
    assert equal(ExpertObservations.load(path, keys=["b"]).observations, {"b": STEPS > 3})


BAD_HDF5 = {
    "nothing": ({}, "no 'observations' among nothing"),
    "robomimic": ({"data/demo_0/obs": STEPS}, "no 'observations' among data: expected 'observations' and 'terminals'"),
    "no terminals": ({"observations": STEPS}, "no 'terminals' among observations"),
    "length": ({"observations": STEPS, "terminals": np.zeros(6), "timeouts": np.zeros(7)}, r"terminals has shape \(6,\)"),
    "rewards": ({"observations": STEPS, "rewards": np.zeros(6), **FLAGS}, r"rewards has shape \(6,\)"),
    "flags": ({"observations": STEPS, "terminals": np.full(7, 2.0), "timeouts": np.zeros(7)}, "terminals contains 2.0"),
}


@pytest.mark.parametrize(("content", "message"), BAD_HDF5.values(), ids=BAD_HDF5)
def test_bad_hdf5(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    path = write_hdf5(tmp_path / "bad.hdf5", **content)
    with pytest.raises(ExpertDataError, match=message) as raised:
        ExpertObservations.load(path)
    assert str(path) in str(raised.value)


def test_damaged_hdf5(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "d4rl.hdf5", observations=np.zeros((1000, 4)), **FLAGS)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ExpertDataError, match="damaged or truncated"):
        ExpertObservations.load(path)


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_hdf5(tmp_path / "d4rl.hdf5", observations=STEPS, **FLAGS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match=r"'h5py'.*sb3-diiqn\[minari\]"):
        ExpertObservations.load(path)


# Refused, and choices that do not apply


def hostile(trace: Path) -> Iterator[tuple[bytes, str]]:
    """What would execute code, in each form in which it comes."""
    for protocol in (2, 3, 4, 5):
        yield pickle.dumps(Bomb(trace), protocol), "is a pickle.*imitation.data.serialize.load.*save"
    yield json.dumps({"py/reduce": [{"py/function": "os.abort"}]}).encode(), "is JSON text; that of jsonpickle executes"
    yield b'\n [{"py/object": "os.abort"}]', "is JSON text"


def test_pickles_and_jsonpickles_are_refused(tmp_path: Path) -> None:
    path, trace = tmp_path / "demos.pkl", tmp_path / "executed"
    for content, message in hostile(trace):
        path.write_bytes(content)
        with pytest.raises(ExpertDataError, match=message):
            ExpertObservations.load(path)
    assert not trace.exists()


def test_keys_are_chosen_in_every_format(tmp_path: Path) -> None:
    data = ExpertObservations.from_trajectories([{"a": np.zeros((3, 2)), "b": np.arange(3)}])
    path = data.save(tmp_path / "own")
    assert equal(ExpertObservations.load(path, keys="b").observations, np.arange(3))
    assert equal(ExpertObservations.load(path, ["b"]).observations, {"b": np.arange(3)})
    for keys in ("c", ["a", "c"], []):
        with pytest.raises(ExpertDataError, match=f"{path}: keys=.*expected some of 'a', 'b'"):
            ExpertObservations.load(path, keys=keys)
    with pytest.raises(ExpertDataError, match="these observations are plain arrays"):
        ExpertObservations.load(some_data().save(tmp_path / "plain"), keys="a")


def test_choices_for_other_formats_are_refused(tmp_path: Path) -> None:
    path = some_data().save(tmp_path / "own")
    with pytest.raises(ConfigurationError, match="drop_damaged=True is for Minari's datasets"):
        ExpertObservations.load(path, drop_damaged=True)
    with pytest.raises(ConfigurationError, match="across_resets='keep'"):
        ExpertObservations.load(tmp_path, across_resets="keep")
    hdf5 = write_hdf5(tmp_path / "d4rl.hdf5", observations=STEPS, **FLAGS)
    with pytest.raises(ConfigurationError, match="across_resets='drop_first'"):
        ExpertObservations.load(hdf5, across_resets="drop_first")


def test_other_folders(tmp_path: Path) -> None:
    with pytest.raises(ExpertDataError, match=f"{tmp_path} is a folder, and neither a dataset of Minari"):
        ExpertObservations.load(tmp_path)
