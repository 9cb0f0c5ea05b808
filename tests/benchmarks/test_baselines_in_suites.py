"""Baselines and controls in suites."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import experts
from benchmarks.algorithms import ALGORITHMS, constructor_arguments
from benchmarks.cell import run_cell
from benchmarks.experts import make_recordings, plain_recording, shuffle_pairs
from benchmarks.runner import check_runnable
from benchmarks.storage import ResultFolder
from benchmarks.suite import parse_suite
from sb3_diiqn import ExpertObservations
from sb3_diiqn.exceptions import ConfigurationError

HAS_IMITATION = importlib.util.find_spec("imitation") is not None
HAS_MINATAR = importlib.util.find_spec("minatar") is not None
BASELINES = ["bco", "labelled-replay", "jsrl", "oril"]

POLE: dict[str, Any] = {
    "id": "CartPole-v1",
    "n_envs": 2,
    "n_timesteps": 120,
    "settings": {"policy": "MlpPolicy", "learning_starts": 40, "batch_size": 16, "policy_kwargs": {"net_arch": [8]}},
    "expert": {"kind": "random", "n_steps": 50},
}
BREAKOUT: dict[str, Any] = {
    "id": "MinAtar/Breakout-v1",
    "n_timesteps": 80,
    "settings": {"policy": "sb3_diiqn.zoo.policies:MinAtarPolicy", "learning_starts": 40, "buffer_size": 1000},
    "expert": {"kind": "random", "n_steps": 50},
}
ALGORITHM_ENTRIES: dict[str, Any] = {
    "bco": {"settings": {"updates": 5}},
    "bco-alpha": {"class": "bco", "settings": {"updates": 5, "alpha": 0.5}},
    "labelled-replay": {},
    "jsrl": {"settings": {"updates": 5}},
    "oril": {},
    "random-pairs": {"class": "diiqn", "expert": {"shuffle": True}},
}


def _source(**changes: Any) -> dict[str, Any]:
    source: dict[str, Any] = {
        "seeds": 1,
        "evaluation": {"every": 50, "episodes": 2, "max_steps": 30},
        "environments": {"pole": POLE},
        "algorithms": dict(ALGORITHM_ENTRIES),
    }
    return source | changes


@pytest.mark.slow
def test_every_baseline_runs(tmp_path: Path) -> None:
    environments = {"pole": POLE} | ({"breakout": BREAKOUT} if HAS_MINATAR else {})
    source = _source(environments=environments)
    if HAS_IMITATION:
        small = {"n_steps": 20, "batch_size": 10, "n_epochs": 1, "discriminator_updates": 1}
        source["algorithms"]["gaifo"] = {"settings": small}
    suite = parse_suite("tiny", source)
    check_runnable(suite)
    for cell in suite.cells():
        assert cell.expert is not None
        entry = make_recordings(cell.expert, tmp_path)
        result = run_cell(cell, tmp_path / entry["file"], entry, tmp_path / "beat")
        n_timesteps = cell.settings["n_timesteps"]
        assert result["greedy"]["step"] == [*range(50, n_timesteps, 50), n_timesteps]
        assert result["training"]["step"] == sorted(result["training"]["step"])
        assert result["training"]["step"], "episodes were finished"


def test_gaifo_has_settings_of_its_own() -> None:
    algorithms = {"gaifo": {"settings": {"n_steps": 20}}, "dqn": {}}
    of_gaifo, of_dqn = (cell.settings["settings"] for cell in parse_suite("tiny", _source(algorithms=algorithms)).cells())
    assert of_gaifo == {"policy": "MlpPolicy", "n_steps": 20}
    assert of_dqn == POLE["settings"]


def test_arguments_are_checked_before_anything_starts() -> None:
    arguments = constructor_arguments(ALGORITHMS["bco"].load())
    assert {"policy", "env", "expert_data", "alpha", "updates", "learning_starts", "gamma"} <= set(arguments)
    assert constructor_arguments(ALGORITHMS["dqn"].load())[:3] == ["policy", "env", "learning_rate"]
    assert "n_epochs" in constructor_arguments(ALGORITHMS["gaifo"].load())
    for name in BASELINES:
        suite = parse_suite("tiny", _source(algorithms={name: {"settings": {"alhpa": 1}}}))
        with pytest.raises(ConfigurationError, match=f"pole, {name}.*'alhpa'"):
            check_runnable(suite)


# --- random pairs ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(2, 9), min_size=1, max_size=5), st.integers(0, 1000))
def test_shuffled_pairs(lengths: list[int], seed: int) -> None:
    """Each s and each s' is there as often as before; reward and end go with s'."""
    starts = np.cumsum([0, *lengths])
    trajectories = [np.arange(start, start + n, dtype=np.float32)[:, None] for start, n in zip(starts, lengths, strict=False)]
    terminated = [n % 2 == 0 for n in lengths]
    data = ExpertObservations.from_trajectories(trajectories, terminated, [path[1:, 0] for path in trajectories])
    shuffled = shuffle_pairs(data, seed)
    every = slice(None)
    assert len(shuffled) == len(data)
    np.testing.assert_array_equal(shuffled.current(every), data.current(every))
    np.testing.assert_array_equal(np.sort(shuffled.next(every), axis=0), np.sort(data.next(every), axis=0))
    assert shuffled.rewards is not None
    np.testing.assert_array_equal(shuffled.rewards, shuffled.next(every)[:, 0])
    ends = {path[-1, 0] for path, ended in zip(trajectories, terminated, strict=True) if ended}
    for trajectory in range(shuffled.n_trajectories):
        last = shuffled.observations[shuffled.offsets[trajectory + 1] - 1, 0]
        assert bool(shuffled.terminated[trajectory]) == (last in ends)
    assert shuffle_pairs(data, seed).content_hash == shuffled.content_hash


def test_shuffled_pairs_make_no_sense() -> None:
    data = ExpertObservations.from_trajectories([np.arange(1001, dtype=np.float32)[:, None]])
    shuffled = shuffle_pairs(data, 0)
    steps = np.ravel(shuffled.next(slice(None)) - shuffled.current(slice(None)))
    assert (steps == 1).mean() < 0.01


def test_shuffled_recordings(tmp_path: Path) -> None:
    variations = {"default": {}, "shuffled": {"expert": {"shuffle": True}}, "plain": {"expert": {"shuffle": False}}}
    suite = parse_suite("tiny", _source(algorithms={"diiqn": {}}, variations=variations))
    default, shuffled, plain = (suite.expert("pole", "diiqn", name) for name in variations)
    assert default and shuffled and plain
    assert "shuffle" not in default.settings and default.name == plain.name != shuffled.name
    first, second = (make_recordings(recipe, tmp_path) for recipe in (default, shuffled))
    data = ExpertObservations.load(tmp_path / first["file"])
    assert ExpertObservations.load(tmp_path / second["file"]).content_hash == shuffle_pairs(data, 1000).content_hash
    assert (first["mean_return"], first["n_episodes"]) == (second["mean_return"], second["n_episodes"]), "the expert's own"
    assert (tmp_path / f"{default.name}-actions.npz").exists()
    assert not (tmp_path / f"{shuffled.name}-actions.npz").exists()


@pytest.mark.parametrize(
    ("expert", "fragments"),
    [
        ({"shuffle": 1}, ("expert.shuffle", "1 given", "true or false")),
        ({"kind": "file", "path": "x.npz", "shuffle": True}, ("expert.shuffle", "unknown")),
    ],
)
def test_bad_shuffle(expert: dict[str, Any], fragments: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_suite("tiny", _source(algorithms={"diiqn": {"expert": expert}}))
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_shuffled_recordings_are_made_of_plain_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to act for it again, and they are the same as if somebody had."""
    variations = {"default": {}, "shuffled": {"expert": {"shuffle": True}}}
    suite = parse_suite("tiny", _source(algorithms={"diiqn": {}}, variations=variations))
    plain, shuffled = (suite.expert("pole", "diiqn", name) for name in variations)
    assert plain and shuffled
    acted = make_recordings(shuffled, tmp_path / "acted")
    folder = ResultFolder(tmp_path)
    folder.add_to_manifest(plain.name, make_recordings(plain, folder.experts))
    assert plain_recording(shuffled, folder.experts) == plain and plain_recording(plain, folder.experts) is None
    monkeypatch.setattr(experts, "record_expert", None)
    assert make_recordings(shuffled, folder.experts) == acted
    data = ExpertObservations.load(folder.expert(shuffled))
    assert data.content_hash == ExpertObservations.load(tmp_path / "acted" / acted["file"]).content_hash
