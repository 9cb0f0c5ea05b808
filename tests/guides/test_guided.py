"""Guided exploration: its fraction, its stretches, and who acts in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from sb3_diiqn.guides import Guide, GuideActions, GuidedExploration
from sb3_diiqn.inference import NO_ACTION

HOST, EXPERT, N_ACTIONS = 0, 7, 8


class Recorder(Guide):
    """Always has the same action, or none."""

    def __init__(self, action: int = EXPERT) -> None:
        self.action = action

    def act(self, observations: Any, environments: np.ndarray) -> GuideActions:
        np.testing.assert_array_equal(observations[:, 0], environments)
        return GuideActions(np.full(len(environments), self.action), np.ones(len(environments), dtype=bool))


def exploration(
    guide: Guide, fraction: float, length: float = 20, n_envs: int = 1, seed: Any = 0, **arguments: Any
) -> GuidedExploration:
    """Guided exploration whose stretches have this mean length."""
    made = GuidedExploration(guide, fraction, N_ACTIONS, n_envs, seed, **arguments)
    made.stretch_length = length  # type: ignore[assignment]
    return made


def guided_steps(
    fraction: float, length: float, rate: float, n_envs: int = 200, n_steps: int = 600, episode: int = 10**9
) -> np.ndarray:
    """Which steps were guided, shape (n_steps, n_envs)."""
    guided = exploration(Recorder(), fraction, length, n_envs)
    observations = np.arange(n_envs)[:, None]
    actions = []
    for step in range(n_steps):
        actions.append(guided.override(np.full(n_envs, HOST), observations, rate))
        guided.note_step(np.zeros(n_envs), np.full(n_envs, (step + 1) % episode == 0))
    return np.array(actions) == EXPERT


@pytest.mark.parametrize(
    ("fraction", "rate", "length"), [(0.5, 1.0, 20), (0.5, 0.1, 20), (1.0, 0.3, 5), (0.2, 0.5, 1), (0.9, 1.0, 10)]
)
@pytest.mark.parametrize("episode", [10**9, 15])
def test_fraction_of_guided_steps(fraction: float, rate: float, length: float, episode: int) -> None:
    guided = guided_steps(fraction, length, rate, episode=episode)
    # the environments are independent: five standard errors of their mean
    error = guided.mean(axis=0).std(ddof=1) / np.sqrt(guided.shape[1])
    assert guided.mean() == pytest.approx(fraction * rate, abs=5 * error)
    assert error < 0.02


def test_fraction_of_guided_steps_in_the_shortest_stretches() -> None:
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


@pytest.mark.parametrize(("fraction", "rate", "expected"), [(0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 1.0)])
def test_never_and_always(fraction: float, rate: float, expected: float) -> None:
    assert guided_steps(fraction, 5, rate, n_envs=20, n_steps=50).mean() == expected


@pytest.mark.parametrize(("fraction", "rate"), [(0.0, 0.3), (0.5, 1.0), (0.5, 0.1), (1.0, 0.2), (1.0, 1.0), (0.3, 0.0)])
def test_random_actions_give_what_the_stretches_take(fraction: float, rate: float) -> None:
    explored = exploration(Recorder(), fraction)
    guided = fraction * rate
    assert guided + (1 - guided) * explored.remaining_exploration_rate(rate) == pytest.approx(rate)


def test_where_the_experts_action_is_not_known_all_actions_are_tried() -> None:
    explored = exploration(Recorder(NO_ACTION), 1.0, 5, n_envs=3)
    host = np.full(3, HOST)
    taken = np.array([explored.override(host, np.arange(3)[:, None], 1.0) for _ in range(500)])
    counts = np.bincount(taken.ravel(), minlength=N_ACTIONS)
    assert chisquare(counts).pvalue > 0.001
    np.testing.assert_array_equal(host, np.full(3, HOST), "the caller's array stays as it is")


class Curious(Recorder):
    """Knows no action, and wants the highest that was drawn in any environment to be tried everywhere."""

    def explore(self, environments: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        assert drawn.shape == environments.shape
        return np.full(len(environments), drawn.max() + 10)


def test_the_guide_has_a_say_in_what_is_tried() -> None:
    explored = exploration(Curious(NO_ACTION), 1.0, 5, n_envs=3)
    assert explored.override(np.full(3, HOST), np.arange(3)[:, None], 1.0).min() >= 10
    explored.guide = Curious(EXPERT)
    assert explored.override(np.full(3, HOST), np.arange(3)[:, None], 1.0).tolist() == [EXPERT] * 3


def test_outside_of_stretches_the_host_acts() -> None:
    explored = exploration(Recorder(), 0.5, 5, n_envs=3)
    host = np.array([4, 5, 6])
    np.testing.assert_array_equal(explored.override(host, np.arange(3)[:, None], 0.0), host)


def test_the_guide_has_chosen_where_it_was_asked_and_had_an_answer() -> None:
    class FromTheSecondOn(Recorder):
        """Knows nothing in the first environment."""

        def act(self, observations: Any, environments: np.ndarray) -> GuideActions:
            actions = np.where(environments > 0, EXPERT, NO_ACTION)
            return GuideActions(actions, environments > 0)

    explored, host = exploration(FromTheSecondOn(), 0.5, 3, n_envs=2), np.full(2, HOST)
    chosen = []
    for _ in range(400):
        actions = explored.override(host, np.arange(2)[:, None], 1.0)
        assert actions[1] == (EXPERT if explored.has_chosen[1] else HOST)
        chosen.append(explored.has_chosen)
    unknown, known = np.mean(chosen, axis=0)
    assert known == pytest.approx(0.5, abs=0.2)
    assert unknown == 0, "it had no answer there, and what is done is chance"
    for _ in range(200):
        explored.override(host, np.arange(2)[:, None], 0.0)
    assert not explored.has_chosen.any()
