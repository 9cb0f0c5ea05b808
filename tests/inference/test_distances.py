"""Distances: hand-computed values, slow references in plain Python, and what every distance must be."""

from __future__ import annotations

import math
import threading
from typing import Any

import cloudpickle
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.inference.categories import CategoryDistance
from sb3_diiqn.inference.custom import CustomDistance
from sb3_diiqn.inference.distances import (
    Distance,
    JaccardDistance,
    MeanDistance,
    MismatchDistance,
    RangeDistance,
    ScaledAbsoluteDistance,
    SharpenedDistance,
)
from sb3_diiqn.inference.metrics import make_distance
from tests.inference.reference import Slow, slow_absolute, slow_jaccard, slow_mismatch, slow_range

# --- every distance, over random observations -----------------------------------------------------------------------------

PLANES = spaces.Box(0, 1, (3, 5, 7), dtype=np.bool_)
BITS = spaces.MultiBinary(70)
BYTES = spaces.Box(0, 255, (2, 3), dtype=np.uint8)
INTEGERS = spaces.Box(-10, 30, (4,), dtype=np.int64)
FLOATS = spaces.Box(-2, 5, (3,), dtype=np.float32)
UNBOUNDED = spaces.Box(-np.inf, np.inf, (2, 2), dtype=np.float64)
ROOM = spaces.Discrete(5)
ROOMS = spaces.MultiDiscrete([2, 3, 4])


def draw(space: spaces.Space[Any], n: int, generator: np.random.Generator) -> np.ndarray:
    """Draw observations as a replay buffer stores them, equal ones and corners of the space among them."""
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        drawn = generator.choice([-2.0, -0.5, 0.0, 1.25, 5.0], size=(n, *space.shape))
    elif isinstance(space, spaces.Box):
        low, high = int(space.low.min()), int(space.high.max())
        drawn = generator.choice([low, high, (low + high) // 2, high], size=(n, *space.shape))
    elif isinstance(space, spaces.MultiBinary):
        drawn = generator.integers(0, 2, size=(n, *space.shape))
    elif isinstance(space, spaces.Discrete):
        drawn = generator.integers(0, space.n, size=(n, 1))
    else:
        drawn = generator.integers(0, space.nvec, size=(n, *space.shape))
    return drawn.astype(space.dtype)


def reference(metric: str, space: spaces.Space[Any], expert: np.ndarray) -> Slow:
    if metric == "jaccard":
        return slow_jaccard
    if metric == "mismatch":
        return slow_mismatch
    if metric == "absolute":
        bound = float(space.high.max()) - float(space.low.min())
        return slow_absolute(float(np.ptp(expert.astype(float))) or (bound if np.isfinite(bound) else 1.0))
    bounds = np.ravel(space.high.astype(float) - space.low.astype(float))
    usable = np.isfinite(bounds) & np.issubdtype(space.dtype, np.floating)
    return slow_range(expert, np.where(usable, bounds, 1.0).tolist())


CASES = [
    ("jaccard", PLANES),
    ("jaccard", BITS),
    ("jaccard", INTEGERS),
    ("absolute", BYTES),
    ("absolute", INTEGERS),
    ("absolute", FLOATS),
    ("absolute", UNBOUNDED),
    ("range", FLOATS),
    ("range", UNBOUNDED),
    ("range", INTEGERS),
    ("range", PLANES),
    ("mismatch", ROOM),
    ("mismatch", ROOMS),
    ("mismatch", BITS),
    ("mismatch", BYTES),
]


def check_is_a_distance(distance: Distance, first: Any, second: Any) -> np.ndarray:
    """Check what every distance must be, and return those of all pairs."""
    a, b = distance.encode(first), distance.encode(second)
    pairwise = distance.pairwise(a, b)
    assert a.ndim == b.ndim == 2
    assert pairwise.dtype == np.float32
    assert pairwise.shape == (len(a), len(b))
    assert np.all((pairwise >= 0) & (pairwise <= 1))
    np.testing.assert_array_equal(distance.pairwise(b, a), pairwise.T)
    np.testing.assert_array_equal(np.diag(distance.pairwise(a, a)), 0)
    np.testing.assert_array_equal(distance.paired(a[:, None], b[None]), pairwise)
    n = min(len(a), len(b))
    np.testing.assert_array_equal(distance.paired(a[:n], b[:n]), np.diag(pairwise[:n, :n]))
    return pairwise


@pytest.mark.parametrize(("metric", "space"), CASES, ids=str)
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6), m=st.integers(1, 6))
def test_distances_equal_the_slow_reference(metric: str, space: spaces.Space[Any], seed: int, n: int, m: int) -> None:
    generator = np.random.default_rng(seed)
    expert, agent = draw(space, m, generator), draw(space, n, generator)
    pairwise = check_is_a_distance(make_distance(metric, space, expert), agent, expert)
    slow = reference(metric, space, expert)
    expected = [[slow(first, second) for second in expert] for first in agent]
    np.testing.assert_allclose(pairwise, expected, rtol=1e-6, atol=1e-7)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6), m=st.integers(1, 6))
