"""A policy with MinAtar's published network, to be named in a yml file: rl-zoo takes ``policy: module.Class``."""

from __future__ import annotations

from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.dqn.policies import DQNPolicy
from torch import nn

from sb3_diiqn.common.compatibility import FUSED
from sb3_diiqn.envs.minatar import MinAtarExtractor


class MinAtarPolicy(DQNPolicy):
    """
    DQN's policy with the network of Young & Tian, "MinAtar", 2019 (arXiv 1903.03176), and fused Adam.

    16 filters of 3x3 cells, a fully connected layer of 128, the Q-values. Takes DQNPolicy's arguments.

    :param observation_space: boolean planes (rows, columns, channels)
    :param net_arch: further layers between the 128 features and the Q-values; none by default
    :param features_extractor_class: see :class:`~sb3_diiqn.envs.minatar.MinAtarExtractor`
    :param optimizer_class: optimizer; published was RMSProp, with four times the updates
    :param optimizer_kwargs: its arguments other than the learning rate
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Discrete,
        lr_schedule: Schedule,
        net_arch: list[int] | None = None,
        activation_fn: type[nn.Module] = nn.ReLU,
        features_extractor_class: type[BaseFeaturesExtractor] = MinAtarExtractor,
        features_extractor_kwargs: dict[str, Any] | None = None,
        normalize_images: bool = True,
        optimizer_class: type[th.optim.Optimizer] = th.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        if optimizer_kwargs is None and optimizer_class is th.optim.Adam:
            optimizer_kwargs = FUSED
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch or [],
            activation_fn,
            features_extractor_class,
            features_extractor_kwargs,
            normalize_images,
            optimizer_class,
            optimizer_kwargs,
        )
