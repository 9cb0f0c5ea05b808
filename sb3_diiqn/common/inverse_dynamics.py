"""Inverse dynamics: a network that tells which action leads from one observation to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space
from torch import nn

from sb3_diiqn.common.action_classifier import ActionClassifier, make_extractor
from sb3_diiqn.common.buffers import TensorObservations


class InverseDynamics(ActionClassifier):
    """
    Learns from the agent's own transitions, and is asked about the expert's.

    The idea is of BCO (Torabi et al. 2018, arXiv 1805.01954); here the network goes on learning beside the Q-network, from
    the same batches. It is given s and s', and sees the features of s and the difference of the features of s' and s; with
    images, the features of a taller stack: s, and above it the difference of s' and s, where small things that move show.
    """

    def learn(self, observations: TensorObservations, actions: th.Tensor, next_observations: TensorObservations) -> float:
        """
        Make one step of gradient descent.

        :param observations: the agent's s, shape (n, ``*observation_shape``)
        :param actions: what it did, shape (n, 1)
        :param next_observations: what it saw next, shape (n, ``*observation_shape``)
        :return: the cross-entropy
        """
        return self._descend(actions.squeeze(1), observations, next_observations)

    def _make_extractor(self) -> tuple[nn.Module, int]:
        self._is_image = is_image_space(self.observation_space)
        if self._is_image:
            return make_extractor(with_twice_the_channels(self.observation_space))
        extractor, n_features = super()._make_extractor()
        return extractor, 2 * n_features

    def _features(self, *observations: TensorObservations) -> th.Tensor:
        if self._is_image:
            before, after = observations
            return super()._features(th.cat([before, after - before], dim=1))  # type: ignore[operator, list-item]
        before, after = (self.extractor(given) for given in observations)
        return th.cat([before, after - before], dim=1)


def with_twice_the_channels(image_space: spaces.Space[Any]) -> spaces.Box:
    """
    Make the space of two images, one above the other.

    :param image_space: images (channels, height, width)
    """
    channels, *size = image_space.shape  # type: ignore[misc]
    return spaces.Box(0, 255, (2 * channels, *size), dtype=np.uint8)