def test_distances_of_dict_observations_are_the_mean_of_the_parts(seed: int, n: int, m: int) -> None:
    generator = np.random.default_rng(seed)
    parts = {"planes": PLANES, "bytes": BYTES, "floats": FLOATS, "room": ROOM, "bits": BITS}
    agent, expert = ({key: draw(part, size, generator) for key, part in parts.items()} for size in (n, m))
    distances: dict[str, Distance] = {
        "planes": JaccardDistance(),
        "bytes": ScaledAbsoluteDistance.from_expert(expert["bytes"], BYTES),
        "floats": RangeDistance.from_expert(expert["floats"], FLOATS),
        "room": MismatchDistance(),
        "bits": JaccardDistance(),
    }
    pairwise = check_is_a_distance(MeanDistance(distances), agent, expert)
    of_parts = []
    for key, metric in {
        "planes": "jaccard",
        "bytes": "absolute",
        "floats": "range",
        "room": "mismatch",
        "bits": "jaccard",
    }.items():
        slow = reference(metric, parts[key], expert[key])
        of_parts.append([[slow(first, second) for second in expert[key]] for first in agent[key]])
    np.testing.assert_allclose(pairwise, np.mean(of_parts, axis=0), rtol=1e-6, atol=1e-7)


# --- hand-computed values -------------------------------------------------------------------------------------------------


def between(distance: Distance, first: Any, second: Any) -> float:
    return float(distance.pairwise(distance.encode(np.array([first])), distance.encode(np.array([second])))[0, 0])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 1, 0, 0], [1, 0, 1, 0], 2 / 3),
        ([1, 1, 1, 1], [1, 1, 0, 0], 1 / 2),
        ([1, 0, 0, 0], [0, 1, 0, 0], 1),
        ([0, 0, 0, 0], [0, 1, 0, 0], 1),
        ([0, 0, 0, 0], [0, 0, 0, 0], 0),
        ([1, 0, 1, 0], [1, 0, 1, 0], 0),
    ],
)
def test_jaccard(first: list[int], second: list[int], expected: float) -> None:
    assert between(JaccardDistance(), first, second) == pytest.approx(expected)
    # the same cells among many empty ones, beyond the first machine word
    apart = [[0] * 61 + cells + [0] * 335 for cells in (first, second)]
    assert between(JaccardDistance(), *apart) == pytest.approx(expected)


def test_empty_cells_do_not_make_states_alike() -> None:
    """One of 400 cells differs from one other: they have nothing in common, though 99.5 % of the cells are equal."""
    planes = np.eye(400, dtype=bool).reshape(400, 10, 10, 4)
    assert between(JaccardDistance(), planes[3], planes[250]) == 1


@pytest.mark.parametrize(
    ("first", "second", "expected"), [([0, 255], [255, 0], 1), ([10, 20], [30, 20], 10 / 255), ([200, 0], [100, 0], 50 / 255)]
)
def test_absolute_difference_of_bytes(first: list[int], second: list[int], expected: float) -> None:
    assert between(ScaledAbsoluteDistance(255), np.uint8(first), np.uint8(second)) == pytest.approx(expected)
    assert between(ScaledAbsoluteDistance(255), np.uint8(second), np.uint8(first)) == pytest.approx(expected)


def test_absolute_difference_of_signed_bytes() -> None:
    assert between(ScaledAbsoluteDistance(255), np.int8([-128]), np.int8([127])) == 1


