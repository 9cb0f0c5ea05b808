"""What the expert's transitions pay: recorded with them, or inferred as their actions are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.imitation.action_inference import ExpertRows
from sb3_diiqn.imitation.context import Context
from sb3_diiqn.networks import RewardModel
from sb3_diiqn.networks.reward_model import Rewards


class RewardSource(ABC):
    """Tells what expert transitions pay."""

    #: what it learns with, if it learns; saved with the model
    network: RewardModel | None = None

    @abstractmethod
    def rewards(self, rows: ExpertRows) -> Rewards:
        """
        Tell what expert transitions pay, and how certain that is.

        :param rows: n expert transitions
        """

    def learn(
        self,
        observations: TensorObservations,
        next_observations: TensorObservations,
        rewards: np.ndarray,
        terminals: np.ndarray,
    ) -> float:
        """
        Learn from a batch of the agent's single steps. By default, there is nothing to learn.

        :param observations: s, shape (n, ``*observation_shape``)
        :param next_observations: s', shape (n, ``*observation_shape``)
        :param rewards: not normalised, shape (n,)
        :param terminals: whether they ended an episode, shape (n,)
        :return: the loss
        """
        return 0.0


class RecordedRewards(RewardSource):
    """
    Takes those in the expert data.

    :param expert: has rewards
    """

    def __init__(self, expert: ExpertObservations) -> None:
        self.expert: Any = expert

    def rewards(self, rows: ExpertRows) -> Rewards:
        """See :meth:`RewardSource.rewards`."""
        return Rewards(self.expert.rewards[rows.indices], np.ones(len(rows.indices), dtype=np.float32))


class InferredRewards(RewardSource):
    """
    Asks a model of what the agent itself was paid.

    Where no end is recorded, the last transitions of trajectories are left out: there a goal may have been reached.

    :param context: what it is built from
    """

    #: as long as it has learned fewer times, it has no answer
    warm_up = 1000

    network: RewardModel

    def __init__(self, context: Context) -> None:
        self.network = RewardModel(context.observation_space).to(context.device)
        expert = context.knowledge.expert
        self.terminals = expert.terminals
        self._unknown = is_last(expert) & (not self.terminals.any())

    def rewards(self, rows: ExpertRows) -> Rewards:
        """See :meth:`RewardSource.rewards`."""
        if self.network.n_learned < self.warm_up:
            nothing = np.zeros(len(rows.indices), dtype=np.float32)
            return Rewards(nothing, nothing)
        told = self.network.predict(rows.observations, rows.next_observations, self.terminals[rows.indices])
        return told._replace(certainty=told.certainty * ~self._unknown[rows.indices])

    def learn(
        self,
        observations: TensorObservations,
        next_observations: TensorObservations,
        rewards: np.ndarray,
        terminals: np.ndarray,
    ) -> float:
        """See :meth:`RewardSource.learn`."""
        return self.network.learn(observations, next_observations, rewards, terminals)


def is_last(expert: ExpertObservations) -> np.ndarray:
    """
    Tell which transitions are the last ones of their trajectories, shape (n,), bool.

    :param expert: n transitions
    """
    return np.append(expert.trajectory_index[1:] != expert.trajectory_index[:-1], True)


def make_reward_source(choice: str, context: Context) -> RewardSource | None:
    """
    Make what an argument asks for.

    :param choice: ``"inferred"``, ``"recorded"`` or ``"none"``
    :return: None for ``"none"``
    :param context: what it is built from
    """
    if choice == "inferred":
        return InferredRewards(context)
    return RecordedRewards(context.knowledge.expert) if choice == "recorded" else None
