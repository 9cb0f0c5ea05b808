"""The equations of the confidence, held against hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn.inference import ConfidenceStatistics
from sb3_diiqn.inference.confidence import Confidence, confidence, inference, training, usefulness


def one(value: float) -> np.ndarray:
    return np.array([value])


@pytest.mark.parametrize(
    ("expert_value", "agent_value", "beta", "expected"),
    [
        (1.0, 1.0, 1.0, 0.5),
        (2.0, 1.0, 1.0, 0.7310585786),
        (1.0, 2.0, 1.0, 0.2689414214),
        (1.0, 0.0, 3.0, 0.9525741268),
        (1e30, -1e30, 1.0, 1.0),
        (-1e30, 1e30, 1.0, 0.0),
    ],
)
def test_usefulness_is_the_sigmoid_of_the_difference_in_value(
    expert_value: float, agent_value: float, beta: float, expected: float
) -> None:
    with np.errstate(all="raise", under="ignore"):
        assert usefulness(one(expert_value), one(agent_value), beta) == pytest.approx([expected])


@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(0.01, 10))
def test_usefulness_equals_the_sigmoid_as_written_in_the_paper(expert_value: float, agent_value: float, beta: float) -> None:
    expected = 1 / (1 + np.exp(-beta * (expert_value - agent_value)))
    assert usefulness(one(expert_value), one(agent_value), beta)[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("count", "max_count", "expected"),
    [(0, 3, 0.0), (1, 3, 0.5), (3, 3, 1.0), (1000, 3, 1.0), (0, 1, 0.0), (1, 1, 1.0), (9, 99, 0.5), (999, 999_999, 0.5)],
)
def test_training_is_the_share_of_the_logarithm_of_the_largest_count(count: int, max_count: int, expected: float) -> None:
    assert training(np.array([count]), max_count) == pytest.approx([expected])


@pytest.mark.parametrize(
    ("error", "max_error", "expected"),
    [(0.0, 0.2, 1.0), (0.05, 0.2, 0.75), (0.2, 0.2, 0.0), (0.3, 0.2, 0.0), (np.inf, 0.2, 0.0), (0.5, 1.0, 0.5)],
)
def test_inference_falls_linearly_to_zero_at_the_largest_error(error: float, max_error: float, expected: float) -> None:
    assert inference(one(error), max_error) == pytest.approx([expected])


@pytest.mark.parametrize(
    ("useful", "trained", "inferred", "expected"),
    [
        (0.8, 0.5, 0.9, 0.4),
        (0.8, 0.5, 0.3, 0.3),
        (1.0, 1.0, 1.0, 1.0),
        (0.0, 1.0, 1.0, 0.0),
        (1.0, 0.0, 1.0, 0.0),
        (1.0, 1.0, 0.0, 0.0),
    ],
)
def test_confidence_is_the_smaller_of_the_product_and_the_inference(
    useful: float, trained: float, inferred: float, expected: float
) -> None:
    result = confidence(one(useful), one(trained), one(inferred))
    assert result.phi == pytest.approx([expected])
    assert (result.usefulness[0], result.training[0], result.inference[0]) == (useful, trained, inferred)


@given(
    st.floats(-50, 50), st.floats(-50, 50), st.integers(0, 10**7), st.integers(1, 10**6), st.floats(0, 2), st.floats(0.01, 1)
)
def test_confidence_lies_between_zero_and_one(
    expert_value: float, agent_value: float, count: int, max_count: int, error: float, max_error: float
) -> None:
    parts = (
        usefulness(one(expert_value), one(agent_value), 1.0),
        training(np.array([count]), max_count),
        inference(one(error), max_error),
    )
    for part in (*parts, confidence(*parts).phi):
        assert 0 <= part[0] <= 1


def samples(*rows: tuple[float, float, float, float]) -> Confidence:
    return Confidence(*np.array(rows, dtype=float).reshape(-1, 4).T)


def test_statistics_average_phi_over_the_batch_and_its_parts_over_the_expert_samples() -> None:
    statistics = ConfidenceStatistics()
    statistics.add(samples((0.4, 0.5, 0.8, 0.9), (0.2, 0.7, 0.4, 0.5)), batch_size=4)
    statistics.add(samples((0.6, 0.9, 0.6, 1.0)), batch_size=4)
    assert statistics.take() == pytest.approx(
        {"confidence": 1.2 / 8, "usefulness": 2.1 / 3, "training": 1.8 / 3, "inference": 2.4 / 3}
    )


def test_statistics_start_anew_after_they_were_taken() -> None:
    statistics = ConfidenceStatistics()
    assert statistics.take() == {}
    statistics.add(samples((0.4, 0.5, 0.8, 0.9)), batch_size=1)
    statistics.take()
    assert statistics.take() == {}
    statistics.add(samples((0.1, 0.2, 0.3, 0.4)), batch_size=1)
    assert statistics.take() == pytest.approx({"confidence": 0.1, "usefulness": 0.2, "training": 0.3, "inference": 0.4})


def test_statistics_of_batches_without_expert_samples_are_a_confidence_of_zero() -> None:
    statistics = ConfidenceStatistics()
    statistics.add(samples(), batch_size=4)
    assert statistics.take() == {"confidence": 0.0}
