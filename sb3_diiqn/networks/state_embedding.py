"""A network that learns where observations lie, so that what belongs together is near."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.utils import obs_as_tensor
from torch import nn

from sb3_diiqn.common.batch import joined
from sb3_diiqn.common.compatibility import FUSED
from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.expert import Observations
from sb3_diiqn.networks.base import ObservationNetwork


class StateEmbedding(ObservationNetwork):
    """
    Embeds observations such that one step is short, and the differences that the agent's actions make are seen.

    Of a batch of next observations the right one is to be nearest to the observation before it: a contrastive loss (InfoNCE,
    van den Oord et al. 2018, arXiv 1807.03748) with negative squared distances as logits. What does not help to find it, such
    as noise, is left out. It needs no actions, and learns from the agent's transitions and the expert's alike. From the
    agent's, the action is to be found, too, as in inverse dynamics, since a step with another action ends nearby.

    :param observation_space: the environment's observation space
    :param n_actions: number of the agent's actions
    """

    #: length of an embedding: in more dimensions a search tree is no faster than comparing with all
    width = 16
    #: of AdamW: noise that is seen again and again would else be learned by heart
    weight_decay = 1.0
    #: width of the hidden layer between embeddings and actions
    hidden = 64

    def __init__(self, observation_space: spaces.Space[Any], n_actions: int) -> None:
        super().__init__(observation_space, self.width)
        self.actions = nn.Sequential(nn.Linear(2 * self.width, self.hidden), nn.LeakyReLU(), nn.Linear(self.hidden, n_actions))
        self.optimizer = th.optim.AdamW(self.parameters(), lr=self._learning_rate(), weight_decay=self.weight_decay, **FUSED)

    def learn(
        self,
        observations: TensorObservations,
        actions: th.Tensor,
        next_observations: TensorObservations,
        expert_observations: TensorObservations,
        expert_next_observations: TensorObservations,
    ) -> float:
        """
        Make one step of gradient descent.

        :param observations: the agent's s, shape (n, ``*observation_shape``)
        :param actions: what it did, shape (n, 1)
        :param next_observations: what it saw next, shape (n, ``*observation_shape``)
        :param expert_observations: the expert's s_e, shape (m, ``*observation_shape``)
        :param expert_next_observations: its s'_e, shape (m, ``*observation_shape``)
        :return: the loss
        """
        self.train()
        before = self(joined(observations, expert_observations))
        after = self(joined(next_observations, expert_next_observations))
        n = len(actions)
        logits = self.actions(th.cat([before[:n], after[:n] - before[:n]], dim=1))
        return self.minimize(contrastive_loss(before, after) + nn.functional.cross_entropy(logits, actions.squeeze(1)))

    def as_it_is(self) -> StateEmbedding:
        """Copy the network as it is now, to compare with it while this one goes on learning."""
        frozen = copy.deepcopy(self).requires_grad_(False).eval()
        del frozen.optimizer
        return frozen

    def embed(self, observations: Observations) -> np.ndarray:
        """
        Embed observations.

        :param observations: as the expert data has them, shape (n, ``*observation_shape``)
        :return: shape (n, width), float32
        """
        device = next(self.parameters()).device
        with th.no_grad():
            return np.asarray(self(obs_as_tensor(observations, device)).cpu().numpy())


def contrastive_loss(before: th.Tensor, after: th.Tensor) -> th.Tensor:
    """
    Compute how hard it is to find the right partner of each row, in both directions, by squared distances.

    :param before: embeddings, shape (n, width)
    :param after: embeddings of what came next, in the same order, shape (n, width)
    :return: the mean cross-entropy, shape ()
    """
    logits = 2 * before @ after.T - before.square().sum(dim=1, keepdim=True) - after.square().sum(dim=1)
    right = th.arange(len(before), device=before.device)
    return (nn.functional.cross_entropy(logits, right) + nn.functional.cross_entropy(logits.T, right)) / 2
