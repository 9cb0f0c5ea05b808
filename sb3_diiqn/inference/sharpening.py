"""Makes distances sharp enough to tell the expert's states apart."""

from __future__ import annotations

import numpy as np

from sb3_diiqn.expert import Observations
from sb3_diiqn.inference.distances import ROUNDING, Distance
from sb3_diiqn.inference.distinct_pairs import distances_of_distinct_pairs

#: The distance at which states match by the default ``similarity_threshold`` of 0.97.
RADIUS = 0.03

#: What is sharpened lets such a fraction of the pairs of distinct states match: less than what is warned about, as another
#: sample of states gives another figure.
MATCHING_FRACTION = 0.03


def by_equality(distance: Distance, smallest: float) -> Distance:
    """
    Enlarge a distance such that what differs at all does not match.

    :param distance: the distance
    :param smallest: the smallest distance of two observations that are not equal, positive
    """
    return distance if smallest >= 2 * RADIUS else distance.sharpened(2 * RADIUS / smallest)


def sharpened(distance: Distance, observations: Observations, max_factor: float = np.inf) -> Distance:
    """
    Enlarge a distance by which too many of the expert's distinct states would match.

    Where more than 3 % of their pairs are within 0.03, so many times larger that 3 % are. Others stay as they are.

    :param distance: the distance
    :param observations: the expert's observations, shape (n, ``*observation_shape``), or a dictionary of such arrays
    :param max_factor: not more often than this
    """
    distances = np.sort(distances_of_distinct_pairs(distance, observations))
    if not len(distances) or (distances <= RADIUS + ROUNDING).mean() <= MATCHING_FRACTION:
        return distance
    # halfway between the last pair that may match and the first that may not: whole numbers have many distances that are equal
    # but for rounding
    first_apart = float(distances[int(MATCHING_FRACTION * len(distances))])
    last_alike = float(distances[distances < 0.9999 * first_apart].max(initial=0.0))
    if first_apart == 0:
        return distance
    factor = min(2 * RADIUS / (last_alike + first_apart), max_factor)
    # few digits, so that another machine's rounding does not make it another distance
    return distance.sharpened(float(f"{factor:.3g}"))
