"""Bounds of the method's parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.inference import InferenceSettings

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("similarity_threshold", -0.01),
        ("similarity_threshold", 1.01),
        ("similarity_threshold", NAN),
        ("n_neighbors", 0),
        ("n_neighbors", -1),
        ("n_neighbors", 1.5),
        ("n_neighbors", "5"),
        ("n_neighbors", 5.0),
        ("n_neighbors", True),
        ("usefulness_beta", 0),
        ("usefulness_beta", -1.0),
        ("usefulness_beta", NAN),
        ("max_training_count", 0),
        ("max_training_count", 0.5),
        ("max_inference_error", 0),
        ("max_inference_error", 1.01),
        ("max_inference_error", NAN),
    ],
)
def test_a_value_out_of_bounds_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}={value!r}: it must be"):
        InferenceSettings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("similarity_threshold", 0),
        ("similarity_threshold", 1),
        ("n_neighbors", 1),
        ("n_neighbors", np.int64(7)),
        ("usefulness_beta", 1e-3),
        ("max_training_count", 1),
        ("max_inference_error", 1),
        ("max_inference_error", 1e-6),
    ],
)
def test_the_bounds_themselves_are_allowed(name: str, value: Any) -> None:
    assert getattr(InferenceSettings(**{name: value}), name) == value


WRONG_KINDS = [
    ("similarity_threshold", None),
    ("similarity_threshold", "high"),
    ("n_neighbors", None),
    ("n_neighbors", NAN),
    ("n_neighbors", INFINITY),
    ("usefulness_beta", None),
    ("usefulness_beta", INFINITY),
    ("max_training_count", None),
    ("max_training_count", INFINITY),
    ("max_inference_error", None),
]


@pytest.mark.parametrize(("name", "value"), WRONG_KINDS)
def test_a_value_of_the_wrong_kind_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        InferenceSettings(**{name: value})
