"""Whether expert and agent speak of observations in the same units: their ranges, dimension by dimension."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

#: Quantiles that a range lies between: a few outliers do not widen it.
QUANTILES = (0.02, 0.98)
#: Quantile of the changes from one observation to the next that stands for them all.
CHANGE_QUANTILE = 0.95
#: Vectors with more entries, and all that has rows and columns, count as one dimension: their entries share a unit.
MOST_DIMENSIONS = 256
#: So many first observations make a range.
FEWEST_FIRST = 8
#: Where expert and agent use the same units, no dimension overlaps less.
LEAST_OVERLAP = 1 / 3

# what lies closer together, relative to the largest number there, is equal
_ROUNDING = 1e-6


class Ranges(NamedTuple):
    """Ranges of d dimensions, each of shape (2, d): lower and upper ends, NaN where nothing is known."""

    all: np.ndarray
    """Of all observations."""
    first: np.ndarray
    """Of the first observations of episodes; NaN with fewer than ``FEWEST_FIRST``, or where episodes seem to be cut up."""
    change: np.ndarray
    """Of the absolute changes from one observation to the next, from 0 on."""

    @property
    def n(self) -> int:
        """Number of dimensions."""
        return int(self.all.shape[1])


def ranges_of(observations: np.ndarray, next_observations: np.ndarray, first: np.ndarray) -> Ranges:
    """
    Measure ranges that outliers do not widen.

    A vector of up to ``MOST_DIMENSIONS`` entries has as many dimensions. Anything larger, or with three axes, has one, from
    the smallest to the largest entry.

    First observations count where they are special: where, in most dimensions, they have less than half of the range of all.
    Those of single steps, or of windows cut out of episodes, have all of it and say nothing.

    :param observations: s, shape (n, ``*observation_shape``), n >= 1
    :param next_observations: s', shape (n, ``*observation_shape``)
    :param first: the first observations of m episodes, shape (m, ``*observation_shape``)
    """
    everywhere = _quantiles(observations)
    known = np.full_like(everywhere, np.nan)
    if len(first) >= FEWEST_FIRST:
        known = _quantiles(first)
        if np.mean(_width(known) <= _width(everywhere) / 2) < 0.5:  # equal to it where nothing varies
            known = np.full_like(everywhere, np.nan)
    changes = np.abs(next_observations.astype(np.float64) - observations)
    change = np.quantile(_largest(changes), CHANGE_QUANTILE, axis=0)
    return Ranges(everywhere, known, np.stack([np.zeros_like(change), change]))


def shared_part(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """
    Compute what two ranges share, as a fraction of the wider one.

    1 if they are equal, 0 if they are disjoint, 1/8 if the one is an eighth of the other and lies within it. A single value
    within the other's range says nothing: there it may not have varied yet.

    :param one: lower and upper ends, shape (2, d)
    :param other: lower and upper ends, shape (2, d)
    :return: shape (d,), in [0, 1]; NaN where nothing can be said
    """
    widest = np.maximum(_width(one), _width(other))
    narrowest = np.minimum(_width(one), _width(other))
    shared = np.minimum(one[1], other[1]) - np.maximum(one[0], other[0])
    tolerance = _ROUNDING * np.maximum(np.abs(one).max(axis=0), np.abs(other).max(axis=0))
    constant = widest <= tolerance
    fraction = np.where(constant, shared >= -tolerance, shared.clip(min=0) / np.where(constant, 1.0, widest))
    silent = (narrowest <= tolerance) & ~constant & (shared >= -tolerance)
    return np.where(silent | np.isnan(shared), np.nan, fraction)


def range_overlap(expert: Ranges, agent: Ranges) -> np.ndarray:
    """
    Compute how well the units of expert and agent agree, in each dimension.

    Ranges of all observations alone do not tell: an expert balances a pole within a hundredth of what the agent sees at
    first, and drives a car where it has not been. What tells are the first observations of episodes, which do not depend on
    who acts. Where these share little, all observations and the changes must make up for it: the result is the larger one of
    what first observations share, and of the product of what all observations and what changes share. Where nothing is known
    of first observations, or they are all the same, it is the square root of the larger one of these two.

    :param expert: ranges of the expert's observations
    :param agent: ranges of the agent's
    :return: shape (d,), in [0, 1], 1 where nothing can be said; below ``LEAST_OVERLAP`` the units hardly are the same
    """
    everywhere, first, change = (shared_part(one, other) for one, other in zip(expert, agent, strict=True))
    # one single value, as a speed of 0, has no width to compare
    first = np.where(_is_constant(expert.first) & _is_constant(agent.first) & (first == 1), np.nan, first)
    # two single values that differ are two places, not two units
    everywhere = np.where(_is_constant(expert.all) & _is_constant(agent.all), np.nan, everywhere)
    change = np.where(_width(expert.change) + _width(agent.change) == 0, np.nan, change)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN
        without_first = np.sqrt(np.nanmax([everywhere, change], axis=0))
    product = np.nan_to_num(everywhere, nan=1.0) * np.nan_to_num(change, nan=1.0)
    overlap = np.where(np.isnan(first), without_first, np.fmax(first, product))
    return np.asarray(np.nan_to_num(overlap, nan=1.0))


def _quantiles(observations: np.ndarray) -> np.ndarray:
    rows = observations.reshape(len(observations), -1)
    low, high = rows, rows
    if _is_one_dimension(observations):
        low, high = rows.min(axis=1, keepdims=True), rows.max(axis=1, keepdims=True)
    ends = zip((low, high), QUANTILES, strict=True)
    return np.stack([np.quantile(rows.astype(np.float64), quantile, axis=0) for rows, quantile in ends])


def _largest(values: np.ndarray) -> np.ndarray:
    rows = values.reshape(len(values), -1)
    return np.asarray(rows.max(axis=1, keepdims=True) if _is_one_dimension(values) else rows)


def _is_one_dimension(values: np.ndarray) -> bool:
    return values.ndim > 3 or values[0].size > MOST_DIMENSIONS


def _width(ends: np.ndarray) -> np.ndarray:
    return np.asarray(ends[1] - ends[0])


def _is_constant(ends: np.ndarray) -> np.ndarray:
    return np.asarray(_width(ends) <= _ROUNDING * np.abs(ends).max(axis=0))
