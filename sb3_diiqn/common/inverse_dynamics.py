"""Inverse dynamics: a network that tells which action leads from one observation to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, preprocess_obs
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, FlattenExtractor, NatureCNN
from torch import nn

from sb3_diiqn.common.buffers import TensorObservations
from sb3_diiqn.common.compatibility import FUSED


class InverseDynamics(nn.Module):
    """
    Learns from the agent's own transitions, and is asked about the expert's.

    The idea is of BCO (Torabi et al. 2018, arXiv 1805.01954); here the network goes on learning beside the Q-network, from
    the same batches. It sees the features of s and the difference of the features of s' and s.

    :param observation_space: the environment's observation space; the features are those of Stable-Baselines3's policies for
        it, with float vectors normalised
    :param n_actions: number of the agent's actions
    :param width: width of the hidden layer
    :param learning_rate: of Adam
    """

    def __init__(
        self, observation_space: spaces.Space[Any], n_actions: int, width: int = 128, learning_rate: float = 1e-3
    ) -> None:
        super().__init__()
        self.observation_space = observation_space
        self.extractor = _make_extractor(observation_space)
        n_features = 2 * self.extractor.features_dim
        is_float = isinstance(observation_space, spaces.Box) and np.issubdtype(observation_space.dtype, np.floating)
        self.head = nn.Sequential(
            # a step is small against the state: without normalisation the network would not see it
            nn.BatchNorm1d(n_features, affine=False) if is_float else nn.Identity(),
            nn.Linear(n_features, width),
            nn.ReLU(),
            nn.Linear(width, n_actions),
        )
        self.optimizer = th.optim.Adam(self.parameters(), lr=learning_rate, **FUSED)

    def forward(self, observations: TensorObservations, next_observations: TensorObservations) -> th.Tensor:
        """
        Compute the logits of the actions.

        :param observations: s, shape (n, ``*observation_shape``)
        :param next_observations: s', shape (n, ``*observation_shape``)
        :return: shape (n, n_actions)
        """
        before, after = self._features(observations), self._features(next_observations)
        logits: th.Tensor = self.head(th.cat([before, after - before], dim=1))
        return logits

    def learn(self, observations: TensorObservations, actions: th.Tensor, next_observations: TensorObservations) -> float:
        """
        Make one step of gradient descent on the cross-entropy.

        :param observations: the agent's s, shape (n, ``*observation_shape``)
        :param actions: what it did, shape (n, 1)
        :param next_observations: what it saw next, shape (n, ``*observation_shape``)
        :return: the loss
        """
        self.train()
        loss = nn.functional.cross_entropy(self(observations, next_observations), actions.squeeze(1))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.item())

    def probabilities(self, observations: TensorObservations, next_observations: TensorObservations) -> np.ndarray:
        """
        Estimate which action led from s to s'.

        :param observations: s, shape (n, ``*observation_shape``)
        :param next_observations: s', shape (n, ``*observation_shape``)
        :return: shape (n, n_actions), float32
        """
        self.eval()
        with th.no_grad():
            return np.asarray(self(observations, next_observations).softmax(dim=1).cpu().numpy())

    def _features(self, observations: TensorObservations) -> th.Tensor:
        features: th.Tensor = self.extractor(preprocess_obs(observations, self.observation_space))
        return features


def _make_extractor(observation_space: spaces.Space[Any]) -> BaseFeaturesExtractor:
    if isinstance(observation_space, spaces.Dict):
        return CombinedExtractor(observation_space)
    if is_image_space(observation_space):
        return NatureCNN(observation_space)
    return FlattenExtractor(observation_space)