def test_absolute_difference_of_booleans() -> None:
    distance = make_distance("absolute", spaces.Box(0, 1, (4,), dtype=np.bool_), np.zeros((2, 4), dtype=bool))
    assert between(distance, [True, True, False, False], [True, False, True, False]) == pytest.approx(0.5)


def test_absolute_difference_of_observations_beyond_their_bounds_is_cut_off() -> None:
    distance = make_distance("absolute", spaces.Box(0, 1, (2,), dtype=np.float32), np.zeros((2, 2), dtype=np.float32))
    assert between(distance, np.float32([0, 0]), np.float32([3, 3])) == 1


def test_range_is_relative_to_the_range_of_each_dimension() -> None:
    expert = np.array([[0, 10], [4, 30]], dtype=np.float32)
    distance = RangeDistance.from_expert(expert, spaces.Box(-100, 100, (2,)))
    assert between(distance, [0, 10], [1, 10]) == pytest.approx(0.25 / math.sqrt(2))
    assert between(distance, [0, 10], [2, 20]) == pytest.approx(0.5)
    assert between(distance, [0, 10], [4, 30]) == pytest.approx(1)
    assert between(distance, [0, 10], [400, 30]) == 1


def test_range_of_a_constant_dimension_is_that_of_the_space_or_one() -> None:
    expert = np.array([[7, 7, 0], [7, 7, 2]], dtype=np.float32)
    space = spaces.Box(np.float32([0, -np.inf, 0]), np.float32([20, np.inf, 10]))
    distance = RangeDistance.from_expert(expert, space)
    assert between(distance, [7, 7, 0], [12, 7, 0]) == pytest.approx(5 / 20 / math.sqrt(3))
    assert between(distance, [7, 7, 0], [7, 7.5, 0]) == pytest.approx(0.5 / 1 / math.sqrt(3))
    assert between(distance, [7, 7, 0], [7, 7, 1]) == pytest.approx(1 / 2 / math.sqrt(3))


@pytest.mark.parametrize("bound", [3.4028235e38, np.inf])
def test_a_bound_as_large_as_the_largest_float_counts_as_none(bound: float) -> None:
    expert = np.full((3, 1), 7, dtype=np.float32)
    distance = RangeDistance.from_expert(expert, spaces.Box(np.float32([-bound]), np.float32([bound])))
    assert between(distance, [7.0], [7.25]) == pytest.approx(0.25)


def test_mismatch_is_the_share_of_unequal_components() -> None:
    assert between(MismatchDistance(), [1, 2, 3, 4], [1, 2, 4, 3]) == 0.5
    assert between(MismatchDistance(), [3], [4]) == 1
    assert between(MismatchDistance(), [3], [3]) == 0


def test_mean_over_keys() -> None:
    expert = {"room": np.array([[0], [1]]), "bytes": np.array([[0], [51]], dtype=np.uint8)}
    distance = MeanDistance({"room": MismatchDistance(), "bytes": ScaledAbsoluteDistance(255)})
    rows = distance.encode(expert)
    np.testing.assert_allclose(distance.pairwise(rows, rows), [[0, (1 + 0.2) / 2], [(1 + 0.2) / 2, 0]], rtol=1e-6)


def test_the_kind_says_what_the_unit_is() -> None:
    """What was inferred by one unit does not hold by another."""
    floats = np.random.default_rng(0).normal(size=(50, 3))
    for metric in ("range", "absolute"):
        one, same, other = (make_distance(metric, FLOATS, floats * by).kind for by in (1.0, 1.0, 2.0))
        assert one == same != other


# --- the choice ------------------------------------------------------------------------------------------------------------


WIDE = spaces.Box(np.iinfo(np.int64).min, np.iinfo(np.int64).max, (5,), dtype=np.int64)


