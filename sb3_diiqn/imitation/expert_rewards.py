"""What the expert's transitions pay: recorded with them, or inferred as their actions are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.imitation.action_inference import ExpertRows
from sb3_diiqn.imitation.context import Context
from sb3_diiqn.networks import RewardModel
from sb3_diiqn.networks.reward_model import Rewards, unknown_rewards


class RewardSource(ABC):
    """Tells what expert transitions pay."""

    #: what learns from the agent's single steps, if anything does; saved with the model
    network: RewardModel | None = None

    @abstractmethod
    def rewards(self, rows: ExpertRows) -> Rewards:
        """
        Tell what expert transitions pay, and how certain that is.

        :param rows: n expert transitions
        """


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
    warm_up = 250

    network: RewardModel

    def __init__(self, context: Context) -> None:
        self.network = RewardModel(context.observation_space).to(context.device)
        expert = context.knowledge.expert
        self.terminals = expert.terminals
        self._unknown = expert.is_last & (not self.terminals.any())

    def rewards(self, rows: ExpertRows) -> Rewards:
        """See :meth:`RewardSource.rewards`."""
        if self.network.n_learned < self.warm_up:
            return unknown_rewards(len(rows.indices))
        told = self.network.predict(rows.observations, rows.next_observations, self.terminals[rows.indices])
        return told._replace(certainty=told.certainty * ~self._unknown[rows.indices])


def make_reward_source(choice: str, context: Context) -> RewardSource | None:
    """
    Make what an argument asks for.

    :param choice: ``"inferred"``, ``"recorded"`` or ``"none"``
    :param context: what it is built from
    :return: None for ``"none"``
    """
    if choice == "inferred":
        return InferredRewards(context)
    return RecordedRewards(context.knowledge.expert) if choice == "recorded" else None
