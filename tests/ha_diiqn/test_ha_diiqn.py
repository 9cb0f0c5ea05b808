"""HADIIQN in training: what it finds out, how that is seen, and what it does with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3 import DQN
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import DIIQN, HADIIQN, PAPER
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.envs import Maze2D, MazeExpert
from sb3_diiqn.exceptions import MissingExpertDataError
from sb3_diiqn.imitation.callbacks import ConfidenceCallback
from sb3_diiqn.imitation.config import WHERE_STATES_REPEAT
from sb3_diiqn.inference import BridgingKnowledge, Feasibility
from sb3_diiqn.record import record_expert
from tests.ha_diiqn.jumper import BRIDGING, CURIOUS, jumps, knowledge_of, line_env, make, streams_of
from tests.helpers import LOOKS, RIGHT, TINY, LineEnv, global_random_state, right_walks, with_habits
from tests.imitation.line_models import exploration_of
from tests.inference.bridging_worlds import assert_equals_the_loops, range_of, record_king

#: Explores by bridges only.
FULLY: Any = with_habits(HADIIQN, WHERE_STATES_REPEAT, exploration_fraction=1.0)

FEASIBLE, INFEASIBLE = Feasibility.FEASIBLE, Feasibility.INFEASIBLE

needs_n_steps = pytest.mark.skipif(NStepReplayBuffer is None, reason="this Stable-Baselines3 has no n-step returns")


# --- what is found out --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.slow
def test_inspection_shows_what_was_found_out(n_envs: int) -> None:
    model = make(n_envs=n_envs, bridge_kwargs={"bridge_gain": 1}).learn(250)
    shown = model.inspect_expert()
    assert all(len(array) == 6 for array in shown.values())
    assert shown["feasibility"].tolist() == [INFEASIBLE, INFEASIBLE, FEASIBLE] * 2
    assert shown["bridged"].tolist() == [True, True, False] * 2
    assert shown["bridge_length"].tolist() == [2, 2, 0] * 2
    assert shown["bridge_gain"].tolist() == [1, 1, 0] * 2
    assert shown["bridge_actions"].tolist() == [[RIGHT, RIGHT, -1, -1], [RIGHT, RIGHT, -1, -1], [-1] * 4] * 2
    assert shown["action"].tolist() == [RIGHT] * 6
    assert shown["error"][2::3].tolist() == [0, 0]
    assert (shown["error"][[0, 1, 3, 4]] > 0.03).all()
    np.testing.assert_array_equal(shown["training_count"], knowledge_of(model).training_count)
    assert shown["training_count"][0] > 0, "bridges were learned from"


def test_inspection_includes_the_newest_steps_and_shares_nothing() -> None:
    model = make()
    assert model.inspect_expert()["action"].tolist() == [-1] * 6
    observation, following = LOOKS["vector"].show(4)[None], LOOKS["vector"].show(5)[None]
    model.replay_buffer.add(observation, following, np.array([RIGHT]), np.array([0.9]), np.array([True]), [{}])
    shown = model.inspect_expert()
    assert shown["feasibility"].tolist() == [0, 0, FEASIBLE] * 2
    for array in shown.values():
        array[:] = 1
    assert model.inspect_expert()["feasibility"].tolist() == [0, 0, FEASIBLE] * 2
    assert not model.inspect_expert()["bridged"].any()


def test_inspection_without_expert_data_says_so() -> None:
    with pytest.raises(MissingExpertDataError, match="expert_data="):
        HADIIQN("MlpPolicy", LineEnv(), **TINY).inspect_expert()


def test_logs() -> None:
    model = make(bridge_kwargs={"bridge_gain": 1})
    model.set_logger(Logger(None, []))
    model.learn(300, callback=ConfidenceCallback(log_frequency=1), log_interval=None)
    logged = {name[7:]: value for name, value in model.logger.name_to_value.items() if name.startswith("expert/")}
    assert logged["feasible"] == pytest.approx(1 / 3)
    assert logged["infeasible"] == pytest.approx(2 / 3)
    assert logged["bridged"] == pytest.approx(2 / 3)
    assert logged["bridge_length"] == 2
    assert {"confidence", "usefulness", "training", "inference", "matched", "inferred", "trained"} <= logged.keys()
    assert 0 < logged["confidence"] < 1


def test_logs_before_there_is_a_bridge() -> None:
    statistics = make().expert_statistics()
    assert (statistics["feasible"], statistics["infeasible"], statistics["bridged"]) == (0, 0, 0)
    assert "bridge_length" not in statistics


@pytest.mark.slow
@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize(
    "arguments", [{"guide": "none"}, {}, {"guide": "clone"}], ids=["unguided", "guided", "guided by a clone"]
)
def test_what_training_finds_equals_a_look_at_the_whole_buffer(n_envs: int, arguments: dict[str, Any]) -> None:
    """Episodes that are cut, an end for good, and a second call of ``learn``, which resets the environments."""
    bridges = {"bridge_length": 3, "infeasibility_evidence": 2}
    model = make(n_envs=n_envs, time_limit=9, bridge_kwargs=bridges, train_freq=3, **arguments)
    model.learn(150)
    model.learn(151)
    model.update_confidence()
    streams = streams_of(model)
    ends = [(step.ends, step.terminal) for stream in streams for step in stream]
    assert {(False, False), (True, False), (True, True)} <= set(ends)
    assert_equals_the_loops(knowledge_of(model), streams, range_of(knowledge_of(model)))
    assert knowledge_of(model).bridges.length.any()


@pytest.mark.slow
def test_king_and_rook_in_a_maze() -> None:
    """Random exploration of a generated maze finds bridges for most of what the expert does along diagonals."""
    maze = Maze2D(size=6, layout_seed=2, max_episode_steps=60, random_start=True)
    expert = record_king(maze, seed=1)
    model = HADIIQN("MlpPolicy", maze, **{**CURIOUS, **BRIDGING, "learning_starts": 1000}, expert_data=expert).learn(900)
    model.update_confidence()
    knowledge = knowledge_of(model)
    assert_equals_the_loops(knowledge, streams_of(model), range_of(knowledge))
    shown = model.inspect_expert()
    assert (shown["feasibility"] == INFEASIBLE).sum() > 3
    assert shown["bridged"].sum() >= 0.8 * (shown["feasibility"] == INFEASIBLE).sum()


@pytest.mark.slow
def test_every_step_is_looked_at_once_however_large_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    observe = BridgingKnowledge.observe

    def counting(self: BridgingKnowledge, agent: Any) -> np.ndarray:
        seen.append(len(agent.actions))
        return observe(self, agent)

    monkeypatch.setattr(BridgingKnowledge, "observe", counting)
    for buffer_size in (30, 1000):
        seen.clear()
        make(buffer_size=buffer_size).learn(200).update_confidence()
        assert sum(seen) == 200
        assert max(seen[10:]) < 30


# --- all that it works with ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", [look for look in LOOKS if "image" not in look])
def test_observations_of_every_kind(look: str) -> None:
    model = make(look, n_envs=2, bridge_kwargs={"bridge_gain": 1}).learn(200)
    shown = model.inspect_expert()
    assert shown["feasibility"].tolist() == [INFEASIBLE, INFEASIBLE, FEASIBLE] * 2
    assert shown["bridge_length"].tolist() == [2, 2, 0] * 2
    assert shown["action"].tolist() == [RIGHT] * 6
    assert shown["training_count"][0] > 0
    assert all(th.isfinite(parameter).all() for parameter in model.policy.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("look", "wrap", "arguments"),
    [
        ("vector", VecNormalize, {"guide": "both"}),
        ("discrete", lambda env: env, {"expert_rewards": "none"}),
        pytest.param("vector", lambda env: env, {"n_steps": 3}, marks=needs_n_steps),
        ("vector", lambda env: env, {"matching_kwargs": {"similarity_metric": "mismatch"}}),
        ("vector", lambda env: env, {"train_freq": (1, "episode"), "gradient_steps": 2}),
    ],
)
def test_wrappers_and_arguments(look: str, wrap: Any, arguments: dict[str, Any]) -> None:
    env = wrap(DummyVecEnv([lambda: LineEnv(look)]))
    model = HADIIQN("MlpPolicy", env, **{**CURIOUS, **BRIDGING, "expert_data": jumps(look), **arguments}).learn(250)
    shown = model.inspect_expert()
    assert FEASIBLE in shown["feasibility"]
    assert shown["bridged"].any()
    assert shown["training_count"][shown["bridged"]].sum() > 0


def test_arguments_of_dqn_may_be_positional() -> None:
    model = HADIIQN(
        "MlpPolicy", LineEnv(), 0.01, 300, 10, 8, expert_data=jumps(), device="cpu", bridge_kwargs={"bridge_length": 2}
    )
    assert (model.learning_rate, model.buffer_size, model.learning_starts, model.batch_size) == (0.01, 300, 10, 8)
    assert knowledge_of(model).bridges.actions.shape == (6, 2)


def test_its_runs_have_its_name(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    for expected, name in {"HADIIQN_1": {}, "mine_1": {"tb_log_name": "mine"}}.items():
        make(tensorboard_log=str(tmp_path)).learn(20, **name)
        assert list((tmp_path / expected).iterdir())


def test_the_settings_arrive() -> None:
    arguments: dict[str, Any] = {
        "infeasibility_threshold": 0.2,
        "infeasibility_evidence": 7,
        "bridge_length": 5,
        "bridge_gain": 6,
        "bridge_patience": 8,
    }
    model = make(gamma=0.5, bridge_kwargs=arguments)
    knowledge = knowledge_of(model)
    assert vars(knowledge.bridging) == arguments
    assert knowledge.gamma == 0.5


# --- collecting and predicting ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_envs", [1, 2])
def test_without_guidance_it_explores_exactly_as_dqn_does(n_envs: int) -> None:
    """With networks that never learn, so that the same values are explored around."""
    arguments = {**CURIOUS, "learning_rate": 0.0}
    dqn = DQN("MlpPolicy", line_env(n_envs=n_envs), **arguments).learn(150)
    expected = global_random_state()
    model = make(n_envs=n_envs, learning_rate=0.0, **PAPER).learn(150)
    assert global_random_state() == expected
    np.testing.assert_array_equal(model.replay_buffer.actions, dqn.replay_buffer.actions)
    assert (model.inspect_expert()["feasibility"] == INFEASIBLE).any()


def test_fully_guided_it_goes_by_bridges_to_the_goal() -> None:
    """The agent's own policy would not: its networks never learn."""
    model = make(algorithm=FULLY, learning_rate=0.0, learning_starts=1000).learn(300)
    assert (model.replay_buffer.actions[250:300, 0, 0] == RIGHT).all()
    assert (knowledge_of(model).bridges.failures <= 0).all()


