"""The loss of the paper: where an expert transition matches, Phi * L_e + (1 - Phi) * L_a instead of L_a ("Loss")."""

from __future__ import annotations

import numpy as np
import torch as th

from sb3_diiqn.common.batch import Batch, TDOutput
from sb3_diiqn.inference import ConfidenceStatistics, ExpertKnowledge
from sb3_diiqn.losses.base import ExpertLoss


class ConfidenceWeighted(ExpertLoss):
    """
    Weighs the expert's transitions against the agent's by the confidence Phi. No gradient flows through it.

    :param knowledge: what is known of the expert
    """

    def __init__(self, knowledge: ExpertKnowledge) -> None:
        self.knowledge = knowledge
        self._statistics = ConfidenceStatistics()

    def statistics(self, progress_remaining: float) -> dict[str, float]:
        """Return the means of Phi and its parts since the last call."""
        return self._statistics.take()

    def __call__(self, batch: Batch, td: TDOutput, progress_remaining: float) -> th.Tensor:
        """Compute the mean over the agent's transitions of Phi * (L_e - L_a), which is 0 where nothing matches."""
        if len(batch.matches.indices) == 0:
            self._statistics.add_none(len(batch.guided))
            return td.losses.new_zeros(())
        agent = td.losses[batch.agent]
        matched = td.losses[batch.matched]
        return (self.confidence(batch, td) * (matched - agent[batch.matches.rows])).sum() / len(agent)

    def confidence(self, batch: Batch, td: TDOutput) -> th.Tensor:
        """
        Compute Phi of the matched transitions.

        :param batch: the batch
        :param td: what the host says of it
        :return: shape (m,)
        """
        values = td.q_values.detach()[batch.row[batch.matched]].cpu().numpy()
        row = np.arange(len(values))
        expert_value = values[row, batch.actions[batch.matched, 0].cpu().numpy()]
        agent_value = values[row, batch.actions[batch.agent, 0].cpu().numpy()[batch.matches.rows]]
        confidence = self.knowledge.confidence(batch.matches.indices, expert_value, agent_value)
        self._statistics.add(confidence, len(batch.actions[batch.agent]))
        return th.as_tensor(confidence.phi, dtype=th.float32, device=td.losses.device)
