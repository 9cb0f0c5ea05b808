"""``expert``: made once, of the quality that was asked for, and described by its manifest."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from sb3_diiqn import ExpertObservations
from sb3_diiqn.zoo.__main__ import main
from sb3_diiqn.zoo.atari import FREEWAY, UP
from sb3_diiqn.zoo.configurations import configuration_folder, read_yml
from sb3_diiqn.zoo.environments import FREEWAY_FRAMES
from sb3_diiqn.zoo.expert import within_bounds

MAZE = "sb3_diiqn/Maze2D-v0"


def expert(*options: object) -> int:
    return main(["expert", *map(str, options)])


def test_scripted_expert(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert expert("--env", MAZE, "--quality", 1) == 0
    path = workplace / "expert_data" / "sb3_diiqn-Maze2D-v0-1.npz"
    data, manifest = ExpertObservations.load(path), json.loads(path.with_suffix(".json").read_text())
    assert len(data) == manifest["n_transitions"] == read_yml(configuration_folder() / "experts.yml")[MAZE]["n_steps"]
    assert set(np.diff(data.offsets)[:-1]) == {23}, "22 steps, no faster way"
    assert manifest["mean_return"] == pytest.approx(1 - 22 * 0.01)
    assert manifest["content_hash"] == data.content_hash and manifest["seed"] == 0 and manifest["environment"]
    assert "mean return 0.78" in capsys.readouterr().out


def test_classic_control_needs_no_training(workplace: Path) -> None:
    assert expert("--env", "CartPole-v1", "--n-steps", 1000) == 0
    manifest = json.loads((workplace / "expert_data" / "CartPole-v1-0.75.json").read_text())
    assert manifest["kind"] == "policy" and manifest["mean_return"] > 300, "a quarter of its actions are random"


def test_an_environment_of_ones_own(workplace: Path) -> None:
    registration = (
        "import gymnasium\ngymnasium.register('{}', 'gymnasium.envs.classic_control:CartPoleEnv', max_episode_steps=9)\n"
    )
    (workplace / "mine.py").write_text(registration.format("MyCart-v0"))
    (workplace / "other.py").write_text(registration.format("OtherCart-v0"))
    settings = "{policy: MlpPolicy, n_timesteps: 10, learning_starts: 1, policy_kwargs: {net_arch: [4]}}"
    (workplace / "own.yml").write_text(f"MyCart-v0: {settings}\nOtherCart-v0: {settings}\n")
    common = ("--conf-file", "own.yml", "--n-steps", 20, "--quality", 1)
    assert expert("--env", "mine:MyCart-v0", *common) == 0
    assert expert("--env", "OtherCart-v0", *common, "--gym-packages", "other") == 0
    for name in ("MyCart", "OtherCart"):
        assert len(ExpertObservations.load(workplace / "expert_data" / f"{name}-v0-1.npz")) == 20


def test_variants_differ_in_actions_only(workplace: Path) -> None:
    for name in ("Maze2D", "Maze2DKing", "Maze2DRooms"):
        assert expert("--env", f"sb3_diiqn/{name}-v0", "--quality", 1, "--n-steps", 100, "-o", name) == 0
    lengths = {
        name: np.diff(ExpertObservations.load(workplace / f"{name}.npz").offsets)[0] - 1 for name in ("Maze2D", "Maze2DKing")
    }
    assert lengths["Maze2DKing"] < lengths["Maze2D"]


@pytest.mark.slow
def test_expert_of_freeway(workplace: Path) -> None:
    pytest.importorskip("ale_py", reason="the extra 'atari' is not installed")
    if FREEWAY not in gymnasium.registry:
        pytest.skip("ale-py needs gymnasium 1.1")
    assert expert("--env", FREEWAY_FRAMES, "--n-steps", 300) == 0
    data = ExpertObservations.load(workplace / "expert_data" / "sb3_diiqn-Freeway-v0-1.npz")
    observations: Any = data.observations
    assert observations.shape == (301, 84, 84, 1) and observations.dtype == np.uint8
    with np.load(workplace / "expert_data" / "sb3_diiqn-Freeway-v0-1-actions.npz") as file:
        assert set(file["actions"].tolist()) == {UP}
    with contextlib.closing(gymnasium.make(FREEWAY)) as env:
        unwrapped: Any = env.unwrapped
        assert unwrapped.get_action_meanings()[UP] == "UP"
    assert data.rewards is not None and data.rewards.sum() >= 1, "it gets across"


def test_is_made_once(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--env", MAZE, "--n-steps", 50)
    assert expert(*options) == 0
    path = workplace / "expert_data" / "sb3_diiqn-Maze2D-v0-0.5.npz"
    first = capsys.readouterr().out, path.stat().st_mtime_ns
    assert expert(*options) == 0
    assert (capsys.readouterr().out, path.stat().st_mtime_ns) == first
    path.with_suffix(".json").unlink()
    assert expert(*options) == 2, "somebody's file is not overwritten"
    assert "nothing says what it is" in capsys.readouterr().err
    path.unlink()
    assert expert(*options) == 0, "an interrupted run is completed"
    assert expert("--env", MAZE, "--n-steps", 51) == 2
    assert "was made with other settings" in capsys.readouterr().err
    assert len(ExpertObservations.load(path)) == 50
    ExpertObservations.from_trajectories([np.zeros((5, 4), dtype=np.float32)]).save(path)
    assert expert(*options) == 2
    assert "is not what" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["maze-0.5", "maze.data", "maze", "maze.npz"])
def test_the_file_is_written_where_it_was_asked_for(workplace: Path, name: str) -> None:
    assert expert("--env", MAZE, "--n-steps", 50, "-o", f"out/{name}") == 0
    file = name if name.endswith(".npz") else f"{name}.npz"
    assert len(ExpertObservations.load(workplace / "out" / file)) == 50


def test_clipping_to_the_bounds() -> None:
    space = spaces.Box(-1, 1, (2,), dtype=np.float32)
    values = np.array([[0, 1], [0.5, -1], [1, 0]], dtype=np.float32)
    inside = ExpertObservations.from_trajectories([values], True, [[1.0, 2.0]])
    assert within_bounds(inside, space) is inside
    outside = ExpertObservations.from_trajectories([values * 3], True, [[1.0, 2.0]])
    clipped = within_bounds(outside, space)
    assert clipped.observations.tolist() == [[0, 1], [1, -1], [1, 0]]
    assert clipped.terminated.tolist() == [True] and clipped.rewards.tolist() == [1, 2]
    clipped.adapted_to(space)


@pytest.mark.slow
def test_trained_expert(workplace: Path) -> None:
    """In so few steps MountainCar is not solved: final, random and chosen return are the same, at the first evaluation."""
    settings = "policy: MlpPolicy, n_timesteps: 3, learning_starts: 1, learning_rate: 0.0023, policy_kwargs: {net_arch: [16]}"
    (workplace / "own.yml").write_text(f"MountainCar-v0: {{{settings}}}")
    options = ("--env", "MountainCar-v0", "--quality", 0.25, "--conf-file", "own.yml")
    assert expert(*options, "--n-steps", 400) == 0
    manifest = json.loads((workplace / "expert_data" / "MountainCar-v0-0.25.json").read_text())
    (policy,) = (workplace / "expert_data" / "policies").glob("*.zip")
    trained = json.loads(policy.with_suffix(".json").read_text())
    assert manifest["policy"] == trained
    assert trained == {"steps": 1, "greedy_return": -200} and manifest["settings"]["training"]["lowest_return"] == -200
    assert manifest["settings"]["training"]["settings"]["learning_rate"] == 2.3e-3

    before = policy.stat().st_mtime_ns
    assert expert(*options, "--n-steps", 200, "--output", "expert_data/short.npz") == 0
    assert len(ExpertObservations.load(workplace / "expert_data" / "short.npz")) == 200
    assert expert(*options, "--n-steps", 200, "--epsilon", 0.5, "--output", "expert_data/noisy.npz") == 0
    assert policy.stat().st_mtime_ns == before, "trained once"
    assert len(list(policy.parent.glob("*.zip"))) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--env", "Nowhere-v0"), "no environment 'Nowhere-v0'"),
        (("--env", MAZE, "--quality", 0), "--quality 0: expected"),
        (("--env", MAZE, "--quality", 1.5), "--quality 1.5: expected"),
        (("--env", MAZE, "--epsilon", 2), "--epsilon 2: expected"),
        (("--env", MAZE, "--n-steps", 0), "--n-steps 0: expected"),
        (("--env", "Pendulum-v1"), "no settings of DQN for 'Pendulum-v1'"),
        (("--env", "CartPole-v1", "--conf-file", "own.yml"), "normalize: True is not supported"),
    ],
)
def test_bad_requests(workplace: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], message: str) -> None:
    (workplace / "own.yml").write_text("CartPole-v1: {policy: MlpPolicy, n_timesteps: 100, normalize: true}")
    assert expert(*options) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "Traceback" not in error
    assert re.search(message, error), error
    assert not (workplace / "expert_data").exists()
