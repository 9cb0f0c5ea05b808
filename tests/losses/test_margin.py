"""The large-margin loss for a set of plausible actions."""

from __future__ import annotations

from typing import Any

import pytest
import torch as th

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.losses.large_margin import AutomaticMargin, DemonstrationSettings, margin_losses


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


def test_an_automatic_margin_follows_the_errors() -> None:
    margin = AutomaticMargin(2.0)
    assert (margin.margin, margin.weight) == (0.0, 0.0)
    margin.note(th.tensor([0.1, 0.3]))
    assert margin.margin == pytest.approx(2 * 0.2)
    margin.note(th.tensor([1.2]))
    assert margin.margin == pytest.approx(2 * (0.99 * 0.2 + 0.01 * 1.2))
    for _ in range(1000):
        margin.note(th.tensor([5.0, 5.0]))
    assert margin.margin == pytest.approx(10.0, rel=1e-3)
    assert margin.weight == 1.0, "the gradient of the temporal-difference loss grows no further, either"


def test_what_is_taken_of_the_errors_is_margin_and_weight() -> None:
    margin = AutomaticMargin(0.5)
    margin.note(th.tensor([0.1, 0.3]))
    assert margin.margin == margin.weight == pytest.approx(0.5 * 0.2)


def test_a_margin_can_be_automatic() -> None:
    DemonstrationSettings(**{**GOOD, "margin": "auto"})


GOOD: dict[str, Any] = {
    "inference": "nearest",
    "margin_weight": 1.0,
    "margin": 0.8,
    "margin_factor": 2.0,
    "margin_filter": False,
    "margin_priorities": False,
    "margin_vote": False,
    "margin_batch_size": 16,
    "imitate_guide": False,
    "recorded_weight": 0.0,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("inference", "telepathy"),
        ("margin_weight", -0.1),
        ("margin_weight", float("nan")),
        ("margin", 0.0),
        ("margin", "wide"),
        ("margin_factor", 0.0),
        ("margin_factor", float("inf")),
        ("margin_batch_size", 0),
        ("margin_batch_size", 1.5),
        ("margin_filter", "yes"),
        ("margin_priorities", 1),
        ("margin_vote", 0),
        ("imitate_guide", 1),
        ("recorded_weight", -1),
    ],
)
def test_bad_settings_are_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}={value!r}"):
        DemonstrationSettings(**{**GOOD, name: value})
