"""A second training with the same model: the environments are reset, in the middle of episodes, and what was known stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor

from sb3_diiqn import DIIQN
from sb3_diiqn.guides import ComparedReturns, GuideEpisodes
from tests.helpers import LineEnv, right_walks, with_habits
from tests.imitation.line_models import exploration_of


class Noting(ComparedReturns):
    """Also keeps a list."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[float] = []

    def note(self, by_guide: bool, episode_return: float) -> None:
        """Keep it."""
        super().note(by_guide, episode_return)
        self.noted.append(round(episode_return, 6))


def make(learning_starts: int) -> tuple[DIIQN, Noting, Monitor[Any, Any]]:
    env = Monitor(LineEnv())
    fixed: dict[str, Any] = {"train_freq": 1, "buffer_size": 1000, "seed": 0, "device": "cpu"}
    # so that all of its episodes are compared
    algorithm = with_habits(DIIQN, fraction_alone=0.0)
    model: DIIQN = algorithm("MlpPolicy", env, expert_data=right_walks(), learning_starts=learning_starts, **fixed)
    returns = Noting()
    episodes_of(model).returns = returns
    return model, returns, env


def episodes_of(model: DIIQN) -> GuideEpisodes:
    episodes = exploration_of(model).episodes
    assert episodes is not None
    return episodes


def rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), 6) for value in values]


class StopAt(BaseCallback):
    """Ends the training in the middle of an episode, after so many steps of it."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step
        self.taken = 0

    def _on_step(self) -> bool:
        self.taken = 0 if self.locals["dones"][0] else self.taken + 1
        return not (self.num_timesteps > 100 and self.taken == self.step)


@pytest.mark.slow
@pytest.mark.parametrize("through_set_env", [False, True])
def test_what_an_episode_had_returned_before_a_reset_is_not_the_next_ones(through_set_env: bool) -> None:
    model, returns, env = make(learning_starts=0)
    model.learn(1000, callback=StopAt(3))
    begun = len(returns.noted)
    if through_set_env:
        env = Monitor(LineEnv())
        model.set_env(env)
    else:
        # as its environment counts, which a reset begins anew
        env.episode_returns.clear()
    model.learn(200, reset_num_timesteps=not through_set_env)
    assert len(returns.noted) > begun + 5
    assert returns.noted[begun:] == rounded(env.get_episode_rewards())


@pytest.mark.slow
def test_after_a_reset_it_is_drawn_anew_who_plays() -> None:
    model, _, _ = make(learning_starts=0)
    model.learn(1000, callback=StopAt(3))
    episodes = episodes_of(model)
    episodes.guides[:] = True
    model._setup_learn(10)
    assert not episodes.guides.any()
    np.testing.assert_array_equal(exploration_of(model)._episode_start, [True])


@pytest.mark.slow
def test_a_training_that_goes_on_goes_on_with_its_episode() -> None:
    model, returns, env = make(learning_starts=0)
    for _ in range(40):
        model.learn(7, reset_num_timesteps=False)
    # the first update comes after the first step
    assert returns.noted == rounded(env.get_episode_rewards())


@pytest.mark.slow
def test_random_episodes_before_learning_starts_again_say_nothing() -> None:
    model, returns, env = make(learning_starts=100)
    model.learn(400)
    before = len(returns.noted)
    model.learn(99)
    assert len(env.get_episode_rewards()) > before
    assert len(returns.noted) == before
