"""The ball in a maze. Needs gymnasium-robotics, which only the current lane has."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from sb3_diiqn.envs import Maze2D, PointMaze, PointMazeExpert
from sb3_diiqn.envs.layouts import named_layout
from sb3_diiqn.envs.point_maze import _forces
from sb3_diiqn.envs.rendering import AGENT, GOAL, WALL
from sb3_diiqn.exceptions import ConfigurationError, MissingDependencyError

HALF = 0.5**0.5  # of a unit force, in x and in y


@pytest.fixture
def robotics() -> Any:
    return pytest.importorskip("gymnasium_robotics")


def mean_length(randomness: float, n_episodes: int = 10, **arguments: Any) -> float:
    env = PointMaze(max_episode_steps=1000, **arguments)
    expert = PointMazeExpert(env, randomness, seed=0)
    lengths = []
    for seed in range(n_episodes):
        observation, _ = env.reset(seed=seed)
        n_steps, ended = 0, False
        while not ended:
            observation, _, terminated, truncated, _ = env.step(expert(observation))
            ended, n_steps = terminated or truncated, n_steps + 1
        lengths.append(n_steps)
    return float(np.mean(lengths))


@pytest.mark.parametrize(
    ("actions", "offset", "expected"),
    [
        ("axis", 0.0, [(1, 0), (0, 1), (-1, 0), (0, -1)]),
        (4, 0.0, [(1, 0), (0, 1), (-1, 0), (0, -1)]),
        (
            "diagonal",
            0.0,
            [(HALF, HALF), (-HALF, HALF), (-HALF, -HALF), (HALF, -HALF)],
        ),
        ("axis", 90.0, [(0, 1), (-1, 0), (0, -1), (1, 0)]),
        (3, 0.0, [(1, 0), (-0.5, 0.75**0.5), (-0.5, -(0.75**0.5))]),
        (1, 180.0, [(-1, 0)]),
    ],
)
def test_forces_by_hand(actions: str | int, offset: float, expected: list[tuple[float, float]]) -> None:
    np.testing.assert_allclose(_forces(actions, offset), expected, atol=1e-12)


def test_all_forces_are_those_of_axis_and_diagonal() -> None:
    def as_set(actions: str | int, offset: float = 0.0) -> set[tuple[float, float]]:
        return {(round(float(x), 6) + 0.0, round(float(y), 6) + 0.0) for x, y in _forces(actions, offset)}

    assert as_set("all") == as_set("axis") | as_set("diagonal")
    assert not as_set("axis") & as_set("diagonal")
    assert as_set("diagonal") == as_set(4, 45.0)


def test_mazes_are_those_of_gymnasium_robotics(robotics: Any) -> None:
    from gymnasium_robotics.envs.maze import maps  # noqa: PLC0415

    originals = {"u": maps.U_MAZE, "open": maps.OPEN, "medium": maps.MEDIUM_MAZE, "large": maps.LARGE_MAZE}
    for name, original in originals.items():
        np.testing.assert_array_equal(named_layout(f"point_{name}").walls, np.array(original) == 1)


def test_physics_is_that_of_gymnasium_robotics(robotics: Any) -> None:
    original = gymnasium.make("PointMaze_UMaze-v3", continuing_task=False).unwrapped
    Path(original.tmp_xml_file_path).unlink()
    original.position_noise_range = 0.0
    cells = {"reset_cell": np.array([1, 1]), "goal_cell": np.array([3, 1])}
    env = PointMaze(frame_skip=3, start_noise=0.0)
    expected = original.reset(options=cells)[0]["observation"]
    np.testing.assert_allclose(env.reset()[0], expected, atol=1e-6)
    actions = [0] * 20 + [3] * 20 + [2] * 20  # right, down, left: into walls on the way, and to the goal
    for action in actions:
        for _ in range(3):
            expected, reward, terminated, *_ = original.step(env.forces[action])
            if terminated:
                break
        observation, own_reward, own_terminated, _, info = env.step(action)
        np.testing.assert_allclose(observation, expected["observation"], atol=1e-5)
        assert (own_reward, own_terminated, info["is_success"]) == (reward, terminated, terminated)
        if terminated:
            break
    assert own_terminated


def test_one_action_in_free_space_by_hand(robotics: Any) -> None:
    env = PointMaze("point_open", start_noise=0.0, frame_skip=4)
    observation, _ = env.reset()
    # 7 columns and 5 rows of 1 m: the start (1, 1) is 2 m left of and 1 m above the centre
    np.testing.assert_allclose(observation, [-2.0, 1.0, 0.0, 0.0], atol=1e-6)
    x, y, velocity_x, velocity_y = env.step(0)[0]
    # 100 N on a sphere of radius 0.1 m and 1000 kg/m^3 for 4 times 0.01 s
    speed = 100.0 / (1000.0 * 4 / 3 * np.pi * 0.1**3) * 0.04
    assert env.speed_per_action == pytest.approx(speed, rel=1e-6)
    assert velocity_x == pytest.approx(speed, rel=0.03)  # damping takes a little
    assert x == pytest.approx(-2.0 + 0.01 * speed * (0.25 + 0.5 + 0.75 + 1.0), abs=1e-3)
    assert (y, velocity_y) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-6))


def test_no_file_is_left_behind(robotics: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    PointMaze()
    assert not list(tmp_path.iterdir())


def test_cells_and_positions(robotics: Any) -> None:
    env = PointMaze("point_medium")
    assert env.centre_of((1, 1)).tolist() == [-2.5, 2.5]
    for cell in env.layout.free_cells():
        assert env.cell_at(env.centre_of(cell)) == cell
        assert env.cell_at(env.centre_of(cell) + np.array([0.49, -0.49])) == cell


def test_observation_kinds_agree(robotics: Any) -> None:
    flat, with_goal, as_dict = PointMaze(), PointMaze(random_goal=True), PointMaze(observation="dict")
    observation, _ = as_dict.reset(seed=1)
    np.testing.assert_array_equal(observation["observation"], flat.reset(seed=1)[0])
    np.testing.assert_array_equal(observation["achieved_goal"], observation["observation"][:2])
    assert observation["desired_goal"].tolist() == [-1.0, -1.0]
    six = with_goal.reset(seed=1)[0]
    assert with_goal.cell_at(six[4:]) in with_goal.layout.free_cells()
    for env, part in ((flat, flat.reset(seed=2)[0]), (as_dict, as_dict.reset(seed=2)[0])):
        position, velocity, goal = env.parts_of(part)
        assert (env.cell_at(position), velocity.tolist(), goal.tolist()) == ((1, 1), [0.0, 0.0], [-1.0, -1.0])


def test_observation_space_does_not_depend_on_the_forces(robotics: Any) -> None:
    spaces = [PointMaze(actions=actions).observation_space for actions in ("axis", "diagonal", "all", 7)]
    assert all(space == spaces[0] for space in spaces)
    assert PointMaze("point_large").observation_space != spaces[0]


def test_observations_stay_in_their_space(robotics: Any) -> None:
    env = PointMaze("point_open", random_start=True, random_goal=True, actions="all")
    env.reset(seed=0)
    env.action_space.seed(0)
    for step in range(600):
        held = step // 8  # long pushes, up to the highest speed
        observation, _, terminated, truncated, _ = env.step(held * 5 % 8)
        assert observation in env.observation_space
        if terminated or truncated:
            env.reset()


def test_dense_reward_is_best_at_the_goal(robotics: Any) -> None:
    env = PointMaze("point_open", reward="dense", start_noise=0.0, frame_skip=1)
    observation, _ = env.reset()
    observation, reward, *_ = env.step(0)
    assert reward == pytest.approx(np.exp(-np.hypot(observation[0] - 2.0, observation[1] + 1.0)) - 1.0, abs=1e-5)
    assert reward < 0.0


def test_start_and_goal_are_fixed_or_random(robotics: Any) -> None:
    env = PointMaze(start_noise=0.1)
    starts = np.array([env.reset(seed=seed)[0][:2] for seed in range(50)])
    assert (np.abs(starts - [-1.0, 1.0]) <= 0.1).all()
    assert starts.std(axis=0).min() > 0.03
    env = PointMaze(random_start=True, random_goal=True)
    cells = {(env.cell_at(o[:2]), env.cell_at(o[4:])) for o in (env.reset(seed=seed)[0] for seed in range(200))}
    assert all(start != goal for start, goal in cells)
    assert {start for start, _ in cells} == set(env.layout.free_cells())
    assert {goal for _, goal in cells} == set(env.layout.free_cells()) - {env.layout.start}


def test_same_seed_same_episode(robotics: Any) -> None:
    def episode(seed: int) -> list[Any]:
        env = PointMaze(random_start=True)
        observations = [env.reset(seed=seed)[0]]
        return np.array(observations + [env.step(action % 4)[0] for action in range(20)]).tolist()

    assert episode(1) == episode(1)
    assert episode(1) != episode(2)


def test_episode_is_cut_after_its_maximum(robotics: Any) -> None:
    env = PointMaze(max_episode_steps=2)
    env.reset()
    assert env.step(0)[2:4] == (False, False)
    assert env.step(0)[2:4] == (False, True)
    assert gymnasium.spec("sb3_diiqn/PointMaze-v0").max_episode_steps == PointMaze().max_episode_steps == 200


@pytest.mark.parametrize("arguments", [{}, {"observation": "dict"}, {"random_goal": True, "reward": "dense"}])
def test_checkers(robotics: Any, arguments: dict[str, Any]) -> None:
    env = gymnasium.make("sb3_diiqn/PointMaze-v0", render_mode="rgb_array", **arguments).unwrapped
    check_env(env)
    check_env_for_sb3(env)


def test_picture(robotics: Any) -> None:
    env = PointMaze(render_mode="rgb_array", start_noise=0.0)
    env.reset()
    picture = env.render()
    assert (picture.shape, picture.dtype) == ((80, 80, 3), np.uint8)
    centres = picture[8::16, 8::16].tolist()
    assert centres[1][1] == list(AGENT)
    assert centres[3][1] == list(GOAL)
    assert centres[2][1] == list(WALL)
    for _ in range(3):
        env.step(0)
    assert env.render()[8::16, 8::16].tolist()[1][1] != list(AGENT)
    assert PointMaze().render() is None


@pytest.mark.parametrize("actions", ["axis", "diagonal", "all", 3])
def test_faultless_expert_reaches_the_goal(robotics: Any, actions: str | int) -> None:
    assert mean_length(0.0, n_episodes=2, actions=actions) < 40


def test_expert_solves_the_larger_mazes_and_random_goals(robotics: Any) -> None:
    assert mean_length(0.1, n_episodes=2, layout="point_medium", actions="diagonal") < 100
    assert mean_length(0.1, n_episodes=2, layout="point_large") < 150
    assert mean_length(0.1, n_episodes=5, random_start=True, random_goal=True, observation="dict") < 60


@pytest.mark.slow
def test_quality_falls_with_randomness(robotics: Any) -> None:
    lengths = [mean_length(randomness) for randomness in (0.0, 0.5, 1.0)]
    assert lengths[0] * 1.1 < lengths[1] < lengths[2] / 1.5


def test_gain_makes_the_expert_slower(robotics: Any) -> None:
    env = PointMaze(start_noise=0.0)
    lengths = []
    for gain in (2.0, 4.0):
        expert = PointMazeExpert(env, randomness=0.0, gain=gain)
        observation, _ = env.reset()
        n_steps, terminated = 0, False
        while not terminated:
            observation, _, terminated, _, _ = env.step(expert(observation))
            n_steps += 1
        lengths.append(n_steps)
    assert lengths[0] > lengths[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "palace"}, "layout='palace' is unknown"),
        ({"layout": "#####\n#S#G#\n#####"}, r"Walls separate the start \(1, 1\) from the goal \(1, 3\)"),
        ({"layout": "#####\n#S.G.\n#####"}, "free cells at its border"),
        ({"layout": "####\n#S##\n##G#\n####"}, "Walls separate"),
        ({"actions": "sideways"}, "actions='sideways' is unknown; choose one of axis, diagonal, all"),
        ({"actions": 0}, "actions=0 must be a whole number of at least 1"),
        ({"actions": 2.5}, "actions=2.5"),
        ({"angle_offset": float("inf")}, "angle_offset=inf"),
        ({"frame_skip": 0}, "frame_skip=0"),
        ({"observation": "image"}, "observation='image' is unknown; choose one of flat, dict"),
        ({"reward": "shaped"}, "reward='shaped' is unknown"),
        ({"start_noise": 0.5}, "start_noise=0.5"),
        ({"max_episode_steps": 0}, "max_episode_steps=0"),
        ({"render_mode": "human"}, "render_mode='human' is unknown"),
    ],
)
def test_bad_arguments_are_refused_at_construction(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PointMaze(**arguments)


def test_bad_calls_are_refused(robotics: Any) -> None:
    env = PointMaze()
    env.reset()
    with pytest.raises(ConfigurationError, match="action=4 must be a whole number from 0 to 3"):
        env.step(4)
    with pytest.raises(ConfigurationError, match="gain=0"):
        PointMazeExpert(env, gain=0.0)
    with pytest.raises(ConfigurationError, match="randomness=2"):
        PointMazeExpert(env, randomness=2.0)


def test_expert_refuses_another_environment() -> None:
    with pytest.raises(ConfigurationError, match="is no PointMaze"):
        PointMazeExpert(Maze2D("S.G"))


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium_robotics.envs.maze.point_maze", None)
    with pytest.raises(MissingDependencyError, match=r"gymnasium-robotics.*sb3-diiqn\[mazes\]"):
        PointMaze()
