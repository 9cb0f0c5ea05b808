"""Replay buffers that match: every row of a batch with its own expert transition, and everything else as in the host class."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import ExpertObservations
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.imitation.buffers import ExpertReplayBuffer
from sb3_diiqn.inference import NO_MATCH, ExpertKnowledge, InferenceSettings
from tests.helpers import global_random_state
from tests.imitation.places import (
    ACTIONS,
    PLACES,
    PLACES_BY_KEY,
    add,
    every_place,
    expert_at,
    make_buffer,
    make_host,
    places_of,
    reward_of,
)

KINDS = ["plain", "dict", pytest.param("n-step", marks=pytest.mark.skipif(NStepReplayBuffer is None, reason="SB3 is too old"))]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    np.random.seed(7)  # noqa: NPY002, the buffers of Stable-Baselines3 draw from the global generator
    yield


# --- every row with its own expert transition -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_envs", [1, 2, 5])
@pytest.mark.parametrize("n_steps", [3, 8, 21])
def test_every_row_has_the_expert_transition_of_its_own_step_and_environment(kind: str, n_envs: int, n_steps: int) -> None:
    """The buffer holds 8 steps: it is not full, exactly full, and has gone round twice."""
    places = [one for one in every_place(n_steps, n_envs) if sum(one) % 3 != 0]
    buffer = make_buffer(expert_at(places, kind), kind, n_envs=n_envs)
    add(buffer, range(n_steps), kind)

    drawn = set()
    for _ in range(20):
        agent, expert = buffer.sample_with_expert(32)
        agent_places = places_of(agent.observations)
        expected_rows = [row for row, (step, env) in enumerate(agent_places) if (step + env) % 3 != 0]
        assert expert.rows.tolist() == expected_rows
        np.testing.assert_array_equal(places_of(expert.observations), agent_places[expert.rows])
        np.testing.assert_array_equal(
            places_of(expert.next_observations) - agent_places[expert.rows], [[0.5, 0]] * len(expert.rows)
        )
        assert [places[index] for index in expert.indices] == [tuple(one) for one in agent_places[expert.rows].astype(int)]
        # the exact transition gave the action
        np.testing.assert_array_equal(expert.actions, agent.actions[expert.rows])
        drawn |= {tuple(one) for one in agent_places.astype(int).tolist()}
    assert drawn == {(step, env) for step in range(max(0, n_steps - 8), n_steps) for env in range(n_envs)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_envs", [1, 3])
def test_matches_of_stored_transitions_after_the_buffer_has_gone_round(kind: str, n_envs: int) -> None:
    places = every_place(21, n_envs)
    buffer = make_buffer(expert_at(places, kind), kind, n_envs=n_envs)
    add(buffer, range(21), kind)
    buffer.match_pending()
    stored = buffer.observations["step"] if kind == "dict" else buffer.observations
    steps = stored[:, 0, 0].astype(int)
    assert sorted(steps) == list(range(13, 21))
    expected = [[places.index((step, env)) for env in range(n_envs)] for step in steps]
    np.testing.assert_array_equal(buffer.expert_indices, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_envs", [1, 3])
def test_batches_and_random_draws_are_those_of_the_host_class(kind: str, n_envs: int) -> None:
    buffer, host = make_buffer(expert_at([(1, 0), (4, 0)], kind), kind, n_envs=n_envs), make_host(kind, 8, n_envs)
    for one in (buffer, host):
        add(one, range(11), kind, done_at=(5,), cut_at=(8,))

    np.random.seed(1)  # noqa: NPY002
    expected = [host.sample(16) for _ in range(3)]
    after = global_random_state()
    np.random.seed(1)  # noqa: NPY002
    batches = [buffer.sample_with_expert(16).agent for _ in range(3)]

    assert global_random_state() == after
    for batch, of_host in zip(batches, expected, strict=True):
        assert type(batch) is type(of_host)
        for field, other in zip(batch, of_host, strict=True):
            if isinstance(other, dict):
                assert all(th.equal(field[key], other[key]) for key in other)
            else:
                assert (field is None and other is None) or th.equal(field, other)


def test_the_expert_half_of_an_n_step_batch_is_one_step() -> None:
    if NStepReplayBuffer is None:
        pytest.skip("SB3 is too old")
    buffer = make_buffer(expert_at([(2, 0)]), "n-step")
    add(buffer, range(8))
    agent, expert = buffer.sample_with_expert(64)
    rows = np.flatnonzero(agent.observations[:, 0] == 2)
    assert expert.rows.tolist() == rows.tolist() != []
    np.testing.assert_allclose(agent.rewards[rows], 2 + 0.5 * 3 + 0.25 * 4)
    np.testing.assert_allclose(agent.discounts[rows], 0.125)
    np.testing.assert_array_equal(expert.rewards, 2)
    np.testing.assert_array_equal(expert.next_observations, [[2.5, 0]] * len(rows))
    np.testing.assert_array_equal(expert.steps, 1)


# --- the reward -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("expert_rewards", "reward", "done"), [("none", 10, 1), ("inferred", 10, 1), ("recorded", 30, 0)])
def test_reward_and_end_are_those_of_the_nearest_transition_or_recorded(
    expert_rewards: Any, reward: float, done: float
) -> None:
    """Both agent transitions match the expert's; the first reproduces it and gives the action."""
    space = spaces.Box(0, 100, (1,), dtype=np.float32)
    expert = ExpertObservations.from_trajectories([np.float32([[0], [1], [100]])], rewards=[[30.0, 0.0]])
    knowledge = ExpertKnowledge(
        expert, space, InferenceSettings(similarity_threshold=0.95, n_neighbors=1, max_inference_error=0.1)
    )
    buffer = ExpertReplayBuffer(4, space, ACTIONS, device="cpu", knowledge=knowledge, expert_rewards=expert_rewards)
    for start, end, action, paid, ended in ((0, 1, 7, 10, True), (0.25, 3, 8, 20, False)):
        buffer.add(np.float32([[start]]), np.float32([[end]]), np.array([action]), np.array([paid]), np.array([ended]), [{}])

    agent, expert_samples = buffer.sample_with_expert(40)

    assert len(expert_samples.rows) == 40
    np.testing.assert_array_equal(expert_samples.actions, 7)
    assert len(agent.observations.unique()) == 2
    np.testing.assert_array_equal(expert_samples.rewards, reward)
    np.testing.assert_array_equal(expert_samples.dones, done)


