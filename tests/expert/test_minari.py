"""Minari: datasets by object, id and folder, keys, damaged episodes; and datasets that are made of expert data."""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from sb3_diiqn import ExpertObservations
from sb3_diiqn.exceptions import ExpertDataError, ExpertDataWarning, MissingDependencyError
from tests.expert.strategies import equal

pytestmark = pytest.mark.filterwarnings("ignore:.*(is set to None|not specified|env_spec).*:UserWarning")


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Minari with an empty folder of its own."""
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return minari


def make_minari_dataset(minari: Any, name: str, space: spaces.Space[Any], observations: Any, terminated: bool) -> Any:
    """Two equal episodes of three steps."""
    make = importlib.import_module("minari.data_collector.episode_buffer").EpisodeBuffer
    last = np.array([False, False, True])
    episodes = [
        make(number, None, None, observations, [0, 1, 0], [1.0, 2.0, 3.0], last & terminated, last & (not terminated), {})
        for number in range(2)
    ]
    return minari.create_dataset_from_buffers(
        name, episodes, observation_space=space, action_space=spaces.Discrete(2), algorithm_name="count", author="nobody"
    )


COUNT = np.float32([[0, 0], [1, 2], [2, 4], [3, 6]])
BOX = spaces.Box(0, 10, (2,), np.float32)


@pytest.mark.filterwarnings("ignore")
def test_minari_dataset_and_id(datasets: Any) -> None:
    dataset = make_minari_dataset(datasets, "counter/plain-v0", BOX, COUNT, terminated=True)
    data = ExpertObservations.from_minari(dataset)
    assert data.offsets.tolist() == [0, 4, 8]
    assert equal(data.observations, np.concatenate([COUNT, COUNT]))
    assert data.terminated.tolist() == [True, True]
    assert data.rewards is not None and data.rewards.tolist() == [1, 2, 3] * 2
    assert ExpertObservations.from_minari("counter/plain-v0").content_hash == data.content_hash


@pytest.mark.filterwarnings("ignore")
def test_minari_dict_observations_and_truncation(datasets: Any) -> None:
    space = spaces.Dict({"a": BOX, "b": spaces.Discrete(11)})
    dataset = make_minari_dataset(datasets, "counter/nested-v0", space, {"a": COUNT, "b": np.arange(4)}, terminated=False)
    data = ExpertObservations.from_minari(dataset)
    assert equal(data.observations, {"a": np.concatenate([COUNT, COUNT]), "b": np.array([0, 1, 2, 3] * 2)})
    assert data.terminated.tolist() == [False, False]
    assert len(data.adapted_to(space)) == 6


@pytest.mark.parametrize("dataset_id", ["nobody/has-this-v0", "not an id"])
def test_unknown_minari_dataset(datasets: Any, dataset_id: str) -> None:
    with pytest.raises(ExpertDataError, match=f"cannot load the dataset '{dataset_id}'.*minari download"):
        ExpertObservations.from_minari(dataset_id)


def test_missing_minari(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(MissingDependencyError, match=r"sb3-diiqn\[minari\]"):
        ExpertObservations.from_minari("some/id-v0")


def test_not_a_minari_dataset() -> None:
    with pytest.raises(ExpertDataError, match="from_minari got int"):
        ExpertObservations.from_minari(3)
    tuples = SimpleNamespace(observations=(np.zeros(3), np.zeros((3, 2))), rewards=np.zeros(2), terminations=np.zeros(2, bool))
    with pytest.raises(
        ExpertDataError, match="1 of 1 episodes are damaged .0; episode 0: observations cannot be read as one array"
    ):
        ExpertObservations.from_minari(SimpleNamespace(iterate_episodes=lambda: [tuples]))


# Folders


@pytest.fixture
def folder(datasets: Any, tmp_path: Path) -> Path:
    """A dataset of two episodes of Dict observations, one of whose keys is text."""
    space = spaces.Dict(
        {"image": spaces.Box(0, 255, (2, 2, 3), np.uint8), "mission": spaces.Text(20), "room": spaces.Discrete(4)}
    )
    observations = {"image": IMAGES, "mission": ["go there"] * 4, "room": np.arange(4)}
    make_minari_dataset(datasets, "grid/missions-v0", space, observations, terminated=True)
    return tmp_path / "grid" / "missions-v0"


IMAGES = np.random.default_rng(0).integers(0, 255, (4, 2, 2, 3)).astype(np.uint8)


def test_folders(datasets: Any, tmp_path: Path) -> None:
    dataset = make_minari_dataset(datasets, "counter/plain-v0", BOX, COUNT, terminated=True)
    expected = ExpertObservations.from_minari(dataset).content_hash
    place = tmp_path / "counter" / "plain-v0"
    for path in (place, str(place), place / "data", place / "data" / "main_data.hdf5"):
        assert ExpertObservations.load(path).content_hash == expected
    (place / "data" / "own.npz").write_bytes(ExpertObservations.from_trajectories([COUNT]).save(tmp_path / "own").read_bytes())
    assert ExpertObservations.load(place / "data" / "own.npz").n_trajectories == 1


def test_text_is_left_out_and_that_is_said(folder: Path) -> None:
    with pytest.warns(ExpertDataWarning, match=r"as it is text: mission. Read is .*image, room|room, image") as caught:
        data = ExpertObservations.load(folder)
    assert len(caught) == 1
    assert isinstance(data.observations, dict) and data.observations.keys() == {"image", "room"}
    assert data.observations["room"].tolist() == [0, 1, 2, 3] * 2


def test_keys_are_chosen(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = ExpertObservations.load(folder, keys="image")
        named = ExpertObservations.load(folder, keys=["room"])
    assert isinstance(plain.observations, np.ndarray) and plain.observations.shape == (8, 2, 2, 3)
    assert equal(named.observations, {"room": np.arange(8) % 4})
    with pytest.raises(ExpertDataError, match="keys='direction': expected some of .*'mission'"):
        ExpertObservations.load(folder, keys="direction")
    with pytest.raises(ExpertDataError, match="observations has dtype <U8"):
        ExpertObservations.load(folder, keys="mission")


def test_keys_of_an_object(datasets: Any, folder: Path) -> None:
    dataset = datasets.load_dataset("grid/missions-v0")
    assert equal(ExpertObservations.from_minari(dataset, keys="room").observations, np.arange(8) % 4)


def test_observations_that_are_text_only(datasets: Any) -> None:
    dataset = make_minari_dataset(datasets, "text/only-v0", spaces.Dict({"a": spaces.Text(9)}), {"a": ["b"] * 4}, True)
    with pytest.raises(ExpertDataError, match="2 of 2 episodes are damaged .*dtype <U1"):
        ExpertObservations.from_minari(dataset)


# Damaged episodes


def damage(folder: Path, how: str) -> None:
    """Damage the second of the two episodes."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        episode = file["episode_1"]
        if how == "missing":
            del episode["rewards"]
        elif how == "short":
            episode["rewards"].resize((2,))
        elif how == "nan":
            episode["observations"][1] = np.nan
        elif how == "reward":
            episode["rewards"][1] = np.inf
        elif how == "empty":
            for name, length in (("observations", 1), ("rewards", 0), ("terminations", 0), ("truncations", 0)):
                episode[name].resize((length, *episode[name].shape[1:]))
        elif how == "shape":
            del episode["observations"]
            episode["observations"] = np.zeros((4, 3), np.float32)
        elif how == "gone":
            del file["episode_1"]


