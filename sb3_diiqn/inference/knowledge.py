"""What has been learned about the expert so far."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert import ExpertObservations, Observations
from sb3_diiqn.inference import confidence as equations
from sb3_diiqn.inference.actions import NO_ACTION, InferredActions
from sb3_diiqn.inference.confidence import Confidence
from sb3_diiqn.inference.distances import ROUNDING, make_distance
from sb3_diiqn.inference.index import Hits
from sb3_diiqn.inference.matching import ExpertMatcher, nearest
from sb3_diiqn.inference.settings import InferenceSettings, Seed

#: Stands for "no expert state is similar enough" where an expert transition is named by its index.
NO_MATCH = -1


class AgentTransitions(NamedTuple):
    """Transitions of the agent in the order in which they happened, n = steps * environments, environments innermost."""

    observations: Observations
    """Shape (n, ``*observation_shape``)."""
    next_observations: Observations
    """Shape (n, ``*observation_shape``)."""
    actions: np.ndarray
    """Shape (n,), int64."""
    rewards: np.ndarray
    """Shape (n,)."""
    terminals: np.ndarray
    """1 where the episode ended for good, else 0. Shape (n,)."""
    episode_ends: np.ndarray
    """1 where the episode ended or was cut, else 0. Shape (n,)."""


class ExpertTransitions(NamedTuple):
    """Expert transitions to learn from, completed by what has been inferred."""

    observations: Observations
    """s_e, shape (n, ``*observation_shape``)."""
    actions: np.ndarray
    """a_e, shape (n,), int64."""
    next_observations: Observations
    """s'_e, shape (n, ``*observation_shape``)."""
    rewards: np.ndarray
    """Shape (n,), float32."""
    terminals: np.ndarray
    """Shape (n,), float32."""
    steps: np.ndarray
    """How many steps of the agent lie between the observations, shape (n,)."""


