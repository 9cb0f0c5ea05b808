"""Inverse dynamics: a network that tells which action leads from one observation to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from torch import nn

from sb3_diiqn.common.action_classifier import ActionClassifier, channel_axis, make_extractor
from sb3_diiqn.common.buffers import TensorObservations


class InverseDynamics(ActionClassifier):
    """
    Learns from the agent's own transitions, and is asked about the expert's.

    The idea is of BCO (Torabi et al. 2018, arXiv 1805.01954); here the network goes on learning beside the Q-network, from
    the same batches. It is given s and s', and sees the features of s and the difference of the features of s' and s; with
    images and planes, the features of a taller stack: s, and above it the difference of s' and s, where small things that move
    show.

    What the agent likes to do says nothing about the expert. Where several actions have the same effect, the network learns
    how often the agent takes each of them; divided by the agent's shares of the actions all of them are equally likely.

    :param observation_space: the environment's observation space
    :param n_actions: number of the agent's actions
    """

    #: weight of a new batch in the running mean of the shares
    step_size = 0.01
    #: part of an even share below which none is taken to be: the network's answer about what is never done is no zero either
    least_share = 0.02

    def __init__(self, observation_space: spaces.Space[Any], n_actions: int) -> None:
        super().__init__(observation_space, n_actions)
        #: how large a part of the agent's actions each is of late, shape (n_actions,)
        self.action_shares: th.Tensor
        self.register_buffer("action_shares", th.full((n_actions,), 1.0 / n_actions))

    def learn(self, observations: TensorObservations, actions: th.Tensor, next_observations: TensorObservations) -> float:
        """
        Make one step of gradient descent.

        :param observations: the agent's s, shape (n, ``*observation_shape``)
        :param actions: what it did, shape (n, 1)
        :param next_observations: what it saw next, shape (n, ``*observation_shape``)
        :return: the cross-entropy
        """
        taken = actions.squeeze(1)
        shares = th.bincount(taken, minlength=len(self.action_shares)) / len(taken)
        self.action_shares.lerp_(shares, self.step_size)
        return self._descend(taken, observations, next_observations)

    def likelihoods(self, observations: TensorObservations, next_observations: TensorObservations) -> np.ndarray:
        """
        Compute how likely what came of it is with each action, up to a factor, whatever the agent likes to do.

        By Bayes' rule p(s' | s, a) is p(a | s, s') / p(a | s) up to a factor; for p(a | s), how often the agent takes the
        action anywhere is good enough.

        :param observations: s, shape (n, ``*observation_shape``)
        :param next_observations: s', shape (n, ``*observation_shape``)
        :return: shape (n, n_actions), float32, rows add up to 1
        """
        shares = self.action_shares.clamp_min(self.least_share / len(self.action_shares)).cpu().numpy()
        likelihoods = self.probabilities(observations, next_observations) / shares
        return np.asarray(likelihoods / likelihoods.sum(axis=1, keepdims=True))

    def _make_extractor(self) -> tuple[nn.Module, int]:
        #: along which one observation lies above the other, None if they are no images and no planes
        self._axis = channel_axis(self.observation_space)
        if self._axis is not None:
            return make_extractor(with_twice_the_channels(self.observation_space, self._axis), self._axis)
        extractor, n_features = super()._make_extractor()
        return extractor, 2 * n_features

    def _features(self, *observations: TensorObservations) -> th.Tensor:
        if self._axis is not None:
            before, after = observations
            return super()._features(th.cat([before, after - before], dim=1 + self._axis))  # type: ignore[operator, list-item]
        before, after = (self.extractor(given) for given in observations)
        return th.cat([before, after - before], dim=1)


def with_twice_the_channels(space: spaces.Space[Any], axis: int) -> spaces.Box:
    """
    Make the space of two observations, one above the other.

    :param space: images or planes
    :param axis: that of the channels
    """
    low, high = (np.repeat(bound, 2, axis=axis) for bound in (space.low, space.high))  # type: ignore[attr-defined]
    return spaces.Box(low, high, dtype=space.dtype)  # type: ignore[arg-type]
