"""Studies: alone, shared by two processes, with trials to train again, and ended by data that do not fit."""

from __future__ import annotations

import csv
import runpy
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from sb3_diiqn import DIIQN, ExpertObservations
from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.zoo.__main__ import main
from sb3_diiqn.zoo.configurations import ExpertFile
from sb3_diiqn.zoo.experiment import open_storage
from sb3_diiqn.zoo.search_spaces import DQN_SPACE, IMITATION_SPACE, convert, sampler
from tests.zoo.conftest import ROOT, Start, record_random

MAZE = "sb3_diiqn/Maze2D-v0"
# short episodes, and no updates that would take time
TRIAL = ["--algo", "diiqn", "--env", MAZE, "-n", "100", "--env-kwargs", "max_episode_steps:20", "--eval-episodes", "1"]
OPTIMIZE = ["train", *TRIAL, "--optimize", "--no-optim-plots", "--n-startup-trials", "1", "--num-threads", "1"]


@pytest.fixture(autouse=True)
def expert_data(workplace: Path) -> None:
    record_random(ExpertFile(MAZE, 0.5), workplace / "expert_data")


def load(storage: str) -> optuna.Study:
    return optuna.load_study(study_name="study", storage=open_storage(storage))


def shared(storage: str) -> list[str]:
    return ["--storage", storage, "--study-name", "study"]


@pytest.mark.slow
def test_one_worker_then_two_then_a_trial_again(workplace: Path, start_zoo: Start) -> None:
    storage = "studies/maze.log"
    optimize = [*OPTIMIZE, *shared(storage)]
    start_zoo(*optimize, "--n-trials", 2)()
    assert len(load(storage).trials) == 2
    workers = [start_zoo(*optimize, "--n-trials", 3) for _ in range(2)]
    for wait_for in workers:
        wait_for()
    trials = load(storage).trials
    assert [trial.number for trial in trials] == list(range(8))
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert len({tuple(trial.params.values()) for trial in trials}) == 8, "workers do not repeat each other"
    assert trials[0].params.keys() == {*DQN_SPACE, *IMITATION_SPACE}

    chosen = ["--trial-id", "0", *shared(storage), "--eval-freq", "-1"]
    start_zoo("train", *TRIAL, *chosen)()
    (config,) = (workplace / "logs" / "diiqn").glob("*/*/config.yml")
    used = _pairs(config)
    arguments = convert(trials[0].params)
    assert {name: used[name] for name in arguments} == arguments
    assert used["policy_kwargs"] == {"net_arch": [64, 64]}, "of the yml file"


def _pairs(config: Path) -> dict[str, Any]:
    return dict(yaml.load(config.read_text(encoding="utf-8"), Loader=yaml.UnsafeLoader))


@pytest.mark.slow
def test_two_threads_and_sqlite(workplace: Path) -> None:
    storage = "sqlite:///study.db"
    assert main([*OPTIMIZE, *shared(storage), "--search-space", "own", "--n-jobs", "2", "--n-trials", "3"]) == 0
    trials = load(storage).trials
    assert len(trials) == 3
    assert trials[0].params.keys() == IMITATION_SPACE.keys(), "what DQN has stays that of the yml file"


@pytest.mark.slow
def test_expert_data_are_read_once_and_shared_unchanged(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Any] = []
    seen: list[ExpertObservations] = []
    read, learn = ExpertObservations.load, DIIQN.learn

    def counted(path: Any) -> ExpertObservations:
        reads.append(path)
        return read(path)

    def watched(model: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(model.expert_data)
        return learn(model, *args, **kwargs)

    monkeypatch.setattr(ExpertObservations, "load", counted)
    monkeypatch.setattr(DIIQN, "learn", watched)
    assert main([*OPTIMIZE, "--n-trials", "3"]) == 0
    assert len(reads) == 1 and len(seen) == 3
    assert len({id(data) for data in seen}) == 1
    assert seen[0].content_hash == read(reads[0]).content_hash


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_data_that_do_not_fit_end_the_study(workplace: Path, capsys: pytest.CaptureFixture[str], jobs: str) -> None:
    record_random(ExpertFile("CartPole-v1", 0.5), workplace)
    given = ["-params", "expert_data:'CartPole-v1-0.5.npz'"]
    assert main([*OPTIMIZE, *shared("study.log"), "--n-trials", "5", "--n-jobs", jobs, *given]) == 2
    assert "shape" in capsys.readouterr().err
    trials = load("study.log").trials
    assert 1 <= len(trials) <= int(jobs) and all(trial.state is TrialState.FAIL for trial in trials)


def test_damaged_data_end_the_study(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "bad.npz").write_bytes(b"nothing")
    assert main([*OPTIMIZE, *shared("study.log"), "-params", "expert_data:'bad.npz'"]) == 2
    assert "bad.npz is not an .npz file" in capsys.readouterr().err
    assert not (workplace / "study.log").exists()


def test_data_error_while_learning_is_no_pruned_trial(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise ExpertDataError("the data are bad")

    monkeypatch.setattr(DIIQN, "learn", fail)
    assert main([*OPTIMIZE, *shared("study.log"), "--n-trials", "3"]) == 2
    assert "error: the data are bad" in capsys.readouterr().err
    assert [trial.state for trial in load("study.log").trials] == [TrialState.FAIL]


@pytest.mark.slow
def test_other_value_errors_are_pruned_trials(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("nan")

    monkeypatch.setattr(DIIQN, "learn", fail)
    with pytest.raises(ValueError, match="No trials are completed"):
        main([*OPTIMIZE, *shared("study.log"), "--n-trials", "2"])
    assert [trial.state for trial in load("study.log").trials] == [TrialState.PRUNED] * 2


def test_trial_without_study(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *TRIAL, "--trial-id", "0"]) == 2
    assert "--trial-id needs --storage and --study-name" in capsys.readouterr().err
    assert main(["train", *TRIAL, "--trial-id", "0", *shared("study.log")]) == 2
    assert "--study-name study: study.log has no such study" in capsys.readouterr().err
    optuna.create_study(study_name="study", storage=open_storage("study.log"))
    assert main(["train", *TRIAL, "--trial-id", "7", *shared("study.log")]) == 2
    assert "has 0 trials" in capsys.readouterr().err


@pytest.mark.slow
def test_report(workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.create_study(study_name="study", storage=open_storage("study.log"), direction="maximize")
    for value in range(8):
        trial = study.ask()
        sampler(IMITATION_SPACE)(trial, 0, 1, {})
        study.tell(trial, value)
    monkeypatch.setattr(sys, "argv", ["study_report.py", "study.log", "study", "report"])
    runpy.run_path(str(ROOT / "examples" / "study_report.py"), run_name="__main__")

    output = capsys.readouterr().out
    assert output.startswith("8 trials: 8 complete\n") and "Settings of trial 7, whose value is 7:\n" in output
    settings = yaml.safe_load(output.partition("value is 7:\n")[2])
    best = convert(study.trials[7].params)
    assert settings.pop("inference") == best.pop("inference")
    assert settings.pop("matching_kwargs") == pytest.approx(best.pop("matching_kwargs"), abs=1e-4)
    assert settings == pytest.approx(best, abs=1e-4)
    with open("report/trials.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == list(range(8)) and {row["state"] for row in rows} == {"COMPLETE"}
    assert rows[3]["n_neighbors"] == str(study.trials[3].params["n_neighbors"])
    for name in ("importance.png", "slice.png"):
        assert (workplace / "report" / name).read_bytes().startswith(b"\x89PNG")
