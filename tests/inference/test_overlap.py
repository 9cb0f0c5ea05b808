"""Ranges of expert and agent: hand-computed values, and what must hold whatever the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sb3_diiqn.inference.overlap import Ranges, range_overlap, ranges_of, shared_part

NAN = np.nan


def ends(*pairs: tuple[float, float]) -> np.ndarray:
    """Lower and upper ends of dimensions, shape (2, d)."""
    return np.array(pairs, dtype=float).T


@pytest.mark.parametrize(
    "one, other, expected",
    [
        ((0, 8), (0, 8), 1),
        ((0, 8), (4, 12), 0.5),
        ((0, 8), (0, 1), 1 / 8),
        ((2, 3), (0, 8), 1 / 8),
        ((0, 1), (2, 3), 0),
        ((0, 1), (1, 2), 0),
        ((5, 5), (5, 5), 1),
        ((5, 5), (6, 6), 0),
        ((5, 5), (0, 8), NAN),  # it may not have varied yet
        ((8, 8), (0, 8), NAN),
        ((9, 9), (0, 8), 0),
        ((NAN, NAN), (0, 8), NAN),
        ((1e6, 1e6 + 1e-3), (1e6, 1e6), 1),  # equal but for rounding
    ],
)
def test_shared_part(one: tuple[float, float], other: tuple[float, float], expected: float) -> None:
    for first, second in [(one, other), (other, one)]:
        np.testing.assert_allclose(shared_part(ends(first), ends(second)), [expected])


def made(overall: Any, first: Any, change: float) -> Ranges:
    return Ranges(ends(overall), ends(first), ends((0, change)))


@pytest.mark.parametrize(
    "expert, agent, expected",
    [
        # an eighth in all three: the larger one of 1/8 and 1/8 * 1/8
        (made((0, 1), (0, 0.1), 1), made((0, 8), (0, 0.8), 8), 1 / 8),
        # where episodes begin alike, the rest may differ
        (made((0, 100), (0, 1), 9), made((0, 1), (0, 1), 1), 1),
        # where they begin elsewhere, all observations and changes speak: 1/2 * 4/5
        (made((0, 8), (6, 7), 5), made((0, 4), (1, 2), 4), 0.4),
        # nothing is known of beginnings: the root of the larger one of 1/16 and 1/4
        (made((0, 16), (NAN, NAN), 4), made((0, 1), (0, 1), 1), 0.5),
        (made((0, 16), (0, 1), 1), made((0, 1), (NAN, NAN), 4), 0.5),
        # the agent has not moved yet
        (made((0, 8), (NAN, NAN), 1), made((3, 3), (NAN, NAN), 0), 1),
        (made((0, 8), (2, 2), 1), made((0, 0), (0, 0), 0), 1),
        # another place is no other unit, unless episodes would begin there
        (made((1, 1), (NAN, NAN), 0), made((2, 2), (NAN, NAN), 0), 1),
        (made((0, 1), (0.4, 0.4), 0.1), made((5, 6), (5.4, 5.4), 0.1), 0),
    ],
)
def test_range_overlap(expert: Ranges, agent: Ranges, expected: float) -> None:
    np.testing.assert_allclose(range_overlap(expert, agent), [expected])
    np.testing.assert_allclose(range_overlap(agent, expert), [expected])


def test_each_dimension_is_on_its_own() -> None:
    expert = Ranges(ends((0, 1), (0, 8)), ends((NAN, NAN), (0, 1)), ends((0, 1), (0, 1)))
    agent = Ranges(ends((0, 1), (0, 1)), ends((0, 1), (0, 4)), ends((0, 1), (0, 1)))
    np.testing.assert_allclose(range_overlap(expert, agent), [1, 0.25])


# --- measuring -----------------------------------------------------------------------------------------------------------


def evenly(n: int = 101) -> np.ndarray:
    """Numbers from 0 to 100 in one dimension, of which the quantiles are known."""
    return np.linspace(0, 100, n)[:, np.newaxis]


def test_ranges_leave_out_two_percent_at_either_end() -> None:
    ranges = ranges_of(evenly(), evenly() + np.arange(101)[:, np.newaxis], evenly()[:11])
    np.testing.assert_allclose(ranges.all, [[2], [98]])
    np.testing.assert_allclose(ranges.change, [[0], [95]])
    np.testing.assert_allclose(ranges.first, [[0.2], [9.8]])
    assert ranges.n == 1


def test_an_outlier_does_not_widen_them() -> None:
    values = evenly()
    values[50] = 1e6
    assert ranges_of(values, values, values[:0]).all[1, 0] < 100


def test_few_first_observations_are_no_range() -> None:
    assert np.isnan(ranges_of(evenly(), evenly(), evenly()[:7]).first).all()
    assert not np.isnan(ranges_of(evenly(), evenly(), evenly()[:8]).first).any()


def test_first_observations_that_are_like_all_say_nothing() -> None:
    """As those of single steps: each transition is a trajectory of its own."""
    assert np.isnan(ranges_of(evenly(), evenly(), evenly()).first).all()
    still = np.hstack([evenly(), np.zeros((101, 1))])
    known = ranges_of(still, still, still)
    assert not np.isnan(known.first).any(), "what never varies counts as special, here in half of the dimensions"
    two = np.hstack([evenly(), evenly(), np.zeros((101, 1))])
    assert np.isnan(ranges_of(two, two, two).first).all()


@pytest.mark.parametrize("shape", [(4, 5, 3), (257,)])
def test_images_and_long_vectors_have_one_range(shape: tuple[int, ...]) -> None:
    images = np.zeros((50, *shape), dtype=np.uint8)
    images.reshape(50, -1)[:, 7] = 200  # one cell is bright, and all others are dark
    ranges = ranges_of(images, 255 - images, images)
    assert ranges.n == 1
    np.testing.assert_allclose(ranges.all[:, 0], [0, 200])
    np.testing.assert_allclose(ranges.change[:, 0], [0, 255])


@pytest.mark.parametrize("shape", [(), (3,), (5, 4), (256,)])
def test_shorter_vectors_have_one_for_each_entry(shape: tuple[int, ...]) -> None:
    values = np.zeros((10, *shape))
    assert ranges_of(values, values, values).n == np.prod(shape)


# --- whatever the data ---------------------------------------------------------------------------------------------------

numbers = st.floats(-100, 100, width=32)
samples = st.tuples(
    arrays(np.float64, (12, 2), elements=numbers),
    arrays(np.float64, (12, 2), elements=numbers),
    arrays(np.float64, st.tuples(st.integers(0, 12), st.just(2)), elements=numbers),
)


@pytest.mark.slow
@given(samples, samples)
def test_it_is_symmetric_and_within_its_bounds(one: Any, other: Any) -> None:
    first, second = ranges_of(*one), ranges_of(*other)
    overlap = range_overlap(first, second)
    assert ((overlap >= 0) & (overlap <= 1)).all()
    np.testing.assert_array_equal(overlap, range_overlap(second, first))
    np.testing.assert_array_equal(range_overlap(first, first), [1, 1])


@pytest.mark.slow
@given(samples, samples, st.sampled_from([0.25, 1.0, 8.0]), st.integers(-4, 4))
def test_the_unit_does_not_matter_if_both_have_it(one: Any, other: Any, scale: float, shift: int) -> None:
    def converted(sample: Any) -> Ranges:
        return ranges_of(*(np.round(values) * scale + shift * scale for values in sample))

    def plain(sample: Any) -> Ranges:
        return ranges_of(*(np.round(values) for values in sample))

    np.testing.assert_allclose(
        range_overlap(converted(one), converted(other)), range_overlap(plain(one), plain(other)), atol=1e-9
    )
