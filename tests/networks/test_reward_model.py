"""The network that tells what a transition pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from sb3_diiqn.networks import RewardModel

PLACES, LINE = spaces.Discrete(10), spaces.Box(0, 10, (1,), dtype=np.float32)
TOLL, GOAL = 6, 9


def paid(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half a unit less at one place, 3 at the goal, where it ends, and else nothing."""
    return np.select([places == GOAL, places == TOLL], [3.0, -0.5], 0.0).astype(np.float32), places == GOAL


def steps_to(places: np.ndarray) -> tuple[th.Tensor, th.Tensor]:
    """Steps to the right, to these places."""
    after = th.as_tensor(places)
    return after - 1, after


def line_to(places: np.ndarray) -> tuple[th.Tensor, th.Tensor]:
    """The same on a line of numbers."""
    after = th.as_tensor(places[:, None], dtype=th.float32)
    return after - 1, after


def trained(n_places: int = GOAL + 1, updates: int = 300) -> RewardModel:
    """A model that has seen steps to the first places."""
    th.manual_seed(0)
    model, generator = RewardModel(PLACES), np.random.default_rng(0)
    for _ in range(updates):
        places = generator.integers(1, n_places, 32)
        model.learn(*steps_to(places), *paid(places))
    return model


def answering(amounts: list[float], logits: list[float], end: float) -> RewardModel:
    """A model that always has these outputs."""
    model = RewardModel(PLACES, n_classes=3)
    model.learn(*steps_to(np.arange(1, 1 + len(amounts))), np.float32(amounts), np.zeros(len(amounts), dtype=bool))
    outputs = th.tensor([[*logits, *[0.0] * (3 - len(logits)), 0.0, end]])
    model.forward = lambda *observations: outputs.expand(len(observations[0]), -1)  # type: ignore[assignment, misc]
    return model


# --- few amounts --------------------------------------------------------------------------------------------------------------


def test_of_few_amounts_it_names_exactly_those_that_were_seen() -> None:
    model, places = trained(), np.arange(1, GOAL + 1)
    rewards, ends = paid(places)
    told = model.predict(*steps_to(places), ends)
    assert model.is_classifier
    np.testing.assert_array_equal(told.values, rewards)
    assert (told.certainty > 0.9).all()
    assert told.values.dtype == told.certainty.dtype == np.float32


def test_a_goal_that_was_never_reached_is_not_worth_nothing() -> None:
    """It has seen no end at all; so that the recording has one there says that it does not know."""
    model, goal = trained(n_places=GOAL), steps_to(np.array([GOAL]))
    assert model.predict(*goal, np.array([True])).certainty[0] < 0.1
    before = steps_to(np.array([TOLL, TOLL + 1]))
    np.testing.assert_array_equal(model.predict(*before, np.zeros(2, dtype=bool)).values, [-0.5, 0.0])
    assert (model.predict(*before, np.zeros(2, dtype=bool)).certainty > 0.9).all()


def test_where_the_agents_episodes_end_and_the_recording_goes_on_it_does_not_know() -> None:
    assert trained().predict(*steps_to(np.array([GOAL])), np.array([False])).certainty[0] < 0.1


@pytest.mark.parametrize(("ended", "of_the_end"), [(True, 0.8), (False, 0.2)])
@pytest.mark.parametrize(
    ("amounts", "shares", "value", "of_the_amount"),
    [
        ([0.0, 7.0], [0.25, 0.75], 7.0, 0.5),
        ([0.0, 7.0], [0.5, 0.5], 0.0, 0.0),
        ([-1.0, 0.0, 7.0], [0.2, 0.6, 0.2], 0.0, 0.4),
        ([4.0], [1.0], 4.0, 1.0),  # nothing else is possible
    ],
)
def test_certainty_by_hand(
    amounts: list[float], shares: list[float], value: float, of_the_amount: float, ended: bool, of_the_end: float
) -> None:
    """That of the amount beyond chance, times the probability of the end as it was."""
    model = answering(amounts, np.log(shares).tolist(), float(np.log(0.8 / 0.2)))
    told = model.predict(*steps_to(np.array([2, 5])), np.array([ended] * 2))
    np.testing.assert_array_equal(told.values, [value] * 2)
    np.testing.assert_allclose(told.certainty, [of_the_amount * of_the_end] * 2, rtol=1e-5, atol=1e-7)


def test_amounts_are_known_from_when_they_are_seen_first() -> None:
    model, none = RewardModel(PLACES, n_classes=3), np.zeros(2, dtype=bool)
    for rewards, expected in (([0.0, 0.0], [0.0]), ([2.0, 0.0], [0.0, 2.0]), ([-1.0, 2.0], [0.0, 2.0, -1.0])):
        model.learn(*steps_to(np.array([1, 2])), np.float32(rewards), none)
        assert model.amounts[: int(model.n_amounts)].tolist() == expected
        assert model.is_classifier
    model.learn(*steps_to(np.array([1, 2])), np.float32([0.0, 5.0]), none)
    assert not model.is_classifier, "too many"
    assert model.amounts.tolist() == [0.0, 2.0, -1.0]


