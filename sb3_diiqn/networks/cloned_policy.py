"""A clone of the expert's policy, which knows what the expert would do also where the expert has not been."""

from __future__ import annotations

import torch as th

from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.networks.action_classifier import ActionClassifier


class ClonedPolicy(ActionClassifier):
    """
    Learns from the expert's states and the estimates of its actions.

    Behavioural cloning from observation (Torabi et al. 2018, arXiv 1805.01954), from probabilities instead of the likeliest
    action: of several actions with the same effect, the clone may take any.
    """

    def learn(self, observations: TensorObservations, probabilities: th.Tensor) -> float:
        """
        Make one step of gradient descent.

        :param observations: the expert's s_e, shape (n, ``*observation_shape``)
        :param probabilities: of what it did there, shape (n, n_actions)
        :return: the cross-entropy
        """
        return self._descend(probabilities, observations)
