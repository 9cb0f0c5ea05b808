"""One command with all others under it, and what it says about versions, recordings and models."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3 import DQN

import sb3_diiqn
from sb3_diiqn import DIIQN, HADIIQN, ExpertObservations
from sb3_diiqn.__main__ import COMMANDS, main
from sb3_diiqn.common.commands import Command, run
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.info import NEEDED, OPTIONAL
from sb3_diiqn.record import record_expert

ROOT = Path(__file__).parent.parent
NAMES = ["record", "train", "enjoy", "record-video", "plot", "expert", "export-dqn", "benchmark", "info"]
Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    return tmp_path


def exit_code(arguments: list[str]) -> Any:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return stopped.value.code or 0


def table(text: str) -> dict[str, str]:
    return dict(re.split(r"  +", line, maxsplit=1) for line in text.splitlines() if line)


def test_the_commands(capsys: Output) -> None:
    assert list(COMMANDS) == NAMES
    assert exit_code(["--help"]) == 0
    output = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.summary)}$", output, re.MULTILINE)


def test_no_command_and_unknown_ones(capsys: Output) -> None:
    assert exit_code([]) == 2
    assert "  record        record the observations" in capsys.readouterr().err
    assert exit_code(["optimise"]) == 2
    assert capsys.readouterr().err == (f"sb3-diiqn: error: 'optimise' is no command: expected one of {', '.join(NAMES)}\n")


def test_version_as_a_module_and_as_a_script() -> None:
    command = [sys.executable, "-m", "sb3_diiqn", "--version"]
    assert subprocess.check_output(command, cwd=ROOT, text=True) == f"sb3_diiqn {sb3_diiqn.__version__}\n"
    settings = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert "sb3-diiqn = sb3_diiqn.__main__:main\n" in settings


def test_who_reads_may_stop_reading() -> None:
    """As ``sb3-diiqn info | head -1`` does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sb3_diiqn", "info"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    error = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=120) == 141 and "Traceback" not in error and "BrokenPipe" not in error


@pytest.mark.parametrize("name", ["record_video", "record-video"])
def test_underscores_are_understood(name: str) -> None:
    seen: list[list[str]] = []
    assert run({"record-video": Command(seen.append, "film")}, "", [name, "--algo", "diiqn"]) == 0
    assert seen == [["--algo", "diiqn"]]


@pytest.mark.parametrize(("error", "code"), [(ConfigurationError("too large"), 2), (KeyboardInterrupt(), 130)])
def test_what_fails(error: BaseException, code: int, capsys: Output) -> None:
    def fail(arguments: list[str]) -> None:
        raise error

    assert run({"fail": Command(fail, "fail")}, "", ["fail"]) == code
    assert capsys.readouterr().err == ("stopped\n" if code == 130 else "error: too large\n")


@pytest.mark.parametrize("name", ["record", "expert", "export-dqn", "benchmark", "info"])
def test_help_of_each_command(name: str, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    assert exit_code([name, "--help"]) == 0
    shown = "python -m benchmarks" if name == "benchmark" else f"sb3-diiqn {name}"
    assert capsys.readouterr().out.startswith(f"usage: {shown} ")


def test_record(capsys: Output) -> None:
    arguments = ["record", "--env", "CartPole-v1", "--policy", "random", "--n-steps", "30", "-o", "data"]
    assert main(arguments) == 0
    assert len(ExpertObservations.load("data")) == 30
    assert exit_code(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("sb3-diiqn record: error: data.npz exists")


def test_benchmark(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    assert main(["benchmark", "status", "--out", "nothing"]) == 2
    assert "There are no results in 'nothing'" in capsys.readouterr().err


def test_benchmark_without_a_clone(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sb3_diiqn.__main__._has_benchmarks", lambda: False)
    assert main(["benchmark", "run", "demo"]) == 2
    assert "clone the repository, and run 'sb3-diiqn benchmark'" in capsys.readouterr().err


def test_info_of_versions(capsys: Output) -> None:
    assert main(["info"]) == 0
    rows = table(capsys.readouterr().out)
    assert rows["sb3_diiqn"] == sb3_diiqn.__version__
    assert all(rows[name] == importlib.metadata.version(name) for name in NEEDED)
    assert all((name in rows) != (name in rows["not installed"].split(", ")) for name in OPTIONAL)
    assert {"Python", "platform", "processors", "GPU"} <= set(rows)


def test_info_of_expert_data(capsys: Output) -> None:
    data = record_expert("CartPole-v1", n_steps=60, seed=0, output="data.npz").expert_data
    assert main(["info", "data", "data.npz"]) == 0
    first, second = map(table, capsys.readouterr().out.split("\n\n"))
    assert first == second
    assert first["expert data"] == repr(data)
    assert first["content hash"] == data.content_hash
    assert re.fullmatch(r"60, of \d+ to \d+ in each trajectory", first["transitions"])
    assert float(first["return"].split()[0]) == pytest.approx(60 / data.n_trajectories, rel=1e-3)


def _qrdiiqn(*arguments: Any, **settings: Any) -> Any:
    pytest.importorskip("sb3_contrib")
    return sb3_diiqn.QRDIIQN(*arguments, **settings)


@pytest.mark.parametrize(("name", "make"), [("DIIQN", DIIQN), ("HADIIQN", HADIIQN), ("QRDIIQN", _qrdiiqn)])
def test_info_of_a_model(name: str, make: Callable[..., Any], capsys: Output) -> None:
    record_expert("CartPole-v1", n_steps=60, seed=0, output="data.npz")
    model = make("MlpPolicy", "CartPole-v1", buffer_size=10, expert_data="data.npz", guide_fraction=0.5)
    model.save("model.zip")
    assert main(["info", "model"]) == 0
    rows = table(capsys.readouterr().out)
    assert rows["algorithm"] == name
    assert (rows["model"], rows["expert_data"]) == ("model.zip", "'data.npz'")
    assert (rows["guide_fraction"], rows["gamma"], rows["inference"]) == ("0.5", "0.99", "'auto'")
    assert rows["observation_space"].startswith("Box(") and "n=2" in rows["action_space"]
    assert "Stable-Baselines3: " in rows["saved with"]


def test_info_of_a_model_of_others(capsys: Output) -> None:
    DQN("MlpPolicy", "CartPole-v1", buffer_size=10).save("dqn.zip")
    assert main(["info", "dqn.zip"]) == 0
    rows = table(capsys.readouterr().out)
    assert "of another package" in rows["algorithm"] and "stable_baselines3.dqn" in rows["algorithm"]


def test_info_of_what_is_not_there(capsys: Output) -> None:
    assert main(["info", "nothing"]) == 2
    assert "There is no file" in capsys.readouterr().err
