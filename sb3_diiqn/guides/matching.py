"""Following the expert: which of its transitions lies ahead of the agent, and what would the expert do?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sb3_diiqn.expert import Observations
from sb3_diiqn.guides.base import Guide, GuideActions
from sb3_diiqn.inference.estimates import ActionEstimates, estimate
from sb3_diiqn.inference.knowledge import NO_MATCH, ExpertKnowledge
from sb3_diiqn.inference.nearest import NO_ACTION
from sb3_diiqn.inference.settings import Seed


class MatchingGuide(Guide):
    """
    Chooses, for parallel environments, the expert's inferred action at states that match expert data.

    An environment that follows stays on the expert trajectory it is on as long as its states match: of the transitions ahead
    of the last one the nearest in time is taken, so that the detours of a noisy expert are gone through once and not for ever.
    Where it got no further it tries the same one again, and elsewhere one of the matching transitions is drawn. Or, first of
    all, it takes the matching transition with the shortest way to a goal at the end of its trajectory, which leaves out
    detours. Transitions whose action is not known yet are chosen like the others: there is something to find out.

    Where outcomes are chance, following a trajectory would be following luck: there it takes what the expert seems to mean.

    :param knowledge: what has been learned about the expert
    :param n_envs: number of environments
    :param seed: seed of the draws
    :param shortest: whether to take the transition with the shortest way
    :param infer: asked about expert transitions whose action is not known, if there is somebody to ask
    :param match_pending: called where an action is not known yet, to learn at once from what the agent has experienced
    """

    #: an estimate that is trusted less is not acted on
    min_certainty = 0.5

    #: how many steps ahead on its trajectory a match may lie to count as staying on it
    max_skip = 10

    def __init__(
        self,
        knowledge: ExpertKnowledge,
        n_envs: int,
        seed: Seed = None,
        shortest: bool = False,
        infer: Callable[[np.ndarray], ActionEstimates] | None = None,
        match_pending: Callable[[], None] | None = None,
    ) -> None:
        self.knowledge = knowledge
        self._infer = infer
        self._match_pending = match_pending
        #: whether it takes the shortest way
        self.shortest = shortest
        self._generator = np.random.default_rng(seed)
        #: the expert transition that each environment has followed last, or ``NO_MATCH``, shape (n_envs,)
        self._last = np.full(n_envs, NO_MATCH, dtype=np.int64)

    def committed(self) -> np.ndarray:
        """Tell which environments are in the middle of something that is to be finished, shape (n_envs,)."""
        return np.zeros(len(self._last), dtype=bool)

    def release(self, environments: np.ndarray) -> None:
        """
        Forget the trajectories that some environments are on.

        :param environments: indices or mask of environments
        """
        self._last[environments] = NO_MATCH

    def act(self, observations: Observations, environments: np.ndarray) -> GuideActions:
        """Choose the expert's inferred actions; certain wherever an expert transition matches. See :meth:`Guide.act`."""
        chosen, unknown = self._choose(observations, environments)
        if self._match_pending is not None and unknown.any():
            # what the last steps have shown may be just this
            self._match_pending()
            chosen, unknown = self._choose(observations, environments)
        self._last[environments] = chosen
        actions = np.where(unknown | (chosen == NO_MATCH), NO_ACTION, self.knowledge.action(chosen))
        if self._infer is not None and unknown.any():
            actions[unknown] = self._draw(self._infer(chosen[unknown]))
        at_chance = self.knowledge.at_chance(chosen)
        if at_chance.any():
            actions[at_chance] = self._draw(estimate(self.knowledge.intended_probabilities(chosen[at_chance])))
        return GuideActions(actions, chosen != NO_MATCH)

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
        known = self.knowledge.usable(chosen) | self.knowledge.at_chance(chosen)
        return chosen, (chosen != NO_MATCH) & ~known

    def _draw(self, estimates: ActionEstimates) -> np.ndarray:
        """Draw one of the plausible actions where the estimate is trusted."""
        lots = np.where(estimates.plausible, self._generator.random(estimates.plausible.shape), -1.0)
        return np.where(estimates.certainty >= self.min_certainty, lots.argmax(axis=1), NO_ACTION)

    def _skip(self, environments: np.ndarray, transition: np.ndarray) -> np.ndarray:
        """Rank transitions: those ahead of the last followed one by the steps to them, then itself, then all others."""
        trajectory = self.knowledge.expert.trajectory_index
        last = self._last[environments]
        ahead = transition - last
        on_trajectory = (last != NO_MATCH) & (trajectory[last] == trajectory[transition])
        rank = np.where((ahead >= 1) & (ahead <= self.max_skip), ahead, self.max_skip + 2)
        return np.where(on_trajectory, np.where(ahead == 0, self.max_skip + 1, rank), self.max_skip + 2)
