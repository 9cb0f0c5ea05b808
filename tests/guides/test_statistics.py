"""What part of the collecting is the guide's, and what the agent's own episodes return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sb3_diiqn.guides.statistics import GuidanceStatistics


def note(statistics: GuidanceStatistics, n_envs: int = 1, **given: Any) -> None:
    """A step, in which nothing happened but what is given; rewards are 1."""
    names = ("chosen", "guided", "guides", "dones")
    flags = {name: np.broadcast_to(np.array(given.get(name, False)), n_envs) for name in names}
    rewards = np.broadcast_to(np.array(given.get("rewards", 1.0)), n_envs)
    statistics.note_step(rewards=rewards, count=given.get("count", True), **flags)


def test_nothing_is_said_of_what_was_not() -> None:
    statistics = GuidanceStatistics(1)
    assert statistics.take() == {}
    note(statistics)
    assert statistics.take() == {"guided_steps": 0.0}
    note(statistics, guides=True, dones=True)
    assert statistics.take() == {"guided_steps": 0.0, "guide_episodes": 1.0}


def test_fractions_and_the_agents_own_return() -> None:
    statistics = GuidanceStatistics(1)
    for step in range(3):
        note(statistics, chosen=True, guided=True, guides=True, dones=step == 2)
    for step in range(5):
        note(statistics, rewards=2.0, dones=step == 4)
    assert statistics.take() == {"guided_steps": 3 / 8, "guide_episodes": 1 / 2, "own_return": 10.0}
    note(statistics, rewards=7.0, dones=True)
    assert statistics.take() == {"guided_steps": 0.0, "guide_episodes": 0.0, "own_return": 8.5}
    assert statistics.take() == {"own_return": 8.5}, "the latest, whenever they were"


def test_the_return_is_that_of_the_latest_fifteen() -> None:
    statistics = GuidanceStatistics(1)
    for episode in range(20):
        note(statistics, rewards=float(episode), dones=True)
    assert statistics.take()["own_return"] == np.mean(np.arange(5, 20))


@pytest.mark.parametrize("what", ["guided", "guides"])
def test_one_step_that_was_not_the_agents_own_is_enough(what: str) -> None:
    statistics = GuidanceStatistics(1)
    note(statistics, **{what: True})
    note(statistics, dones=True)
    assert "own_return" not in statistics.take()
    note(statistics, dones=True)
    assert statistics.take()["own_return"] == 1.0  # of the second alone


def test_an_episode_that_was_handed_over_counts_as_the_guides() -> None:
    statistics = GuidanceStatistics(1)
    note(statistics, guides=True)
    note(statistics, guides=False, dones=True)
    assert statistics.take()["guide_episodes"] == 1.0


def test_environments_are_on_their_own() -> None:
    statistics = GuidanceStatistics(3)
    note(statistics, 3, guided=[True, False, False], rewards=[1, 2, 3], dones=[False, True, False])
    note(statistics, 3, rewards=[1, 2, 3], dones=[True, False, True])
    assert statistics.take() == {"guided_steps": 0.0, "guide_episodes": 0.0, "own_return": 4.0}


def test_episodes_before_learning_and_those_cut_off_by_a_restart_do_not_count() -> None:
    statistics = GuidanceStatistics(1)
    note(statistics, rewards=9.0, dones=True, count=False)
    note(statistics, rewards=9.0, guides=True)
    statistics.restart()
    note(statistics, rewards=1.0, dones=True)
    assert statistics.take() == {"guided_steps": 0.0, "guide_episodes": 0.0, "own_return": 1.0}
