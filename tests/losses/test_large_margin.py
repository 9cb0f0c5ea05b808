"""The large-margin loss for a set of plausible actions, on sampled expert transitions and on the guide's."""

from __future__ import annotations

import pytest
import torch as th

from sb3_diiqn.losses import FadingWeight, ImitateExpert, ImitateGuide, ScaledMargin, make_margin, margin_losses
from tests.losses.batches import batch, known, output


@pytest.mark.parametrize(
    ("q_values", "plausible", "expected"),
    [
        ([1.0, 2.0, 0.0], [1, 0, 0], 2.0 + 0.8 - 1.0),
        ([3.0, 2.5, 0.0], [1, 0, 0], 2.5 + 0.8 - 3.0),
        ([3.0, 2.2, 0.0], [1, 0, 0], 0.0),
        ([3.0, 2.0, 9.0], [0, 1, 1], 0.0),
        ([3.0, 2.0, 1.0], [0, 1, 1], 3.0 + 0.8 - 2.0),
        ([3.0, 2.0, 1.0], [1, 1, 1], 0.0),
    ],
    ids=["below", "within the margin", "at the margin", "best of several above", "best of several below", "all plausible"],
)
def test_by_hand(q_values: list[float], plausible: list[int], expected: float) -> None:
    losses = margin_losses(th.tensor([q_values]), th.tensor([plausible], dtype=th.bool), 0.8)
    assert losses.tolist() == pytest.approx([expected], abs=1e-6)


def test_only_the_best_plausible_action_is_raised_and_only_the_best_other_one_lowered() -> None:
    q_values = th.tensor([[1.0, 2.0, 0.5, 1.9]], requires_grad=True)
    margin_losses(q_values, th.tensor([[True, False, True, False]]), 0.8).sum().backward()  # type: ignore[no-untyped-call]
    assert q_values.grad is not None
    assert q_values.grad.tolist() == [[-1.0, 1.0, 0.0, 0.0]]


def test_where_all_actions_are_plausible_nothing_is_learned() -> None:
    q_values = th.tensor([[1.0, 2.0]], requires_grad=True)
    margin_losses(q_values, th.tensor([[True, True]]), 0.8).sum().backward()  # type: ignore[no-untyped-call]
    assert q_values.grad is not None
    assert q_values.grad.tolist() == [[0.0, 0.0]]


def test_a_scaled_margin_follows_the_errors() -> None:
    margin, unpaid = ScaledMargin(), th.zeros(1, 1)
    assert (margin.margin, margin.scale) == (0.0, 0.0)
    margin.note(th.tensor([0.1, 0.3]), unpaid)
    assert margin.margin == margin.scale == pytest.approx(2 * 0.2)
    margin.note(th.tensor([1.2]), unpaid)
    assert margin.margin == pytest.approx(2 * (0.99 * 0.2 + 0.01 * 1.2))
    for _ in range(1000):
        margin.note(th.tensor([5.0, 5.0]), unpaid)
    assert margin.margin == pytest.approx(10.0, rel=1e-3)
    assert margin.scale == 1.0, "the gradient of the temporal-difference loss grows no further, either"


def test_where_rewards_are_rare_it_is_their_standard_deviation() -> None:
    """Errors are small there; what every step pays is no reward to tell apart."""
    margin = ScaledMargin()
    margin.note(th.tensor([0.01]), th.tensor([[-0.1], [-0.1], [-0.1], [0.9]]))
    assert margin.margin == margin.scale == pytest.approx((0.25 * 0.75) ** 0.5)
    margin.note(th.tensor([0.01]), th.tensor([[-0.1]]))
    share = 0.99 * 0.25
    assert margin.margin == pytest.approx((share * (1 - share)) ** 0.5)
    margin.note(th.tensor([100.0]), th.tensor([[-0.1]]))
    assert margin.margin == pytest.approx(2 * (0.99 * 0.01 + 0.01 * 100.0)), "the larger one"
    same = ScaledMargin()
    same.note(th.tensor([0.01]), th.full((4, 1), -0.1))
    assert same.margin == pytest.approx(0.02)


def test_a_fixed_margin_stays() -> None:
    margin = make_margin(0.8)
    margin.note(th.tensor([5.0]), th.tensor([[7.0]]))
    assert (margin.margin, margin.scale) == (0.8, 1.0)
    assert isinstance(make_margin("auto"), ScaledMargin)


