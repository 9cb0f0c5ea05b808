"""Searches in many dimensions, against comparing with everything: the tree misses nothing, the cells hardly anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from sb3_diiqn.exceptions import ExpertDataWarning
from sb3_diiqn.expert import Observations
from sb3_diiqn.inference.cells import CellIndex
from sb3_diiqn.inference.custom import CustomDistance
from sb3_diiqn.inference.distances import Distance, EuclideanDistance, MismatchDistance, RangeDistance
from sb3_diiqn.inference.index import EqualIndex, Hits, Index, ScanIndex, SharpenedIndex, TreeIndex, nearest
from sb3_diiqn.inference.matching import make_index
from sb3_diiqn.inference.metrics import make_distance
from sb3_diiqn.inference.states import States

N_DIMENSIONS = 40

SPACES: dict[str, spaces.Space[Any]] = {
    "vector": spaces.Box(-np.inf, np.inf, (N_DIMENSIONS,)),
    "dict": spaces.Dict({"joints": spaces.Box(-1, 1, (30,)), "goal": spaces.Discrete(4), "touch": spaces.MultiBinary(3)}),
    "dict with an image": spaces.Dict(
        {"camera": spaces.Box(0, 255, (10, 10), dtype=np.uint8), "joints": spaces.Box(-1, 1, (12,))}
    ),
}
generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def observed(space: spaces.Space[Any], generator: np.random.Generator, n: int) -> Observations:
    """Smooth functions of few things, so that many are near; some are there twice, and values are rounded to make ties."""
    if isinstance(space, spaces.Dict):
        return {key: np.asarray(observed(part, generator, n)) for key, part in space.spaces.items()}
    shape = space.shape or ()
    if not isinstance(space, spaces.Box):
        return generator.integers(0, 2, (n, *shape))
    latent = generator.integers(0, 5, (n, 2)) / 10 + 0.01 * generator.random((n, 2))
    weights = np.random.default_rng(int(np.prod(shape))).normal(size=(2, int(np.prod(shape))))
    values = np.round(np.tanh(latent @ weights), 2).reshape(n, *shape)
    return (127 + 127 * values).astype(space.dtype) if space.dtype == np.uint8 else values.astype(space.dtype)


def nearest_of_all(distance: Distance, queries: np.ndarray, rows: np.ndarray, n: int, radius: float) -> Hits:
    return nearest(ScanIndex(distance, rows).within(queries, radius), n, radius)


def check_equal(found: Hits, expected: Hits, rounding: float = 1e-6) -> None:
    """The same pairs at the same distances, in any order within a query; sums in another order differ in the last digit."""
    assert np.all(np.diff(found.query) >= 0)
    found = found.where(np.lexsort((found.row, found.query)))
    expected = expected.where(np.lexsort((expected.row, expected.query)))
    np.testing.assert_array_equal(found.query, expected.query)
    np.testing.assert_array_equal(found.row, expected.row)
    np.testing.assert_allclose(found.distance, expected.distance, rtol=rounding)


@pytest.mark.parametrize("name", SPACES)
@given(generator=generators, max_hits=st.sampled_from([1, 3, 32]), radius=st.sampled_from([0.0, 0.01, 0.03, 0.2, 0.6, 1.0]))
@settings(max_examples=40, deadline=None)
def test_a_tree_finds_the_nearest_rows_of_all(name: str, generator: np.random.Generator, max_hits: int, radius: float) -> None:
    space = SPACES[name]
    expert, agent = observed(space, generator, 150), observed(space, generator, 6)
    distance = make_distance("range" if name == "vector" else "auto", space, expert)
    # of sharpened distances, the index is of the plain one
    distance = getattr(distance, "plain", distance)
    queries, rows = distance.encode(agent), distance.encode(expert)

    found = TreeIndex(distance, States(distance, expert, None), max_hits).within(queries, radius)

    check_equal(found, nearest_of_all(distance, queries, rows, max_hits, radius))


@pytest.mark.parametrize("name", SPACES)
def test_the_chosen_search_finds_the_nearest_rows_of_all_by_the_sharpened_distance(name: str) -> None:
    space, generator = SPACES[name], np.random.default_rng(0)
    expert, agent = observed(space, generator, 3000), observed(space, generator, 50)
    distance = make_distance("auto", space, expert)
    queries, rows = distance.encode(agent), distance.encode(expert)
    index = make_index(distance, States(distance, expert, None), 0.03)
    assert isinstance(index.plain if isinstance(index, SharpenedIndex) else index, TreeIndex)
    found = nearest(index.within(queries, 0.03), 5, 0.03)
    expected = nearest_of_all(distance, queries, rows, 5, 0.03)
    assert len(expected.query) > 50
    np.testing.assert_array_equal(found.query, expected.query)
    np.testing.assert_allclose(found.distance, expected.distance, rtol=1e-5)


@pytest.mark.parametrize("n_dimensions", [21, 64])
@pytest.mark.parametrize("noise", ["normal", "uniform"])
def test_cells_find_what_is_near_amid_noise(noise: str, n_dimensions: int) -> None:
    generator = np.random.default_rng(0)
    expert = getattr(generator, noise)(size=(20_000, n_dimensions))
    distance = RangeDistance.from_expert(expert, spaces.Box(-np.inf, np.inf, (n_dimensions,), dtype=np.float64))
    states = States(distance, expert, None)
    index = make_index(distance, states, 0.03)
    assert isinstance(index, CellIndex)
    rows = distance.encode(expert[:2000])
    step = generator.normal(size=rows.shape)
    step *= 0.03 * generator.random((len(rows), 1)) / np.linalg.norm(step, axis=1, keepdims=True)

    found = index.within(rows + step, 0.03)

    itself = found.where(found.query == found.row)
    assert len(itself.row) >= 0.99 * len(rows)
    np.testing.assert_allclose(itself.distance, np.linalg.norm(step[itself.query], axis=1), rtol=1e-4)
    equal = index.within(rows, 0.03)
    np.testing.assert_array_equal(equal.row[equal.distance == 0], np.arange(len(rows)))


def test_cells_look_at_everything_beyond_their_radius() -> None:
    generator = np.random.default_rng(0)
    distance = RangeDistance(np.ones(30))
    queries, rows = (distance.encode(generator.random((n, 30))) for n in (3, 100))
    check_equal(CellIndex(distance, rows, 0.03, 200).within(queries, 0.4), nearest_of_all(distance, queries, rows, 200, 0.4))


def test_crowded_rows_are_searched_with_a_tree() -> None:
    generator = np.random.default_rng(0)
    distance: EuclideanDistance = RangeDistance(np.ones(30))
    crowd = 0.02 * generator.normal(size=(5000, 30))
    index: Index = make_index(distance, distance.encode(crowd), 0.03)
    assert isinstance(index, TreeIndex)


def test_states_are_encoded_on_demand() -> None:
    observations = np.random.default_rng(0).random((20, 3)).astype(np.float32)
    distance = RangeDistance(np.array([1.0, 2.0, 4.0]))
    rows = distance.encode(observations)
    every, some = States(distance, observations, None), States(distance, observations, np.arange(0, 20, 2))
    assert (len(every), every.shape, len(some)) == (20, (20, 3), 10)
    np.testing.assert_array_equal(every[:], rows)
    np.testing.assert_array_equal(some[np.array([1, 4])], rows[[2, 8]])
    np.testing.assert_array_equal(some[2:4], rows[[4, 6]])


@given(generator=generators, radius=st.sampled_from([0.0, 0.2, 0.25, 0.5, 1.0]))
def test_discrete_observations(generator: np.random.Generator, radius: float) -> None:
    distance = MismatchDistance()
    queries, rows = generator.integers(0, 3, (5, 4)), generator.integers(0, 3, (30, 4))
    index = make_index(distance, rows, 0.03)
    assert isinstance(index, EqualIndex)
    check_equal(index.within(queries, radius), ScanIndex(distance, rows).within(queries, radius))


def test_a_slow_function_is_warned_about_with_its_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    distance = CustomDistance(lambda first, second: np.zeros((len(first), len(second))), (2,))
    make_index(distance, np.zeros((7, 2)), 0.03)
    monkeypatch.setattr("sb3_diiqn.inference.matching.MAX_SECONDS_OF_A_COMPARISON", 0.0)
    with pytest.warns(ExpertDataWarning, match=r"all 7 states of the expert, which takes .* ms"):
        make_index(distance, np.zeros((7, 2)), 0.03)