# --- many ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_of_many_amounts_it_tells_about_how_much(unit: float) -> None:
    """Half of the place, in whatever unit."""
    th.manual_seed(0)
    model, generator = RewardModel(LINE, n_classes=8), np.random.default_rng(0)
    for _ in range(500):
        places = generator.random(32) * 9
        model.learn(*line_to(places), unit * places / 2, np.zeros(32, dtype=bool))
    assert not model.is_classifier
    places = np.linspace(0.5, 8.5, 30)
    told = model.predict(*line_to(places), np.zeros(30, dtype=bool))
    assert np.abs(told.values / unit - places / 2).mean() < 0.15
    assert (told.certainty > 0.9).all()


def test_amounts_are_certain_as_far_as_they_are_explained() -> None:
    """One too many to be classes, and nothing is certain again until that was learned; what is chance never is."""
    th.manual_seed(0)
    model, generator = RewardModel(LINE, n_classes=2), np.random.default_rng(0)
    places = np.arange(8) % 4
    certainties = []
    for step in range(400):
        paid = generator.normal(size=8) if step >= 200 else (places % 2).astype(float)
        model.learn(*line_to(places.astype(float)), paid, np.zeros(8, dtype=bool))
        certainties.append(model.predict(*line_to(places[:1].astype(float)), np.zeros(1, dtype=bool)).certainty[0])
    assert certainties[199] > 0.6
    assert max(certainties[200:]) < 0.3


# --- asking, and saving -------------------------------------------------------------------------------------------------------


def test_before_it_has_learned_anything_it_has_no_answer() -> None:
    told = RewardModel(PLACES).predict(*steps_to(np.arange(4)), np.zeros(4, dtype=bool))
    np.testing.assert_array_equal(told.values, np.zeros(4))
    np.testing.assert_array_equal(told.certainty, np.zeros(4))


def test_asking_changes_nothing() -> None:
    model, asked = trained(updates=5), (*steps_to(np.arange(1, 8)), np.zeros(7, dtype=bool))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for first, second in zip(model.predict(*asked), model.predict(*asked), strict=True):
        np.testing.assert_array_equal(first, second)
    for name, value in model.state_dict().items():
        assert th.equal(value, before[name])


@pytest.mark.parametrize("n_classes", [2, 32], ids=["an amount", "a class"])
def test_what_it_knows_is_saved_with_its_parameters(n_classes: int) -> None:
    places = np.arange(1, GOAL + 1)
    rewards, ends = paid(places)
    th.manual_seed(0)
    model, other = RewardModel(PLACES, n_classes), RewardModel(PLACES, n_classes)
    for _ in range(20):
        model.learn(*steps_to(places), rewards, ends)
    other.load_if_fitting(model.state_dict(), model.optimizer.state_dict(), "reward model")
    assert other.has_learned and int(other.n_learned) == 20
    assert other.is_classifier == model.is_classifier == (n_classes == 32)
    for told, expected in zip(*(one.predict(*steps_to(places), ends) for one in (other, model)), strict=True):
        np.testing.assert_array_equal(told, expected)
    before = model.amounts.tolist()
    other.learn(*steps_to(places), rewards, ends)
    assert other.amounts.tolist() == before, "it knows them already"


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 1, (4, 4, 5), dtype=bool),
        spaces.Box(0, 255, (1, 36, 36), dtype=np.uint8),
        spaces.Discrete(4),
        spaces.Dict({"place": spaces.Box(-1, 1, (2,)), "lamp": spaces.Discrete(2)}),
    ],
    ids=["planes", "image", "discrete", "dict"],
)
def test_every_kind_of_observation(space: spaces.Space[Any]) -> None:
    def batch() -> Any:
        drawn = [space.sample() for _ in range(6)]
        if isinstance(space, spaces.Dict):
            return {key: th.as_tensor(np.array([item[key] for item in drawn])) for key in space.spaces}
        return th.as_tensor(np.array(drawn))

    space.seed(0)
    model = RewardModel(space)
    observations, following = batch(), batch()
    rewards, ends = np.float32([0, 0, 1, 1, 0, 1]), np.arange(6) == 2
    first = model.learn(observations, following, rewards, ends)
    for _ in range(50):
        last = model.learn(observations, following, rewards, ends)
    assert last < first
    told = model.predict(observations, following, ends)
    assert told.values.shape == told.certainty.shape == (6,)
