"""Comparing with the expert by a distance that is learned, instead of one that was set by hand."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from sb3_diiqn.exceptions import ExpertDataWarning
from sb3_diiqn.imitation.context import Context
from sb3_diiqn.inference.embedding import EmbeddingDistance
from sb3_diiqn.networks import StateEmbedding


class LearnedMetric:
    """
    A network learns embeddings of states, and now and then what it has learned is put to use.

    Then everything is compared anew: the expert's states are indexed again, and all that the replay buffer still holds is
    matched again, which takes the longer the more there is. So it happens each time the number of updates has doubled.

    :param context: what it is built from
    """

    #: after so many updates the learned metric takes the place of the one set by hand
    first_refresh = 1000

    def __init__(self, context: Context) -> None:
        # it sees observations as they are stored
        self.network = StateEmbedding(context.stored_space, context.n_actions).to(context.device)
        self._generator = np.random.default_rng(context.seed(5))
        self._n_refreshes = 0

    def learn(self, buffer: Any, batch_size: int) -> None:
        """
        Learn from the agent's transitions and as many of the expert's.

        :param buffer: the replay buffer
        :param batch_size: how many of each
        """
        drawn = buffer.draw_steps(batch_size, self._generator)
        indices = self._generator.integers(len(buffer.knowledge.expert), size=batch_size)
        # as they are stored: those that are matched are not normalised either
        self.network.learn(*buffer.single_steps(*drawn, None), *buffer.expert_tensors(indices))

    def refresh_if_due(self, buffer: Any, n_updates: int) -> None:
        """
        Compare by what has been learned, if the number of updates has doubled since the last time.

        :param buffer: the replay buffer
        :param n_updates: how often networks could have learned until now
        """
        number = (n_updates // self.first_refresh).bit_length()
        if number <= self._n_refreshes:
            return
        self._n_refreshes = number
        distance = EmbeddingDistance.from_expert(self.network.as_it_is().embed, buffer.knowledge.expert)
        if distance is None:
            message = "the learned metric tells none of the expert's states apart: the one in use is kept"
            warnings.warn(message, ExpertDataWarning, stacklevel=2)
            return
        buffer.knowledge.compare_by(distance)
        buffer.match_again()
