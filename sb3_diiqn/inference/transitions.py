"""Transitions as they come to be compared, and as they are learned from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sb3_diiqn.expert import Observations
from sb3_diiqn.expert.types import take


class AgentTransitions(NamedTuple):
    """Transitions of the agent in the order in which they happened, n = steps * environments, environments innermost."""

    observations: Observations
    """Shape (n, ``*observation_shape``)."""
    next_observations: Observations
    """Shape (n, ``*observation_shape``)."""
    actions: np.ndarray
    """Shape (n,), int64."""
    rewards: np.ndarray
    """Shape (n,)."""
    terminals: np.ndarray
    """1 where the episode ended for good, else 0. Shape (n,)."""
    episode_ends: np.ndarray
    """1 where the episode ended or was cut, else 0. Shape (n,)."""

    def part(self, rows: slice) -> AgentTransitions:
        """
        Select consecutive transitions.

        :param rows: which
        """
        observations, next_observations, *others = self
        return AgentTransitions(take(observations, rows), take(next_observations, rows), *(array[rows] for array in others))


class ExpertTransitions(NamedTuple):
    """Expert transitions to learn from, completed by what has been inferred."""

    observations: Observations
    """s_e, shape (n, ``*observation_shape``)."""
    actions: np.ndarray
    """a_e, shape (n,), int64."""
    next_observations: Observations
    """s'_e, shape (n, ``*observation_shape``)."""
    rewards: np.ndarray
    """Shape (n,), float32."""
    terminals: np.ndarray
    """Shape (n,), float32."""
    steps: np.ndarray
    """How many steps of the agent lie between the observations, shape (n,)."""
