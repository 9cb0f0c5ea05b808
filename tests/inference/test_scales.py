"""Ranges without outliers: ordinary data keep theirs, outliers do not count, rare events do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn.inference.scales import distinct_values, range_without_outliers

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def ordinary(name: str, generator: np.random.Generator, n: int) -> np.ndarray:
    return {
        "uniform": lambda: generator.uniform(-3, 5, n),
        "normal": lambda: generator.normal(7, 0.1, n),
        "exponential": lambda: generator.exponential(2.0, n),
        "heavy-tailed": lambda: generator.standard_t(4, n),
        "whole numbers": lambda: generator.integers(0, 100, n),
        "two values": lambda: generator.random(n) < 0.5,
        "rare events": lambda: (generator.random(n) < 0.003) * 1.0,
        "rare events of many sizes": lambda: (generator.random(n) < 0.01) * generator.uniform(-5, 5, n),
    }[name]()


@pytest.mark.parametrize(
    "name",
    [
        "uniform",
        "normal",
        "exponential",
        "heavy-tailed",
        "whole numbers",
        "two values",
        "rare events",
        "rare events of many sizes",
    ],
)
@given(generator=generators, n=st.sampled_from([1, 2, 5, 100, 3000]))
def test_ordinary_values_keep_their_range(name: str, generator: np.random.Generator, n: int) -> None:
    values = ordinary(name, generator, n)
    assert range_without_outliers(values[:, None]).tolist() == [float(values.max()) - float(values.min())]


@pytest.mark.parametrize("name", ["uniform", "normal", "exponential", "whole numbers", "rare events of many sizes"])
@pytest.mark.parametrize("outlier", [1e6, -1e9, 3.4e38])
@given(generator=generators)
def test_outliers_do_not_count(name: str, outlier: float, generator: np.random.Generator) -> None:
    values = ordinary(name, generator, 3000).astype(np.float64)
    expected = values.max() - values.min()
    stretched = np.insert(values, [17, 2000], [outlier, outlier / 2])
    assert range_without_outliers(stretched[:, None]).tolist() == [expected]


def test_each_dimension_has_a_range_of_its_own() -> None:
    values = np.zeros((50, 4), dtype=np.float32)
    values[:, 0] = np.linspace(0, 1, 50)
    values[:, 1] = np.linspace(-1000, 1000, 50)
    values[:, 2] = np.linspace(0, 1, 50)
    values[20, 2] = 1e6
    assert range_without_outliers(values).tolist() == [1.0, 2000.0, 1.0, 0.0]


def test_of_very_few_values_none_is_an_outlier() -> None:
    assert range_without_outliers(np.array([[0.0], [0.0], [0.0], [1.0], [1e6]])).tolist() == [1e6]


def test_an_outlier_in_data_larger_than_the_sample_does_not_count_either() -> None:
    values = np.random.default_rng(0).normal(size=(20_000, 100)).astype(np.float32)
    expected = values.max(axis=0).astype(float) - values.min(axis=0).astype(float)
    values[[7, 19_999], [3, 99]] = 1e6
    found = range_without_outliers(values)
    np.testing.assert_array_equal(np.delete(found, [3, 99]), np.delete(expected, [3, 99]))
    assert np.all(found[[3, 99]] < 12)


@given(generator=generators, limit=st.integers(1, 40))
def test_distinct_values_are_listed_up_to_a_limit(generator: np.random.Generator, limit: int) -> None:
    rows = generator.integers(-5, 30, (generator.integers(1, 30), 3)).astype(np.int16)
    expected = sorted(set(rows.reshape(-1).tolist()))
    found = distinct_values(rows, limit)
    assert found is None if len(expected) > limit else found is not None and found.tolist() == expected


def test_a_value_that_appears_once_in_large_data_is_listed() -> None:
    rows = np.zeros((3_000_000, 1), dtype=np.uint8)
    rows[1_234_567] = 9
    found = distinct_values(rows, 2)
    assert found is not None
    assert found.tolist() == [0, 9]
