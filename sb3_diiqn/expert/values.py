"""Do the values of recorded observations belong to an observation space: finite, of its dtype, within its bounds?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert.validation import place

Bounds: TypeAlias = tuple[np.ndarray, np.ndarray]

ROUNDING = 1e-6
"""How far a float may lie outside a bound, relative to the bound's size (at least 1): float32 rounding, no more."""


@dataclass(frozen=True)
class Field:
    """The observations of one key (or the only ones), with what is needed to say where a bad value is."""

    name: str
    offsets: np.ndarray
    own_shape: tuple[int, ...] | None = None
    """Their shape in the environment, before frames are stacked and images transposed; None: unknown."""

    def error(self, array: np.ndarray, wrong: np.ndarray, problem: str) -> ExpertDataError:
        """An error about the first wrong value.

        :param array: (n_observations, *obs) values
        :param wrong: mask of the same shape
        :param problem: the rest of the sentence that begins with place and value
        """
        index = tuple(int(number) for number in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
        name = f"{self.name}[{', '.join(map(str, index[1:]))}]" if len(index) > 1 else self.name
        return ExpertDataError(f"{place(index[0], self.offsets)}: {name} is {array[index]}, {problem}")


def check_finite(array: np.ndarray, field: Field) -> None:
    """Refuse NaN and infinities.

    :raises ExpertDataError: names the first one
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise field.error(
            array, ~np.isfinite(array), "expected a finite number: repair the recording or leave that trajectory out"
        )


def cast(array: np.ndarray, dtype: np.dtype[Any], field: Field) -> np.ndarray:
    """Convert to the space's dtype. Floats may be rounded to a shorter float, every other conversion must be exact.

    :raises ExpertDataError: names the first value that the dtype cannot hold
    """
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(dtype)
    rounding_only = array.dtype.kind == "f" and dtype.kind == "f"
    wrong = ~np.isfinite(converted) if rounding_only else converted != array
    if wrong.any():
        raise field.error(
            array,
            wrong,
            f"which {dtype}, the observation space's type, cannot hold: convert the data on purpose, or record it again"
            f"{' (raw observations, also for an environment in VecNormalize)' if array.dtype.kind == 'f' else ''}",
        )
    return converted


def check_range(array: np.ndarray, readings: Iterable[Bounds], field: Field) -> None:
    """Refuse values outside the bounds; floats may miss them by rounding.

    :param readings: lowest and highest values, broadcastable to one observation; several pairs if any of them may apply
    :raises ExpertDataError: names the first value outside the first pair of bounds
    """
    pairs = list(readings)
    if any(_is_within(array, *_tolerant(array, *pair)) for pair in pairs):
        return
    low, high = pairs[0]
    lowest, highest = _tolerant(array, low, high)
    wrong = (array < lowest) | (array > highest)
    element = np.unravel_index(int(np.argmax(wrong)), wrong.shape)[1:]
    lower, upper = (np.broadcast_to(bound, array.shape[1:])[element] for bound in (low, high))
    raise field.error(
        array,
        wrong,
        f"outside the observation space's bounds [{lower}, {upper}]: was it recorded in another environment, or normalised? "
        "Record raw observations, also for an environment in VecNormalize. "
        "If the environment itself leaves its bounds, clip the data, or adapt it with check_range=False",
    )


def _is_within(array: np.ndarray, lowest: np.ndarray, highest: np.ndarray) -> bool:
    return bool((array.min(axis=0) >= lowest).all() and (array.max(axis=0) <= highest).all())


def _tolerant(array: np.ndarray, low: np.ndarray, high: np.ndarray) -> Bounds:
    if array.dtype.kind != "f":
        return low, high
    lowest = low - ROUNDING * np.maximum(1.0, np.abs(low.astype(np.float64)))
    highest = high + ROUNDING * np.maximum(1.0, np.abs(high.astype(np.float64)))
    return lowest, highest