@pytest.mark.parametrize(
    ("space", "values", "expected"),
    [
        (spaces.MultiBinary(5), [0, 1], JaccardDistance),
        (spaces.Box(0, 1, (5,), dtype=np.bool_), [0, 1], JaccardDistance),
        (spaces.Box(0, 1, (5,), dtype=np.uint8), [0], JaccardDistance),
        # what is declared is only a bound
        (spaces.Box(0, 255, (5, 5, 3), dtype=np.uint8), [0, 1], JaccardDistance),
        (WIDE, [0, 1], JaccardDistance),
        (spaces.Box(0, 255, (5, 5, 3), dtype=np.uint8), range(33), ScaledAbsoluteDistance),
        (spaces.Box(0, 255, (5, 5), dtype=np.uint8), range(33), ScaledAbsoluteDistance),
        (spaces.Box(0, 255, (65, 65), dtype=np.uint8), [0, 255], ScaledAbsoluteDistance),
        (spaces.Box(0, 255, (75,), dtype=np.uint8), range(33), RangeDistance),
        (spaces.Box(-50, 90, (5,), dtype=np.int32), range(-40, 40), RangeDistance),
        (WIDE, range(100), RangeDistance),
        (spaces.Box(0, 1, (5,), dtype=np.float32), [0, 1], RangeDistance),
        (spaces.Box(-np.inf, np.inf, (5,), dtype=np.float64), range(100), RangeDistance),
        (spaces.Discrete(5), range(5), MismatchDistance),
        (spaces.MultiDiscrete([2, 3]), [0, 1], MismatchDistance),
    ],
    ids=str,
)
def test_the_automatic_choice_follows_the_space_and_the_data(
    space: spaces.Space[Any], values: Any, expected: type[Distance]
) -> None:
    observations = np.random.default_rng(0).choice(list(values), (200, *(space.shape or (1,)))).astype(space.dtype)
    assert type(make_distance("auto", space, observations)) is expected


def test_few_whole_numbers_are_categories() -> None:
    space = spaces.Box(0, 255, (7, 7, 3), dtype=np.uint8)
    observations = np.random.default_rng(0).integers(0, 11, (200, 7, 7, 3)).astype(np.uint8)
    distance = make_distance("auto", space, observations)
    assert isinstance(distance, SharpenedDistance)
    assert isinstance(distance.plain, CategoryDistance)


def test_the_automatic_choice_is_made_for_every_key() -> None:
    space = spaces.Dict({"room": ROOM, "floats": FLOATS})
    distance = make_distance("auto", space, {"room": np.zeros((2, 1), dtype=int), "floats": np.zeros((2, 3), np.float32)})
    assert isinstance(distance, MeanDistance)
    assert {key: type(part) for key, part in distance.parts.items()} == {"room": MismatchDistance, "floats": RangeDistance}


def test_a_named_metric_holds_for_every_key() -> None:
    space = spaces.Dict({"room": ROOM, "floats": FLOATS})
    distance = make_distance("mismatch", space, {"room": np.zeros((2, 1), dtype=int), "floats": np.zeros((2, 3), np.float32)})
    assert isinstance(distance, MeanDistance)
    assert {type(part) for part in distance.parts.values()} == {MismatchDistance}


@pytest.mark.parametrize(
    ("metric", "space", "fragment"),
    [
        ("cosine", FLOATS, "similarity_metric='cosine' is unknown"),
        ("", FLOATS, "similarity_metric='' is unknown"),
        (None, FLOATS, "similarity_metric=None is unknown"),
        ("range", ROOM, "similarity_metric='range' needs a Box observation space"),
        ("absolute", BITS, "similarity_metric='absolute' needs a Box observation space"),
    ],
    ids=str,
)
def test_a_metric_that_does_not_exist_or_fit_is_refused(metric: Any, space: spaces.Space[Any], fragment: str) -> None:
    with pytest.raises(ConfigurationError, match=fragment.replace("(", r"\(")):
        make_distance(metric, space, np.zeros((2, *(space.shape or (1,))), dtype=space.dtype))


def test_no_dict_observations_are_encoded_as_none() -> None:
    parts = {"planes": PLANES, "floats": FLOATS, "room": ROOM}
    generator = np.random.default_rng(0)
    expert = {key: draw(part, 3, generator) for key, part in parts.items()}
    distance = make_distance("auto", spaces.Dict(parts), expert)
    nothing = distance.encode({key: array[:0] for key, array in expert.items()})
    assert nothing.shape == (0, distance.encode(expert).shape[1])


