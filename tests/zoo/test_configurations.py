"""The yml files: the baseline is fair, and all that they name can be made and trained with."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.zoo.__main__ import main
from sb3_diiqn.zoo.configurations import (
    ExpertFile,
    configuration_folder,
    expert_command,
    read_yml,
    shipped_configuration,
)
from tests.zoo.conftest import record_random

FILES = {name: read_yml(configuration_folder() / f"{name}.yml") for name in ("dqn", "diiqn", "hadiiqn", "experts")}
OWN_KEYS = {"expert_data", "guide", "matching_kwargs", "bridge_kwargs"}
ENTRIES = [(algorithm, env_id) for algorithm in ("dqn", "diiqn", "hadiiqn") for env_id in FILES[algorithm]]
EXTRAS = {
    "MinAtar/": "minatar",
    "LunarLander": "Box2D",
    "sb3_diiqn/PointMaze": "gymnasium_robotics",
    "FreewayNoFrameskip": "ale_py",
}


def expert_file(entry: dict[str, Any]) -> ExpertFile:
    """Which expert the data of an entry come from, read from the command that makes them."""
    words = shlex.split(expert_command(entry["expert_data"], "none"))
    options = dict(zip(words[4::2], words[5::2], strict=True))
    assert words[:4] == ["python", "-m", "sb3_diiqn", "expert"] and options.keys() == {"--env", "--quality"}
    return ExpertFile(options["--env"], float(options["--quality"]))


def skip_if_not_installed(env_id: str) -> None:
    for start, package in EXTRAS.items():
        if env_id.startswith(start) and importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    if env_id == "Acrobot-v1" and gymnasium.__version__ < "1":
        pytest.skip("gymnasium 0.29's Acrobot does not work with NumPy 2")
    if env_id not in gymnasium.registry:
        assert env_id.startswith("LunarLander") or gymnasium.__version__ < "1.1"
        pytest.skip("another version of gymnasium has this version, and Atari")


@pytest.mark.parametrize("algorithm", ["diiqn", "hadiiqn"])
def test_baseline_differs_in_nothing_but_the_expert(algorithm: str) -> None:
    without = {
        env: {key: value for key, value in entry.items() if key not in OWN_KEYS} for env, entry in FILES[algorithm].items()
    }
    assert without == {env: FILES["dqn"][env] for env in without}
    assert all("expert_data" in entry for entry in FILES[algorithm].values())


def test_the_baseline_has_no_entry_of_its_own() -> None:
    assert FILES["dqn"].keys() == FILES["diiqn"].keys() | FILES["hadiiqn"].keys()


@pytest.mark.parametrize(("algorithm", "env_id"), [entry for entry in ENTRIES if entry[0] != "dqn"])
def test_expert_data_come_from_a_configured_expert(algorithm: str, env_id: str) -> None:
    skip_if_not_installed(env_id)
    entry = FILES[algorithm][env_id]
    file = expert_file(entry)
    assert str(file.path()) == entry["expert_data"]
    assert file.env_id in FILES["experts"] and file.quality == FILES["experts"][file.env_id]["quality"]
    assert "policy" in FILES["experts"][file.env_id] or file.env_id in FILES["dqn"]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "env_id"), ENTRIES)
def test_entry_trains(
    algorithm: str,
    env_id: str,
    recordings: Path,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every entry builds its model and takes 200 steps, the last ones with updates."""
    skip_if_not_installed(env_id)
    (workplace / "expert_data").symlink_to(recordings)
    if algorithm != "dqn":
        record_random(expert_file(FILES[algorithm][env_id]), recordings)
    options = ["-n", "200", "--eval-freq", "-1", "--num-threads", "1"]
    changed = ["-params", "learning_starts:180", "train_freq:4", "gradient_steps:1", "buffer_size:1000"]
    assert main(["train", "--algo", algorithm, "--env", env_id, *options, *changed]) == 0, capfd.readouterr().err
    output = capfd.readouterr().out
    assert str(configuration_folder() / f"{algorithm}.yml") in output
    name = env_id.replace("/", "-")
    assert (workplace / "logs" / algorithm / f"{name}_1" / f"{name}.zip").exists()


def test_which_configuration() -> None:
    assert shipped_configuration("diiqn", "CartPole-v1") == configuration_folder() / "diiqn.yml"
    assert shipped_configuration("dqn", "CartPole-v1") == configuration_folder() / "dqn.yml"
    assert shipped_configuration("dqn", "Pendulum-v1") is None, "rl-zoo's own"
    assert shipped_configuration("ppo", "CartPole-v1") is None
    with pytest.raises(ConfigurationError, match=r"hadiiqn for 'Pendulum-v1'.*--conf-file"):
        shipped_configuration("hadiiqn", "Pendulum-v1")


def test_commands() -> None:
    make = "python -m sb3_diiqn expert --env"
    assert expert_command("expert_data/CartPole-v1-0.5.npz", "other") == f"{make} CartPole-v1 --quality 0.5"
    assert expert_command("x/y/CartPole-v1-1.npz", "other") == f"{make} CartPole-v1 --quality 1 --folder x/y"
    assert expert_command("own.npz", "CartPole-v1") == f"{make} CartPole-v1 --output own.npz"
    assert expert_command("CartPole-v1-good.npz", "CartPole-v1") == f"{make} CartPole-v1 --output CartPole-v1-good.npz"
    assert expert_command("CartPole-v1-0.50.npz", "CartPole-v1") == f"{make} CartPole-v1 --output CartPole-v1-0.50.npz"


@pytest.mark.parametrize(("text", "message"), [("[1]", "one mapping"), ("a: 1", "one mapping"), ("a: [", "cannot be read")])
def test_bad_yml(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_yml(path)