# --- on sampled expert transitions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("remaining", "fraction"), [(1.0, 1.0), (0.75, 0.5), (0.5, 0.0), (0.0, 0.0)])
def test_each_sample_is_weighted_by_its_certainty_and_all_of_them_fade(remaining: float, fraction: float) -> None:
    """The first falls short by 1 and the second by -0.1, and by a margin of 0.5 more."""
    of = batch([0], samples=known([[True, False], [False, True]], [0.5, 1.0]))
    loss = ImitateExpert(FadingWeight(3.0), make_margin(0.5))(
        of, output(of, [[9.0, 9.0], [1.0, 2.0], [0.0, 0.1]], [7.0]), remaining
    )
    assert float(loss.detach()) == pytest.approx(3.0 * fraction * (0.5 * 1.5 + 1.0 * 0.4) / 2)


def test_only_the_values_of_the_samples_get_a_gradient() -> None:
    of = batch([0], samples=known([[True, False]], [1.0]))
    td = output(of, [[9.0, 9.0], [1.0, 2.0]], [7.0])
    of_values, of_losses = th.autograd.grad(
        ImitateExpert(FadingWeight(3.0), make_margin(0.5))(of, td, 1.0), (td.q_values, td.losses), allow_unused=True
    )
    assert of_values.tolist() == [[0.0, 0.0], [-3.0, 3.0]]
    assert of_losses is None


@pytest.mark.parametrize(("errors", "paid"), [([0.1, 0.3], [0.2, -0.2]), ([0.0, 0.0], [0.4, -0.4])])
def test_a_scaled_margin_is_of_what_the_agent_sees_and_so_is_the_weight(errors: list[float], paid: list[float]) -> None:
    """Errors and rewards of matched expert transitions do not count."""
    of = batch([0, 0], {1: (0, 0)}, known([[True, False]], [0.5]), paid=paid)
    td = output(of, [[9.0, 9.0]] * 3 + [[1.0, 2.0]], [0.0] * 3, errors=[*errors, 77.0])
    loss = ImitateExpert(FadingWeight(3.0), make_margin("auto"))(of, td, 1.0)
    assert float(loss.detach()) == pytest.approx(0.4 * 3.0 * 0.5 * (1.0 + 0.4))


def test_samples_are_wanted_as_long_as_they_count() -> None:
    loss = ImitateExpert(FadingWeight(3.0), make_margin(0.5))
    assert loss.wants_samples(0.6)
    assert not loss.wants_samples(0.5)
    of = batch([0])
    assert float(loss(of, output(of, [[1.0, 2.0]], [7.0]), 0.4)) == 0


# --- on the guide's transitions -----------------------------------------------------------------------------------------------


def test_the_guides_actions_are_imitated_and_the_agents_own_are_not() -> None:
    of = batch([0, 1, 1, 0], {2: (0, 0)}, guided=[True, True, False, False])
    td = output(of, [[1.0, 2.0], [0.0, 0.1], [5.0, 0.0], [0.0, 0.0], [8.0, 9.0]], [0.0] * 5)
    loss = ImitateGuide(FadingWeight(3.0), make_margin(0.5))(of, td, 0.75)
    assert float(loss.detach()) == pytest.approx(3.0 * 0.5 * (1.5 + 0.4) / 4), "half of the weight is left"
    assert not ImitateGuide(FadingWeight(3.0), make_margin(0.5)).wants_samples(1.0)


def test_once_it_counts_for_nothing_it_is_nothing() -> None:
    of = batch([0], guided=[True])
    assert float(ImitateGuide(FadingWeight(3.0), make_margin(0.5))(of, output(of, [[1.0, 2.0]], [0.0]), 0.5)) == 0


def test_both_share_a_scaled_margin() -> None:
    weight, margin = FadingWeight(3.0), make_margin("auto")
    of = batch([0, 0], samples=known([[True, True]], [0.0]), guided=[True, False], paid=[0.4, -0.4])
    td = output(of, [[1.0, 2.0]] * 3, [0.0] * 2)
    assert float(ImitateExpert(weight, margin)(of, td, 1.0).detach()) == 0, "all actions are plausible"
    assert float(ImitateGuide(weight, margin)(of, td, 1.0).detach()) == pytest.approx(0.4 * 3.0 * (1.0 + 0.4) / 2)
