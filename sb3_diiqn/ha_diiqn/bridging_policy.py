"""The bridging policy wrapper: what the agent does while collecting, where the expert's actions are not its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sb3_diiqn.expert import Observations
from sb3_diiqn.expert.types import take
from sb3_diiqn.guides import GuideActions, MatchingGuide
from sb3_diiqn.inference import NO_ACTION, NO_MATCH, ActionEstimates, BridgingKnowledge
from sb3_diiqn.inference.settings import Seed


class BridgingPolicy(MatchingGuide):
    """
    Follows the expert's inferred action where it is feasible, and a whole bridge where it is not ("Bridging" in the paper).

    A bridge is left before its end where the agent is back on the trajectory already. At its end its success is noted; bridges
    that keep failing are dropped.

    :param knowledge: what has been learned about the expert
    :param n_envs: number of environments
    :param seed: seed of the draws
    :param shortest: whether to take the matching transition with the shortest way to the end of its trajectory
    :param infer: see :class:`~sb3_diiqn.guides.MatchingGuide`
    :param match_pending: see :class:`~sb3_diiqn.guides.MatchingGuide`
    """

    knowledge: BridgingKnowledge

    def __init__(
        self,
        knowledge: BridgingKnowledge,
        n_envs: int,
        seed: Seed = None,
        shortest: bool = False,
        infer: Callable[[np.ndarray], ActionEstimates] | None = None,
        match_pending: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(knowledge, n_envs, seed, shortest, infer, match_pending)
        # the bridge that each environment is on, NO_MATCH if none; its actions, as it was when begun, and how many were taken
        self._bridge = np.full(n_envs, NO_MATCH, dtype=np.int64)
        self._plan = np.full((n_envs, knowledge.bridges.actions.shape[1]), NO_ACTION, dtype=np.int64)
        self._length = np.zeros(n_envs, dtype=np.int64)
        self._taken = np.zeros(n_envs, dtype=np.int64)

    def committed(self) -> np.ndarray:
        """Tell which environments are on a bridge that has actions left, shape (n_envs,)."""
        return np.asarray((self._bridge != NO_MATCH) & (self._taken < self._length))

    def release(self, environments: np.ndarray) -> None:
        """Forget the trajectories and bridges that some environments are on."""
        super().release(environments)
        self._bridge[environments] = NO_MATCH

    def explore(self, environments: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """
        Choose, on the shortest way, the action that was tried least: once all were, it is known whether there is a way.

        Step by step it is left to chance, which finds more to go around it.
        """
        if not self.shortest:
            return drawn
        transition = self._last[environments]
        tries = self.knowledge.tries(transition)
        least = np.lexsort((self._generator.random(tries.shape), tries), axis=1)[:, 0]
        return np.asarray(np.where(transition == NO_MATCH, drawn, least))

    def act(self, observations: Observations, environments: np.ndarray) -> GuideActions:
        """Choose actions: the next one of a bridge that was begun, else as :class:`MatchingGuide` does."""
        self._finish_bridges(observations, environments)
        chosen = super().act(observations, environments).actions
        self._leave_bridges(environments)
        on_bridge = self._bridge[environments] != NO_MATCH
        held = environments[on_bridge]
        self._last[held] = self._bridge[held]
        chosen[on_bridge] = self._plan[held, self._taken[held]]
        self._begin_bridges(environments[~on_bridge])
        self._taken[environments] += 1
        return GuideActions(chosen, self._last[environments] != NO_MATCH)

    def _leave_bridges(self, environments: np.ndarray) -> None:
        """Go on from a state of the trajectory that lies ahead of a bridge's start: what is left of the bridge is a detour."""
        bridge, matched = self._bridge[environments], self._last[environments]
        trajectory = self.knowledge.expert.trajectory_index
        on_trajectory = (bridge != NO_MATCH) & (matched > bridge) & (trajectory[matched] == trajectory[bridge])
        self._bridge[environments[on_trajectory]] = NO_MATCH

    def _begin_bridges(self, environments: np.ndarray) -> None:
        transition = self._last[environments]
        begins = (transition != NO_MATCH) & self.knowledge.bridged(transition)
        environments, transition = environments[begins], transition[begins]
        self._bridge[environments] = transition
        self._plan[environments] = self.knowledge.bridges.actions[transition]
        self._length[environments] = self.knowledge.bridges.length[transition]
        self._taken[environments] = 0

    def _finish_bridges(self, observations: Observations, environments: np.ndarray) -> None:
        """Leave the bridges whose actions have all been taken, and go on from where they end on the expert's trajectory."""
        bridge, left = self._bridge[environments], self._length[environments] - self._taken[environments]
        position = np.flatnonzero((bridge != NO_MATCH) & (left == 0))
        if len(position) == 0:
            return
        finished, bridge = environments[position], bridge[position]
        self._bridge[finished] = NO_MATCH
        # dropped, or replaced by a better one, while it was being followed: nothing to judge
        same = (self.knowledge.bridges.actions[bridge] == self._plan[finished]).all(axis=1)
        judged = same & self.knowledge.bridged(bridge)
        position, finished, bridge = position[judged], finished[judged], bridge[judged]
        arrived = self.knowledge.at_bridge_end(take(observations, position), bridge)
        unique, first = np.unique(bridge, return_index=True)
        self.knowledge.judge_bridges(unique, arrived[first])
        end = self.knowledge.bridges.end_observation[bridge]
        # the transition before the one that starts at the end: what follows it lies ahead
        before = self.knowledge.expert.transition_of_observation[end - 1]
        self._last[finished] = np.where(arrived, before, NO_MATCH)
