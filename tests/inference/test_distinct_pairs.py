"""What fraction of the pairs of different states match: by hand, over many kinds of observations, and what is said about it."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.matching_table import KINDS, THRESHOLD, measure
from sb3_diiqn import ExpertObservations
from sb3_diiqn.exceptions import ExpertDataWarning
from sb3_diiqn.expert.types import arrays_of, take
from sb3_diiqn.inference import ExpertKnowledge, InferenceSettings
from sb3_diiqn.inference.distances import Distance, MismatchDistance, RangeDistance, ScaledAbsoluteDistance
from sb3_diiqn.inference.distinct_pairs import check_distinct_pairs, matching_pairs_fraction
from sb3_diiqn.inference.metrics import make_distance
from sb3_diiqn.inference.sharpening import by_equality, sharpened
from tests.helpers import global_random_state

LINE = spaces.Box(-100, 100, (1,), dtype=np.float64)


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


# --- the fraction ---------------------------------------------------------------------------------------------------------


def test_equal_states_are_no_pair_and_each_state_counts_once() -> None:
    """Of the pairs of 0, 1, 2 and 10, (0, 1) and (1, 2) are within 1.5 tenths."""
    distance = ScaledAbsoluteDistance(10.0)
    observations = column(0, 1, 1, 1, 2, 10, 10, 0)
    assert matching_pairs_fraction(distance, observations, 0.85) == pytest.approx(2 / 6)
    assert matching_pairs_fraction(distance, observations, 0.9) == pytest.approx(2 / 6), "exactly at the threshold"
    assert matching_pairs_fraction(distance, observations, 0.91) == 0
    assert matching_pairs_fraction(distance, observations, 0.0) == 1


def test_where_all_states_are_equal_nothing_matches() -> None:
    assert matching_pairs_fraction(ScaledAbsoluteDistance(10.0), column(3, 3, 3), 0.97) == 0


@settings(max_examples=30)
@given(generator=st.integers(0, 2**32 - 1).map(np.random.default_rng), n=st.integers(2, 60), seed=st.integers(0, 5))
def test_of_few_states_all_pairs_are_compared(generator: np.random.Generator, n: int, seed: int) -> None:
    observations = generator.integers(0, 20, (n, 2))
    states = sorted(set(map(tuple, observations.tolist())))
    pairs = list(itertools.combinations(states, 2))
    near = sum((a[0] != b[0]) + (a[1] != b[1]) == 1 for a, b in pairs)
    expected = near / len(pairs) if pairs else 0.0
    assert matching_pairs_fraction(MismatchDistance(), observations, 0.5, seed) == pytest.approx(expected)


def test_the_sample_is_drawn_by_a_generator_of_its_own() -> None:
    observations = np.random.default_rng(0).normal(size=(5000, 2))
    distance = RangeDistance.from_expert(observations, LINE)
    before = global_random_state()
    first, again, other = (matching_pairs_fraction(distance, observations, 0.9, seed) for seed in (0, 0, 1))
    assert global_random_state() == before
    assert first == again != other
    assert first == pytest.approx(other, rel=0.3)


def test_dictionaries_are_states_too() -> None:
    observations = {"room": column(0, 0, 1, 1), "place": np.array([[0.0], [1.0], [0.0], [0.0]])}
    distance = make_distance("mismatch", spaces.Dict({"room": spaces.Discrete(2), "place": LINE}), observations)
    # (0, 0), (0, 1) and (1, 0): two of three pairs share one part
    assert matching_pairs_fraction(distance, observations, 0.5) == pytest.approx(2 / 3)
    assert matching_pairs_fraction(distance, observations, 0.6) == 0


# --- over many kinds of observations --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_by_default_different_states_are_told_apart(name: str) -> None:
    space, walk = KINDS[name]
    distance, fraction = measure(KINDS[name])
    assert fraction < 0.05
    observations = walk(np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_distinct_pairs(distance, observations, "auto", THRESHOLD)
    for key, array in arrays_of(observations).items():
        declared = space[key] if key else space
        assert array.shape[1:] == (declared.shape or (1,))
    states = distance.encode(take(observations, slice(0, 20)))
    np.testing.assert_array_equal(np.diag(distance.pairwise(states, states)), 0)


def test_both_declarations_of_binary_planes_are_one_metric() -> None:
    one, other = (measure(KINDS[f"binary planes, declared {how}"])[0] for how in ("so", "as bytes"))
    assert one.kind == other.kind


def test_an_outlier_changes_no_distance_of_the_others() -> None:
    generator = np.random.default_rng(0)
    observations = generator.normal(size=(500, 3))
    plain = make_distance("range", spaces.Box(-np.inf, np.inf, (3,)), observations)
    observations[77, 1] = 1e6
    robust = make_distance("range", spaces.Box(-np.inf, np.inf, (3,)), observations)
    others = np.delete(observations, 77, axis=0)
    np.testing.assert_array_equal(robust.encode(others), plain.encode(others))
    outlier = robust.encode(observations[77:78])
    np.testing.assert_array_equal(robust.pairwise(outlier, robust.encode(others)), 1)


def test_rare_events_count() -> None:
    """A flag that is 1 in two of a thousand states makes them as different as its whole range."""
    observations = np.zeros((1000, 2))
    observations[:, 0] = np.sin(np.arange(1000))
    observations[[300, 301], 1] = 1.0
    distance = make_distance("auto", spaces.Box(-np.inf, np.inf, (2,)), observations)
    first, second = observations[300:301].copy(), observations[300:301].copy()
    second[0, 1] = 0.0
    assert distance.pairwise(distance.encode(first), distance.encode(second))[0, 0] >= 0.7


# --- sharpening -----------------------------------------------------------------------------------------------------------


def radius_of(distance: Distance, raw: Distance) -> float:
    """Which distance of the raw one is 0.03 now."""
    rows = raw.encode(column(0.0, 1e-3))
    return 0.03 / (distance.pairwise(rows, rows)[0, 1] / 1e-3) if distance is not raw else 0.03


def test_what_tells_states_apart_stays_as_it_is() -> None:
    distance = ScaledAbsoluteDistance(1.0)
    assert sharpened(distance, column(*np.arange(0, 1, 0.04))) is distance


def test_what_does_not_is_enlarged_until_few_pairs_match() -> None:
    distance, observations = ScaledAbsoluteDistance(1.0), np.random.default_rng(0).uniform(0, 0.1, (150, 1))
    assert matching_pairs_fraction(distance, observations, 0.97) > 0.4
    sharp = sharpened(distance, observations)
    # a pair of uniform numbers in [0, 0.1] is within r with a probability of 20 r
    assert radius_of(sharp, distance) == pytest.approx(0.0015, rel=0.2)
    assert matching_pairs_fraction(sharp, observations, 0.97) == pytest.approx(0.03, abs=0.003)


def test_of_equal_distances_all_match_or_none() -> None:
    distance, observations = ScaledAbsoluteDistance(1.0), column(*np.arange(20) / 1000)
    # 19 of 190 pairs are neighbours: too many to match
    assert radius_of(sharpened(distance, observations), distance) == pytest.approx(0.0005, rel=0.01)


def test_no_more_than_is_allowed() -> None:
    distance, observations = ScaledAbsoluteDistance(1.0), column(*np.arange(20) / 1000)
    assert radius_of(sharpened(distance, observations, 4.0), distance) == pytest.approx(0.0075, rel=0.01)


def test_a_distance_that_is_0_everywhere_is_beyond_help() -> None:
    jaccard = make_distance("jaccard", spaces.Box(0, 9, (2,), dtype=np.int64), np.ones((3, 2)))
    assert sharpened(jaccard, np.array([[1, 2], [3, 4], [5, 6]])) is jaccard


def test_what_differs_at_all_does_not_match() -> None:
    distance = by_equality(MismatchDistance(), 1 / 100)
    rows = np.zeros((3, 100), dtype=int)
    rows[1, 7] = 1
    rows[2, :50] = 1
    assert distance.pairwise(rows, rows)[0].tolist() == pytest.approx([0.0, 0.06, 1.0])


# --- the warning ----------------------------------------------------------------------------------------------------------

SYMBOLS, WALK = KINDS["symbols of a whole grid"]


def share_of_equal_cells(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first[:, None] != second[None]).mean(axis=(2, 3, 4))


def know(metric: Any, threshold: float = 0.97) -> list[str]:
    """Construct knowledge, and return what was warned of."""
    expert = ExpertObservations.from_trajectories([WALK(np.random.default_rng(0))[:200]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ExpertKnowledge(expert, SYMBOLS, InferenceSettings(metric, threshold), seed=0)
    assert all(issubclass(warning.category, ExpertDataWarning) for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(("metric", "name"), [("mismatch", "'mismatch'"), (share_of_equal_cells, "share_of_equal_cells")])
def test_a_metric_that_calls_different_states_alike_is_named_once(metric: Any, name: str) -> None:
    (message,) = know(metric)
    for part in (f"similarity_metric={name}", "100%", "0.97", "at most 5%", "another similarity_metric", "higher"):
        assert part in message


def test_the_threshold_is_the_models() -> None:
    assert know("mismatch", 1.0) == []
    (message,) = know("auto", 0.0)
    assert "similarity_threshold of 0" in message


@pytest.mark.parametrize("metric", ["auto", "learned"])
def test_by_default_nothing_is_warned_of(metric: str) -> None:
    assert know(metric) == []
