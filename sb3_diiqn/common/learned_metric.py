"""Comparing with the expert by a distance that is learned beside, instead of one that was set by hand."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from sb3_diiqn.common.demonstration import ExpertDemonstration
from sb3_diiqn.common.observation_network import ObservationNetwork
from sb3_diiqn.common.state_embedding import StateEmbedding
from sb3_diiqn.inference.embedding import EmbeddingDistance
from sb3_diiqn.inference.metrics import LEARNED


class LearnedMetric(ExpertDemonstration):
    """
    Mixin for ``similarity_metric="learned"``: a network learns embeddings, and now and then what it has learned is put to use.

    Then everything is compared anew: the expert's states are indexed again, and all that the replay buffer still holds is
    matched again, which takes the longer the more there is. So it happens each time the number of updates has doubled.
    """

    # of the host, and the arguments
    batch_size: int
    similarity_metric: Any

    state_embedding: StateEmbedding | None = None
    #: after so many updates the learned metric takes the place of the one set by hand
    first_refresh = 1000
    _n_refreshes = 0

    def _setup_model(self) -> None:
        super()._setup_model()
        self._embedding_generator = np.random.default_rng(self._seed(5))
        if self.similarity_metric == LEARNED and self._expert_content_hash is not None:
            # it sees observations as they are stored
            self.state_embedding = StateEmbedding(self.stored_space, self._n_actions()).to(self.device)

    def _excluded_save_params(self) -> list[str]:
        # a loaded model compares by what it has learned as soon as it goes on
        return [*super()._excluded_save_params(), "_embedding_generator", "_n_refreshes"]

    def _networks(self) -> dict[str, ObservationNetwork | None]:
        return {**super()._networks(), "state_embedding": self.state_embedding}

    def _let_networks_learn(self) -> None:
        super()._let_networks_learn()
        if self.state_embedding is None:
            return
        indices = self._embedding_generator.integers(len(self.expert), size=self.batch_size)  # type: ignore[arg-type]
        # as they are stored: those that are matched are not normalised either
        self.state_embedding.learn(*self.replay_buffer.drawn_steps(), *self.replay_buffer.expert_tensors(indices))

    def _refresh_metric_if_due(self) -> None:
        number = (self._n_batches // self.first_refresh).bit_length()
        if self.state_embedding is None or number <= self._n_refreshes:
            return
        self._n_refreshes = number
        expert, knowledge = self.expert, self.knowledge
        if expert is None or knowledge is None:
            return
        distance = EmbeddingDistance.from_expert(self.state_embedding.as_it_is().embed, expert)
        if distance is None:
            warnings.warn("the learned metric tells none of the expert's states apart: the one in use is kept", stacklevel=2)
            return
        knowledge.compare_by(distance)
        self.replay_buffer.match_again()