DAMAGES = {
    "missing": "it cannot be read, KeyError.*rewards",
    "short": "it has 4 observations, 2 rewards and 3 terminations",
    "nan": "observations has values that are not finite",
    "reward": "rewards has values that are not finite",
    "empty": "it has 1 observations",
    "shape": r"float32 \(3,\), others hold float32 \(2,\)",
    "gone": "it cannot be read, KeyError.*episode_1",
}


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_episodes_are_named_and_dropped_on_request(datasets: Any, tmp_path: Path, how: str) -> None:
    make_minari_dataset(datasets, "counter/plain-v0", BOX, COUNT, terminated=True)
    folder = tmp_path / "counter" / "plain-v0"
    whole = ExpertObservations.load(folder)
    damage(folder, how)
    found = rf"1 of 2 episodes are damaged \(1; episode 1: .*{DAMAGES[how]}"
    with pytest.raises(ExpertDataError, match=found + ".*drop_damaged=True") as raised:
        ExpertObservations.load(folder)
    advice = "dataset.filter_episodes(lambda episode: episode.id not in {1})"
    assert (advice in str(raised.value)) == (how not in {"missing", "gone"}), "Minari's filter reads what it filters"
    with pytest.warns(ExpertDataWarning, match=found + ".*left out"):
        data = ExpertObservations.load(folder, drop_damaged=True)
    assert data.content_hash == whole[0].content_hash
    if advice in str(raised.value):
        dataset = datasets.load_dataset("counter/plain-v0").filter_episodes(lambda episode: episode.id not in {1})
        assert ExpertObservations.from_minari(dataset).content_hash == whole[0].content_hash


