"""The expert's distinct states as rows that can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from sb3_diiqn.expert import Observations
from sb3_diiqn.expert.types import count_observations, take
from sb3_diiqn.inference.distances import Distance


class States:
    """
    Encoded observations that are not stored: they are encoded whenever they are asked for, which needs no memory.

    :param distance: encodes, fast
    :param observations: shape (n_observations, ``*observation_shape``), or a dictionary of such arrays
    :param chosen: which of them, shape (n,); None: all
    """

    def __init__(self, distance: Distance, observations: Observations, chosen: np.ndarray | None) -> None:
        self._distance = distance
        self._observations = observations
        # 32 bits: the list is as long as the data
        self._chosen = None if chosen is None else chosen.astype(np.int32)
        example = distance.encode(take(observations, slice(0, 1)))
        #: type of the numbers
        self.dtype: np.dtype[Any] = example.dtype
        #: bytes of a number
        self.itemsize: int = example.itemsize
        n = count_observations(observations) if chosen is None else len(chosen)
        #: number of states, and the width of their rows
        self.shape: tuple[int, ...] = (n, example.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        chosen = rows if self._chosen is None else self._chosen[rows]
        return self._distance.encode(take(self._observations, chosen))
