"""DQN whose greedy policy is taken from a mean, as DIIQN's is: what that alone is worth."""

from __future__ import annotations

from typing import Any

from stable_baselines3 import DQN

from sb3_diiqn.common.averaged_network import AveragedNetwork


class AveragedDQN(DQN):
    """DQN that predicts with the mean of its Q-network over the latest updates, and collects with the network itself."""

    def _setup_model(self) -> None:
        super()._setup_model()
        self._averaged = AveragedNetwork(self.policy, "q_net")
        self._is_collecting = False

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Update the network, and note that."""
        super().train(gradient_steps, batch_size)
        self._averaged.note_updates(gradient_steps)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Choose actions, see the class."""
        if self._is_collecting:
            return super().predict(*args, **kwargs)
        with self._averaged.in_use():
            return super().predict(*args, **kwargs)

    def _sample_action(self, *args: Any, **kwargs: Any) -> Any:
        self._is_collecting = True
        try:
            return super()._sample_action(*args, **kwargs)
        finally:
            self._is_collecting = False
