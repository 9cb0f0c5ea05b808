"""Networks that tell how likely each action is, given observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch as th
from torch import nn

from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.expert.types import count_observations, take
from sb3_diiqn.networks.base import ObservationNetwork

#: on a processor, layers of more rows than its cache holds take more time per row, at 512 twice as much
PORTION_ON_CPU = 128


class ActionClassifier(ObservationNetwork):
    """A network whose outputs are logits of actions, one each, and that learns by the cross-entropy."""

    def probabilities(self, *observations: TensorObservations) -> np.ndarray:
        """
        Compute how likely each action is.

        :param observations: each of shape (n, ``*observation_shape``)
        :return: shape (n, n_actions), float32
        """
        return self._ask(self, *observations)

    def _ask(self, logits: Callable[..., th.Tensor], *observations: TensorObservations) -> np.ndarray:
        """Make probabilities of the logits that a function of observations computes, as when nothing is learned."""
        if self.training:  # walks through all modules
            self.eval()
        with th.no_grad():
            answers = [logits(*portion).softmax(dim=1).cpu().numpy() for portion in self._portions(observations)]
            return np.concatenate(answers)

    def _portions(self, observations: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Cut observations, each of shape (n, ...), into what is computed at once."""
        size = count_observations(observations[0])
        portion = PORTION_ON_CPU if next(self.parameters()).device.type == "cpu" else max(size, 1)
        # tensors have rows as arrays do; without any rows, too, there is one answer
        starts = range(0, max(size, 1), portion)
        return [tuple(take(given, slice(start, start + portion)) for given in observations) for start in starts]

    def _descend(self, targets: th.Tensor, *observations: TensorObservations) -> float:
        """Make one step of gradient descent on the cross-entropy; targets are actions or probabilities."""
        self.train()
        return self.minimize(nn.functional.cross_entropy(self(*observations), targets))
