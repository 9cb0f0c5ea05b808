"""Guided exploration: its share, its stretches, and what is followed in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import DIIQN, ExpertObservations
from sb3_diiqn.exploration.guided import ExpertGuidance, GuidanceSettings
from sb3_diiqn.inference import NO_ACTION, AgentTransitions, ExpertFollower, ExpertKnowledge, InferenceSettings
from sb3_diiqn.networks.cloned_policy import CloneFollower, CloneOrMatchingFollower
from tests.helpers import LENGTH, RIGHT, TINY, LineEnv, right_walks, walk

HOST, EXPERT, N_ACTIONS = 0, 7, 8


class Recorder:
    """In place of a follower: always has the same action, or none, and nothing to look up."""

    def __init__(self, action: int = EXPERT) -> None:
        self.action = action

    def to_try(self, environments: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Leave it to chance."""
        return drawn

    def committed(self) -> np.ndarray:
        """There is nothing to finish."""
        return np.zeros(1, dtype=bool)

    def release(self, environments: np.ndarray) -> None:
        """There is nothing to forget."""

    def actions(self, observations: Any, environments: np.ndarray) -> np.ndarray:
        np.testing.assert_array_equal(observations[:, 0], environments)
        return np.full(len(environments), self.action)


def guided_steps(
    share: float, length: float, rate: float, n_envs: int = 200, n_steps: int = 600, episode: int = 10**9
) -> np.ndarray:
    """Which steps were guided, shape (n_steps, n_envs)."""
    guidance = ExpertGuidance(Recorder(), GuidanceSettings(share, length), N_ACTIONS, n_envs, seed=0)
    observations = np.arange(n_envs)[:, None]
    actions = []
    for step in range(n_steps):
        actions.append(guidance.override(np.full(n_envs, HOST), observations, rate))
        guidance.note_step(np.zeros(n_envs), np.full(n_envs, (step + 1) % episode == 0))
    return np.array(actions) == EXPERT


@pytest.mark.parametrize(
    ("share", "rate", "length"), [(0.5, 1.0, 20), (0.5, 0.1, 20), (1.0, 0.3, 5), (0.2, 0.5, 1), (0.9, 1.0, 10)]
)
@pytest.mark.parametrize("episode", [10**9, 15])
def test_share_of_guided_steps(share: float, rate: float, length: float, episode: int) -> None:
    guided = guided_steps(share, length, rate, episode=episode)
    # the environments are independent: five standard errors of their mean
    error = guided.mean(axis=0).std(ddof=1) / np.sqrt(guided.shape[1])
    assert guided.mean() == pytest.approx(share * rate, abs=5 * error)
    assert error < 0.02


def test_share_of_guided_steps_in_the_shortest_stretches() -> None:
    assert guided_steps(0.9, 1, 1.0).mean() == pytest.approx(0.9, abs=0.05)


def test_stretches_have_the_mean_length() -> None:
    guided = guided_steps(0.5, 8, 0.2, n_steps=2000)
    ends = (guided[:-1] & ~guided[1:]).sum()
    assert guided.sum() / ends == pytest.approx(8, rel=0.1)


def test_every_episode_draws_anew_whether_it_begins_guided() -> None:
    """Stretches that are much longer than the episodes of five steps go on within an episode, and end with it."""
    guided = guided_steps(0.5, 1000, 1.0, episode=5)
    goes_on = guided[1:] == guided[:-1]
    across = np.arange(1, len(guided)) % 5 == 0
    assert goes_on[~across].mean() > 0.99
    assert goes_on[across].mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("share", "rate", "expected"), [(0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 1.0)])
def test_never_and_always(share: float, rate: float, expected: float) -> None:
    assert guided_steps(share, 5, rate, n_envs=20, n_steps=50).mean() == expected


@pytest.mark.parametrize(("share", "rate"), [(0.0, 0.3), (0.5, 1.0), (0.5, 0.1), (1.0, 0.2), (1.0, 1.0), (0.3, 0.0)])
def test_random_actions_give_what_the_stretches_take(share: float, rate: float) -> None:
    guidance = ExpertGuidance(Recorder(), GuidanceSettings(share, 20), N_ACTIONS, 1)
    guided = share * rate
    assert guided + (1 - guided) * guidance.remaining_exploration_rate(rate) == pytest.approx(rate)