def test_a_cut_episode_did_not_end() -> None:
    buffer = make_buffer(expert_at([(0, 0), (1, 0), (2, 0)]))
    add(buffer, range(3), done_at=(0,), cut_at=(1,))
    expert = buffer.sample_with_expert(64).expert
    for index, done in ((0, 1), (1, 0), (2, 0)):
        assert set(expert.dones[expert.indices == index].flatten().tolist()) == {done}


@pytest.mark.parametrize("kind", ["plain", pytest.param("n-step", marks=KINDS[2].marks)])
def test_rewards_of_parallel_environments_are_not_mixed_up(kind: str) -> None:
    buffer = make_buffer(expert_at(every_place(8, 3)), kind, n_envs=3)
    add(buffer, range(8))
    agent, expert = buffer.sample_with_expert(64)
    np.testing.assert_allclose(expert.rewards[:, 0], reward_of(*agent.observations.numpy().T))


def test_types_of_a_batch() -> None:
    buffer = make_buffer(expert_at([(1, 0)]))
    add(buffer, range(3))
    agent, expert = buffer.sample_with_expert(16)
    n = len(expert.rows)
    assert n > 0
    assert expert.observations.shape == expert.next_observations.shape == (n, 2)
    assert expert.observations.dtype == agent.observations.dtype
    assert expert.actions.shape == expert.rewards.shape == expert.dones.shape == (n, 1)
    assert (expert.actions.dtype, expert.rewards.dtype, expert.dones.dtype) == (
        th.int64,
        agent.rewards.dtype,
        agent.dones.dtype,
    )


def test_a_batch_without_any_match() -> None:
    buffer = make_buffer(expert_at([(500, 0)]))
    add(buffer, range(3))
    agent, expert = buffer.sample_with_expert(16)
    assert len(agent.rewards) == 16
    assert [len(field) for field in expert] == [0] * len(expert)
    assert expert.observations.shape == (0, 2)


# --- when it is matched -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("n_envs", [1, 3])
def test_matching_at_once_in_rollouts_or_when_needed_gives_the_same(n_envs: int) -> None:
    settings = InferenceSettings(similarity_threshold=0.9, max_inference_error=0.2)
    expert = expert_at([(step, env) for step in range(0, 700, 3) for env in range(n_envs)])
    lazy, eager, by_rollout = (make_buffer(expert, size=300, n_envs=n_envs, settings=settings) for _ in range(3))
    add(lazy, range(700))
    for step in range(700):
        add(eager, range(step, step + 1))
        eager.match_pending()
        add(by_rollout, range(step, step + 1))
        if step % 37 == 0:
            by_rollout.match_pending()
    for buffer in (lazy, by_rollout):
        buffer.match_pending()
        np.testing.assert_array_equal(buffer.expert_indices, eager.expert_indices)
        for name, table in vars(eager.knowledge.inferred).items():
            np.testing.assert_array_equal(getattr(buffer.knowledge.inferred, name), table)
    assert len(np.unique(eager.expert_indices)) > 50


def test_what_is_drawn_is_matched_before() -> None:
    places = every_place(120, 2)
    buffer = make_buffer(expert_at(places), size=40, n_envs=2)
    for step in range(120):
        add(buffer, range(step, step + 1))
        agent, expert = buffer.sample_with_expert(2)
        assert [places[index] for index in expert.indices] == [tuple(one) for one in agent.observations.int().tolist()]


def test_few_new_transitions_can_wait() -> None:
    buffer = make_buffer(expert_at(every_place(9, 2)), size=20, n_envs=2)
    add(buffer, range(3))
    buffer.match_pending(at_least=7)
    assert (buffer.expert_indices == NO_MATCH).all()
    add(buffer, range(3, 4))
    buffer.match_pending(at_least=7)
    assert (buffer.expert_indices[:4] != NO_MATCH).all()


