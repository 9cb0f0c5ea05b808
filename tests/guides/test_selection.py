"""Episodes that the guide plays: when it is the better one, and who chooses in them."""

from __future__ import annotations

import numpy as np
import pytest

from sb3_diiqn.guides import ComparedReturns, GuidedExploration, GuideEpisodes
from tests.guides.test_guided import EXPERT, HOST, N_ACTIONS, Recorder


def compared(guides: list[float], own: list[float]) -> ComparedReturns:
    returns = ComparedReturns()
    for value in guides:
        returns.note(True, value)
    for value in own:
        returns.note(False, value)
    return returns


@pytest.mark.parametrize(
    ("guides", "own", "expected"),
    [
        # the difference is 1, its variance 2.5 / 5: the normal distribution up to the square root of 2
        ([1, 2, 3, 4, 5], [2, 2, 2, 2, 2], 0.92135),
        # 1 / sqrt(2.5 / 5 + 10 / 5) below zero
        ([1, 2, 3, 4, 5], [0, 2, 4, 6, 8], 0.26355),
        ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], 0.5),
        ([2] * 5, [1] * 5, 1.0),
        ([1] * 5, [2] * 5, 0.0),
        # nothing tells them apart: the benefit of the doubt, of which half is left after 50 episodes
        ([1] * 5, [1] * 5, 0.5 + 0.5 * 50 / 55),
        ([1] * 50, [1] * 5, 0.75),
        ([-1.0000000000000007] * 15, [-1.0000000000000007] * 7, 0.5 + 0.5 * 50 / 65),  # their means are rounded
        ([0] * 4, [1] * 15, 1.0),  # too few to tell
        ([0] * 15, [1] * 4, 1.0),
    ],
)
def test_probability_that_the_guide_is_better(guides: list[float], own: list[float], expected: float) -> None:
    assert compared(guides, own).guide_is_better() == pytest.approx(expected, abs=1e-5)


def test_only_the_latest_episodes_count() -> None:
    returns = compared([0] * 15, [1] * 15)
    assert returns.guide_is_better() == 0
    for _ in range(15):
        returns.note(True, 2)
    assert returns.guide_is_better() == 1
    assert returns.statistics() == {"guide_return": 2, "own_return": 1, "guide_is_better": 1}


def test_a_bad_beginning_is_forgotten_and_the_guide_tried_again() -> None:
    returns = compared([0] * 20, [1] * 480)
    assert returns.guide_is_better() == 0
    for _ in range(15):
        returns.note(False, 1)
    assert returns.guide_is_better() == 0  # five are left
    returns.note(False, 1)
    assert returns.guide_is_better() == 1


@pytest.mark.parametrize("value", [1.0, -1.0000000000000007])
def test_who_returned_different_things_before_and_the_same_now_are_equals(value: float) -> None:
    """Nobody has solved the task at first, then the guide has, in the end both have."""
    returns = compared([value - 1] * 7, [value - 1] * 15)
    assert not returns.are_known()
    for _ in range(5):
        returns.note(True, value)
    assert returns.are_known() and returns.guide_is_better() > 0.9
    for _ in range(15):
        returns.note(True, value)
        returns.note(False, value)
    assert returns.are_known() and returns.guide_is_better() == 0.5
    assert returns.guide_is_clearly_better() == 0.0


def test_statistics_of_nothing() -> None:
    assert ComparedReturns().statistics() == {"guide_is_better": 1.0}


@pytest.mark.parametrize(
    ("guides", "own", "remaining", "expected"),
    [
        ([2] * 5, [1] * 5, 1.0, 0.6),
        ([1] * 5, [1] * 5, 1.0, 0.6 * 50 / 55),  # as in a sparse task that nobody has solved yet
        ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], 1.0, 0.03),
        # better with probability 0.92135, see above
        ([1, 2, 3, 4, 5], [2] * 5, 1.0, 0.6 * 0.8427),
        ([1, 2, 3, 4, 5], [0, 2, 4, 6, 8], 1.0, 0.03),
        ([0] * 5, [1] * 5, 1.0, 0.03),
        ([], [], 1.0, 0.6),
        ([2] * 5, [1] * 5, 0.25, 0.15),
        ([2] * 5, [1] * 5, 0.0, 0.0),
    ],
)
def test_fraction_of_episodes_that_the_guide_plays(
    guides: list[float], own: list[float], remaining: float, expected: float
) -> None:
    episodes = GuideEpisodes(0.6, 0.5, compared(guides, own), n_envs=20_000, seed=0)
    episodes.begin(np.ones(20_000, dtype=bool), remaining)
    assert episodes.guides.mean() == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / 20_000))


def test_who_plays_changes_only_where_an_episode_begins() -> None:
    episodes = GuideEpisodes(0.5, 0.0, ComparedReturns(), n_envs=1000, seed=0)
    episodes.begin(np.ones(1000, dtype=bool), 1.0)
    before = episodes.guides.copy()
    starts = np.arange(1000) < 500
    episodes.begin(starts, 1.0)
    np.testing.assert_array_equal(episodes.guides[~starts], before[~starts])
    assert (episodes.guides[starts] != before[starts]).mean() == pytest.approx(0.5, abs=0.1)


