"""An algorithm that predicts with the mean of its Q-network, and collects with the network itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from sb3_diiqn.common.averaged_network import AveragedNetwork

if TYPE_CHECKING:
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm as _Algorithm
else:
    _Algorithm = object


class AveragedPredictions(_Algorithm):
    """Mixin that lets an algorithm predict with the mean of its Q-network, if it has one. Put it before the algorithm."""

    _averaged: AveragedNetwork | None = None

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """
        Choose actions as the host does, by the mean of the Q-network over its latest updates.

        With the published method alone, or without expert data, it is the Q-network itself, as it is while collecting.

        :param observation: see Stable-Baselines3
        :param state: see Stable-Baselines3
        :param episode_start: see Stable-Baselines3
        :param deterministic: see Stable-Baselines3
        """
        with self._averaging():
            return super().predict(observation, state, episode_start, deterministic)

    def _averaging(self) -> AbstractContextManager[None]:
        return nullcontext() if self._averaged is None else self._averaged.in_use()

    @contextmanager
    def _without_averaging(self) -> Iterator[None]:
        """Let the Q-network itself choose, as for collecting."""
        averaged, self._averaged = self._averaged, None
        try:
            yield
        finally:
            self._averaged = averaged

    def _note_updates(self, n_updates: int) -> None:
        """Take the network into the mean, see :meth:`AveragedNetwork.note_updates`."""
        if self._averaged is not None:
            self._averaged.note_updates(n_updates)