class ExpertKnowledge:
    """
    Infers the expert's actions from the agent's transitions, matches states, and judges how far to trust the result.

    What is learned are tables with one entry per expert transition. They are pickled; the expert data itself is not.

    :param expert: the expert data, as the environment's observation space has them
    :param observation_space: the environment's observation space
    :param settings: parameters of the method
    :param seed: seed of the draw among several matches
    """

    def __init__(
        self,
        expert: ExpertObservations,
        observation_space: spaces.Space[Any],
        settings: InferenceSettings,
        seed: Seed = None,
    ) -> None:
        self.settings = settings
        self.content_hash = expert.content_hash
        self.inferred = InferredActions(len(expert))
        #: c_e, how often each expert transition has been trained on, shape (n_transitions,), int64
        self.training_count = np.zeros(len(expert), dtype=np.int64)
        self._generator = np.random.default_rng(seed)
        distance = make_distance(settings.similarity_metric, observation_space, expert.observations)
        self._attach(expert, ExpertMatcher(expert, distance))

    def observe(self, agent: AgentTransitions) -> np.ndarray:
        """
        Infer actions from agent transitions, and match each with an expert transition ("Action inference", "Expert sampling").

        :param agent: the agent's newest transitions
        :return: index of the matched expert transition, or ``NO_MATCH``, shape (n,)
        """
        encoded, encoded_next = self.matcher.encode(agent.observations), self.matcher.encode(agent.next_observations)
        # an action inferred from further away has no confidence: nothing beyond needs to be looked at
        reach = min(max(2 * self._inference_radius, self._match_radius), 1.0)
        hits = self.matcher.states_within(encoded, reach)
        self._learn(agent, encoded, encoded_next, hits)
        neighbors = nearest(self.matcher.with_transitions(hits), self.settings.n_neighbors, self._match_radius)
        return self._draw_match(neighbors, len(encoded))

    def followable(self, observations: Observations) -> tuple[np.ndarray, np.ndarray]:
        """
        Find the expert transitions that start at states similar to the agent's, whether their action is known or not.

        :param observations: the agent's observations, shape (n, ``*observation_shape``)
        :return: indices of observations and of the expert transitions found for them, sorted by observation
        """
        hits = self.matcher.states_within(self.matcher.encode(observations), self._match_radius)
        source, transition = self.matcher.starting_at(hits.row)
        return hits.query[source], transition

    def usable(self, indices: np.ndarray) -> np.ndarray:
        """
        Tell which matches can have a confidence above zero: there is one, and an action has been inferred for it.

        :param indices: matched expert transitions, shape (n,)
        :return: shape (n,), bool
        """
        matched = indices != NO_MATCH
        error = self.inferred.error[indices]
        return np.asarray(matched & (self.inferred.action[indices] != NO_ACTION) & (error < self.settings.max_inference_error))

    def bridged(self, indices: np.ndarray) -> np.ndarray:
        """
        Tell which expert transitions a path of the agent's own takes the place of: none, without HA-DIIQN.

        :param indices: expert transitions, shape (n,)
        :return: shape (n,), bool
        """
        return np.zeros(len(indices), dtype=bool)

    def action(self, indices: np.ndarray) -> np.ndarray:
        """
        Look up the action to take at the state of expert transitions: a_e.

        :param indices: usable expert transitions, shape (n,)
        """
        return np.asarray(self.inferred.action[indices])

    def transitions(self, indices: np.ndarray) -> ExpertTransitions:
        """
        Look up expert transitions with the newest inference.

        :param indices: usable expert transitions, shape (n,)
        """
        return ExpertTransitions(
            self.expert.current(indices),
            self.action(indices),
            self.expert.next(indices),
            self.inferred.reward[indices],
            self.inferred.terminal[indices],
            np.ones(len(indices), dtype=np.int64),
        )

    def confidence(self, indices: np.ndarray, expert_value: np.ndarray, agent_value: np.ndarray) -> Confidence:
        """
        Compute the confidence in expert samples.

        :param indices: usable expert transitions, shape (n,)
        :param expert_value: Q(s_e, a_e), shape (n,)
        :param agent_value: Q(s_e, a_a), shape (n,)
        """
        return equations.confidence(
            equations.usefulness(expert_value, agent_value, self.settings.usefulness_beta),
            equations.training(self.training_count[indices], self.settings.max_training_count),
            equations.inference(self.inferred.error[indices], self.settings.max_inference_error),
        )

    def count_training(self, indices: np.ndarray) -> None:
        """
        Count that expert transitions have been trained on.

        :param indices: expert transitions, repeated where a batch has them more than once, shape (n,)
        """
        np.add.at(self.training_count, indices, 1)

    def statistics(self) -> dict[str, float]:
        """Summarise the tables: shares of expert transitions with an inferred action and trained on, and the median error."""
        inferred = self.inferred.action != NO_ACTION
        statistics = {"inferred": float(inferred.mean()), "trained": float((self.training_count > 0).mean())}
        if inferred.any():
            statistics["inference_error"] = float(np.median(self.inferred.error[inferred]))
        return statistics

    def adopt(self, restored: ExpertKnowledge) -> ExpertKnowledge:
        """
        Give restored tables the expert data, the search index and the settings of this one.

        :param restored: unpickled knowledge about the same expert data
        :return: the restored knowledge, complete again
        :raises ExpertDataError: if it was learned about other expert data
        """
        if type(restored) is not type(self):
            raise ExpertDataError("the replay buffer was saved by another algorithm: load it into that one")
        if restored.content_hash != self.content_hash:
            raise ExpertDataError(
                f"the replay buffer was learned with expert data {restored.content_hash[:12]}, but the model has "
                f"{self.content_hash[:12]}: pass the same expert data, or start with an empty replay buffer"
            )
        restored.settings = self.settings
        restored._attach(self.expert, self.matcher)
        return restored

    def _attach(self, expert: ExpertObservations, matcher: ExpertMatcher) -> None:
        self.expert = expert
        self.matcher = matcher

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        # static, large, and the user's own
        for name in ("expert", "matcher", "settings"):
            del state[name]
        return state

    @property
    def _match_radius(self) -> float:
        return 1.0 - self.settings.similarity_threshold + ROUNDING

    @property
    def _inference_radius(self) -> float:
        return self.settings.max_inference_error

    def _learn(self, agent: AgentTransitions, encoded: np.ndarray, encoded_next: np.ndarray, hits: Hits) -> None:
        near = self.matcher.transitions_within(hits, encoded_next, self._inference_radius)
        self.inferred.update(near, agent.actions, agent.rewards, agent.terminals)

    def _draw_match(self, accepted: Hits, n_queries: int) -> np.ndarray:
        """Draw, for every agent observation, one of the transitions that start at its accepted states."""
        source, transition = self.matcher.starting_at(accepted.row)
        counts = np.bincount(accepted.query[source], minlength=n_queries)
        matched = np.flatnonzero(counts)
        drawn = (self._generator.random(len(matched)) * counts[matched]).astype(np.int64)
        match = np.full(n_queries, NO_MATCH, dtype=np.int64)
        match[matched] = transition[(np.cumsum(counts) - counts)[matched] + drawn]
        return match
