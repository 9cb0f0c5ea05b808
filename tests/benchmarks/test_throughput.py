"""The command that measures speed, with tiny budgets: what it reports, not how fast it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.throughput import command
from benchmarks.throughput.measuring import Times, in_turns, median_rate, ratios
from benchmarks.throughput.tasks import TASKS, Task, record
from benchmarks.throughput.training import recall
from sb3_diiqn.inference import ExpertKnowledge, InferenceSettings
from sb3_diiqn.inference.index import Hits
from tests.helpers import RIGHT, LineEnv


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "in_own_process", lambda function, *arguments: function(*arguments))


def measured(tmp_path: Path, *arguments: str) -> list[dict[str, Any]]:
    file = tmp_path / "rows.json"
    assert (
        main(["throughput", "--pairs", "2", "--steps", "40", "--training-steps", "400", "--json", str(file), *arguments]) == 0
    )
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_every_part_reports_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = measured(
        tmp_path, "--env", "lander", "--expert-size", "0", "300", "--n-envs", "2", "--plot", str(tmp_path / "a.png")
    )
    by_part: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_part.setdefault(row.pop("part"), []).append(row)
    assert {part: len(ones) for part, ones in by_part.items()} == {
        "machine": 1,
        "training": 2,
        "default": 1,
        "matching": 1,
        "bridging": 2,
        "update": 1,
        "networks": 1,
    }
    assert by_part["machine"][0]["cores"] >= 1
    for row in by_part["training"]:
        assert row["env"] == "lander"
        assert 0 < row["ratio_min"] <= row["ratio"] <= row["ratio_max"]
        assert row["dqn_steps_per_s"] > 0
        assert row["diiqn_steps_per_s"] > 0
        assert row["rss_mb"] > 10
        assert row["index_build_s"] >= 0
        assert ("recall" in row) == (row["expert_transitions"] > 0)
    assert {(row["n_envs"], row["expert_transitions"]) for row in by_part["training"]} == {(2, 0), (2, 300)}
    assert {row["buffer_size"] for row in by_part["bridging"]} == {10_000, 1_000_000}
    assert by_part["matching"][0]["recall"] == 1.0
    assert by_part["update"][0]["floor_ms"] > 0
    networks = by_part["networks"][0]
    assert networks["steps"] == 400
    assert 0 < networks["learning_share"] < networks["share"] < 1
    assert networks["share"] == pytest.approx(networks["learning_share"] + networks["asking_share"], abs=0.002)
    assert (tmp_path / "a.png").stat().st_size > 1000
    shown = capsys.readouterr().out
    assert all(f"\n{part}\n" in shown for part in command.PARTS)


def test_recordings_are_kept_where_they_are_wanted(tmp_path: Path) -> None:
    arguments = ("--env", "lander", "--expert-size", "50", "--parts", "matching", "--experts", str(tmp_path))
    measured(tmp_path, *arguments)
    before = (tmp_path / "lander-50.npz").stat().st_mtime_ns
    measured(tmp_path, *arguments)
    assert (tmp_path / "lander-50.npz").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "arguments", [["--pairs", "0"], ["--steps", "0"], ["--expert-size", "-1"], ["--n-envs", "0"], ["--training-steps", "0"]]
)
def test_impossible_numbers_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", *arguments]) == 2
    assert "must be at least" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["lander", "images"])
def test_recordings_are_what_the_environment_shows(task: str) -> None:
    expert = record(TASKS[task], 600)
    env = TASKS[task].make_env()
    assert len(expert) == 600
    assert expert.observations.dtype == env.observation_space.dtype
    assert expert.adapted_to(env.observation_space) is expert
    first, _ = env.reset(seed=0)
    np.testing.assert_array_equal(expert.observations[0], first)


@pytest.mark.parametrize(
    ("time_limit", "n_transitions", "terminated"),
    [(20, 12, [True, True, False]), (20, 10, [True, True]), (3, 6, [False, False]), (3, 7, [False, False, False])],
)
def test_only_what_really_ended_is_recorded_as_an_end(time_limit: int, n_transitions: int, terminated: list[bool]) -> None:
    """Five steps lead to the end of the line."""
    task = Task(lambda: LineEnv(time_limit=time_limit), "MlpPolicy", {}, lambda *_: RIGHT)
    assert record(task, n_transitions).terminated.tolist() == terminated


def test_rounds_go_in_turns() -> None:
    done: list[str] = []
    taken = in_turns(3, lambda: done.append("a"), lambda: done.append("b"))
    assert done == ["a", "b", "b", "a", "a", "b"]
    assert [len(times) for times in taken] == [3, 3]


def test_ratios_by_hand() -> None:
    slow, fast = [Times(8, 4), Times(6, 6), Times(9, 9)], [Times(4, 4), Times(6, 3), Times(3, 3)]
    assert ratios(slow, fast) == {"ratio": 2, "ratio_min": 1, "ratio_max": 3, "ratio_wall": 2}
    assert median_rate(12, slow) == 2


def test_recall_counts_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    expert = record(TASKS["lander"], 50)
    knowledge = ExpertKnowledge(expert, TASKS["lander"].make_env().observation_space, InferenceSettings(), 0)
    observations = expert.observations[:1]
    assert recall(knowledge, observations) == 1
    monkeypatch.setattr(knowledge.matcher, "states_within", lambda *_: Hits(*(np.zeros(0, dtype=int),) * 3))
    assert recall(knowledge, observations) == 0
