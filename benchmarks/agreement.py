"""How well an algorithm knows what the expert did: against the true actions, which it is never given."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_diiqn.imitation.host import ImplicitImitation

AGREEMENTS = ("inferred", "plausible", "expected", "cloned")
"""What is compared: the actions inferred from the nearest transitions, the plausible ones of the estimate, the clone's."""


class ActionAgreement:
    """
    Compares what a model has concluded about the expert's actions with the true ones, on a sample of the expert data.

    :param actions: the expert's true actions, shape (n,)
    :param n_samples: size of the sample, which is drawn once
    """

    def __init__(self, actions: np.ndarray, n_samples: int = 2000) -> None:
        generator = np.random.default_rng(0)
        self.indices = np.sort(generator.choice(len(actions), size=min(n_samples, len(actions)), replace=False))
        self.actions = actions[self.indices]

    def __call__(self, model: BaseAlgorithm) -> dict[str, float]:
        """
        Compare.

        ``inferred`` is the agreement of the actions inferred from the nearest transitions, among those that are inferred yet;
        ``plausible``, how often the true action is among the plausible ones of the estimate; ``expected``, how often the
        estimate itself says so, which is the same if it is calibrated; ``cloned``, how often it is the clone's likeliest.

        :param model: nothing is known of one that is not of this package
        :return: shares in [0, 1], as far as the model has what they are about
        """
        if not isinstance(model, ImplicitImitation) or model.learner is None:
            return {}
        learner, knowledge = model.learner, model.learner.knowledge
        found: dict[str, Any] = {}
        inferred = knowledge.usable(self.indices)
        if inferred.any():
            known = self.indices[inferred]
            found["inferred"] = np.mean(knowledge.action(known) == self.actions[inferred])
        plausible, certainty = learner.infer(self.indices)
        found["plausible"] = np.mean(plausible[np.arange(len(plausible)), self.actions])
        # the certainty is what the probability of the plausible ones exceeds chance by
        found["expected"] = np.mean(certainty + (1.0 - certainty) * plausible.mean(axis=1))
        cloned = learner.clone_probabilities(knowledge.expert.current(self.indices))
        if cloned is not None:
            found["cloned"] = np.mean(cloned.argmax(axis=1) == self.actions)
        return {name: float(value) for name, value in found.items()}
