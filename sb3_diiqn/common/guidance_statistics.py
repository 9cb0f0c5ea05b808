"""What part of the collecting is the guide's, and what the agent's own episodes return."""

from __future__ import annotations

import numpy as np

from sb3_diiqn.common.running_means import RunningMeans


class GuidanceStatistics:
    """
    Fractions and returns since they were last taken, for the log only.

    :param n_envs: number of environments
    """

    def __init__(self, n_envs: int) -> None:
        self._means = RunningMeans()
        self._return = np.zeros(n_envs)
        # of the episodes that are under way: whether the guide has led them, and whether the agent alone has played them
        self._led = np.zeros(n_envs, dtype=bool)
        self._alone = np.ones(n_envs, dtype=bool)

    def restart(self) -> None:
        """Forget the episodes that are under way."""
        self._begin(np.ones(len(self._led), dtype=bool))

    def note_step(
        self,
        chosen: np.ndarray,
        guided: np.ndarray,
        led: np.ndarray,
        greedy: np.ndarray,
        rewards: np.ndarray,
        dones: np.ndarray,
        count: bool,
    ) -> None:
        """
        Note a step of each environment. All arrays have the shape (n_envs,).

        :param chosen: whether the action was the guide's
        :param guided: whether the step was in a guided stretch, be the guide's action known or not
        :param led: whether the guide leads the episode
        :param greedy: whether the agent acts greedily in the episode
        :param rewards: rewards, not normalised
        :param dones: whether the episode ended or was cut
        :param count: whether episodes that end count; not before learning has begun
        """
        self._means.add("guided_steps", float(chosen.sum()), len(chosen))
        self._return += rewards
        self._led |= led
        self._alone &= ~(guided | led | greedy)
        if count and dones.any():
            self._means.add("guide_episodes", float(self._led[dones].sum()), int(dones.sum()))
            own = dones & self._alone
            self._means.add("own_return", float(self._return[own].sum()), int(own.sum()))
        self._begin(dones)

    def take(self) -> dict[str, float]:
        """
        Return the means and start anew.

        :return: ``guided_steps``, fraction of the steps with an action of the guide; ``guide_episodes``, fraction of the
            episodes that the guide led, if only to their middle; ``own_return``, mean return of the episodes without a guided
            step in which the agent explored. The last two only if there were such
        """
        return self._means.take()

    def _begin(self, where: np.ndarray) -> None:
        self._return[where] = 0.0
        self._led[where] = False
        self._alone[where] = True
