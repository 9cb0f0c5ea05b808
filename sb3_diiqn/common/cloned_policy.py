"""A clone of the expert's policy, which knows what the expert would do also where the expert has not been."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch as th

from sb3_diiqn.common.action_classifier import ActionClassifier
from sb3_diiqn.common.buffers import TensorObservations
from sb3_diiqn.expert import Observations
from sb3_diiqn.expert.types import take
from sb3_diiqn.inference import NO_ACTION, ExpertFollower, draw_actions, estimate
from sb3_diiqn.inference.settings import Seed


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


class CloneFollower:
    """
    Chooses the actions of guided stretches by a policy, which has an answer everywhere once it has learned something.

    It takes plausible actions only (see :func:`~sb3_diiqn.inference.estimate`), each as often as its probability says. A clone
    that is still unsure would else act at random in one step of several, and a few such steps undo what the expert can.

    :param probabilities: of the actions at n observations, shape (n, n_actions); None as long as nothing was learned
    :param seed: seed of the draws
    """

    def __init__(self, probabilities: Callable[[Observations], np.ndarray | None], seed: Seed = None) -> None:
        self._probabilities = probabilities
        self._generator = np.random.default_rng(seed)

    def to_try(self, environments: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """
        Leave it to chance what to try.

        :param environments: indices of environments, shape (n,)
        :param drawn: actions drawn at random, shape (n,)
        """
        return drawn

    def committed(self) -> np.ndarray:
        """No environment has to finish anything, shape (1,)."""
        return np.zeros(1, dtype=bool)

    def release(self, environments: np.ndarray) -> None:
        """
        Nothing is to be forgotten: the clone has no memory.

        :param environments: indices or mask of environments
        """

    def actions(self, observations: Observations, environments: np.ndarray) -> np.ndarray:
        """
        Draw actions.

        :param observations: current observations of these environments, shape (n, ``*observation_shape``)
        :param environments: their indices, shape (n,)
        :return: shape (n,); ``NO_ACTION`` as long as nothing was learned
        """
        return self.confident_actions(observations, environments)[0]

    def confident_actions(self, observations: Observations, environments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Draw actions, and tell how sure they are.

        :param observations: current observations of these environments, shape (n, ``*observation_shape``)
        :param environments: their indices, shape (n,)
        :return: as :meth:`actions`, and the confidence that the expert would take one of the plausible ones, shape (n,)
        """
        probabilities = self._probabilities(observations)
        if probabilities is None:
            return np.full(len(environments), NO_ACTION), np.zeros(len(environments))
        plausible, confidence = estimate(probabilities)
        return draw_actions(probabilities * plausible, self._generator), confidence


class CloneOrMatchingFollower:
    """
    Asks a clone where it is sure, and follows matching expert transitions where it is not.

    A clone needs many updates. Until then, what was inferred from a single transition is known at once, and what is not known
    yet is tried where it matters; and where an expert has gone different ways, matching keeps to one. Where nothing matches,
    the clone is asked, sure or not.

    :param clone: asked first
    :param matching: follows matching transitions
    """

    #: confidence that makes a clone sure, see :func:`~sb3_diiqn.inference.estimate`
    min_confidence = 0.5

    def __init__(self, clone: CloneFollower, matching: ExpertFollower) -> None:
        self.clone = clone
        self.matching = matching
        #: which environments were in the middle of something when an action was last chosen, shape (n_envs,), bool
        self._begun = matching.committed()

    def to_try(self, environments: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """
        Choose what to try where the action of a matching transition is not known.

        :param environments: indices of environments, shape (n,)
        :param drawn: actions drawn at random, shape (n,)
        """
        return self.matching.to_try(environments, drawn)

    def committed(self) -> np.ndarray:
        """Tell which environments are in the middle of something that is to be finished, shape (n_envs,)."""
        return self.matching.committed()

    def release(self, environments: np.ndarray) -> None:
        """
        Forget the trajectories that some environments are on.

        :param environments: indices or mask of environments
        """
        self.matching.release(environments)
        self._begun[environments] = False

    def actions(self, observations: Observations, environments: np.ndarray) -> np.ndarray:
        """
        Choose actions.

        :param observations: current observations of these environments, shape (n, ``*observation_shape``)
        :param environments: their indices, shape (n,)
        :return: shape (n,); ``NO_ACTION`` where a transition matches and its action is not known, or nothing was learned yet
        """
        actions, confidence = self.clone.confident_actions(observations, environments)
        begun = self.committed()[environments]
        # what was begun is finished, such as a bridge, and whether it led there is judged one step later
        unsure = np.flatnonzero((confidence < self.min_confidence) | begun | self._begun[environments])
        self._begun[environments] = begun
        if len(unsure):
            followed = self.matching.actions(take(observations, unsure), environments[unsure])
            has_match = self.matching.has_match(environments[unsure])
            actions[unsure] = np.where(has_match, followed, actions[unsure])
        return actions
