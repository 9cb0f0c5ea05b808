"""JSRL: the curriculum, and who acts when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.env_util import make_vec_env

from sb3_diiqn.baselines import JSRL
from sb3_diiqn.baselines.jsrl import Curriculum
from tests.baselines.test_bco import SMALL, line_return
from tests.helpers import LEFT, RIGHT, LineEnv, right_walks


def test_stages_of_the_curriculum() -> None:
    curriculum = Curriculum(horizon=10, n_stages=4, tolerance=0.1, window=2)
    assert curriculum.guide_steps == 10

    def play(*returns: float) -> int:
        for value in returns:
            curriculum.note_episode(curriculum.guide_steps, value)
        return curriculum.guide_steps

    assert play(90) == 10, "the window is not full"
    assert play(110) == 8, "the first stage sets the standard: 100"
    assert play(90, 89) == 8, "89.5 is more than a tenth worse"
    assert play(92) == 5, "(89 + 92) / 2 = 90.5 is not"
    assert curriculum.best == 100
    curriculum.note_episode(8, 500)
    assert play(120) == 5, "an episode of another stage does not count"
    assert play(140) == 3 and curriculum.best == 130
    assert play(130, 130) == 0
    assert play(0, 0, 0) == 0, "the guide does not come back"


def test_tolerance_with_negative_returns() -> None:
    curriculum = Curriculum(horizon=10, n_stages=2, tolerance=0.1, window=1)
    curriculum.note_episode(10, -100)
    curriculum.note_episode(5, -111)
    assert curriculum.guide_steps == 5
    curriculum.note_episode(5, -110)
    assert curriculum.guide_steps == 0


def _always(network: Any, action: int) -> None:
    with th.no_grad():
        network.q_net[-1].weight.zero_()
        network.q_net[-1].bias.copy_(th.eye(2)[action])


@pytest.mark.parametrize("n_envs", [1, 2])
def test_guide_acts_first(n_envs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guide that goes left and a learner that goes right, neither of which learns."""
    settings = SMALL | {"learning_starts": 1, "train_freq": 1, "buffer_size": 400}
    settings |= {"exploration_initial_eps": 0, "exploration_final_eps": 0}
    env = make_vec_env(lambda: LineEnv(time_limit=8), n_envs)
    model = JSRL("MlpPolicy", env, right_walks(), horizon=4, n_stages=2, window=4, **settings)
    _always(model.guide.network, LEFT)
    _always(model.q_net, RIGHT)
    model._has_guide = True
    monkeypatch.setattr(JSRL, "train", lambda self, gradient_steps, batch_size: None)
    model.learn(128 * n_envs)
    for column in range(n_envs):
        actions = model.replay_buffer.actions[: model.replay_buffer.pos, column, 0]
        ends = np.flatnonzero(model.replay_buffer.dones[: model.replay_buffer.pos, column])
        episodes = np.split(actions, ends + 1)[1:-1]  # the first one began without a guide
        guided = [int((episode == LEFT).sum()) for episode in episodes]
        assert all((np.diff(episode) >= 0).all() for episode in episodes), "the guide first, then the learner"
        assert set(guided) == {4, 2, 0} and guided == sorted(guided, reverse=True)
    assert model.curriculum is not None and model.curriculum.guide_steps == 0


def test_a_second_training_begins_with_its_guide() -> None:
    model = JSRL("MlpPolicy", LineEnv(time_limit=1000), right_walks(), n_stages=3, window=100, **SMALL)
    model.learn(66)
    assert model._has_guide
    model._steps[0], model._returns[0] = 3, 7.0  # as if the training had ended in the middle of an episode
    begun: list[tuple[int, float, int]] = []
    sample = model._sample_action

    def look(*args: Any, **kwargs: Any) -> Any:
        begun.append((int(model._steps[0]), float(model._returns[0]), int(model._guide_steps[0])))
        return sample(*args, **kwargs)

    model._sample_action = look  # type: ignore[method-assign]
    model.learn(4)
    assert begun[0] == (0, 0.0, 5)


@pytest.mark.slow
def test_learns_until_no_guide_is_left() -> None:
    model = JSRL("MlpPolicy", LineEnv(), right_walks(), n_stages=3, window=3, **SMALL | {"train_freq": 1, "buffer_size": 800})
    assert model.curriculum is not None and model.curriculum.guide_steps == 5, "the expert takes five steps"
    model.learn(600)
    assert model.curriculum.guide_steps == 0
    assert line_return(model) == pytest.approx(0.5)
