"""How much imitation counts over the training, and by what the guide's episodes return."""

from __future__ import annotations

import pytest

from sb3_diiqn.guides import ComparedReturns
from sb3_diiqn.losses import FadingWeight


@pytest.mark.parametrize(("remaining", "fraction"), [(1.0, 1.0), (0.75, 0.5), (0.5, 0.0), (0.25, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("returns", [None, ComparedReturns()], ids=["no guide", "nothing known of the guide"])
def test_it_falls_in_the_first_half_of_the_training(
    remaining: float, fraction: float, returns: ComparedReturns | None
) -> None:
    weight = FadingWeight(3.0, returns)
    assert weight(remaining) == pytest.approx(3.0 * fraction)
    assert weight.is_worth_it(remaining) == (fraction > 0)


def test_a_hundredth_counts_for_nothing() -> None:
    weight = FadingWeight(2.0)
    assert weight.is_worth_it(0.5 + 0.02 / 2)
    assert not weight.is_worth_it(0.5 + 0.009 / 2)


def test_it_counts_for_as_much_as_the_guide_is_better() -> None:
    returns = ComparedReturns()
    weight = FadingWeight(2.0, returns)
    for by_guide, value in [(True, 1.0), (False, 0.0)] * 5:
        returns.note(by_guide, value)
    assert weight(0.75) == weight(0.0) == pytest.approx(2.0, rel=1e-4), "it always returns more"
    returns.note(by_guide=True, episode_return=0.0)
    returns.note(by_guide=False, episode_return=1.0)
    better = returns.guide_is_better()
    assert 0.5 < better < 1.0
    clearly = 2 * better - 1
    assert clearly**4 > 0.5
    assert weight(0.75) == weight(0.0) == pytest.approx(2.0 * clearly**4)
    assert weight(1.0) == pytest.approx(2.0)


def test_a_part_is_kept_as_long_as_the_guide_is_known_to_be_no_worse() -> None:
    returns = ComparedReturns()
    weight = FadingWeight(2.0, returns)
    assert weight(0.75) == pytest.approx(1.0) and weight(0.0) == 0.0, "nothing is known"
    for value in (0.0, 1.0) * 4:
        for by_guide in (True, False):
            returns.note(by_guide, value)
    assert returns.guide_is_better() == 0.5
    assert weight(0.75) == pytest.approx(1.0)
    assert weight(0.6) == pytest.approx(0.4) and weight(0.0) == pytest.approx(0.4), "they are equals"
    for _ in range(15):
        returns.note(by_guide=False, episode_return=2.0)
    assert weight(0.0) < 0.01, "the agent has passed it"


def test_it_falls_sooner_where_the_guide_is_worse() -> None:
    returns = ComparedReturns()
    weight = FadingWeight(2.0, returns)
    for by_guide, value in [(True, 1.0), (False, 0.0)] * 4 + [(True, 0.0), (False, 1.0)] * 2 + [(False, 2.0)] * 5:
        returns.note(by_guide, value)
    worse = returns.guide_is_better()
    assert 0.0 < worse < 0.5
    assert weight(0.0) == pytest.approx(2.0 * (2 * worse) ** 4 * 0.2), "there is little left to learn from it"
    assert weight(0.75) == pytest.approx(2.0 * (2 * worse) ** 4 * 0.5)
    for _ in range(500):
        returns.note(by_guide=False, episode_return=2.0)
        returns.note(by_guide=True, episode_return=1.0)
    assert weight(1.0) == 0.0
    assert not weight.is_worth_it(1.0)
    for _ in range(500):
        returns.note(by_guide=True, episode_return=3.0)
        returns.note(by_guide=False, episode_return=2.0)
    assert weight.is_worth_it(0.0), "the agent has fallen behind"


def test_without_a_coefficient_it_is_never_worth_it() -> None:
    assert not FadingWeight(0.0).is_worth_it(1.0)