def test_where_the_experts_action_is_not_known_all_actions_are_tried() -> None:
    guidance = ExpertGuidance(Recorder(NO_ACTION), GuidanceSettings(1.0, 5), N_ACTIONS, 3, seed=0)
    host = np.full(3, HOST)
    taken = np.array([guidance.override(host, np.arange(3)[:, None], 1.0) for _ in range(500)])
    counts = np.bincount(taken.ravel(), minlength=N_ACTIONS)
    assert chisquare(counts).pvalue > 0.001
    np.testing.assert_array_equal(host, np.full(3, HOST), "the caller's array stays as it is")


class Curious(Recorder):
    """Knows no action, and wants the highest that was drawn in any environment to be tried everywhere."""

    def to_try(self, environments: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        assert drawn.shape == environments.shape
        return np.full(len(environments), drawn.max() + 10)


def test_the_follower_has_a_say_in_what_is_tried() -> None:
    guidance = ExpertGuidance(Curious(NO_ACTION), GuidanceSettings(1.0, 5), N_ACTIONS, 3, seed=0)
    assert guidance.override(np.full(3, HOST), np.arange(3)[:, None], 1.0).min() >= 10
    guidance.follower = Curious(EXPERT)
    assert guidance.override(np.full(3, HOST), np.arange(3)[:, None], 1.0).tolist() == [EXPERT] * 3


def test_outside_of_stretches_the_host_acts() -> None:
    guidance = ExpertGuidance(Recorder(), GuidanceSettings(0.5, 5), N_ACTIONS, 3, seed=0)
    host = np.array([4, 5, 6])
    np.testing.assert_array_equal(guidance.override(host, np.arange(3)[:, None], 0.0), host)


# --- following ----------------------------------------------------------------------------------------------------------------

CELLS = spaces.Discrete(10)


def follower_of(
    *trajectories: list[int], n_envs: int = 1, shortest: bool = False, terminated: list[bool] | None = None
) -> ExpertFollower:
    """The expert's action at a cell is the next cell, and it has been inferred for all transitions."""
    cells = [np.array(one) for one in trajectories]
    expert = ExpertObservations.from_trajectories(cells, terminated).adapted_to(CELLS)
    knowledge = ExpertKnowledge(expert, CELLS, InferenceSettings(similarity_threshold=1.0), seed=0)
    every = np.arange(len(expert))
    following = expert.next(every)
    nothing = np.zeros(len(expert))
    knowledge.observe(AgentTransitions(expert.current(every), following, following[:, 0], nothing, nothing, nothing))
    return ExpertFollower(knowledge, n_envs, seed=0, shortest=shortest)


@pytest.mark.parametrize(
    "trajectory", [[0, 1, 2, 3, 4], [0, 1, 2, 1, 2, 3, 2, 1, 2, 3, 4], [5, 0, 1, 0, 2, 0, 3, 0, 4]], ids=str
)
def test_a_known_trajectory_is_followed_from_its_start_to_its_end(trajectory: list[int]) -> None:
    """In a world where the action is the next cell; where cells come again, the next one in time is taken."""
    follower = follower_of([9, 3, 2, 1, 0, 9], trajectory)
    visited = trajectory[:1]
    while len(visited) < len(trajectory):
        visited.append(int(follower.actions(np.array([visited[-1:]]), np.array([0]))[0]))
    assert visited == trajectory


def test_the_shortest_way_leaves_out_detours() -> None:
    """From cell 1 it is 4 and 2 steps to the end on the first way, 3 on the second; the third, which was cut, does not count."""
    ways = [0, 1, 2, 1, 2, 3], [1, 4, 5, 3], [1, 6]
    follower = follower_of(*ways, shortest=True, terminated=[True, True, False])
    assert [int(follower.actions(np.array([[cell]]), np.array([0]))[0]) for cell in (0, 1, 2)] == [1, 2, 3]


@pytest.mark.parametrize("cut", [True, False])
def test_without_a_goal_the_trajectory_is_followed_step_by_step(cut: bool) -> None:
    """Either the ways were cut, or ends are what is to be avoided: each step before them paid."""
    follower = follower_of([0, 1, 2, 1, 2, 3], shortest=True, terminated=[not cut])
    if not cut:
        follower.knowledge.ends.note(np.array([1.0, 0.0]), np.array([0, 1]), np.array([0, 1]))
    cells = [0]
    while len(cells) < 6:
        cells.append(int(follower.actions(np.array([cells[-1:]]), np.array([0]))[0]))
    assert cells == [0, 1, 2, 1, 2, 3]


@given(st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=12), min_size=1, max_size=4), st.data())
def test_who_goes_the_shortest_way_never_comes_back(ways: list[list[int]], data: st.DataObject) -> None:
    """In a world where the action is the next cell, and cell 9 the goal: what comes next has fewer steps left."""
    follower = follower_of(*([*way, 9] for way in ways), shortest=True, terminated=[True] * len(ways))
    way = data.draw(st.sampled_from(ways))
    cell, visited = way[0], [way[0]]
    while cell != 9:
        cell = int(follower.actions(np.array([[cell]]), np.array([0]))[0])
        assert cell not in visited
        visited.append(cell)
    assert len(visited) <= len(way) + 1, "no longer than the way itself"


