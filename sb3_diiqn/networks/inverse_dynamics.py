"""Inverse dynamics: a network that tells which action leads from one observation to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from torch import nn

from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.networks.action_classifier import ActionClassifier
from sb3_diiqn.networks.base import ObservationNetwork, channel_axis, is_planes, make_extractor


class TransitionNetwork(ObservationNetwork):
    """
    Base class of those that are given s and s', and see the features of s and the difference of the features of s' and s.

    With images and planes, they see the features of a taller stack: s, and above it the difference of s' and s, where small
    things that move show.
    """

    def _make_extractor(self) -> tuple[nn.Module, int]:
        #: along which one observation lies above the other, None if they are no images and no planes
        self._axis = channel_axis(self.observation_space)
        if self._axis is not None:
            return make_extractor(with_twice_the_channels(self.observation_space, self._axis), self._axis)
        extractor, n_features = super()._make_extractor()
        return extractor, 2 * n_features

    def _features(self, *observations: TensorObservations) -> th.Tensor:
        if self._axis is not None:
            images: Any = observations
            return super()._features(th.cat([images[0], images[1] - images[0]], dim=1 + self._axis))
        before, after = (self.extractor(given) for given in observations)
        return th.cat([before, after - before], dim=1)


class InverseDynamics(TransitionNetwork, ActionClassifier):
    """
    Learns from the agent's own transitions, and is asked about the expert's.

    The idea is of BCO (Torabi et al. 2018, arXiv 1805.01954); here the network goes on learning with the Q-network, from
    the same batches.

    What the agent likes to do says nothing about the expert. A second network learns it, p(a | s), from s alone, and the first
    learns only what s' adds: by Bayes' rule p(a | s, s') is p(a | s) p(s' | s, a), up to a factor, so what is added to the
    logarithm of p(a | s) is log p(s' | s, a). Where s' adds nothing, all actions remain equally likely.

    :param observation_space: the environment's observation space
    :param n_actions: number of the agent's actions
    """

    #: part of an even fraction below which none is taken to be: p(a | s) of what is never done would drown what s' adds
    least_share = 0.02

    def __init__(self, observation_space: spaces.Space[Any], n_actions: int) -> None:
        # of planes there are many features, which say the same: left out in turn, they make it unsure where it has seen little
        super().__init__(observation_space, n_actions, dropout=is_planes(observation_space))
        #: tells p(a | s)
        self.behaviour = ActionClassifier(observation_space, n_actions)
        self.optimizer.add_param_group({"params": list(self.behaviour.parameters())})

    def learn(self, observations: TensorObservations, actions: th.Tensor, next_observations: TensorObservations) -> float:
        """
        Make one step of gradient descent.

        :param observations: the agent's s, shape (n, ``*observation_shape``)
        :param actions: what it did, shape (n, 1)
        :param next_observations: what it saw next, shape (n, ``*observation_shape``)
        :return: the sum of both networks' cross-entropies
        """
        self.train()
        taken = actions.squeeze(1)
        behaviour = self.behaviour(observations)
        logits = self(observations, next_observations) + self._log_shares(behaviour.detach())
        return self.minimize(nn.functional.cross_entropy(behaviour, taken) + nn.functional.cross_entropy(logits, taken))

    def probabilities(self, *observations: TensorObservations) -> np.ndarray:
        """
        Compute how likely the agent has taken each action, which also depends on what it likes to do.

        :param observations: s and s', each of shape (n, ``*observation_shape``)
        :return: p(a | s, s'), shape (n, n_actions), float32
        """
        return self._ask(lambda before, after: self(before, after) + self._log_shares(self.behaviour(before)), *observations)

    def likelihoods(self, observations: TensorObservations, next_observations: TensorObservations) -> np.ndarray:
        """
        Compute how likely what came of it is with each action, up to a factor, whatever the agent likes to do.

        :param observations: s, shape (n, ``*observation_shape``)
        :param next_observations: s', shape (n, ``*observation_shape``)
        :return: p(s' | s, a), shape (n, n_actions), float32, rows add up to 1
        """
        return self._ask(self, observations, next_observations)

    def _log_shares(self, logits: th.Tensor) -> th.Tensor:
        """Compute log p(a | s) from the second network's logits, each shape (n, n_actions)."""
        return logits.softmax(dim=1).clamp_min(self.least_share / logits.shape[1]).log()


def with_twice_the_channels(space: Any, axis: int) -> spaces.Box:
    """
    Make the space of two observations, one above the other.

    :param space: images or planes
    :param axis: that of the channels
    """
    low, high = (np.repeat(bound, 2, axis=axis) for bound in (space.low, space.high))
    return spaces.Box(low, high, dtype=space.dtype)
