"""What the agent does while it collects: guided steps, the guide's episodes, and its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import DIIQN, ExpertObservations
from tests.helpers import LENGTH, RIGHT, TINY, LineEnv, right_walks, walk, with_habits
from tests.imitation.line_models import BASE, PLAIN, exploration_of, learner_of, make

#: In guided exploration, nothing is the agent's.
FULLY: Any = with_habits(DIIQN, exploration_fraction=1.0)
MATCHING: dict[str, Any] = {**BASE, "guide": "matching"}


@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize("wrap", [lambda env: env, VecNormalize], ids=["plain", "normalised"])
def test_fully_guided_exploration_walks_the_experts_way(n_envs: int, wrap: Any) -> None:
    env = wrap(DummyVecEnv([LineEnv] * n_envs))
    model = FULLY("MlpPolicy", env, **{**MATCHING, "learning_starts": 300}, expert_data=right_walks()).learn(200)
    actions = model.replay_buffer.actions[: 200 // n_envs, :, 0]
    assert (actions[:20] != RIGHT).any(), "at first nothing was known"
    assert (actions[-40:] == RIGHT).all()


def test_whose_an_action_was_is_forgotten_with_its_transition() -> None:
    arguments = {**MATCHING, "learning_starts": 300, "buffer_size": 50}
    model = FULLY("MlpPolicy", LineEnv(), **arguments, expert_data=right_walks()).learn(100)
    assert model.replay_buffer.guided.any()
    learner_of(model).exploration = None
    model.learn(50, reset_num_timesteps=False)
    assert not model.replay_buffer.guided.any()


def test_some_episodes_are_guided_and_some_are_not() -> None:
    """Episodes of five steps, stretches without an end: half of them go straight to the goal, the others hardly ever do."""
    env = LineEnv(time_limit=LENGTH - 1)
    model = PLAIN("MlpPolicy", env, **{**MATCHING, "learning_starts": 1000}, expert_data=right_walks())
    exploration_of(model).stretch_length = 10**9
    model.learn(600)
    straight = (model.replay_buffer.actions[:600, 0, 0].reshape(-1, LENGTH - 1) == RIGHT).all(axis=1)
    assert 0.3 < straight[20:].mean() < 0.7


def test_a_guide_that_finds_no_match_leaves_the_exploration_as_it_was() -> None:
    """Exploration at a rate of 1: all actions are random, or the expert's if there is one."""
    backwards = ExpertObservations.from_trajectories([walk([LENGTH - 1] * 3)])
    exploring = {"learning_starts": 0, "learning_rate": 0.0, "exploration_initial_eps": 1.0, "exploration_final_eps": 1.0}
    arguments = {**MATCHING, **exploring, "matching_kwargs": {"similarity_threshold": 1.0}}
    model = FULLY("MlpPolicy", LineEnv(), **arguments, expert_data=backwards).learn(150)
    greedy = model.predict(model.replay_buffer.observations[:150, 0], deterministic=True)[0]
    assert (greedy == model.replay_buffer.actions[:150, 0, 0]).mean() == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize(("rate", "remaining"), [(1.0, 1.0), (0.4, 0.2 / 0.8)])
def test_outside_of_guided_stretches_the_host_explores_that_much_less(rate: float, remaining: float) -> None:
    """Half of the exploration is guided."""
    explored: list[int] = []

    class Counting(PLAIN):  # type: ignore[misc]
        """Counts its random actions."""

        def _random_actions(self, n_envs: int) -> np.ndarray:
            explored.append(n_envs)
            return super()._random_actions(n_envs)  # type: ignore[no-any-return]

    model = Counting("MlpPolicy", LineEnv(), **MATCHING, expert_data=right_walks())
    model._setup_learn(10)
    model.exploration_rate = rate
    for _ in range(2000):
        model._sample_action(0)
    assert len(explored) / 2000 == pytest.approx(remaining, abs=0.05)
    assert model.exploration_rate == rate


# --- the guide's episodes -----------------------------------------------------------------------------------------------------


def guided(env: LineEnv | None = None, algorithm: Any = DIIQN, **settings: Any) -> Any:
    """A model with a clone, where states vary."""
    fixed: dict[str, Any] = {"learning_starts": 20, "train_freq": 1, "buffer_size": 1000, "seed": 0, "device": "cpu"}
    choice = {"inference": "inverse_dynamics", "guide": "both"}
    arguments = {**fixed, **choice, **settings}
    return algorithm("MlpPolicy", LineEnv() if env is None else env, expert_data=right_walks(), **arguments)


@pytest.mark.slow
def test_learning_notes_the_returns_and_keeps_them_in_the_file(tmp_path: Path) -> None:
    model = guided(guide_fraction=0.5).learn(400)
    statistics = model.expert_statistics()
    assert {"guide_return", "own_return", "guide_is_better"} <= statistics.keys()
    model.save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model", env=LineEnv(), expert_data=right_walks())
    for by_guide in (True, False):
        known = learner_of(model).state.returns.latest(by_guide)
        assert len(known) > 0
        np.testing.assert_array_equal(learner_of(loaded).state.returns.latest(by_guide), known)
    episodes = exploration_of(loaded).episodes
    assert episodes is not None and episodes.returns is learner_of(loaded).state.returns
    loaded.learn(100, reset_num_timesteps=False)


@pytest.mark.slow
def test_without_episodes_of_the_guide_nothing_is_compared() -> None:
    assert "guide_is_better" not in guided(guide_fraction=0.0).learn(100).expert_statistics()


@pytest.mark.slow
def test_the_guide_plays_episodes_without_any_stretches() -> None:
    model = guided(algorithm=with_habits(DIIQN, exploration_fraction=0.0), guide_fraction=0.5).learn(200)
    assert len(learner_of(model).state.returns.latest(by_guide=True)) > 0


def test_which_way_the_guide_goes_depends_on_whether_states_repeat() -> None:
    """Where they do, by the shortest way, for which what just happened is looked at at once."""
    for n, shortest in ((2, False), (4, True)):
        model = DIIQN("MlpPolicy", LineEnv(), **TINY, expert_data=right_walks(n=n), guide="matching")
        guide: Any = exploration_of(model).guide
        assert guide.shortest is shortest
        assert (guide._match_pending is not None) is shortest


def test_inference_answers_the_guide_where_no_transition_does() -> None:
    """Only a network may know more than the transitions themselves."""
    for inference in ("nearest", "inverse_dynamics"):
        guide: Any = exploration_of(make(guide="matching", inference=inference)).guide
        assert (guide._infer is not None) == (inference == "inverse_dynamics")