def test_arrays_and_dictionaries_are_not_confused() -> None:
    with pytest.raises(ConfigurationError, match="got a dictionary"):
        make_distance("auto", FLOATS, {"floats": np.zeros((2, 3))})
    with pytest.raises(ConfigurationError, match="with the keys"):
        make_distance("auto", spaces.Dict({"floats": FLOATS}), np.zeros((2, 3)))


# --- a distance of the user's own ------------------------------------------------------------------------------------------


def city_blocks(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A distance as a user would write it, for observations of shape (2, 3)."""
    assert first.shape[1:] == second.shape[1:] == (2, 3)
    return np.abs(first[:, None].astype(float) - second[None]).sum(axis=(2, 3)) / (6 * 255)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 5), m=st.integers(1, 5))
def test_a_function_of_the_users_own(seed: int, n: int, m: int) -> None:
    generator = np.random.default_rng(seed)
    agent, expert = draw(BYTES, n, generator), draw(BYTES, m, generator)
    pairwise = check_is_a_distance(make_distance(city_blocks, BYTES, expert), agent, expert)
    np.testing.assert_allclose(pairwise, city_blocks(agent, expert), rtol=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda first, second: np.abs(first - second).mean(axis=1),
        lambda first, second: 0.5,
        lambda first, second: np.full((len(first), len(second)), 1.5),
        lambda first, second: np.full((len(first), len(second)), -0.1),
        lambda first, second: np.full((len(first), len(second)), np.nan),
        lambda first, second: np.zeros((0, 0)),
    ],
    ids=["paired", "scalar", "above 1", "below 0", "nan", "empty"],
)
def test_a_function_that_returns_no_distances_is_refused_when_it_is_chosen(function: Any) -> None:
    with pytest.raises(ConfigurationError, match="similarity_metric"):
        make_distance(function, FLOATS, np.ones((5, 3), dtype=np.float32))


@pytest.mark.parametrize(
    "function",
    [lambda first, second: None, lambda first, second: "near", lambda first, second: [[0.0], [0.0, 1.0]]],
    ids=["None", "text", "ragged"],
)
def test_a_function_that_returns_no_numbers_is_refused_when_it_is_chosen(function: Any) -> None:
    with pytest.raises(ConfigurationError, match="similarity_metric"):
        make_distance(function, FLOATS, np.ones((5, 3), dtype=np.float32))


def test_a_function_that_does_not_pair_all_with_all_is_refused_when_it_is_chosen() -> None:
    two_numbers = spaces.Box(0, 1, (2,), dtype=np.float32)
    with pytest.raises(ConfigurationError, match="similarity_metric"):
        make_distance(lambda first, second: np.abs(first - second), two_numbers, np.zeros((5, 2), dtype=np.float32))


def test_a_similarity_in_place_of_a_distance_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="similarity_metric"):
        make_distance(lambda first, second: 1 - city_blocks(first, second), BYTES, np.zeros((5, 2, 3), dtype=np.uint8))


def test_a_function_is_refused_for_dict_observations() -> None:
    space = spaces.Dict({"floats": FLOATS})
    with pytest.raises(ConfigurationError, match="a callable is not supported for Dict observations"):
        make_distance(city_blocks, space, {"floats": np.zeros((2, 3), dtype=np.float32)})


def test_functions_are_told_apart_and_found_again_after_pickling() -> None:
    def scaled(by: float) -> Any:
        return lambda first, second: np.minimum(by * city_blocks(first, second), 1.0)

    one, other = (CustomDistance(scaled(by), (3,)).kind for by in (0.5, 0.25))
    assert one != other
    assert CustomDistance(cloudpickle.loads(cloudpickle.dumps(scaled(0.5))), (3,)).kind == one


def test_a_function_that_cannot_be_saved_is_like_no_other() -> None:
    class Locked:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
            return city_blocks(first, second)

    function = Locked()
    assert CustomDistance(function, (3,)).kind != CustomDistance(function, (3,)).kind


def test_a_function_that_turns_bad_later_is_named() -> None:
    distance = CustomDistance(lambda first, second: np.zeros((2, 2)), (3,))
    rows = distance.encode(np.zeros((3, 3)))
    with pytest.raises(ConfigurationError, match=r"(?s)shape \(2, 2\).*expected distances in \[0, 1\] of shape \(3, 3\)"):
        distance.pairwise(rows, rows)
