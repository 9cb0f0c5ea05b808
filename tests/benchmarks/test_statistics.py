"""Curves and statistics against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import curves, statistics
from benchmarks.statistics import aggregate, bands, improvement, improvement_probability, interquartile_mean, relative
from sb3_diiqn.expert.training import final_return

RUNS = st.lists(st.integers(-50, 50), min_size=2, max_size=9)


def test_interquartile_mean() -> None:
    assert interquartile_mean([9, 1, 2, 3, 4, 5, 6, 100]) == pytest.approx((3 + 4 + 5 + 6) / 4)
    assert interquartile_mean([0, 1, 2, 3, 100]) == pytest.approx(2), "5 runs: one is left out on each side"
    assert interquartile_mean([0, 1, 5]) == pytest.approx(2), "3 runs: none is left out"
    np.testing.assert_allclose(interquartile_mean([[0, 1, 2, 9], [4, 3, 2, 1]]), [1.5, 2.5])


def test_improvement_probability() -> None:
    # pairs of (1, 2, 3) and (2, 2): less, less, tie, tie, more, more
    assert improvement_probability([1, 2, 3], [2, 2]) == pytest.approx((0 + 0 + 0.5 + 0.5 + 1 + 1) / 6)
    assert improvement_probability([3, 4], [1, 2]) == 1
    assert improvement([[3, 4], [1, 1]], [[1, 2], [1, 1]]).value == pytest.approx((1 + 0.5) / 2), "mean over environments"


def test_relative() -> None:
    assert relative([[4.0, 6.0]], [[2.0, 3.0]], [0]).value == pytest.approx(2)
    assert relative([[-150.0, -150.0]], [[-180.0, -170.0]], [-200]).value == pytest.approx(50 / 25)
    # two environments: shares (2, 4) and (1, 1); of these four, one is left out on each side
    both = relative([[4.0, 8.0], [5.0, 5.0]], [[2.0, 2.0], [5.0, 5.0]], [0, 0])
    assert both.value == pytest.approx((1 + 2) / 2)
    for baseline in ([0.0, 0.0], [-1.0, -2.0]):
        assert math.isnan(relative([[4.0, 6.0]], [baseline], [0]).value)


def test_interval_knows_the_uncertainty_of_the_baseline() -> None:
    assert relative([[4.0] * 4], [[2.0] * 4], [0]) == (2, 2, 2)
    estimate = relative([[4.0] * 4], [[1.0, 1.0, 3.0, 3.0]], [0])
    # resampled baselines range from 1 (all ones) to 3 (all threes)
    assert estimate.value == pytest.approx(2)
    assert estimate.low == pytest.approx(4 / 3)
    assert estimate.high == pytest.approx(4)


def test_interval_by_enumeration() -> None:
    # two runs, 0 and 1: resampled means 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4
    assert aggregate([[0.0, 1.0]]) == (0.5, 0, 1)
    # eight strata of two: without stratification their levels would widen the interval
    strata = [[level, level] for level in range(8)]
    assert aggregate(strata) == (3.5, 3.5, 3.5)


@pytest.mark.slow
def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(50):
        estimate = aggregate([random.normal(size=30)])
        covered += estimate.low <= 0 <= estimate.high
    assert 43 <= covered <= 50


@settings(max_examples=25)
@given(RUNS)
def test_interval_contains_the_value_and_is_reproducible(runs: list[int]) -> None:
    estimate = aggregate([runs])
    assert min(runs) - 1e-9 <= estimate.low <= estimate.value + 1e-9
    assert estimate.value - 1e-9 <= estimate.high <= max(runs) + 1e-9
    assert aggregate([runs]) == estimate


@given(RUNS, RUNS)
def test_improvement_is_antisymmetric(first: list[int], second: list[int]) -> None:
    assert improvement_probability(first, second) == pytest.approx(1 - improvement_probability(second, first))


def test_single_run_has_no_interval() -> None:
    estimate = aggregate([[3.0]])
    assert estimate.value == 3
    assert math.isnan(estimate.low) and math.isnan(estimate.high)


def test_bands() -> None:
    value, low, high = bands([[0.0, 5.0], [1.0, 5.0]])
    np.testing.assert_allclose(value, [0.5, 5])
    np.testing.assert_allclose(low, [0, 5])
    np.testing.assert_allclose(high, [1, 5])
    value, low, _ = bands([[1.0, 2.0]])
    np.testing.assert_allclose(value, [1, 2])
    assert np.isnan(low).all()


def test_training_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "N_POINTS", 4)
    monkeypatch.setattr(curves, "WINDOW", 2)
    # read at 25, 50, 75, 100; the first episode finishes at 30
    at = curves.curve_steps(100)
    curve = curves.training_returns(np.array([30, 50, 60, 75, 99]), np.array([2.0, 4.0, 6.0, 8.0, 1.0]), at)
    np.testing.assert_allclose(curve, [2, (2 + 4) / 2, (6 + 8) / 2, (8 + 1) / 2])
    assert curves.area_under_curve(curve) == pytest.approx((2 + 3 + 7 + 4.5) / 4)
    assert np.isnan(curves.training_returns(np.array([]), np.array([]), at)).all()


@pytest.mark.parametrize(
    ("algorithm", "guide", "told", "expected"),
    [
        ("dqn", None, {}, [1.0, 1.5, 2.5, 4.5]),
        ("diiqn-paper", "none", {}, [1.0, 1.5, 2.5, 4.5]),
        ("jsrl", None, {}, [math.nan] * 4),
        ("diiqn", None, {}, [math.nan] * 4),
        ("some_module:Class", None, {}, [math.nan] * 4),
        ("diiqn", None, {40: 7.0, 60: 8.0}, [7.0, 7.0, 8.0, 8.0]),
        ("diiqn", None, {-1: 7.0}, [math.nan] * 4),
    ],
)
def test_own_return_is_that_of_episodes_that_no_guide_led(
    algorithm: str, guide: str | None, told: dict[int, float], expected: list[float]
) -> None:
    """Nothing where nobody knows; of an agent that is led, what it says itself."""
    result = {
        "settings": {"class": algorithm, "settings": {} if guide is None else {"guide": guide}},
        "training": {"step": [25, 50, 75, 100], "return": [1.0, 2.0, 4.5, 10.5]},
        "expert_statistics": [{"step": 1} if -1 in told else {"step": 1, "guide_return": 3.0}]
        + [{"step": step, "own_return": value} for step, value in told.items()],
    }
    np.testing.assert_allclose(curves.own_curve(result, np.array([25, 50, 75, 100])), expected)


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(-5, 5)), min_size=1, max_size=60))
def test_training_curve_against_slow_reference(episodes: list[tuple[int, int]]) -> None:
    episodes.sort(key=lambda episode: episode[0])
    steps, returns = (np.array(column, dtype=float) for column in zip(*episodes, strict=True))
    expected = []
    for point in range(1, curves.N_POINTS + 1):
        until = [value for step, value in zip(steps, returns, strict=True) if step <= point * 200 / curves.N_POINTS]
        expected.append(np.mean(until[-curves.WINDOW :]) if until else returns[0])
    np.testing.assert_allclose(curves.training_returns(steps, returns, curves.curve_steps(200)), expected, atol=1e-12)


def test_final_return() -> None:
    steps, means = np.array([80, 90, 95, 100]), np.array([1.0, 2.0, 3.0, 5.0])
    assert final_return(steps, means, 100) == pytest.approx(4), "95 and 100 are in the last tenth"
    assert final_return(steps, means, 1000) == 5, "at least the last one"


@pytest.mark.parametrize(
    ("means", "expected"),
    [([0, 5, 5, 0], 20), ([5, 0, 5, 5], 30), ([0, 5, 0, 5], 40), ([0, 5, 0, 0], math.inf), ([4, 4, 4, 4], math.inf)],
)
def test_steps_until_solved(means: list[float], expected: float) -> None:
    assert curves.steps_until_solved(np.array([10, 20, 30, 40]), np.array(means), 5) == expected


def test_estimates_are_numbers() -> None:
    assert all(isinstance(part, float) for part in statistics.aggregate([[1.0, 2.0]]))
