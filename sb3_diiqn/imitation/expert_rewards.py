"""What the expert's transitions pay: recorded with them, or inferred as their actions are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

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

    def learn(self, buffer: Any, env: Any) -> float:
        """
        Learn from the transitions that were drawn last. By default, there is nothing to learn.

        :param buffer: the replay buffer
        :param env: to normalise observations
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

    :param context: what it is built from
    """

    #: as long as it has learned fewer times, it has no answer
    warm_up = 1000

    network: RewardModel

    def __init__(self, context: Context) -> None:
        self.network = RewardModel(context.observation_space).to(context.device)
        self.terminals = context.knowledge.expert.terminals

    def rewards(self, rows: ExpertRows) -> Rewards:
        """See :meth:`RewardSource.rewards`."""
        if self.network.n_learned < self.warm_up:
            nothing = np.zeros(len(rows.indices), dtype=np.float32)
            return Rewards(nothing, nothing)
        return self.network.predict(rows.observations, rows.next_observations, self.terminals[rows.indices])

    def learn(self, buffer: Any, env: Any) -> float:
        """See :meth:`RewardSource.learn`."""
        observations, _, next_observations = buffer.drawn_steps(env)
        return self.network.learn(observations, next_observations, *buffer.drawn_outcomes())


def make_reward_source(choice: str, context: Context) -> RewardSource | None:
    """
    Make what an argument asks for.

    :param choice: ``"inferred"``, ``"recorded"`` or ``"none"``; not ``"auto"`` any more
    :param context: what it is built from
    """
    if choice == "inferred":
        return InferredRewards(context)
    return RecordedRewards(context.knowledge.expert) if choice == "recorded" else None