def test_every_environment_follows_its_own_trajectory() -> None:
    """At cell 5 the two trajectories cross."""
    follower = follower_of([0, 5, 1], [2, 5, 3], n_envs=3)
    both = np.array([0, 2])
    assert follower.actions(np.array([[0], [2]]), both).tolist() == [5, 5]
    assert follower.actions(np.array([[5], [5]]), both).tolist() == [1, 3]


def test_after_a_release_either_way_is_taken() -> None:
    follower = follower_of([0, 5, 1], [2, 5, 3])
    taken = set()
    for _ in range(40):
        follower.actions(np.array([[0]]), np.array([0]))
        follower.release(np.array([True]))
        taken.add(int(follower.actions(np.array([[5]]), np.array([0]))[0]))
        follower.release(np.array([0]))
    assert taken == {1, 3}


def test_where_nothing_is_known_there_is_no_action() -> None:
    follower = follower_of([0, 5, 1])
    assert follower.actions(np.array([[7], [0]]), np.array([0, 0])).tolist() == [NO_ACTION, 5]


def test_matching_is_followed_where_a_clone_is_unsure() -> None:
    """It is sure at cell 5. Cell 7 is in no recording, and at cell 3 the expert's action is not known, which is to be tried."""
    matching = follower_of([0, 5, 1], [3, 4], n_envs=4)
    matching.knowledge.inferred.action[2] = NO_ACTION
    unsure = np.full(10, 0.065)
    unsure[8:] = 0.24
    sure = np.eye(10)[9]
    clone = CloneFollower(lambda observations: np.where(observations == 5, sure, unsure), seed=0)
    follower = CloneOrMatchingFollower(clone, matching)
    for _ in range(20):
        actions = follower.actions(np.array([[7], [0], [3], [5]]), np.arange(4)).tolist()
        assert actions[0] in {8, 9}
        assert actions[1:] == [5, NO_ACTION, 9]
    follower.release(np.array([1]))
    assert not matching.has_match(np.array([1])).any()
    assert not follower.committed().any()


def test_a_bridge_that_was_begun_is_finished_however_sure_the_clone_is() -> None:
    matching = follower_of([0, 5, 1], n_envs=2)
    matching.committed = lambda: np.array([False, True])  # type: ignore[method-assign]
    clone = CloneFollower(lambda observations: np.tile(np.eye(10)[9], (len(observations), 1)))
    follower = CloneOrMatchingFollower(clone, matching)
    assert follower.actions(np.array([[0], [0]]), np.arange(2)).tolist() == [9, 5]


def test_where_a_bridge_has_ended_matching_is_asked_once_more_to_judge_it() -> None:
    matching = follower_of([0, 5, 1], n_envs=1)
    clone = CloneFollower(lambda observations: np.tile(np.eye(10)[9], (len(observations), 1)))
    follower = CloneOrMatchingFollower(clone, matching)
    actions = []
    for on_bridge in (False, True, True, False, False):
        matching.committed = lambda on_bridge=on_bridge: np.array([on_bridge])  # type: ignore[misc]
        actions.append(follower.actions(np.array([[0]]), np.arange(1)).item())
    assert actions == [9, 5, 5, 5, 9]
    matching.committed = lambda: np.array([True])  # type: ignore[method-assign]
    follower.actions(np.array([[0]]), np.arange(1))
    matching.committed = lambda: np.array([False])  # type: ignore[method-assign]
    follower.release(np.array([0]))
    assert follower.actions(np.array([[0]]), np.arange(1)).tolist() == [9], "another episode: nothing was begun in it"


