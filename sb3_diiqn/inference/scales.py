"""Ranges of the values of expert data, which a few outliers do not stretch."""

from __future__ import annotations

import numpy as np

from sb3_diiqn.inference.rows import portions

#: A value is an outlier where it lies this many times further from the median than the typical value that differs from it.
#: Between them there is room: of a million normally distributed values none lies further than 3 times, of the heavy-tailed
#: ones that simulations emit hardly any further than 16 times.
OUTLIER_FACTOR = 20.0

#: The typical deviation is this quantile of those that are not 0: of values that are constant but for rare events, it is that
#: of the events.
TYPICAL_QUANTILE = 0.9

#: Fewer values that differ from the median do not tell what is typical.
MIN_DIFFERING = 10

#: Median and quantile are taken of so many values, from rows evenly spaced in time.
SAMPLE_SIZE = 1 << 20


def range_without_outliers(rows: np.ndarray) -> np.ndarray:
    """
    Compute the range of each dimension, max - min of the values that are no outliers.

    :param rows: shape (n, dimensions), at least one row
    :return: shape (dimensions,), float64; 0 where the values are constant
    """
    low, high = (np.asarray(bound, dtype=np.float64) for bound in (rows.min(axis=0), rows.max(axis=0)))
    center, reach = _center_and_reach(evenly_spaced(rows))
    for dimension in np.flatnonzero((low < center - reach) | (high > center + reach)):
        values = rows[:, dimension].astype(np.float64)
        ordinary = values[np.abs(values - center[dimension]) <= reach[dimension]]
        low[dimension], high[dimension] = ordinary.min(), ordinary.max()
    return np.asarray(high - low)


def evenly_spaced(rows: np.ndarray) -> np.ndarray:
    """
    Take a sample of rows, evenly spaced.

    :param rows: shape (n, dimensions)
    :return: shape (m, dimensions), about :data:`SAMPLE_SIZE` values, or all
    """
    n = max(256, SAMPLE_SIZE // max(rows.shape[1], 1))
    return rows[:: -(-len(rows) // n)]


def distinct_values(rows: np.ndarray, limit: int) -> np.ndarray | None:
    """
    List the values that occur in any dimension.

    :param rows: shape (n, dimensions)
    :param limit: so many are listed at most
    :return: in ascending order, shape (m,); None if there are more
    """
    found = np.unique(evenly_spaced(rows))
    for portion in portions(rows):
        if len(found) > limit:
            return None
        found = np.union1d(found, rows[portion])
    return found if len(found) <= limit else None


def _center_and_reach(sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute each dimension's median, and how far from it a value may lie that is no outlier."""
    values = sample.astype(np.float64)
    center = np.median(values, axis=0)
    deviation = np.sort(np.abs(values - center), axis=0)
    n_equal = (deviation == 0).sum(axis=0)
    n_other = len(values) - n_equal
    rank = np.minimum(n_equal + (TYPICAL_QUANTILE * (n_other - 1)).astype(np.int64), len(values) - 1)
    typical = np.take_along_axis(deviation, rank[None], axis=0)[0]
    return center, np.where(n_other >= MIN_DIFFERING, OUTLIER_FACTOR * typical, np.inf)
