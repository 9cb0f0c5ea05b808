"""A guide that acts as a clone of the expert would."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sb3_diiqn.expert import Observations
from sb3_diiqn.guides.base import Guide, GuideActions
from sb3_diiqn.inference import NO_ACTION, draw_actions, estimate
from sb3_diiqn.inference.settings import Seed


class CloneGuide(Guide):
    """
    Draws actions from a policy, which has an answer everywhere once it has learned something.

    It takes plausible actions only (see :func:`~sb3_diiqn.inference.estimate`), each as often as its probability says. A clone
    that is still unsure would else act at random in one step of several, and a few such steps undo what the expert can.

    :param probabilities: of the actions at n observations, shape (n, n_actions); None as long as nothing was learned
    :param seed: seed of the draws
    """

    #: a less certain answer is worth less than that of another guide
    min_certainty = 0.5

    def __init__(self, probabilities: Callable[[Observations], np.ndarray | None], seed: Seed = None) -> None:
        self._probabilities = probabilities
        self._generator = np.random.default_rng(seed)

    def act(self, observations: Observations, environments: np.ndarray) -> GuideActions:
        """Draw actions; ``NO_ACTION`` as long as nothing was learned. See :meth:`Guide.act`."""
        probabilities = self._probabilities(observations)
        if probabilities is None:
            return GuideActions(np.full(len(environments), NO_ACTION), np.zeros(len(environments), dtype=bool))
        plausible, certainty = estimate(probabilities)
        return GuideActions(draw_actions(probabilities * plausible, self._generator), certainty >= self.min_certainty)
