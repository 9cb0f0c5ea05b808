"""Following the expert: which of its transitions lies ahead of the agent, and what would the expert do?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sb3_diiqn.expert import Observations
from sb3_diiqn.inference.actions import NO_ACTION
from sb3_diiqn.inference.estimates import ActionEstimates
from sb3_diiqn.inference.knowledge import NO_MATCH, ExpertKnowledge
from sb3_diiqn.inference.settings import Seed


class ExpertFollower:
    """
    Chooses, for parallel environments, the expert's inferred action at states that match expert data.

    An environment that follows stays on the expert trajectory it is on as long as its states match: of the transitions ahead
    of the last one the nearest in time is taken, so that the detours of a noisy expert are gone through once and not for ever.
    Where it got no further it tries the same one again, and elsewhere one of the matching transitions is drawn. Or, first of
    all, it takes the matching transition with the shortest way to a goal at the end of its trajectory, which leaves out
    detours. Transitions whose action is not known yet are chosen like the others: there is something to find out.

    :param knowledge: what has been learned about the expert
    :param n_envs: number of environments
    :param seed: seed of the draws
    :param shortest: whether to take the transition with the shortest way
    """

    #: an estimate that is trusted less is not acted on
    min_confidence = 0.5

    #: how many steps ahead on its trajectory a match may lie to count as staying on it
    max_skip = 10

    def __init__(self, knowledge: ExpertKnowledge, n_envs: int, seed: Seed = None, shortest: bool = False) -> None:
        self.knowledge = knowledge
        #: whether it takes the shortest way
        self.shortest = shortest
        self._generator = np.random.default_rng(seed)
        #: the expert transition that each environment has followed last, or ``NO_MATCH``, shape (n_envs,)
        self._last = np.full(n_envs, NO_MATCH, dtype=np.int64)
        #: asked about expert transitions whose action is not known, if there is somebody to ask
        self.estimate_actions: Callable[[np.ndarray], ActionEstimates] | None = None
        #: called where an action is not known yet, to learn at once from what the agent has gone through
        self.match_pending: Callable[[], None] | None = None

    def committed(self) -> np.ndarray:
        """Tell which environments are in the middle of something that is to be finished, shape (n_envs,)."""
        return np.zeros(len(self._last), dtype=bool)

    def release(self, environments: np.ndarray) -> None:
        """
        Forget the trajectories that some environments are on.

        :param environments: indices or mask of environments
        """
        self._last[environments] = NO_MATCH

    def has_match(self, environments: np.ndarray) -> np.ndarray:
        """
        Tell where an expert transition matched when an action was last chosen.

        :param environments: indices of environments, shape (n,)
        :return: shape (n,), bool
        """
        return np.asarray(self._last[environments] != NO_MATCH)

    def to_try(self, environments: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """
        Choose what to try where the action is not known, after :meth:`actions`.

        :param environments: indices of environments, shape (n,)
        :param drawn: actions drawn at random, shape (n,)
        :return: shape (n,)
        """
        return drawn

    def actions(self, observations: Observations, environments: np.ndarray) -> np.ndarray:
        """
        Choose actions.

        :param observations: current observations of these environments, shape (n, ``*observation_shape``)
        :param environments: their indices, shape (n,)
        :return: the expert's inferred actions, ``NO_ACTION`` where there is no match or its action is not known, shape (n,)
        """
        chosen, unknown = self._choose(observations, environments)
        if self.match_pending is not None and unknown.any():
            # what the last steps have shown may be just this
            self.match_pending()
            chosen, unknown = self._choose(observations, environments)
        self._last[environments] = chosen
        actions = np.where(unknown | (chosen == NO_MATCH), NO_ACTION, self.knowledge.action(chosen))
        if self.estimate_actions is not None and unknown.any():
            actions[unknown] = self._draw(self.estimate_actions(chosen[unknown]))
        return actions

    def _choose(self, observations: Observations, environments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Choose a matching transition for each environment, or ``NO_MATCH``, and tell whose action is not known."""
        query, transition = self.knowledge.followable(observations)
        if self.shortest:
            # who follows one that does not would stay there for good
            leads_on = self.knowledge.leads_on(transition)
            query, transition = query[leads_on], transition[leads_on]
        lots, skip = self._generator.random(len(query)), self._skip(environments[query], transition)
        way = self.knowledge.steps_left(transition) if self.shortest else np.zeros(len(query))
        order = np.lexsort((lots, skip, way, query))
        query, first = np.unique(query[order], return_index=True)
        chosen = np.full(len(environments), NO_MATCH, dtype=np.int64)
        chosen[query] = transition[order[first]]
        return chosen, (chosen != NO_MATCH) & ~self.knowledge.usable(chosen)

    def _draw(self, estimates: ActionEstimates) -> np.ndarray:
        """Draw one of the plausible actions where the estimate is trusted."""
        lots = np.where(estimates.plausible, self._generator.random(estimates.plausible.shape), -1.0)
        return np.where(estimates.confidence >= self.min_confidence, lots.argmax(axis=1), NO_ACTION)

    def _skip(self, environments: np.ndarray, transition: np.ndarray) -> np.ndarray:
        """Rank transitions: those ahead of the last followed one by the steps to them, then itself, then all others."""
        trajectory = self.knowledge.expert.trajectory_index
        last = self._last[environments]
        ahead = transition - last
        on_trajectory = (last != NO_MATCH) & (trajectory[last] == trajectory[transition])
        rank = np.where((ahead >= 1) & (ahead <= self.max_skip), ahead, self.max_skip + 2)
        return np.where(on_trajectory, np.where(ahead == 0, self.max_skip + 1, rank), self.max_skip + 2)
