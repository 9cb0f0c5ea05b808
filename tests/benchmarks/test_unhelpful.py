"""Experts that are no help do what they are said to do."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from benchmarks import unhelpful
from benchmarks.classic_control import cart_pole
from benchmarks.grids import frozen_lake
from sb3_diiqn.envs import Maze2D
from sb3_diiqn.record import record_expert


def returns(env: gymnasium.Env[Any, Any], policy: Any) -> np.ndarray:
    return record_expert(env, policy, n_episodes=20, seed=0).episode_returns


def test_the_pole_falls_as_soon_as_it_can() -> None:
    env = gymnasium.make("CartPole-v1")
    assert returns(env, unhelpful.toppling_cart_pole(env)).max() <= 11
    assert returns(env, cart_pole(env)).min() == 500


def test_a_strong_engine_balances_the_pole_by_other_steps() -> None:
    velocities = []
    for make in (cart_pole, unhelpful.strong_cart_pole):
        env = gymnasium.make("CartPole-v1")
        policy = make(env)
        assert returns(env, policy).min() > 400
        observation, _ = env.reset(seed=0)
        velocities.append(env.step(policy(observation))[0][1] - observation[1])
    assert velocities[1] == pytest.approx(3 * velocities[0], rel=0.05)


def test_the_way_leads_into_a_hole() -> None:
    env = gymnasium.make("FrozenLake8x8-v1", is_slippery=False)
    assert returns(env, frozen_lake(env)).tolist() == [1.0] * 20
    recording = record_expert(env, unhelpful.frozen_lake_hole(env), n_episodes=3, seed=0)
    # the nearest hole is five steps from the start
    assert recording.episode_returns.tolist() == [0.0] * 3 and len(recording.expert_data) == 3 * 5
    lake: Any = env.unwrapped
    last = recording.expert_data.next(np.flatnonzero(recording.expert_data.terminals))
    assert all(lake.desc.ravel()[int(state)] == b"H" for state in np.asarray(last).ravel())


def test_the_walk_leads_away_from_the_goal() -> None:
    maze = Maze2D(layout="#######\n#S...G#\n#.#####\n#.....#\n#######", max_episode_steps=50)
    expert = unhelpful.MazeElsewhere(maze, randomness=0)
    maze.reset()
    for _ in range(6):
        observation = maze.observation_of(maze.cell)
        maze.step(expert(observation))
    assert maze.cell == (3, 5)
    assert expert.best_action(maze.observation_of((3, 5))) is None
