"""Networks that tell how likely each action is, given observations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch as th
from torch import nn

from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.networks.base import ObservationNetwork


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
        return np.asarray(self._answer(logits, *observations).softmax(dim=1).cpu().numpy())

    def _descend(self, targets: th.Tensor, *observations: TensorObservations) -> float:
        """Make one step of gradient descent on the cross-entropy; targets are actions or probabilities."""
        self.train()
        return self.minimize(nn.functional.cross_entropy(self(*observations), targets))
