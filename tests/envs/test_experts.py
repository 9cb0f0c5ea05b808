"""Scripted experts of the grid maze. Those of the point maze are tested with it."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from sb3_diiqn.envs import Maze2D, MazeExpert
from sb3_diiqn.exceptions import ConfigurationError


def mean_length(randomness: float, actions: str, n_episodes: int = 30) -> float:
    env = Maze2D("small", actions=actions, max_episode_steps=2000)
    expert = MazeExpert(env, randomness, seed=1)
    lengths = []
    for _ in range(n_episodes):
        observation, _ = env.reset()
        n_steps, ended = 0, False
        while not ended:
            observation, _, terminated, truncated, _ = env.step(expert(observation))
            ended, n_steps = terminated or truncated, n_steps + 1
        lengths.append(n_steps)
    return float(np.mean(lengths))


@pytest.mark.parametrize(("actions", "shortest"), [("NESW", 10), ("king", 5), ("skew", 15), ("knight", 4), ("diagonal", 5)])
def test_faultless_expert_takes_the_shortest_path(actions: str, shortest: int) -> None:
    assert mean_length(0.0, actions, n_episodes=1) == shortest


def test_quality_falls_with_randomness() -> None:
    lengths = [mean_length(randomness, "king") for randomness in (0.0, 0.3, 0.6, 1.0)]
    assert lengths == sorted(lengths)
    assert lengths[0] * 1.2 < lengths[1] < lengths[2] < lengths[3] / 2


@pytest.mark.parametrize("kind", ["one_hot", "coordinates", "image"])
def test_expert_reads_every_kind_of_observation(kind: str) -> None:
    env = Maze2D("small", observation=kind)
    expert = MazeExpert(env, randomness=0.0)
    assert all(expert(env.observation_of(cell)) in env.best_actions(cell) for cell in env.layout.free_cells()[:-1])


def test_expert_acts_at_random_where_it_knows_no_way() -> None:
    env = Maze2D("S.G.", actions=["E", "E2"])
    expert = MazeExpert(env, randomness=0.0, seed=0)
    assert {expert(env.observation_of((0, 3))) for _ in range(50)} == {0, 1}


def test_share_of_random_actions() -> None:
    env = Maze2D("open_5", actions="king")
    expert = MazeExpert(env, randomness=0.4, seed=0)
    observation = env.observation_of((1, 1))
    n_best = sum(expert(observation) == 3 for _ in range(4000))  # SE; a random action is also the best one in 1 of 8 cases
    assert n_best / 4000 == pytest.approx(0.65, abs=0.03)


def test_same_seed_same_actions() -> None:
    env = Maze2D("open_5")
    observation = env.observation_of((1, 1))
    first, again, other = ([expert(observation) for _ in range(50)] for expert in (MazeExpert(env, 1.0, s) for s in (1, 1, 2)))
    assert first == again != other


def test_wrapped_maze_is_accepted() -> None:
    env = gymnasium.make("sb3_diiqn/Maze2D-v0", layout="S.G")
    observation, _ = env.reset()
    assert MazeExpert(env, randomness=0.0)(observation) == 1


@pytest.mark.parametrize("randomness", [-0.1, 1.1, "0.2", None])
def test_randomness_is_a_probability(randomness: float) -> None:
    with pytest.raises(ConfigurationError, match="randomness="):
        MazeExpert(Maze2D("S.G"), randomness)


def test_other_environment_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is no Maze2D"):
        MazeExpert(gymnasium.make("CartPole-v1"))
