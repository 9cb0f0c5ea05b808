"""From probabilities of actions to a set of plausible ones and the trust in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn.inference.estimates import draw_actions, estimate, mixed_with_chance


@pytest.mark.parametrize(
    ("probabilities", "plausible", "certainty"),
    [
        ([1.0, 0.0, 0.0, 0.0], [1, 0, 0, 0], 1.0),
        ([0.7, 0.1, 0.1, 0.1], [1, 0, 0, 0], (0.7 - 0.25) / 0.75),
        ([0.5, 0.5, 0.0, 0.0], [1, 1, 0, 0], 1.0),
        ([0.4, 0.2, 0.19, 0.21], [1, 1, 0, 1], (0.81 - 0.75) / 0.25),
        ([0.25, 0.25, 0.25, 0.25], [1, 1, 1, 1], 0.0),
    ],
    ids=["sure", "likely", "tie", "just plausible", "no idea"],
)
def test_by_hand(probabilities: list[float], plausible: list[int], certainty: float) -> None:
    estimates = estimate(np.array([probabilities]))
    assert estimates.plausible.tolist() == [[bool(value) for value in plausible]]
    assert estimates.certainty == pytest.approx([certainty])


def test_each_row_is_judged_alone() -> None:
    estimates = estimate(np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]))
    assert estimates.plausible.tolist() == [[True, False], [True, True], [False, True]]
    assert estimates.certainty == pytest.approx([0.8, 0.0, 0.6])


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8).filter(lambda values: sum(values) > 0.01))
def test_the_likeliest_is_always_plausible(values: list[float]) -> None:
    probabilities = np.array([values]) / sum(values)
    estimates = estimate(probabilities)
    assert estimates.plausible[0, probabilities.argmax()]
    assert 0 <= estimates.certainty[0] <= 1


@given(st.integers(2, 9), st.floats(0.0, 1.0), st.data())
def test_a_single_action_is_trusted_as_much_as_it_is_said_to_be(n_actions: int, trust: float, data: st.DataObject) -> None:
    action = data.draw(st.integers(0, n_actions - 1))
    probabilities = mixed_with_chance(np.array([action]), np.array([trust]), n_actions)
    assert probabilities.sum() == pytest.approx(1)
    estimates = estimate(probabilities)
    if estimates.plausible.all():
        assert (estimates.certainty, trust) == (0, pytest.approx(0, abs=1 / n_actions + 1e-9))
    else:
        assert estimates.plausible[0].nonzero()[0].tolist() == [action]
        assert estimates.certainty == pytest.approx([trust])


def test_actions_are_drawn_by_their_likelihoods() -> None:
    likelihoods = np.array([[0.0, 3.0, 1.0], [2.0, 0.0, 0.0]]).repeat(4000, axis=0)
    actions = draw_actions(likelihoods, np.random.default_rng(0))
    fractions = [np.bincount(part, minlength=3) / 4000 for part in (actions[:4000], actions[4000:])]
    np.testing.assert_allclose(fractions, [[0, 0.75, 0.25], [1, 0, 0]], atol=0.03)
