"""The examples run as they stand in the repository, each with a small budget."""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from stable_baselines3.common.save_util import load_from_pkl

from sb3_diiqn import ExpertObservations
from sb3_diiqn.record import main as record

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
HAS_IMITATION = importlib.util.find_spec("imitation") is not None


def start(script: Path, *arguments: object, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def output_of(script: Path, *arguments: object, folder: Path) -> str:
    """What the example prints; it must succeed, and leave no file."""
    before = sorted(folder.iterdir())
    process = start(script, *arguments, folder=folder)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert sorted(folder.iterdir()) == before
    return output


@pytest.mark.slow
def test_quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command in its text makes the file that it reads."""
    text = (EXAMPLES / "quickstart.py").read_text(encoding="utf-8")
    command = re.search(r"sb3-diiqn record (.*)", text)
    assert command is not None
    monkeypatch.chdir(tmp_path)
    record(shlex.split(command[1]))
    assert len(ExpertObservations.load(tmp_path / "expert.npz")) == 10_000

    assert text.count("20_000") == 1
    shorter = tmp_path / "quickstart.py"
    # a good guide can keep the pole up for so long that fewer episodes end than are waited for before a line is logged
    shorter.write_text(text.replace("20_000", "300, log_interval=1"), encoding="utf-8")
    output = output_of(shorter, folder=tmp_path)
    assert "| expert/ " in output, "the recording is in use"
    assert re.search(r"^Mean return: \d+ \+- \d+$", output, re.MULTILINE)


@pytest.mark.slow
def test_record_and_train(tmp_path: Path) -> None:
    output = output_of(EXAMPLES / "record_and_train.py", "--timesteps", 200, folder=tmp_path)
    assert "ExpertObservations(20 trajectories, " in output
    assert re.search(r"Mean return of the expert: 0\.\d\d\nMean return of the agent: +-?\d\.\d\d\n", output)


@pytest.mark.skipif(HAS_IMITATION, reason="imitation is installed")
@pytest.mark.slow
def test_imitation_trajectories_without_imitation(tmp_path: Path) -> None:
    process = start(EXAMPLES / "imitation_trajectories.py", folder=tmp_path)
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, output) == (1, "")
    assert errors == "This example needs the package 'imitation': pip install 'sb3-diiqn[imitation]'\n"


@pytest.mark.skipif(not HAS_IMITATION, reason="imitation is not installed")
def test_imitation_trajectories(tmp_path: Path) -> None:
    output = output_of(EXAMPLES / "imitation_trajectories.py", "--timesteps", 300, folder=tmp_path)
    assert re.search(r"ExpertObservations\(\d+ trajectories, \d+ transitions, observations float32 \(4,\)", output)
    assert re.search(r"Mean return of the expert: \d+\nMean return of the agent: +\d+\n", output)


@pytest.mark.slow
def test_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is killed after its first checkpoint, and the second run goes on from there."""
    runs = tmp_path / "runs"
    process = start(EXAMPLES / "resume.py", runs, folder=tmp_path)
    assert process.stdout is not None
    first = next((line for line in process.stdout if "replay buffer checkpoint" in line), None)
    process.kill()
    _, errors = process.communicate(timeout=60)
    assert first is not None, errors
    known = load_from_pkl(runs / "diiqn_replay_buffer_1000_steps.pkl").knowledge.statistics()["inferred"]

    runpy.run_path(str(EXAMPLES / "resume.py"))["main"](runs, 1100)
    output = capsys.readouterr().out
    assert "Going on from step 1000\n" in output
    result = re.search(r"Trained for 1100 steps; actions inferred: (\d+)%", output)
    assert result is not None and int(result[1]) >= int(100 * known) > 0


@pytest.mark.slow
def test_own_callback(tmp_path: Path) -> None:
    output = output_of(EXAMPLES / "own_callback.py", "--timesteps", 500, folder=tmp_path)
    assert re.fullmatch(
        r"Step 500: of the expert's transitions, [1-9]\d*% have an inferred action and \d+% were trained on; "
        r"mean return -?\d\.\d\d, expert 0\.\d\d\n",
        output,
    )


@pytest.mark.slow
def test_watching(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path_factory.mktemp("picture") / "watching.png"
    output = output_of(EXAMPLES / "watching.py", "--timesteps", 1500, "--picture", picture, folder=tmp_path)
    values = dict(re.findall(r"^expert/(\w+): (\d\S*) at step \d+$", output, re.MULTILINE))
    assert values.keys() == {"guide_return", "own_return", "imitation_weight"}
    assert 0 <= float(values["imitation_weight"]) <= 1
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_different_actions(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    picture = tmp_path_factory.mktemp("picture") / "bridges.png"
    output = output_of(EXAMPLES / "different_actions.py", "--timesteps", 300, "--picture", picture, folder=tmp_path)
    shares = {name: int(share) for name, share in re.findall(r"^ *(\w+): (\d+)%", output, re.MULTILINE)}
    assert shares.keys() == {"unknown", "feasible", "infeasible", "bridged"}
    assert 98 <= shares["unknown"] + shares["feasible"] + shares["infeasible"] <= 102
    assert shares["feasible"] > 0
    assert shares["bridged"] <= shares["infeasible"]
    assert re.search(r"^  \(1, 1\) -> \(\d, \d\): (unknown|feasible|infeasible)", output, re.MULTILINE)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_different_actions_on_film(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("PIL")
    film = tmp_path_factory.mktemp("film") / "bridges.gif"
    output_of(EXAMPLES / "different_actions.py", "--timesteps", 300, "--film", film, folder=tmp_path)
    assert film.read_bytes().startswith(b"GIF89a")


def test_each_example_is_tested() -> None:
    tested = {name.removesuffix("_without_imitation") for name in globals() if name.startswith("test_")}
    # a helper of others, what needs rl-zoo and is tested with it, what is tested with the distances, and by test_single_file.py
    elsewhere = {"cart_pole_expert", "study_report", "matching_table", "diiqn_single_file"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} - elsewhere <= {name.removeprefix("test_") for name in tested}