def test_nothing_is_overwritten_before_it_was_matched() -> None:
    """A buffer of three steps that goes round several times within a rollout still learns from every transition."""
    buffer = make_buffer(expert_at(every_place(10, 1)), size=3)
    add(buffer, range(10))
    buffer.match_pending()
    assert buffer.knowledge.inferred.action.tolist() == list(range(10))


def test_a_buffer_of_a_single_step() -> None:
    buffer = make_buffer(expert_at(every_place(4, 1)), size=1)
    add(buffer, range(4))
    assert buffer.sample_with_expert(2).expert.indices.tolist() == [3, 3]


def test_matched_share() -> None:
    buffer = make_buffer(expert_at([(1, 0), (2, 1), (9, 0)]), size=4, n_envs=2)
    assert buffer.matched_share() == 0
    add(buffer, range(3))
    buffer.match_pending()
    assert buffer.matched_share() == pytest.approx(2 / 6)
    add(buffer, range(3, 10))
    buffer.match_pending()
    assert buffer.matched_share() == pytest.approx(1 / 8)


def test_reset_forgets_the_transitions_and_keeps_what_was_learned() -> None:
    buffer = make_buffer(expert_at(every_place(4, 1)), size=4)
    add(buffer, range(3))
    buffer.match_pending()
    add(buffer, range(3, 4))
    buffer.reset()
    buffer.match_pending()
    assert (buffer.expert_indices == NO_MATCH).all()
    assert buffer.matched_share() == 0
    # step 3 was not matched before it was dropped
    assert buffer.knowledge.inferred.action.tolist() == [0, 1, 2, -1]
    add(buffer, range(3, 4))
    assert buffer.sample_with_expert(4).expert.indices.tolist() == [3] * 4


# --- pickling ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_of_a_buffer_has_its_matches_but_not_the_expert_data(kind: str) -> None:
    places = every_place(400, 2)
    buffer = make_buffer(expert_at(places, kind), kind, n_envs=2)
    add(buffer, range(395, 400), kind)
    buffer.match_pending()
    add(buffer, range(394, 395), kind)
    restored = pickle.loads(pickle.dumps(buffer.for_file()))
    assert not {"expert", "matcher"} & set(vars(restored.knowledge))
    knowledge = make_buffer(expert_at(places, kind), kind, n_envs=2).knowledge
    knowledge.adopt(restored.knowledge)
    restored.knowledge = knowledge
    # the last step had not been matched when the buffer was pickled
    restored.match_pending()
    buffer.match_pending()
    np.testing.assert_array_equal(restored.expert_indices, buffer.expert_indices)
    assert restored.expert_indices[5].tolist() == [788, 789]
    np.testing.assert_array_equal(restored.knowledge.inferred.action, buffer.knowledge.inferred.action)


# --- normalisation ----------------------------------------------------------------------------------------------------------


class Nowhere(gymnasium.Env[Any, Any]):
    """Only its spaces are used."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.observation_space = space
        self.action_space = ACTIONS


@pytest.mark.parametrize("kind", KINDS)
def test_both_halves_are_normalised(kind: str) -> None:
    space = PLACES_BY_KEY if kind == "dict" else PLACES
    keys = {"norm_obs_keys": ["step"]} if kind == "dict" else {}
    env = VecNormalize(DummyVecEnv([lambda: Nowhere(space)] * 2), clip_obs=1000.0, clip_reward=1000.0, **keys)
    statistics = env.obs_rms["step"] if kind == "dict" else env.obs_rms
    statistics.mean, statistics.var = np.full(statistics.mean.shape, 3.0), np.full(statistics.var.shape, 4.0)
    env.ret_rms.var = np.array(25.0)
    buffer = make_buffer(expert_at(every_place(8, 2), kind), kind, n_envs=2)
    add(buffer, range(8), kind)

    agent, expert = buffer.sample_with_expert(32, env=env)

    # the matches are those of the observations as they were
    assert expert.rows.tolist() == list(range(32))
    normalised = places_of(agent.observations)
    np.testing.assert_allclose(places_of(expert.observations), normalised)
    raw = normalised * [2, 1] + [3, 0] if kind == "dict" else normalised * 2 + 3
    steps_and_envs = np.round(raw)
    np.testing.assert_allclose(raw, steps_and_envs, atol=1e-4)
    np.testing.assert_array_equal(expert.indices, steps_and_envs @ [2, 1])
    np.testing.assert_allclose(places_of(expert.next_observations) - normalised, [[0.25, 0]] * 32, atol=1e-5)
    np.testing.assert_allclose(expert.rewards[:, 0], reward_of(*steps_and_envs.T) / 5, rtol=1e-5)
    assert expert.rewards.dtype == agent.rewards.dtype == th.float32
    stored = buffer.observations["step"] if kind == "dict" else buffer.observations
    assert stored[5, 0, 0] == 5, "what is stored stays as it was"
