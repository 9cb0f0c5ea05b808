"""What is computed from expert data once and kept beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from sb3_diiqn import DIIQN, ExpertObservations
from sb3_diiqn.inference import AgentTransitions, ExpertKnowledge, InferenceSettings
from sb3_diiqn.inference.cache import IndexCache

PLANES = spaces.MultiBinary(70)


@pytest.fixture(autouse=True)
def _everything_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IndexCache, "slow", -1.0)


def expert(seed: int = 0, dtype: type = np.int8) -> ExpertObservations:
    return ExpertObservations.from_trajectories([np.random.default_rng(seed).integers(0, 2, (40, 70)).astype(dtype)])


def knowledge(path: Path | None, data: ExpertObservations | None = None, **settings: Any) -> ExpertKnowledge:
    return ExpertKnowledge(data or expert(), PLANES, InferenceSettings(**settings), seed=0, cache_path=path)


def answers(one: ExpertKnowledge) -> tuple[list[int], list[int]]:
    data = one.expert
    every, zeros = np.arange(len(data)), np.zeros(len(data))
    matches = one.observe(AgentTransitions(data.current(every), data.next(every), every, zeros, zeros, zeros))
    return matches.tolist(), one.inferred.action.tolist()


def stored_by(monkeypatch: pytest.MonkeyPatch, path: Path, **settings: Any) -> list[str]:
    """List what is computed anew."""
    computed: list[str] = []
    original = IndexCache.get

    def get(self: IndexCache, name: str, compute: Any) -> Any:
        def counted() -> Any:
            computed.append(name)
            return compute()

        return original(self, name, counted)

    monkeypatch.setattr(IndexCache, "get", get)
    knowledge(path, **settings)
    return computed


def test_the_second_time_nothing_is_computed_and_the_answers_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "expert.index.npz"
    expected = answers(knowledge(None))
    assert answers(knowledge(path)) == expected
    assert [file.name for file in tmp_path.iterdir()] == ["expert.index.npz"]
    assert answers(knowledge(path)) == expected
    assert stored_by(monkeypatch, path) == []


@pytest.mark.parametrize("change", ["data", "radius", "metric"])
def test_what_was_made_of_something_else_is_not_used(tmp_path: Path, change: str) -> None:
    path = tmp_path / "expert.index.npz"
    knowledge(path)
    data = expert(1) if change == "data" else expert()
    settings: dict[str, Any] = {"radius": {"similarity_threshold": 0.9}, "metric": {"similarity_metric": "mismatch"}}.get(
        change, {}
    )
    assert answers(knowledge(path, data, **settings)) == answers(knowledge(None, data, **settings))


def test_a_damaged_file_is_ignored_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, expected = tmp_path / "expert.index.npz", answers(knowledge(None))
    knowledge(path)
    whole = path.read_bytes()
    for damaged in (b"", b"no archive", whole[: len(whole) // 2], whole[:700] + b"????????" + whole[708:]):
        path.write_bytes(damaged)
        assert answers(knowledge(path)) == expected
        assert path.read_bytes() != damaged
    assert stored_by(monkeypatch, path) == []


def test_a_file_that_would_execute_code_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "expert.index.npz"
    np.savez(path, **{"key": np.array([object()], dtype=object), "states/0": np.zeros(3)})
    assert answers(knowledge(path)) == answers(knowledge(None))


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "expert.index.npz"
    assert answers(knowledge(path)) == answers(knowledge(None))
    assert not path.parent.exists()


def test_what_is_fast_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(IndexCache, "slow", 60.0)
    knowledge(tmp_path / "expert.index.npz")
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_what_is_slow_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    knowledge(tmp_path / "expert.index.npz")
    assert "preparing the search in the expert data" in capsys.readouterr().err


def test_a_model_keeps_it_beside_its_data_file(tmp_path: Path) -> None:
    class Bits(gymnasium.Env[np.ndarray, int]):
        observation_space, action_space = PLANES, spaces.Discrete(2)

    path = expert().save(tmp_path / "expert")
    DIIQN("MlpPolicy", Bits(), expert_data=str(tmp_path / "expert"), buffer_size=10)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["expert.index.npz", path.name]
