"""Hypothesis strategies for expert data."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

FEW = settings(max_examples=40, deadline=None)
"""Enough examples for code without rare cases; no deadline, as machines are sometimes busy."""

DTYPES = [np.bool_, np.uint8, np.int64, np.float32, np.float64]


def equal(left: Any, right: Any) -> bool:
    """Same keys, dtypes, shapes and values."""
    if isinstance(left, dict) or isinstance(right, dict):
        return (
            isinstance(left, dict)
            and isinstance(right, dict)
            and list(left) == list(right)
            and all(equal(left[key], right[key]) for key in left)
        )
    return left.dtype == right.dtype and left.shape == right.shape and bool(np.array_equal(left, right))


@st.composite
def arrays(draw: st.DrawFn, length: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A (length, *shape) array without NaN."""
    elements = {"allow_nan": False} if np.issubdtype(dtype, np.floating) else None
    return draw(hnp.arrays(dtype, (length, *shape), elements=elements))


@st.composite
def trajectories(draw: st.DrawFn) -> list[Any]:
    """One to four trajectories of two to five observations, plain or Dict."""
    lengths = draw(st.lists(st.integers(2, 5), min_size=1, max_size=4))
    names = draw(st.lists(st.sampled_from(["image", "vector", "goal/x", "ä"]), unique=True, max_size=3))
    kinds = {
        name: (draw(st.sampled_from([(), (1,), (3,), (2, 2)])), draw(st.sampled_from(DTYPES))) for name in (names or ["plain"])
    }
    made = [{name: draw(arrays(length, *kind)) for name, kind in kinds.items()} for length in lengths]
    return made if names else [trajectory["plain"] for trajectory in made]
