"""The motorway, with two drivers."""

from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest

import sb3_diiqn.envs  # noqa: F401 - registers the environment
from sb3_diiqn.envs.highway import make_highway
from sb3_diiqn.exceptions import ConfigurationError, MissingDependencyError
from sb3_diiqn.record import make_environment, record_expert

ID = "sb3_diiqn/Highway-v0"


@pytest.fixture
def _highway() -> None:
    pytest.importorskip("highway_env", reason="the extra 'highway' is not installed")


def test_an_unknown_driver_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="driver='expert': it must be one of 'agent', 'traffic'"):
        make_highway(driver="expert")


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highway_env", None)
    with pytest.raises(MissingDependencyError, match=r"sb3-diiqn\[highway\]"):
        make_environment(ID)


@pytest.mark.usefixtures("_highway")
def test_the_agent_drives_as_in_highway_env() -> None:
    own, theirs = gymnasium.make(ID), gymnasium.make("highway_env:highway-fast-v0")
    np.testing.assert_array_equal(own.reset(seed=7)[0], theirs.reset(seed=7)[0])
    for action in (3, 0, 1):
        np.testing.assert_array_equal(own.step(action)[0], theirs.step(action)[0])


@pytest.mark.usefixtures("_highway")
def test_a_driver_of_the_traffic_starts_where_the_agent_would_and_ignores_actions() -> None:
    episodes = []
    for action in (0, 4):
        env = gymnasium.make(ID, driver="traffic")
        episodes.append([env.reset(seed=7)[0], *(env.step(action)[0] for _ in range(3))])
    np.testing.assert_array_equal(episodes[0][0], gymnasium.make(ID).reset(seed=7)[0])
    np.testing.assert_array_equal(episodes[0], episodes[1])
    # it is observed where it is, and not where the agent's car was left
    assert not np.array_equal(episodes[0][1], episodes[0][2])


@pytest.mark.slow
@pytest.mark.usefixtures("_highway")
def test_recorded_drivers_do_not_crash() -> None:
    recording = record_expert(gymnasium.make(ID, driver="traffic"), n_episodes=3, seed=0)
    assert not recording.expert_data.terminals.any()
    assert (recording.episode_returns > 20).all()