def test_returns_are_those_of_whole_episodes() -> None:
    returns = ComparedReturns()
    episodes = GuideEpisodes(0.5, 0.5, returns, n_envs=3, seed=0)
    episodes.guides[:] = [True, False, False]
    episodes.alone[:] = [False, True, False]  # the third has guided stretches: it says nothing of either
    episodes.note(np.array([1.0, 10.0, 0.1]), np.array([False, True, False]), count=False)  # too early to count
    episodes.note(np.array([2.0, 20.0, 0.2]), np.array([True, False, True]), count=True)
    episodes.note(np.array([4.0, 40.0, 0.4]), np.array([True, True, True]), count=True)
    assert list(returns.latest(by_guide=True)) == [3, 4]
    assert list(returns.latest(by_guide=False)) == [60]


@pytest.mark.parametrize("fraction", [0.0, 0.6])
@pytest.mark.parametrize(("n_own", "expected"), [(0, 1.0), (4, 1.0), (5, 0.25)])
def test_fraction_of_episodes_that_the_agent_plays_alone(fraction: float, n_own: int, expected: float) -> None:
    """All that the guide leaves, as long as too few are known to compare."""
    episodes = GuideEpisodes(fraction, 0.25, compared([1, 2, 2, 2, 2], [1] * n_own), n_envs=20_000, seed=0)
    episodes.begin(np.ones(20_000, dtype=bool), 1.0)
    assert not (episodes.alone & episodes.guides).any()
    assert episodes.alone.mean() == pytest.approx(expected * (1 - fraction), abs=0.02)
    before = episodes.alone.copy()
    episodes.begin(np.zeros(20_000, dtype=bool), 1.0)
    np.testing.assert_array_equal(episodes.alone, before)


def test_where_it_never_plays_alone_all_of_its_episodes_are_compared() -> None:
    returns = ComparedReturns()
    episodes = GuideEpisodes(0.0, 0.0, returns, n_envs=2, seed=0)
    episodes.begin(np.ones(2, dtype=bool), 1.0)
    assert not episodes.alone.any()
    episodes.note(np.array([1.0, 2.0]), np.array([True, True]), count=True)
    assert list(returns.latest(by_guide=False)) == [1, 2]


@pytest.mark.parametrize(("fraction_alone", "own"), [(0.0, 7.0), (0.5, 1.0)])
def test_the_own_return_is_that_of_episodes_without_a_guided_step(fraction_alone: float, own: float) -> None:
    """Of those compared where the agent plays some alone, else of all that have none."""
    episodes = GuideEpisodes(0.0, fraction_alone, compared([2] * 5, [1] * 5), n_envs=1, seed=0)
    exploration = GuidedExploration(Recorder(), 0.0, N_ACTIONS, 1, 0, episodes)
    episodes.begin = lambda starts, remaining: None  # type: ignore[method-assign]
    exploration.override(np.array([HOST]), np.zeros((1, 1)), 1.0)
    exploration.note_step(np.array([7.0]), np.array([True]))
    statistics = exploration.statistics()
    assert statistics["own_return"] == own
    assert statistics["guide_return"] == 2


def test_alone_is_without_guided_stretches() -> None:
    """Half of the exploration is guided elsewhere, from the first step of an episode on."""
    n_envs = 2000
    episodes = GuideEpisodes(0.0, 0.5, compared([2] * 5, [1] * 5), n_envs, seed=0)
    exploration = GuidedExploration(Recorder(), 0.5, N_ACTIONS, n_envs, 0, episodes)
    led = np.zeros(n_envs, dtype=int)
    for _ in range(50):
        led += exploration.override(np.full(n_envs, HOST), np.arange(n_envs)[:, None], 1.0) == EXPERT
        exploration.note_step(np.zeros(n_envs), np.zeros(n_envs, dtype=bool))
    assert episodes.alone.mean() == pytest.approx(0.5, abs=0.05)
    assert (led[episodes.alone] == 0).all()
    assert led[~episodes.alone].mean() == pytest.approx(25, abs=1.5)


def guides_actions(fraction: float, guides: list[float], own: list[float], n_envs: int = 4000) -> np.ndarray:
    """Actions of the second step of an episode without any other exploration, shape (n_envs,)."""
    episodes = GuideEpisodes(fraction, 0.5, compared(guides, own), n_envs, seed=1)
    exploration = GuidedExploration(Recorder(), 0.0, N_ACTIONS, n_envs, 0, episodes)
    observations = np.arange(n_envs)[:, None]
    for _ in range(2):
        actions = exploration.override(np.full(n_envs, HOST), observations, 0.1)
        exploration.note_step(np.zeros(n_envs), np.zeros(n_envs, dtype=bool))
    return actions


def test_in_its_episodes_the_guide_acts() -> None:
    actions = guides_actions(0.5, [1] * 5, [0] * 5)
    assert set(actions) == {HOST, EXPERT}
    assert (actions == EXPERT).mean() == pytest.approx(0.5, abs=0.04)


def test_a_guide_that_is_worse_plays_hardly_any() -> None:
    assert (guides_actions(0.5, [0] * 5, [1] * 5) == EXPERT).mean() < 0.05
