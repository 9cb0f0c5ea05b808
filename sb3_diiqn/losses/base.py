"""What a loss is: a term that is added to the host's temporal-difference loss."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch as th

from sb3_diiqn.common.batch import Batch, TDOutput


class ExpertLoss(ABC):
    """A term of the loss that comes from the expert data."""

    def wants_samples(self, progress_remaining: float) -> bool:
        """
        Tell whether it learns from expert transitions that are sampled from all of the data. By default, it does not.

        :param progress_remaining: how much of the training is still to come, in [0, 1]
        """
        return False

    def statistics(self, progress_remaining: float) -> dict[str, float]:
        """
        Summarise what it did since the last call, for the log. By default, there is nothing to say.

        :param progress_remaining: how much of the training is still to come, in [0, 1]
        """
        return {}

    @abstractmethod
    def __call__(self, batch: Batch, td: TDOutput, progress_remaining: float) -> th.Tensor:
        """
        Compute the term, which is added to the mean temporal-difference loss of the agent's transitions.

        :param batch: the batch
        :param td: what the host says of it
        :param progress_remaining: how much of the training is still to come, in [0, 1]
        :return: shape ()
        """
