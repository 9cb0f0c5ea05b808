"""DoorKey's planes, and the experts of both grids."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.env_util import make_vec_env

from benchmarks import grids
from benchmarks.grids import ACTIONS, PLANES, State
from sb3_diiqn import DIIQN
from sb3_diiqn.exceptions import MissingDependencyError
from sb3_diiqn.record import make_environment, record_expert

ENV_ID = "benchmarks.grids:benchmarks/DoorKey-v0"
LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE = range(len(ACTIONS))


@pytest.fixture
def door_key() -> Any:
    """At (1, 1), looking right to a key at (2, 1); a locked door at (3, 1), the goal at (4, 4)."""
    things = pytest.importorskip("minigrid.core.world_object")
    env = make_environment(ENV_ID)
    env.reset(seed=0)
    world: Any = env.unwrapped
    for column in range(1, 5):
        for row in range(1, 5):
            if (column, row) != (4, 4):
                world.grid.set(column, row, None)
    world.grid.vert_wall(3, 0)
    world.put_obj(things.Door("yellow", is_locked=True), 3, 1)
    world.put_obj(things.Key("yellow"), 2, 1)
    world.agent_pos, world.agent_dir = (1, 1), 0
    return env


def cells(observation: np.ndarray, plane: str) -> list[tuple[int, int]]:
    """Column and row of what is in a plane."""
    return [(int(column), int(row)) for row, column in np.argwhere(observation[..., PLANES.index(plane)])]


def test_planes_follow_the_actions(door_key: Any) -> None:
    observation = grids.planes(door_key)
    assert observation in door_key.observation_space
    assert observation.shape == (6, 6, len(PLANES))
    shown = {plane: cells(observation, plane) for plane in PLANES}
    assert len(shown.pop("wall")) == 20 + 3
    assert shown == {
        "agent": [(1, 1)],
        "low bit of its direction": [],
        "high bit of its direction": [],
        "door shut": [(3, 1)],
        "door open": [],
        "key": [(2, 1)],
        "goal": [(4, 4)],
    }
    for action, plane, expected in [
        (FORWARD, "agent", [(1, 1)]),  # the key is in the way
        (PICKUP, "key", []),
        (FORWARD, "agent", [(2, 1)]),
        (TOGGLE, "door shut", []),
        (TOGGLE, "door open", []),
        (TOGGLE, "door open", [(3, 1)]),
        (RIGHT, "low bit of its direction", [(2, 1)]),
        (RIGHT, "low bit of its direction", []),
        (LEFT, "high bit of its direction", []),
        (DROP, "key", [(2, 2)]),
    ]:
        observation = door_key.step(action)[0]
        assert cells(observation, plane) == expected, (ACTIONS[action], plane)
    assert not np.any(observation[..., :3] & observation[..., 3:4]), "agent and walls are in different cells"


def test_bits_of_the_directions(door_key: Any) -> None:
    bits = []
    for _ in range(4):
        low, high = grids.planes(door_key)[1, 1, 1:3]
        bits.append(int(low) + 2 * int(high))
        door_key.step(RIGHT)
    assert bits == [0, 1, 2, 3]


def test_episodes_end(door_key: Any) -> None:
    assert door_key.action_space == gymnasium.spaces.Discrete(6)
    ends = [door_key.step(LEFT)[2:4] for _ in range(200)]
    assert ends == [(False, False)] * 199 + [(False, True)]


def test_expert_knows_the_rules(door_key: Any) -> None:
    """Whatever happens, it foresees what MiniGrid does, and finds a way."""
    generator = np.random.default_rng(0)
    for _ in range(600):
        layout, state = grids.read_state(door_key)
        assert 0 <= grids.first_action(layout, state) < len(ACTIONS)
        action = int(generator.choice(len(ACTIONS), p=[0.1, 0.1, 0.4, 0.15, 0.05, 0.2]))
        _, _, terminated, truncated, _ = door_key.step(action)
        if action != DROP:
            assert grids.read_state(door_key) == (layout, grids.successor(layout, state, action))
        if terminated or truncated:
            door_key.reset()


def test_shortest_way(door_key: Any) -> None:
    layout, state = grids.read_state(door_key)
    assert state == State((1, 1), 0, (2, 1), is_locked=True, is_open=False)
    chosen, rewards = [], []
    expert, terminated = grids.door_key(door_key), False
    while not terminated:
        chosen.append(expert(None))
        _, reward, terminated, _, _ = door_key.step(chosen[-1])
        rewards.append(reward)
    assert chosen == [PICKUP, FORWARD, TOGGLE, FORWARD, FORWARD, RIGHT, FORWARD, FORWARD, FORWARD]
    assert rewards == [0.0] * 8 + [pytest.approx(1 - 0.9 * 9 / 200)]
    with pytest.raises(ValueError, match="No way"):
        grids.first_action(layout._replace(walls=layout.walls | {(3, 1), (2, 1)}), state._replace(key=(5, 5)))


@pytest.mark.parametrize(("epsilon", "n_episodes", "lowest"), [(0.0, 20, 0.9), (0.2, 40, 0.8)])
def test_expert_of_door_key(epsilon: float, n_episodes: int, lowest: float) -> None:
    pytest.importorskip("minigrid")
    with make_environment(ENV_ID) as env:
        recording = record_expert(env, grids.door_key(env), n_episodes=n_episodes, epsilon=epsilon, seed=0)
    assert recording.expert_data.terminated.all() or epsilon
    assert recording.episode_returns.mean() > lowest


def test_expert_of_frozen_lake() -> None:
    with make_environment("FrozenLake8x8-v1") as env:
        returns = record_expert(env, grids.frozen_lake(env), n_episodes=200, epsilon=0.1, seed=0).episode_returns
    assert returns.mean() > 0.4


def test_value_iteration() -> None:
    """By hand: from state 0 one action gets 1 at once and ends; the other gets 2 a step later, by half of a chance."""
    ends = {0: [(1.0, 2, 0.0, True)], 1: [(1.0, 2, 0.0, True)]}
    table = {
        0: {0: [(1.0, 2, 1.0, True)], 1: [(0.5, 1, 0.0, False), (0.5, 2, 0.0, True)]},
        1: {0: [(1.0, 2, 2.0, True)], 1: [(1.0, 1, 0.0, False)]},
        2: ends,
    }
    np.testing.assert_allclose(grids._action_values(table, 0.9), [[1.0, 0.9], [2.0, 1.8], [0.0, 0.0]])


@pytest.mark.slow
def test_agents_learn_in_planes(door_key: Any) -> None:
    data = record_expert(door_key, grids.door_key(door_key), n_steps=100, epsilon=0.2, seed=0).expert_data
    venv = make_vec_env(ENV_ID, n_envs=2, seed=0)
    model = DIIQN("MlpPolicy", venv, expert_data=data, learning_starts=20, train_freq=4, policy_kwargs={"net_arch": [8]})
    assert model.learn(96).num_timesteps == 96
    assert pickle.loads(pickle.dumps(door_key)).observation_space == door_key.observation_space


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minigrid.envs.doorkey", None)
    with pytest.raises(MissingDependencyError, match="grids"):
        make_environment(ENV_ID)
