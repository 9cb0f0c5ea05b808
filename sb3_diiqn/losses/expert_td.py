"""Temporal-difference learning on all of the expert data, with recorded or inferred rewards."""

from __future__ import annotations

import torch as th

from sb3_diiqn.common.batch import Batch, Samples, TDOutput
from sb3_diiqn.inference import ExpertKnowledge
from sb3_diiqn.losses.base import ExpertLoss


class ExpertTD(ExpertLoss):
    """
    Learns from sampled expert transitions as if they were the agent's own, each weighted by the certainty of its
    action and of its outcome.

    :param knowledge: what is known of the expert
    """

    def __init__(self, knowledge: ExpertKnowledge) -> None:
        self.knowledge = knowledge

    def wants_samples(self, progress_remaining: float) -> bool:
        """Always: there is no end to learning from rewards."""
        return True

    def __call__(self, batch: Batch, td: TDOutput, progress_remaining: float) -> th.Tensor:
        """Compute the sum over the samples, divided by the number of the agent's transitions."""
        if batch.samples is None:
            return td.losses.new_zeros(())
        return (self.weights(batch.samples) * td.losses[batch.sampled]).sum() / len(td.losses[batch.agent])

    def weights(self, samples: Samples) -> th.Tensor:
        """
        Compute how much each sample counts, where one of the agent's transitions counts 1.

        :param samples: k of them
        :return: shape (k,)
        """
        indices, _, certainty, outcome_certainty = samples
        # the first action of a bridge does not lead to the expert's next state
        return certainty * outcome_certainty * th.as_tensor(~self.knowledge.bridged(indices), device=certainty.device)
