"""What part of the collecting is the guide's, and what the agent's own episodes return."""

from __future__ import annotations

from collections import deque

import numpy as np

from sb3_diiqn.common.running_means import RunningMeans


class GuidanceStatistics:
    """
    Fractions of steps and episodes, and returns, for the log only.

    :param n_envs: number of environments
    """

    #: the mean return is that of so many of the agent's latest own episodes
    window = 15

    def __init__(self, n_envs: int) -> None:
        self._means = RunningMeans()
        self._own: deque[float] = deque(maxlen=self.window)
        self._return = np.zeros(n_envs)
        # of the episodes that are under way: whether the guide has played them, and whether the agent alone has played them
        self._guides = np.zeros(n_envs, dtype=bool)
        self._alone = np.ones(n_envs, dtype=bool)

    def restart(self) -> None:
        """Forget the episodes that are under way."""
        self._begin(np.ones(len(self._guides), dtype=bool))

    def note_step(
        self,
        chosen: np.ndarray,
        guided: np.ndarray,
        guides: np.ndarray,
        rewards: np.ndarray,
        dones: np.ndarray,
        count: bool,
    ) -> None:
        """
        Note a step of each environment. All arrays have the shape (n_envs,).

        :param chosen: whether the action was the guide's
        :param guided: whether the step was in a guided stretch, be the guide's action known or not
        :param guides: whether the guide plays the episode
        :param rewards: rewards, not normalised
        :param dones: whether the episode ended or was cut
        :param count: whether episodes that end count; not before learning has begun
        """
        self._means.add("guided_steps", float(chosen.sum()), len(chosen))
        self._return += rewards
        self._guides |= guides
        self._alone &= ~(guided | guides)
        if count and dones.any():
            self._means.add("guide_episodes", float(self._guides[dones].sum()), int(dones.sum()))
            self._own.extend(self._return[dones & self._alone])
        self._begin(dones)

    def take(self) -> dict[str, float]:
        """
        Return the fractions since the last time, and the mean return of the agent's latest own episodes.

        :return: ``guided_steps``, fraction of the steps with an action of the guide; ``guide_episodes``, fraction of the
            episodes that the guide played; ``own_return``, mean return of episodes without a guided step;
            only what there was
        """
        own = {"own_return": float(np.mean(self._own))} if self._own else {}
        return self._means.take() | own

    def _begin(self, where: np.ndarray) -> None:
        self._return[where] = 0.0
        self._guides[where] = False
        self._alone[where] = True
