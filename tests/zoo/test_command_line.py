"""The command line from the first training to the video, and what it says when something is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from sb3_diiqn import ExpertObservations
from sb3_diiqn.zoo.__main__ import main
from sb3_diiqn.zoo.configurations import ExpertFile
from tests.zoo.conftest import Start, record_random

MAZE = "sb3_diiqn/Maze2D-v0"
SHORT = ("--eval-freq", "100", "--eval-episodes", "1", "--num-threads", "1")

OWN_SCRIPT = """
import sb3_diiqn.zoo.register
from rl_zoo3.train import train

if __name__ == "__main__":
    train()
"""


@pytest.mark.slow
def test_train_continue_enjoy_record_plot(
    workplace: Path, start_python: Start, start_zoo: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a user does, one after the other; the first time with a script and a configuration of the user's own."""
    record_random(ExpertFile(MAZE, 0.5), workplace / "expert_data")
    (workplace / "own.py").write_text(OWN_SCRIPT)
    (workplace / "own.yml").write_text(
        f'{MAZE}: {{policy: MlpPolicy, n_timesteps: 300, learning_starts: 50, expert_data: "expert_data/sb3_diiqn-Maze2D-v0-0.5.npz"}}'
    )
    common = ("--algo", "diiqn", "--env", MAZE, *SHORT, "--save-replay-buffer")
    output = start_python("own.py", *common, "--conf-file", "own.yml", "-tb", "tb", "--log-interval", 1)()
    assert "Loading hyperparameters from: own.yml" in output
    first = workplace / "logs" / "diiqn" / "sb3_diiqn-Maze2D-v0_1"
    assert {"sb3_diiqn-Maze2D-v0.zip", "best_model.zip", "evaluations.npz", "replay_buffer.pkl"} <= {
        p.name for p in first.iterdir()
    }
    assert list((workplace / "tb").rglob("events.out.tfevents.*"))

    output = start_python("-m", "sb3_diiqn.zoo", "train", *common, "-n", 200, "-i", first / "sb3_diiqn-Maze2D-v0.zip")()
    assert "Loading pretrained agent" in output and "Loading replay buffer" in output
    second = first.with_name("sb3_diiqn-Maze2D-v0_2")
    assert (second / "sb3_diiqn-Maze2D-v0.zip").exists()
    with np.load(second / "evaluations.npz") as evaluations:
        assert evaluations["ep_lengths"].max() <= 100, "the configuration's env_kwargs"

    (workplace / "expert_data").rename(workplace / "elsewhere")  # playing needs no expert data
    enjoy = start_zoo("enjoy", *common[:4], "-f", "logs", "-n", 450, "--no-render", "--load-best")
    record_video = start_zoo(
        "record-video", *common[:4], "--gym-packages", "sb3_diiqn.envs", "-f", "logs", "-n", 20, "-o", "videos"
    )
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    assert main(["plot", "-a", "diiqn", "-e", "sb3_diiqn-Maze2D-v0", "-f", "logs", "-w", "1", "-o", "returns.png"]) == 0
    assert (workplace / "returns.png").stat().st_size > 1000
    output = enjoy()
    # older versions of rl-zoo play without the env_kwargs of a configuration, for 400 steps
    assert any(f"Mean reward: {mean}" in output for mean in ("-1.00", "-4.00", "0."))
    record_video()
    (video,) = (workplace / "videos").glob("*.mp4")
    assert video.stat().st_size > 1000


@pytest.mark.slow
def test_qrdiiqn_with_a_configuration_of_ones_own(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["train", "--algo", "qrdiiqn", "--env", MAZE, "-n", "200", "--eval-freq", "-1"]
    assert main(options) == 2
    assert f"no hyperparameters of qrdiiqn for '{MAZE}' in this package: write a yml file" in capsys.readouterr().err
    assert main(["expert", "--env", MAZE]) == 0
    settings = "n_timesteps: 200, policy: MlpPolicy, learning_starts: 50, inference: inverse_dynamics, policy_kwargs: {n_quantiles: 5}"
    data = "expert_data: expert_data/sb3_diiqn-Maze2D-v0-0.5.npz"
    (workplace / "own.yml").write_text(f"{MAZE}: {{{settings}, {data}}}\n")
    assert main([*options, "--conf-file", "own.yml"]) == 0
    assert (workplace / "logs" / "qrdiiqn" / "sb3_diiqn-Maze2D-v0_1" / "sb3_diiqn-Maze2D-v0.zip").exists()


def test_missing_expert_data(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--algo", "diiqn", "--env", MAZE, "-f", "logs"]) == 2
    error = capsys.readouterr().err
    assert "python -m sb3_diiqn expert --env sb3_diiqn/Maze2D-v0 --quality 0.5\n" in error
    assert "Traceback" not in error
    assert not (workplace / "logs").exists(), "noticed before anything is made"
    given = ["-params", "expert_data:'own.npz'"]
    assert main(["train", "--algo", "hadiiqn", "--env", MAZE, *given]) == 2
    assert "expert --env sb3_diiqn/Maze2D-v0 --output own.npz\n" in capsys.readouterr().err


def test_the_command_that_is_named_makes_the_file(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train", "--algo", "diiqn", "--env", MAZE, "-n", "50", "--eval-freq", "-1"]
    assert main(train) == 2
    command = next(line for line in capsys.readouterr().err.splitlines() if "expert --env" in line).split()
    assert command[:3] == ["python", "-m", "sb3_diiqn"]
    assert main(command[3:]) == 0
    assert main(train) == 0


def test_algorithms_of_others_are_left_alone(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--algo", "a2c", "--env", "CartPole-v1", "-n", "20", "--eval-freq", "-1"]) == 0
    output = capsys.readouterr().out
    assert "Loading hyperparameters from: " in output and "zoo_configs" not in output


def test_unknown_things(workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        main(["optimise"])
    assert "'optimise' is no command: expected one of train, enjoy, record-video, plot, expert, " in capsys.readouterr().err
    assert main(["train", "--algo", "diiqn", "--env", "Pendulum-v1"]) == 2
    assert "no hyperparameters of diiqn for 'Pendulum-v1'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "minatar.gym", None)
    assert main(["train", "--algo", "diiqn", "--env", "MinAtar/Breakout-v1"]) == 2
    assert "pip install 'sb3-diiqn[minatar]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "ale_py", None)
    assert main(["train", "--algo", "diiqn", "--env", "FreewayNoFrameskip-v4"]) == 2
    assert "pip install 'sb3-diiqn[atari]'" in capsys.readouterr().err


def test_without_rl_zoo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("rl_zoo3", "sb3_diiqn.zoo.register", "sb3_diiqn.zoo.experiment"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rl_zoo3", None)
    monkeypatch.delattr("sb3_diiqn.zoo.register", raising=False)
    assert main(["train", "--algo", "diiqn"]) == 2
    assert "pip install 'sb3-diiqn[zoo]'" in capsys.readouterr().err


def test_data_that_do_not_fit(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_random(ExpertFile("CartPole-v1", 0.5), workplace)
    assert ExpertObservations.load("CartPole-v1-0.5.npz").n_transitions == 300
    given = ["-params", "expert_data:'CartPole-v1-0.5.npz'"]
    assert main(["train", "--algo", "diiqn", "--env", MAZE, "--eval-freq", "-1", *given]) == 2
    assert "shape" in capsys.readouterr().err