def test_matching_says_what_to_try_where_a_clone_is_asked_first() -> None:
    matching = follower_of([0, 5, 1])
    matching.to_try = lambda environments, drawn: drawn + 1  # type: ignore[method-assign]
    follower = CloneOrMatchingFollower(CloneFollower(lambda observations: None), matching)
    assert follower.to_try(np.array([0]), np.array([3])).tolist() == [4]


def test_where_an_action_is_not_known_the_last_steps_are_looked_at_first() -> None:
    follower = follower_of([0, 5, 1], [3, 4])
    known, follower.knowledge.inferred.action[2] = follower.knowledge.inferred.action[2], NO_ACTION
    calls = []

    def look() -> None:
        calls.append(True)
        follower.knowledge.inferred.action[2] = known

    follower.match_pending = look
    assert follower.actions(np.array([[0]]), np.array([0])).tolist() == [5]
    assert not calls
    assert follower.actions(np.array([[3]]), np.array([0])).tolist() == [4]
    assert len(calls) == 1


def test_a_clone_that_has_learned_nothing_leaves_it_to_matching() -> None:
    follower = CloneOrMatchingFollower(CloneFollower(lambda observations: None), follower_of([0, 5, 1], n_envs=2))
    assert follower.actions(np.array([[7], [0]]), np.arange(2)).tolist() == [NO_ACTION, 5]


# --- in training --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize("wrap", [lambda env: env, VecNormalize], ids=["plain", "normalised"])
def test_fully_guided_exploration_walks_the_experts_way(n_envs: int, wrap: Any) -> None:
    env = wrap(DummyVecEnv([LineEnv] * n_envs))
    model = DIIQN(
        "MlpPolicy",
        env,
        **{**TINY, "learning_starts": 300, "buffer_size": 1000},
        expert_data=right_walks(),
        preset="paper",
        guidance_share=1.0,
    )
    model.learn(200)
    actions = model.replay_buffer.actions[: 200 // n_envs, :, 0]
    assert (actions[:20] != RIGHT).any(), "at first nothing was known"
    assert (actions[-40:] == RIGHT).all()


def test_whose_an_action_was_is_forgotten_with_its_transition() -> None:
    arguments = {**TINY, "learning_starts": 300, "buffer_size": 50, "guidance_share": 1.0}
    model = DIIQN("MlpPolicy", LineEnv(), **arguments, expert_data=right_walks(), preset="paper")
    model.learn(100)
    assert model.replay_buffer.guided.any()
    model._guidance = None
    model.learn(50, reset_num_timesteps=False)
    assert not model.replay_buffer.guided.any()


def test_some_episodes_are_guided_and_some_are_not() -> None:
    """Episodes of five steps, stretches without an end: half of them go straight to the goal, the others hardly ever do."""
    arguments = {**TINY, "learning_starts": 1000, "buffer_size": 1000, "guidance_share": 0.5, "guidance_length": 1e9}
    model = DIIQN("MlpPolicy", LineEnv(time_limit=LENGTH - 1), **arguments, expert_data=right_walks(), preset="paper")
    model.learn(600)
    straight = (model.replay_buffer.actions[:600, 0, 0].reshape(-1, LENGTH - 1) == RIGHT).all(axis=1)
    assert 0.3 < straight[20:].mean() < 0.7


def test_guidance_that_finds_no_match_leaves_the_exploration_as_it_was() -> None:
    """Exploration at a rate of 1: all actions are random, or the expert's if there is one."""
    backwards = ExpertObservations.from_trajectories([walk([LENGTH - 1] * 3)])
    arguments = {
        **TINY,
        "learning_starts": 0,
        "learning_rate": 0.0,
        "exploration_initial_eps": 1.0,
        "exploration_final_eps": 1.0,
        "preset": "paper",
    }
    model = DIIQN("MlpPolicy", LineEnv(), **arguments, expert_data=backwards, similarity_threshold=1.0, guidance_share=1.0)
    model.learn(150)
    greedy = model.predict(model.replay_buffer.observations[:150, 0], deterministic=True)[0]
    assert (greedy == model.replay_buffer.actions[:150, 0, 0]).mean() == pytest.approx(0.5, abs=0.2)