@pytest.mark.parametrize("look", ["vector", "discrete", "bool planes"])
def test_prediction_is_the_learned_policy(look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(look, algorithm=FULLY).learn(200)
    monkeypatch.setattr(exploration_of(model), "override", None)
    states = model.replay_buffer.observations[:60, 0]
    states = states[:, 0] if look == "discrete" else states
    with th.no_grad():
        values = model.q_net(model.policy.obs_to_tensor(states)[0])
    np.testing.assert_array_equal(model.predict(states, deterministic=True)[0], values.argmax(dim=1).numpy())


# --- beside DIIQN and DQN -----------------------------------------------------------------------------------------------------


def same_weights(one: DQN, other: DQN) -> bool:
    first, second = one.policy.state_dict(), other.policy.state_dict()
    return list(first) == list(second) and all(th.equal(first[key], second[key]) for key in first)


@pytest.mark.slow
@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize("guide", ["none", "matching"])
def test_with_the_experts_actions_it_is_diiqn(n_envs: int, guide: str) -> None:
    """In a maze in which every action does what it says."""

    def maze() -> Maze2D:
        return Maze2D(size=6, layout_seed=1, max_episode_steps=40)

    expert = record_expert(maze(), MazeExpert(maze(), 0.3, seed=0), n_episodes=3, seed=0).expert_data
    models = []
    for algorithm in (with_habits(DIIQN), with_habits(HADIIQN)):
        env = DummyVecEnv([maze] * n_envs)
        model = algorithm("MlpPolicy", env, **{**CURIOUS, **PAPER, "guide": guide, "guide_fraction": 0.0}, expert_data=expert)
        models.append(model.learn(250).learn(50, reset_num_timesteps=False))
    diiqn, ha_diiqn = models
    diiqn.update_confidence()
    shown = ha_diiqn.inspect_expert()
    assert INFEASIBLE not in shown["feasibility"]
    assert FEASIBLE in shown["feasibility"]
    assert same_weights(diiqn, ha_diiqn)
    np.testing.assert_array_equal(diiqn.replay_buffer.actions, ha_diiqn.replay_buffer.actions)
    np.testing.assert_array_equal(diiqn.replay_buffer.expert_indices, ha_diiqn.replay_buffer.expert_indices)
    np.testing.assert_array_equal(diiqn.knowledge.training_count, ha_diiqn.knowledge.training_count)
    assert shown["training_count"].sum() > 0
    common = diiqn.knowledge.statistics()
    assert {name: ha_diiqn.knowledge.statistics()[name] for name in common} == common


def test_with_other_actions_it_is_not() -> None:
    """So that the test above cannot pass by doing nothing."""
    diiqn = DIIQN("MlpPolicy", line_env(), **CURIOUS, expert_data=jumps(), **PAPER).learn(200)
    assert not same_weights(diiqn, make(**PAPER).learn(200))


def test_without_expert_data_it_is_dqn() -> None:
    dqn = DQN("MlpPolicy", line_env(), **TINY).learn(120)
    expected = global_random_state()
    model = HADIIQN("MlpPolicy", line_env(), **TINY).learn(120)
    assert global_random_state() == expected
    assert same_weights(model, dqn)
    assert type(model.replay_buffer) is type(dqn.replay_buffer)


def test_the_same_seed_gives_the_same_result() -> None:
    first, again = (make(n_envs=2).learn(200) for _ in range(2))
    assert same_weights(first, again)
    np.testing.assert_array_equal(first.replay_buffer.actions, again.replay_buffer.actions)
    for name, array in first.inspect_expert().items():
        np.testing.assert_array_equal(array, again.inspect_expert()[name])


def test_the_experts_with_the_same_actions_need_no_bridges() -> None:
    model = make(expert_data=right_walks()).learn(200)
    assert set(model.inspect_expert()["feasibility"]) == {FEASIBLE}
    assert not model.inspect_expert()["bridged"].any()
