"""Knowledge about an expert whose actions the agent may not have (HA-DIIQN)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert import ExpertObservations, Observations
from sb3_diiqn.expert.types import take
from sb3_diiqn.inference.bridges import Bridges
from sb3_diiqn.inference.confidence import Confidence
from sb3_diiqn.inference.estimates import mixed_with_chance
from sb3_diiqn.inference.feasibility import Feasibility, TriedActions, classify
from sb3_diiqn.inference.index import Hits
from sb3_diiqn.inference.knowledge import ExpertKnowledge
from sb3_diiqn.inference.matching import ExpertMatcher, TransitionHits
from sb3_diiqn.inference.paths import Matches, PathSearch
from sb3_diiqn.inference.settings import BridgingSettings, InferenceSettings, Seed
from sb3_diiqn.inference.transitions import AgentTransitions, ExpertTransitions
from sb3_diiqn.inference.ways import END, NOWHERE


class BridgingKnowledge(ExpertKnowledge):
    """
    Also finds out which expert transitions are infeasible, and bridges them by paths that the agent has gone through.

    :param expert: the expert data, as the environment's observation space has them
    :param observation_space: the environment's observation space
    :param settings: parameters of inference and confidence
    :param seed: seed of the draw among several matches
    :param bridging: parameters of infeasibility and bridges
    :param n_actions: number of the agent's actions
    :param n_envs: number of environments
    :param gamma: discount factor
    :param cache_path: file that keeps what takes long to compute of the expert data; None: nothing is kept
    """

    _tables = (*ExpertKnowledge._tables, "tried", "bridges", "feasibility", "_bridged")
    _not_in_files = (*ExpertKnowledge._not_in_files, "bridging", "_search", "_expected", "_ended")

    def __init__(
        self,
        expert: ExpertObservations,
        observation_space: spaces.Space[Any],
        settings: InferenceSettings,
        seed: Seed,
        *,
        bridging: BridgingSettings,
        n_actions: int,
        n_envs: int,
        gamma: float,
        cache_path: Path | None = None,
    ) -> None:
        self.bridging = bridging
        self.n_actions = n_actions
        self.n_envs = n_envs
        self.gamma = gamma
        super().__init__(expert, observation_space, settings, seed, cache_path)

    def bridged(self, indices: np.ndarray) -> np.ndarray:
        """
        Tell which expert transitions are infeasible and have a bridge, which then takes their place.

        :param indices: expert transitions, shape (n,)
        :return: shape (n,), bool
        """
        return np.asarray(self._bridged[indices])

    def judge_bridges(self, indices: np.ndarray, arrived: np.ndarray) -> None:
        """
        Note how following bridges went; those that keep failing are dropped.

        :param indices: bridges that were followed to their last action, shape (n,), each at most once
        :param arrived: whether the agent then was at the bridge's end, shape (n,)
        """
        self.bridges.judge(indices, arrived, self.bridging.bridge_patience)
        self._reconsider(indices)

    def tries(self, indices: np.ndarray) -> np.ndarray:
        """
        Look up how often each own action was tried where expert transitions start.

        :param indices: expert transitions, shape (n,)
        :return: up to 255, shape (n, n_actions)
        """
        return np.asarray(self.tried.counts[self._starts(indices)])

    def followable(self, observations: Observations) -> tuple[np.ndarray, np.ndarray]:
        """Find the expert transitions to follow: not those that are infeasible and have no bridge."""
        query, transition = super().followable(observations)
        possible = (self.feasibility[transition] != Feasibility.INFEASIBLE) | self._bridged[transition]
        return query[possible], transition[possible]

    def usable(self, indices: np.ndarray) -> np.ndarray:
        """Tell which matches can have a confidence above zero: also those of a bridged transition."""
        return np.asarray(super().usable(indices) | ((indices >= 0) & self.bridged(indices)))

    def action(self, indices: np.ndarray) -> np.ndarray:
        """Look up the action to take at the state of expert transitions: a_e, or a_feas where there is a bridge."""
        plain = super().action(indices)
        bridged = self.bridged(indices)
        return np.asarray(np.where(bridged, self.bridges.actions[indices, 0], plain)) if bridged.any() else plain

    def action_probabilities(self, indices: np.ndarray, n_actions: int, estimated: np.ndarray | None = None) -> np.ndarray:
        """Estimate actions; a bridge's first is certain, and of what is infeasible without a bridge nothing can be said."""
        plain = super().action_probabilities(indices, n_actions, estimated)
        bridged = self.bridged(indices)
        possible = self.feasibility[indices] != Feasibility.INFEASIBLE
        instead = mixed_with_chance(self.bridges.actions[indices, 0].clip(min=0), bridged.astype(np.float64), n_actions)
        return np.asarray(np.where(possible[:, np.newaxis], plain, instead))

    def transitions(self, indices: np.ndarray) -> ExpertTransitions:
        """Look up expert transitions; a bridge stands in for an infeasible one, with its own return and length."""
        plain = super().transitions(indices)
        bridged = self.bridged(indices)
        if not bridged.any():
            return plain
        return plain._replace(
            next_observations=take(self.expert.observations, self._end_observations(indices)),
            rewards=np.where(bridged, self.bridges.reward[indices], plain.rewards),
            terminals=np.where(bridged, self.bridges.terminal[indices], plain.terminals),
            steps=np.where(bridged, self.bridges.length[indices], plain.steps),
        )

    def confidence(self, indices: np.ndarray, expert_value: np.ndarray, agent_value: np.ndarray) -> Confidence:
        """Compute the confidence; the agent really took a bridge, so zeta is dropped there: Phi = dQ * delta."""
        plain = super().confidence(indices, expert_value, agent_value)
        bridged = self.bridged(indices)
        if not bridged.any():
            return plain
        phi = np.where(bridged, plain.usefulness * plain.training, plain.phi)
        return plain._replace(phi=phi, inference=np.where(bridged, 1.0, plain.inference))

    def statistics(self) -> dict[str, float]:
        """Add the fractions of feasible, infeasible and bridged expert transitions, and the bridges' mean length."""
        statistics = super().statistics() | {
            "feasible": float((self.feasibility == Feasibility.FEASIBLE).mean()),
            "infeasible": float((self.feasibility == Feasibility.INFEASIBLE).mean()),
            "bridged": float(self._bridged.mean()),
        }
        if self._bridged.any():
            statistics["bridge_length"] = float(self.bridges.length[self._bridged].mean())
        return statistics

    def at_bridge_end(self, observations: Observations, indices: np.ndarray) -> np.ndarray:
        """
        Tell whether the agent has arrived at the ends of bridges.

        :param observations: the agent's observations, shape (n, ``*observation_shape``)
        :param indices: the bridged expert transitions, shape (n,)
        """
        ends = self.matcher.states[self.matcher.state_of_observation[self.bridges.end_observation[indices]]]
        return np.asarray(self.matcher.distance.paired(self.matcher.encode(observations), ends) <= self._match_radius)

    def adopt(self, restored: ExpertKnowledge) -> None:
        """Take over restored tables, in place, see :meth:`ExpertKnowledge.adopt`."""
        length = self.bridges.actions.shape[1]
        if not isinstance(restored, BridgingKnowledge) or restored.bridges.actions.shape[1] != length:
            raise ExpertDataError(
                f"the replay buffer has no bridges of up to {self.bridging.bridge_length} steps: it was saved by another "
                "algorithm, or with another bridge_length"
            )
        super().adopt(restored)
        # the settings may be others than those it was learned with
        self._reconsider(np.arange(len(self.expert)))

    def _reset(self) -> None:
        super()._reset()
        self.tried = TriedActions(len(self.matcher.states), self.n_actions)
        self.bridges = Bridges(len(self.expert), self.bridging.bridge_length)
        #: what is known about each expert transition, values of :class:`Feasibility`, shape (n_transitions,), int8
        self.feasibility = np.full(len(self.expert), Feasibility.UNKNOWN, dtype=np.int8)
        self._bridged = np.zeros(len(self.expert), dtype=bool)

    def _attach(self, expert: ExpertObservations, matcher: ExpertMatcher) -> None:
        super()._attach(expert, matcher)
        self._search = PathSearch(
            expert.transition_of_observation,
            np.repeat(expert.offsets[1:] - 1, np.diff(expert.offsets)),
            self.bridging.bridge_length,
            self.bridging.bridge_gain,
            self.gamma,
            self.n_envs,
            self._matches,
        )
        # what the next step must begin with if it goes on from the last one, encoded, and whether that ended an episode
        self._expected: np.ndarray | None = None
        self._ended = np.ones(self.n_envs, dtype=bool)

    @property
    def _inference_radius(self) -> float:
        return max(super()._inference_radius, self.bridging.infeasibility_threshold)

    @property
    def _at_once(self) -> int:
        return max(super()._at_once // self.n_envs, 1) * self.n_envs

    def _learn(
        self, agent: AgentTransitions, encoded: np.ndarray, encoded_next: np.ndarray, now: Hits, later: Hits
    ) -> TransitionHits:
        closer = super()._learn(agent, encoded, encoded_next, now, later)
        matched = now.where(now.distance <= self._match_radius)
        final = later.where((later.distance <= self._match_radius) & (agent.episode_ends[later.query] != 0))
        self.tried.update(matched.row, agent.actions[matched.query])
        visited = self._not_reproduced(matched)
        found = self._search.search(
            agent.actions.reshape(-1, self.n_envs),
            agent.rewards.reshape(-1, self.n_envs),
            agent.terminals.reshape(-1, self.n_envs),
            self._begins(agent.episode_ends, encoded, encoded_next),
            visited,
            matched,
            final,
        )
        replaced = self.bridges.update(found)
        transitions = self.expert.transition_of_observation[visited.observation]
        self._reconsider(np.concatenate([transitions, closer.transition, found.transition]))
        if self._bridged[replaced].any():
            self._steps_left = None
        return closer

    def _not_reproduced(self, matched: Hits) -> Matches:
        """List the expert transitions, by their observations, that start at matched states and may be in need of a bridge."""
        source, transition = self.matcher.starting_at(matched.row)
        # the error only falls: what was reproduced once stays feasible, and needs no bridge
        kept = self.inferred.error[transition] > self.bridging.infeasibility_threshold
        source, transition = source[kept], transition[kept]
        return Matches(matched.query[source], self.expert.observation_index[transition], matched.distance[source])

    def _reconsider(self, transitions: np.ndarray) -> None:
        """Decide anew about expert transitions whose error, evidence or bridge may have changed."""
        tried = self.tried.sufficient(self._starts(transitions), self.bridging.infeasibility_evidence)
        feasibility = classify(self.inferred.error[transitions], tried, self.bridging.infeasibility_threshold)
        infeasible = feasibility == Feasibility.INFEASIBLE
        bridged = infeasible & (self.bridges.length[transitions] > 0)
        was_infeasible = self.feasibility[transitions] == Feasibility.INFEASIBLE
        if (infeasible != was_infeasible).any() or (bridged != self._bridged[transitions]).any():
            self._steps_left = None
        self.feasibility[transitions] = feasibility
        self._bridged[transitions] = bridged

    def _end_observations(self, indices: np.ndarray) -> np.ndarray:
        """Look up the observations at which expert transitions, or the bridges in their place, end."""
        return np.where(self._bridged[indices], self.bridges.end_observation[indices], super()._end_observations(indices))

    def _ways(self) -> tuple[np.ndarray, np.ndarray]:
        """List where each transition leads to: over its bridge, if it has one; to nowhere if it needs one and has none."""
        following, steps = super()._ways()
        after = self.expert.transition_of_observation[self.bridges.end_observation]
        over = np.where(after >= 0, after, np.where(self.bridges.terminal > 0, END, NOWHERE))
        own = np.where(self.feasibility == Feasibility.INFEASIBLE, NOWHERE, following)
        return np.where(self._bridged, over, own), np.where(self._bridged, self.bridges.length, steps)

    def _matches(self, hits: Hits) -> Matches:
        source, observation = self.matcher.observed_at(hits.row)
        return Matches(hits.query[source], observation, hits.distance[source])

    def _begins(self, episode_ends: np.ndarray, encoded: np.ndarray, encoded_next: np.ndarray) -> np.ndarray:
        """Tell which steps do not go on from the one before; a reset between two calls of ``learn`` leaves no other trace."""
        expected = encoded[: self.n_envs] if self._expected is None else self._expected
        expected = np.concatenate([expected, encoded_next[: -self.n_envs]])
        ended = np.concatenate([self._ended, episode_ends.astype(bool)])
        self._expected, self._ended = encoded_next[-self.n_envs :], ended[-self.n_envs :]
        begins = ended[: -self.n_envs] | ~self.matcher.distance.equal(expected, encoded)
        return np.asarray(begins.reshape(-1, self.n_envs))
