"""How a clone's actions are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from sb3_diiqn.guides import CloneGuide
from sb3_diiqn.inference import NO_ACTION

LABELS = np.array([[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]])


def test_actions_are_drawn_by_their_probabilities() -> None:
    guide = CloneGuide(lambda observations: LABELS[observations], seed=0)
    drawn = np.stack([guide.act(np.array([0, 1, 2, 3]), np.arange(4)).actions for _ in range(3000)])
    assert (drawn[:, 0] == 0).all()
    assert (drawn[:, 1] == 1).all()
    assert chisquare(np.bincount(drawn[:, 2], minlength=3)[1:]).pvalue > 0.001
    assert (drawn[:, 2] > 0).all()
    assert chisquare(np.bincount(drawn[:, 3])).pvalue > 0.001


def test_implausible_actions_are_not_drawn() -> None:
    """Less than half as likely as the likeliest; the others are drawn in proportion: 0.4 to 0.3."""
    guide = CloneGuide(lambda observations: np.tile([0.4, 0.3, 0.19, 0.11], (len(observations), 1)), seed=0)
    drawn = np.bincount(guide.act(np.zeros(7000), np.arange(7000)).actions, minlength=4)
    assert drawn[2:].tolist() == [0, 0]
    assert chisquare(drawn[:2], [4000, 3000]).pvalue > 0.001


def test_before_it_has_learned_no_action_is_known() -> None:
    guide = CloneGuide(lambda observations: None, seed=0)
    assert guide.act(np.array([0, 1, 2]), np.arange(3)).actions.tolist() == [NO_ACTION] * 3


def test_the_same_seed_draws_the_same() -> None:
    one, two = (CloneGuide(lambda observations: LABELS[observations], seed=5) for _ in range(2))
    states, environments = np.array([3] * 50), np.arange(50)
    np.testing.assert_array_equal(one.act(states, environments).actions, two.act(states, environments).actions)


@pytest.mark.parametrize(("likeliest", "certain"), [(0.75, True), (0.74, False)])
def test_it_is_certain_of_more_than_half_beyond_chance(likeliest: float, certain: bool) -> None:
    guide = CloneGuide(lambda observations: np.array([[likeliest, 1 - likeliest]]), seed=0)
    assert guide.act(np.zeros(1), np.arange(1)).certain.tolist() == [certain]
    assert not CloneGuide(lambda observations: None).act(np.zeros(1), np.arange(1)).certain.any()