def test_many_damaged_episodes_make_a_short_message() -> None:
    bad = SimpleNamespace(observations=np.zeros((4, 1)), rewards=np.zeros(2), terminations=np.zeros(3, bool))
    good = SimpleNamespace(observations=np.zeros((4, 1)), rewards=np.zeros(3), terminations=np.zeros(3, bool))
    with pytest.raises(ExpertDataError, match=r"1000 of 1001 .*17, 18, 19, \.\.\.") as raised:
        ExpertObservations.from_minari(SimpleNamespace(iterate_episodes=lambda: [*[bad] * 1000, good]))
    assert len(str(raised.value)) < 500


def test_damaged_datasets(datasets: Any, tmp_path: Path) -> None:
    make_minari_dataset(datasets, "counter/plain-v0", BOX, COUNT, terminated=True)
    data = tmp_path / "counter" / "plain-v0" / "data"
    main = data / "main_data.hdf5"
    main.write_bytes(main.read_bytes()[:1000])
    with pytest.raises(ExpertDataError, match="2 of 2 episodes are damaged .*none is left"):
        ExpertObservations.load(data)
    main.unlink()
    with pytest.raises(ExpertDataError, match="Minari cannot read the dataset"):
        ExpertObservations.load(data)
    (data / "metadata.json").write_text("{")
    with pytest.raises(ExpertDataError, match=r"metadata.json cannot be read"):
        ExpertObservations.load(data)


def test_the_environment_that_a_dataset_names_is_not_made(datasets: Any, tmp_path: Path) -> None:
    """Minari asks it for its spaces where they are not in the file, and its entry point can be anything."""
    make_minari_dataset(datasets, "counter/plain-v0", BOX, COUNT, terminated=True)
    data, trace = tmp_path / "counter" / "plain-v0" / "data", tmp_path / "executed"
    spec = gym.spec("CartPole-v1")
    named = json.loads(spec.to_json()) | {"entry_point": "os:mkdir", "kwargs": {"path": str(trace)}}
    for missing in ("observation_space", "action_space"):
        metadata = json.loads((data / "metadata.json").read_text())
        del metadata[missing]
        (data / "metadata.json").write_text(json.dumps(metadata | {"env_spec": json.dumps(named)}))
        with pytest.raises(ExpertDataError, match="does not say the dataset's (observation|action)_space"):
            ExpertObservations.load(data)
    assert not trace.exists()


def test_folders_without_minari(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(MissingDependencyError, match=r"sb3-diiqn\[minari\]"):
        ExpertObservations.load(folder)


# Datasets made of expert data

MADE = {
    "vector": ExpertObservations.from_trajectories([COUNT, COUNT[:2]], [True, False], [[1, 2, 3], [4]]),
    "no rewards": ExpertObservations.from_trajectories([COUNT]),
    "image": ExpertObservations.from_trajectories([np.random.default_rng(0).integers(0, 255, (3, 9, 9, 3)).astype(np.uint8)]),
    "whole numbers": ExpertObservations.from_trajectories([np.arange(4), np.arange(3)]),
    "flags": ExpertObservations.from_trajectories([np.eye(4, dtype=bool)]),
    "dict": ExpertObservations.from_trajectories([{"a": COUNT, "b": np.arange(4, dtype=np.int32)}], rewards=[np.ones(3)]),
}


@pytest.mark.parametrize("name", MADE)
def test_to_minari_and_back(datasets: Any, tmp_path: Path, name: str) -> None:
    data = MADE[name]
    dataset = data.to_minari("mine/expert-v0", author="nobody", description="counts")
    assert ExpertObservations.from_minari(dataset).content_hash == data.content_hash
    assert ExpertObservations.load(tmp_path / "mine" / "expert-v0").content_hash == data.content_hash
    assert dataset.total_steps == len(data)
    assert all((episode.actions == 0).all() for episode in dataset)
    assert [bool(episode.truncations[-1]) for episode in dataset] == (~data.terminated).tolist()


def test_to_minari_with_the_environments_space(datasets: Any) -> None:
    dataset = MADE["vector"].to_minari("mine/expert-v0", observation_space=BOX)
    assert dataset.observation_space == BOX


def test_what_minari_refuses(datasets: Any) -> None:
    MADE["vector"].to_minari("mine/expert-v0")
    for name in ("mine/expert-v0", "not an id"):
        with pytest.raises(ExpertDataError, match=f"Minari cannot make the dataset '{name}'"):
            MADE["vector"].to_minari(name)


def test_to_minari_without_minari(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(MissingDependencyError, match=r"sb3-diiqn\[minari\]"):
        MADE["vector"].to_minari("mine/expert-v0")
