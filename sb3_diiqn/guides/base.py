"""What a guide is: somebody who chooses actions while the agent collects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from sb3_diiqn.expert import Observations
from sb3_diiqn.expert.types import take


class GuideActions(NamedTuple):
    """What a guide would do in n environments."""

    actions: np.ndarray
    """``NO_ACTION`` where it knows none, shape (n,), int64."""
    certain: np.ndarray
    """Where its answer is worth more than that of another guide, shape (n,), bool."""


class Guide(ABC):
    """Chooses the actions of guided steps. One that keeps no memory between steps needs :meth:`act` only."""

    #: whether a clone of the expert is to learn, which the guide asks
    needs_clone = False

    @abstractmethod
    def act(self, observations: Observations, environments: np.ndarray) -> GuideActions:
        """
        Choose actions.

        :param observations: current observations as the replay buffer stores them, shape (n, ``*observation_shape``)
        :param environments: the indices of their environments, shape (n,)
        """

    def explore(self, environments: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """
        Choose what to try where :meth:`act` knew no action. By default, chance decides.

        :param environments: indices of environments, shape (n,)
        :param drawn: actions drawn at random, shape (n,)
        :return: shape (n,)
        """
        return drawn

    def committed(self) -> np.ndarray:
        """Tell which environments are in the middle of something that is to be finished, shape (n_envs,) or (1,), bool."""
        return np.zeros(1, dtype=bool)

    def release(self, environments: np.ndarray) -> None:
        """
        Forget what was going on in some environments.

        :param environments: indices or mask of environments
        """


class FirstCertain(Guide):
    """
    Asks one guide, and a second one where the first is not certain. Where neither is, the first one's answer holds.

    :param first: asked first, keeps no memory
    :param second: asked where the first is not certain; what it has begun it finishes
    """

    def __init__(self, first: Guide, second: Guide) -> None:
        self.first = first
        self.second = second
        # which environments were in the middle of something when an action was last chosen, by index
        self._begun: set[int] = set()

    def act(self, observations: Observations, environments: np.ndarray) -> GuideActions:
        """Choose actions, see :meth:`Guide.act`."""
        actions, certain = (answer.copy() for answer in self.first.act(observations, environments))
        committed = self.committed()
        begun = committed[environments] if len(committed) > 1 else np.repeat(committed, len(environments))
        before = np.array([int(environment) in self._begun for environment in environments], dtype=bool)
        # what was begun is finished, such as a bridge, and whether it led there is judged one step later
        asked = np.flatnonzero(~certain | begun | before)
        self._begun.difference_update(environments.tolist())
        self._begun.update(environments[begun].tolist())
        if len(asked):
            instead = self.second.act(take(observations, asked), environments[asked])
            actions[asked] = np.where(instead.certain, instead.actions, actions[asked])
            certain[asked] |= instead.certain
        return GuideActions(actions, certain)

    def explore(self, environments: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Let the second guide choose what to try."""
        return self.second.explore(environments, drawn)

    def committed(self) -> np.ndarray:
        """Tell where the second guide is in the middle of something, shape (n_envs,), bool."""
        return self.second.committed()

    def release(self, environments: np.ndarray) -> None:
        """Forget what the second guide was doing in some environments."""
        self.second.release(environments)
        released = np.flatnonzero(environments) if environments.dtype == bool else environments
        self._begun.difference_update(released.tolist())
