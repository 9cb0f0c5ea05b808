"""DQN whose greedy policy is taken from a mean, as DIIQN's is: what that alone is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3 import DQN

from sb3_diiqn.common.averaged_network import AveragedNetwork
from sb3_diiqn.common.averaged_predictions import AveragedPredictions


class AveragedDQN(AveragedPredictions, DQN):
    """DQN that predicts with the mean of its Q-network over the latest updates, and collects with the network itself."""

    def _setup_model(self) -> None:
        super()._setup_model()
        self._averaged = AveragedNetwork(self.policy, "q_net")

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Update the network, and note that."""
        super().train(gradient_steps, batch_size)
        self._note_updates(gradient_steps)

    def _sample_action(self, *args: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray]:
        with self._without_averaging():
            return super()._sample_action(*args, **kwargs)
