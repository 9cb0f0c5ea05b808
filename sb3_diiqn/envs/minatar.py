"""MinAtar: its environment ids, and a network of the published size for its observations."""

from __future__ import annotations

import gymnasium
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from sb3_diiqn.exceptions import ConfigurationError, MissingDependencyError

KERNEL_SIZE = 3


def register_minatar() -> None:
    """Register MinAtar's ids with Gymnasium: ``MinAtar/Breakout-v0`` (all six actions), ``MinAtar/Breakout-v1`` (those of use)
    and so on. Further calls do nothing.

    :raises MissingDependencyError: if MinAtar is not installed
    """
    try:
        from minatar.gym import register_envs  # noqa: PLC0415 - optional package
    except ImportError as error:
        raise MissingDependencyError("minatar", "minatar") from error
    if "MinAtar/Breakout-v0" not in gymnasium.registry:
        register_envs()


class MinAtarExtractor(BaseFeaturesExtractor):
    """The hidden layers of the DQN of Young & Tian, "MinAtar", 2019 (arXiv 1903.03176): 16 filters of 3x3 cells, then a fully
    connected layer, both with ReLU. With an empty ``net_arch`` the Q-values follow at once, as published::

        policy_kwargs = dict(features_extractor_class=MinAtarExtractor, net_arch=[])
        model = DQN("MlpPolicy", "MinAtar/Breakout-v1", policy_kwargs=policy_kwargs)

    :param observation_space: boolean planes (rows, columns, channels), each side at least 3
    :param features_dim: width of the fully connected layer
    :param n_filters: number of filters of the convolution
    :raises ConfigurationError: if the observation space is something else
    """

    def __init__(self, observation_space: spaces.Space[object], features_dim: int = 128, n_filters: int = 16) -> None:
        if (
            not isinstance(observation_space, spaces.Box)
            or observation_space.dtype != bool
            or len(observation_space.shape) != 3
            or min(observation_space.shape[:2]) < KERNEL_SIZE
        ):
            raise ConfigurationError(
                f"The observation space {observation_space} is not one of boolean planes (rows, columns, channels), "
                f"{KERNEL_SIZE}x{KERNEL_SIZE} cells or more; use MinAtarExtractor with MinAtar's environments."
            )
        super().__init__(observation_space, features_dim)
        rows, columns, channels = observation_space.shape
        n_positions = (rows - KERNEL_SIZE + 1) * (columns - KERNEL_SIZE + 1)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, n_filters, KERNEL_SIZE),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(n_filters * n_positions, features_dim),
            nn.ReLU(),
        )

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Features of a batch of observations.

        :param observations: (batch, rows, columns, channels)
        :return: (batch, features_dim)
        """
        features: torch.Tensor = self.layers(observations.permute(0, 3, 1, 2).float())
        return features
