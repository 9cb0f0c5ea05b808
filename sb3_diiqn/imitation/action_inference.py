"""Which actions the expert took, in any of its transitions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import torch as th

from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.imitation.context import Context
from sb3_diiqn.inference import ActionEstimates, estimate
from sb3_diiqn.networks import InverseDynamics, ObservationNetwork


class ExpertRows(NamedTuple):
    """Expert transitions as the networks have them, n of them."""

    indices: np.ndarray
    """Which they are, shape (n,)."""
    observations: TensorObservations
    """s_e, shape (n, ``*observation_shape``)."""
    next_observations: TensorObservations
    """s'_e, shape (n, ``*observation_shape``)."""


class ActionInference(ABC):
    """Infers the expert's actions from the agent's own transitions."""

    #: the network that it learns with, if it has one; saved with the model
    network: ObservationNetwork | None = None
    #: whether it knows no more than the tables of the nearest transitions, which then have to be filled from further away
    knows_only_tables = False

    def learn(self, observations: TensorObservations, actions: th.Tensor, next_observations: TensorObservations) -> float:
        """
        Learn from a batch of the agent's single steps. By default, there is nothing to learn.

        :param observations: s, shape (n, ``*observation_shape``)
        :param actions: a, shape (n, 1)
        :param next_observations: s', shape (n, ``*observation_shape``)
        :return: the loss
        """
        return 0.0

    @abstractmethod
    def probabilities(self, rows: ExpertRows) -> np.ndarray:
        """
        Tell how likely each action is.

        :param rows: expert transitions, n of them
        :return: shape (n, n_actions), rows add up to 1
        """

    def infer(self, rows: ExpertRows) -> ActionEstimates:
        """
        Conclude which actions the expert may have taken, and how certain that is.

        :param rows: expert transitions
        """
        return estimate(self.probabilities(rows))


class NearestInference(ActionInference):
    """
    Believes the nearest of the agent's transitions, as in the paper; all that start at the same state vote. Where outcomes are
    chance, it asks what would give all of the expert's successors together.

    :param context: what it is built from
    """

    knows_only_tables = True

    def __init__(self, context: Context) -> None:
        self.knowledge = context.knowledge
        self.n_actions = context.n_actions

    def probabilities(self, rows: ExpertRows) -> np.ndarray:
        """See :meth:`ActionInference.probabilities`."""
        return self.knowledge.voted_probabilities(rows.indices, self.n_actions)


class NetworkInference(ActionInference):
    """
    Asks inverse dynamics that learn from the agent's transitions, which know something wherever the expert was.

    :param context: what it is built from
    :param network_class: the network
    """

    network: InverseDynamics

    def __init__(self, context: Context, network_class: type[InverseDynamics] = InverseDynamics) -> None:
        self.knowledge = context.knowledge
        self.n_actions = context.n_actions
        self.network = network_class(context.observation_space, context.n_actions).to(context.device)

    def learn(self, observations: TensorObservations, actions: th.Tensor, next_observations: TensorObservations) -> float:
        """See :meth:`ActionInference.learn`."""
        return self.network.learn(observations, actions, next_observations)

    def probabilities(self, rows: ExpertRows) -> np.ndarray:
        """See :meth:`ActionInference.probabilities`."""
        likelihoods = self.network.likelihoods(rows.observations, rows.next_observations)
        return self.knowledge.action_probabilities(rows.indices, self.n_actions, likelihoods)
