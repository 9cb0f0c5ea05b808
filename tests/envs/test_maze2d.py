"""The grid maze."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from sb3_diiqn.envs import Layout, Maze2D
from sb3_diiqn.envs.moves import ACTION_SETS
from sb3_diiqn.envs.rendering import AGENT, FLOOR, GOAL, WALL
from sb3_diiqn.exceptions import ConfigurationError

# Free cells around (3, 3): all but north and south-east
CROSS = """
    #######
    #.....#
    #..#..#
    #..S..#
    #...#.#
    #..G..#
    #######
"""
KINDS = ["one_hot", "coordinates", "image"]


def targets(actions: str | list[str], layout: str = CROSS, start: tuple[int, int] = (3, 3)) -> list[tuple[int, int]]:
    """Where each action leads."""
    env = Maze2D(layout, actions=actions)
    reached = []
    for action in range(len(env.moves)):
        env.reset(options={"start": start})
        reached.append(env.step(action)[4]["cell"])
    return reached


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ("NESW", [(3, 3), (3, 4), (4, 3), (3, 2)]),
        ("diagonal", [(2, 4), (3, 3), (4, 2), (2, 2)]),
        ("king", [(3, 3), (2, 4), (3, 4), (3, 3), (4, 3), (4, 2), (3, 2), (2, 2)]),
        ("skew", [(3, 3), (4, 3), (2, 4), (4, 2)]),
        ("knight", [(1, 4), (2, 5), (4, 5), (5, 4), (5, 2), (4, 1), (2, 1), (1, 2)]),
        (["N2", "S2E2", "W3", "E", "S2"], [(1, 3), (5, 5), (3, 3), (3, 4), (5, 3)]),
    ],
)
def test_transitions_by_hand(actions: str | list[str], expected: list[tuple[int, int]]) -> None:
    assert targets(actions) == expected


def test_diagonal_moves_pass_between_walls_and_jumps_over_them() -> None:
    assert targets(["SE", "E2", "E", "S"], "S#.\n#.G\n...", (0, 0)) == [(1, 1), (0, 2), (0, 0), (0, 0)]


def test_leaving_the_grid_is_a_move_into_a_wall() -> None:
    assert targets(["N", "W", "NW", "E", "SE"], "S.\n.G", (0, 0)) == [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1)]


def test_rewards_by_hand() -> None:
    env = Maze2D("####\n#SG#\n####", step_penalty=0.25, wall_penalty=0.5, goal_reward=2.0)
    env.reset()
    assert env.step(0)[1:] == (-0.75, False, False, {"cell": (1, 1), "is_success": False})
    assert env.step(1)[1:] == (1.75, True, False, {"cell": (1, 2), "is_success": True})


def test_default_rewards() -> None:
    env = Maze2D("####\n#SG#\n####")
    env.reset()
    assert env.step(0)[1] == pytest.approx(-0.01)
    assert env.step(1)[1] == pytest.approx(0.99)


def test_observations_by_hand() -> None:
    text = "S.\n#G"
    one_hot, coordinates, image = (Maze2D(text, observation=kind) for kind in KINDS)
    assert one_hot.reset()[0].tolist() == [True, False, False, False]
    assert one_hot.step(1)[0].tolist() == [False, True, False, False]
    assert coordinates.reset()[0].tolist() == [0.0, 0.0]
    assert coordinates.step(1)[0].tolist() == [0.0, 1.0]
    image.reset()
    planes = image.step(1)[0]
    assert planes[..., 0].tolist() == [[False, False], [True, False]]
    assert planes[..., 1].tolist() == [[False, True], [False, False]]
    assert planes[..., 2].tolist() == [[False, False], [False, True]]
    assert [env.observation_space.dtype for env in (one_hot, coordinates, image)] == [bool, np.float32, bool]


@pytest.mark.parametrize("kind", KINDS)
def test_cell_of_is_the_inverse_of_observation_of(kind: str) -> None:
    env = Maze2D("small", observation=kind)
    for cell in env.layout.free_cells():
        observation = env.observation_of(cell)
        assert observation in env.observation_space
        assert env.cell_of(observation) == cell


def test_distractors_say_nothing_and_are_drawn_anew_in_every_step() -> None:
    env = Maze2D("small", distractors=200)
    plain = Maze2D("small")
    n_cells = plain.observation_space.shape[0]
    first, _ = env.reset(seed=1)
    again, _ = env.reset(seed=1)
    following = env.step(0)[0]
    assert first in env.observation_space
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:n_cells], plain.reset()[0])
    assert env.cell_of(first) == plain.cell
    assert 70 < first[n_cells:].sum() < 130
    assert 70 < (first != following)[n_cells:].sum() < 130


@pytest.mark.parametrize("kind", KINDS)
def test_observations_are_not_shared(kind: str) -> None:
    env = Maze2D("small", observation=kind)
    first = env.reset()[0]
    kept = first.copy()
    env.step(1)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("kind", KINDS)
def test_observation_space_does_not_depend_on_the_actions(kind: str) -> None:
    spaces = [Maze2D("paper", actions=actions, observation=kind).observation_space for actions in ACTION_SETS]
    assert all(space == spaces[0] for space in spaces)
    assert spaces[0] != Maze2D("large", observation=kind).observation_space


def test_generated_maze_does_not_depend_on_the_actions() -> None:
    texts = {Maze2D(size=12, layout_seed=3, actions=actions).layout.text() for actions in ACTION_SETS}
    assert len(texts) == 1
    assert texts != {Maze2D(size=12, layout_seed=4).layout.text()}


def test_slip_takes_a_random_own_action() -> None:
    env = Maze2D("open_5", slip=0.4)
    env.reset(seed=0)
    reached = []
    for _ in range(4000):
        env.reset(options={"start": (3, 3)})
        reached.append(env.step(0)[4]["cell"])
    shares = [reached.count(cell) / len(reached) for cell in ((2, 3), (3, 4), (4, 3), (3, 2))]
    # The chosen action also is one of the four random ones; 0.03 is four standard deviations
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.1, 0.1], atol=0.03)


def test_no_slip_draws_no_random_number() -> None:
    env = Maze2D("open_5")
    env.reset(seed=0)
    before = env.np_random.bit_generator.state
    env.step(0)
    assert env.np_random.bit_generator.state == before


def test_random_start_is_uniform_over_cells_that_can_reach_the_goal() -> None:
    env = Maze2D("#######\n#S..G.#\n#######", actions=["E"], random_start=True)
    starts = [env.reset(seed=seed)[1]["cell"] for seed in range(300)]
    assert set(starts) == {(1, 1), (1, 2), (1, 3)}
    assert all(starts.count(cell) > 60 for cell in set(starts))


def test_same_seed_same_episode() -> None:
    def episode(seed: int) -> list[Any]:
        env = Maze2D("rooms", slip=0.3, random_start=True)
        cells = [env.reset(seed=seed)[1]["cell"]]
        return cells + [env.step(action % 4)[4]["cell"] for action in range(50)]

    assert episode(1) == episode(1)
    assert episode(1) != episode(2)


def test_episode_is_cut_after_its_maximum() -> None:
    env = Maze2D("S.G", max_episode_steps=2)
    env.reset()
    assert env.step(0)[2:4] == (False, False)
    assert env.step(0)[2:4] == (False, True)
    env.reset()
    env.step(1)
    assert env.step(1)[2:4] == (True, False)  # the goal on the last step is no cut
    endless = Maze2D("S.G", max_episode_steps=None)
    endless.reset()
    assert not any(endless.step(0)[3] for _ in range(1000))


def test_shortest_path_and_best_actions() -> None:
    env = Maze2D("S#G\n.#.\n...", actions="NESW")
    assert env.shortest_path() == [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2)]
    assert env.shortest_path((1, 2)) == [(1, 2), (0, 2)]
    assert env.best_actions((0, 0)) == [2]
    assert env.distances[0, 0] == 6
    assert Maze2D("S#G\n.#.\n...", actions=["E2"]).shortest_path() == [(0, 0), (0, 2)]


def test_ansi_rendering() -> None:
    env = Maze2D("#####\n#S.G#\n#####", render_mode="ansi")
    env.reset()
    assert env.render() == "#####\n#A.G#\n#####"
    env.step(1)
    assert env.render() == "#####\n#SAG#\n#####"


def test_picture() -> None:
    env = Maze2D("#####\n#S.G#\n##.##", render_mode="rgb_array")
    env.reset()
    env.step(1)
    picture = env.render()
    assert (picture.shape, picture.dtype) == ((48, 80, 3), np.uint8)
    centres = picture[8::16, 8::16].tolist()
    assert centres[0] == [list(WALL)] * 5
    assert centres[1][2] == list(AGENT)
    assert centres[1][3] == list(GOAL)
    assert centres[2][2] == list(FLOOR)
    env.step(2)
    centres = env.render()[8::16, 8::16].tolist()
    assert centres[1][2] == list(FLOOR)
    assert centres[2][2] == list(AGENT)


def test_without_render_mode_nothing_is_drawn() -> None:
    env = Maze2D()
    env.reset()
    assert env.render() is None


@pytest.mark.parametrize("kind", KINDS)
def test_checkers(kind: str) -> None:
    env = gymnasium.make("sb3_diiqn/Maze2D-v0", observation=kind, slip=0.1, random_start=True).unwrapped
    with warnings.catch_warnings():
        # The planes are smaller than the images that CnnPolicy is made for, and boolean
        warnings.filterwarnings("ignore", message=".*image")
        warnings.filterwarnings("ignore", message=".*[Nn]ot able to test alternative render modes")
        check_env(env)
        check_env_for_sb3(env)


def test_checkers_with_rendering() -> None:
    env = gymnasium.make("sb3_diiqn/Maze2D-v0", render_mode="rgb_array").unwrapped
    check_env(env)
    check_env_for_sb3(env)


def test_registered_time_limit_can_be_shortened_and_lengthened() -> None:
    for limit in (3, 1000):
        env = gymnasium.make("sb3_diiqn/Maze2D-v0", max_episode_steps=limit)
        env.reset()
        n_steps = 1
        while not env.step(0)[3]:
            n_steps += 1
        assert n_steps == limit
    assert gymnasium.spec("sb3_diiqn/Maze2D-v0").max_episode_steps == Maze2D().max_episode_steps == 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "palace"}, "layout='palace' is unknown"),
        ({"layout": "##\n#"}, "has 1 characters"),
        ({"layout": "S.#.G"}, r"No path leads from the start \(0, 0\) to the goal \(0, 4\) with actions='NESW'"),
        ({"layout": "S.G", "actions": ["W", "N"]}, r"No path .* with actions=\['W', 'N'\]"),
        ({"layout": "point_u", "actions": "skew"}, "No path .* with actions='skew'"),
        ({"layout": "small", "size": 9}, "Both layout='small' and size=9 are given"),
        ({"layout": "small", "layout_seed": 1}, "layout_seed=1 needs size"),
        ({"size": 3}, "size=3 must be a whole number of at least 5"),
        ({"size": 9, "layout_seed": -2}, "layout_seed=-2"),
        ({"actions": "queen"}, "actions='queen' is unknown"),
        ({"actions": []}, "actions is empty"),
        ({"slip": -0.1}, r"slip=-0.1 must be a finite number in \[0.0, 1.0\]"),
        ({"slip": 1.5}, "slip=1.5"),
        ({"slip": "0.1"}, "slip='0.1'"),
        ({"slip": float("nan")}, "slip=nan"),
        ({"step_penalty": -1.0}, "step_penalty=-1.0"),
        ({"wall_penalty": float("inf")}, "wall_penalty=inf"),
        ({"goal_reward": None}, "goal_reward=None"),
        ({"observation": "pixels"}, "observation='pixels' is unknown; choose one of one_hot, coordinates, image"),
        ({"max_episode_steps": 0}, "max_episode_steps=0"),
        ({"render_mode": "human"}, "render_mode='human' is unknown; choose one of rgb_array, ansi"),
        ({"distractors": -1}, "distractors=-1"),
        ({"distractors": 2, "observation": "image"}, "distractors=2 with observation='image': only 'one_hot'"),
    ],
)
def test_bad_arguments_are_refused_at_construction(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Maze2D(**arguments)


def test_bad_calls_are_refused() -> None:
    env = Maze2D("S.G")
    env.reset()
    for action in (-1, 4, 0.5):
        with pytest.raises(ConfigurationError, match=f"action={action} must be a whole number from 0 to 3"):
            env.step(action)
    with pytest.raises(ConfigurationError, match=r"The start \(3, 3\) lies"):
        env.reset(options={"start": (3, 3)})
    with pytest.raises(ConfigurationError, match=r"shape \(5,\), this maze's are \(3,\)"):
        env.cell_of(np.zeros(5, dtype=bool))


def test_a_layout_object_is_taken_as_it_is() -> None:
    layout = Layout(np.zeros((2, 2), dtype=bool), (1, 1), (0, 0))
    assert Maze2D(layout).layout is layout
