"""A distance that is not set by hand: that of learned embeddings."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import numpy as np

from sb3_diiqn.expert import ExpertObservations, Observations
from sb3_diiqn.expert.types import take
from sb3_diiqn.inference.distances import EuclideanDistance
from sb3_diiqn.inference.distinct_pairs import as_octets
from sb3_diiqn.inference.rows import distinct

Embed = Callable[[Observations], np.ndarray]


class EmbeddingDistance(EuclideanDistance):
    """
    Euclidean distance of embeddings, in units of the expert's steps.

    :param embed: computes embeddings of observations, shape (n, width); always the same for equal ones, up to rounding
    :param scale: what embeddings are multiplied by
    """

    #: A step of the expert is so long: a similarity of 0.97 accepts what is nearer than a third of it, and an agent transition
    #: that begins where the expert's does and ends a step away from it reproduces nothing.
    step = 0.09
    #: The length of a step is this quantile, since an expert may often stand still.
    step_quantile = 0.75
    #: so many expert transitions tell how long a step is
    n_steps = 10_000
    #: an embedding in which steps are no longer than this tells nothing apart
    shortest_step = 1e-4
    #: so many observations are embedded at once
    at_once = 1024
    #: embeddings are float32, and the last digits depend on what else is computed with them
    rounding = 1e-4
    # what differs in noise only is near, and the expert may have been there often
    max_hits = 128

    def __init__(self, embed: Embed, scale: float) -> None:
        self.embed = embed
        self.scale = scale
        self._name = uuid4().hex

    @classmethod
    def from_expert(cls, embed: Embed, expert: ExpertObservations) -> EmbeddingDistance | None:
        """
        Take the unit from the expert's steps.

        :param embed: computes embeddings of observations, shape (n, width)
        :param expert: expert data
        :return: None if hardly any step leads anywhere in these embeddings
        """
        plain = cls(embed, 1.0)
        indices = np.unique(np.linspace(0, len(expert) - 1, min(len(expert), cls.n_steps)).astype(np.int64))
        difference = plain.encode(expert.next(indices)) - plain.encode(expert.current(indices))
        length = float(np.quantile(np.sqrt(np.square(difference).sum(axis=1)), cls.step_quantile))
        return cls(embed, cls.step / length) if length > cls.shortest_step else None

    @property
    def kind(self) -> str:
        """No two networks embed alike."""
        return f"{type(self).__name__} {self._name}"

    def encode(self, observations: Observations) -> np.ndarray:
        """Embed every different observation once, shape (n, width), float64."""
        first, number = distinct(as_octets(observations))
        parts = [first[start : start + self.at_once] for start in range(0, max(len(first), 1), self.at_once)]
        embedded = np.concatenate([self.embed(take(observations, part)) for part in parts])
        return np.asarray(embedded[number] * np.float64(self.scale))

    def equal(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See :meth:`Distance.equal`; up to rounding."""
        return np.asarray((np.abs(first - second) <= self.rounding).all(axis=1))
