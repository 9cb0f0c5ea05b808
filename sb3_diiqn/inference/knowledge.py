"""What has been learned about the expert so far."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert import ExpertObservations, Observations
from sb3_diiqn.expert.types import joined
from sb3_diiqn.inference import confidence as equations
from sb3_diiqn.inference.confidence import Confidence
from sb3_diiqn.inference.distances import ROUNDING, Distance
from sb3_diiqn.inference.distinct_pairs import check_distinct_pairs
from sb3_diiqn.inference.estimates import mixed_with_chance
from sb3_diiqn.inference.index import Hits, nearest
from sb3_diiqn.inference.intentions import Intentions
from sb3_diiqn.inference.matching import ExpertMatcher, TransitionHits
from sb3_diiqn.inference.metrics import make_distance
from sb3_diiqn.inference.nearest import NO_ACTION, InferredActions
from sb3_diiqn.inference.settings import InferenceSettings, Seed
from sb3_diiqn.inference.transitions import AgentTransitions, ExpertTransitions
from sb3_diiqn.inference.ways import END, NOWHERE, Ends, steps_left

#: Stands for "no expert state is similar enough" where an expert transition is named by its index.
NO_MATCH = -1


class ExpertKnowledge:
    """
    Infers the expert's actions from the agent's transitions, matches states, and judges how far to trust the result.

    What is learned are tables with one entry per expert transition. They go into files, the expert data itself does not.

    :param expert: the expert data, as the environment's observation space has them
    :param observation_space: the environment's observation space
    :param settings: parameters of the method
    :param seed: seed of the draw among several matches
    :param cache_path: file that keeps what takes long to compute of the expert data; None: nothing is kept
    """

    #: what observing agent transitions tells, and is adopted from restored knowledge
    _tables: tuple[str, ...] = ("inferred", "ends")
    # static, large, and the user's own
    _not_in_files: tuple[str, ...] = ("expert", "matcher", "settings", "_steps_left")
    # made when asked for
    _steps_left: np.ndarray | None
    #: what the expert means where outcomes are chance; None as long as nobody wants to know
    intentions: Intentions | None = None

    def __init__(
        self,
        expert: ExpertObservations,
        observation_space: spaces.Space[Any],
        settings: InferenceSettings,
        seed: Seed = None,
        cache_path: Path | None = None,
    ) -> None:
        self.settings = settings
        self.content_hash = expert.content_hash
        #: c_e, how often each expert transition has been trained on, shape (n_transitions,), int64
        self.training_count = np.zeros(len(expert), dtype=np.int64)
        self._generator = np.random.default_rng(seed)
        metric = settings.similarity_metric
        distance = make_distance(metric, observation_space, expert.observations)
        #: fraction of a sample of pairs of distinct expert states that match each other
        self.matching_pairs = check_distinct_pairs(distance, expert.observations, metric, settings.similarity_threshold)
        self._attach(expert, ExpertMatcher(expert, distance, self._radius, settings.n_neighbors, cache_path))
        self._reset()

    def learn_intentions(self, n_actions: int) -> None:
        """
        Judge from now on what the expert means where outcomes are chance, instead of believing single transitions there.

        :param n_actions: number of the agent's actions
        """
        self.intentions = Intentions(self.matcher.moves(), len(self.matcher.states), n_actions)

    def compare_by(self, distance: Distance) -> None:
        """
        Compare by another distance from now on. What was inferred so far is forgotten: its errors are not of this distance.

        :param distance: the new one
        """
        self._attach(self.expert, ExpertMatcher(self.expert, distance, self._radius, self.settings.n_neighbors))
        self._reset()

    def observe(self, agent: AgentTransitions) -> np.ndarray:
        """
        Infer actions from agent transitions, and match each with an expert transition ("Action inference", "Expert sampling").

        :param agent: the agent's newest transitions
        :return: index of the matched expert transition, or ``NO_MATCH``, shape (n,)
        """
        n, size = len(agent.actions), self._at_once
        if n <= size:
            return self._observe(agent)
        return np.concatenate([self._observe(agent.part(slice(start, start + size))) for start in range(0, n, size)])

    def followable(self, observations: Observations) -> tuple[np.ndarray, np.ndarray]:
        """
        Find the expert transitions that start at states similar to the agent's, whether their action is known or not.

        :param observations: the agent's observations, shape (n, ``*observation_shape``)
        :return: indices of observations and of the expert transitions found for them, sorted by observation
        """
        hits = self.matcher.states_within(self.matcher.encode(observations), self._match_radius)
        source, transition = self.matcher.starting_at(hits.row)
        return hits.query[source], transition

    def steps_left(self, indices: np.ndarray) -> np.ndarray:
        """
        Count the agent's steps from expert transitions to a goal at the end of their trajectories, as far as is known.

        :param indices: expert transitions, shape (n,)
        :return: shape (n,), infinite where the trajectory was cut, there is no way on, or its end is no goal
        """
        if not self.ends.are_goals():
            return np.full(len(indices), np.inf)
        if self._steps_left is None:
            self._steps_left = steps_left(*self._ways())
        return np.asarray(self._steps_left[indices])

    def leads_on(self, indices: np.ndarray) -> np.ndarray:
        """
        Tell which expert transitions end at another state than they start at.

        :param indices: expert transitions, shape (n,)
        :return: shape (n,), bool
        """
        return np.asarray(self.matcher.state_of_observation[self._end_observations(indices)] != self._starts(indices))

    def usable(self, indices: np.ndarray) -> np.ndarray:
        """
        Tell which matches can have a confidence above zero: there is one, and an action has been inferred for it.

        :param indices: matched expert transitions, shape (n,)
        :return: shape (n,), bool
        """
        # by chance, many an action leads where the expert's did
        matched = (indices != NO_MATCH) & ~self.at_chance(indices)
        error = self.inferred.error[indices]
        return np.asarray(matched & (self.inferred.action[indices] != NO_ACTION) & (error < self.settings.max_inference_error))

    def at_chance(self, indices: np.ndarray) -> np.ndarray:
        """
        Tell which matches start where outcomes are chance, and are to be judged by what the expert means there.

        :param indices: matched expert transitions, shape (n,)
        :return: shape (n,), bool
        """
        if self.intentions is None:
            return np.zeros(len(indices), dtype=bool)
        by_chance = (indices != NO_MATCH) & self.intentions.is_chance[self._starts(indices)]
        return np.asarray(by_chance & ~self.bridged(indices))

    def intended_probabilities(self, indices: np.ndarray) -> np.ndarray:
        """
        Estimate what the expert means at the states where expert transitions start, see :class:`Intentions`.

        :param indices: expert transitions at chance, shape (n,)
        :return: shape (n, n_actions), rows add up to 1
        """
        return cast("Intentions", self.intentions).probabilities(self._starts(indices))

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

    def action_probabilities(self, indices: np.ndarray, n_actions: int, estimated: np.ndarray | None = None) -> np.ndarray:
        """
        Estimate which actions the expert took, or which the agent should take in their place.

        :param indices: expert transitions, shape (n,)
        :param n_actions: number of the agent's actions
        :param estimated: somebody else's estimate, shape (n, n_actions); without it the inferred actions are believed with
            zeta, how far the inference is believed
        :return: shape (n, n_actions), rows add up to 1
        """
        if estimated is not None:
            return estimated
        trust = equations.inference(self.inferred.error[indices], self.settings.max_inference_error)
        return mixed_with_chance(self.inferred.action[indices].clip(min=0), trust, n_actions)

    def voted_probabilities(self, indices: np.ndarray, n_actions: int) -> np.ndarray:
        """
        Estimate what the expert does at the states where expert transitions start: the mean over all that start there.

        Where it did different things, each has the fraction that it had. A transition of which nothing is known votes for no
        action: what is known of few of them is not taken for what the expert does. Where outcomes are chance, nobody votes.

        :param indices: expert transitions, shape (n,)
        :param n_actions: number of the agent's actions
        :return: shape (n, n_actions), rows add up to 1
        """
        distinct_states, number = np.unique(self._starts(indices), return_inverse=True)
        source, transition = self.matcher.starting_at(distinct_states)
        total = np.zeros((len(distinct_states), n_actions))
        np.add.at(total, source, self.action_probabilities(transition, n_actions))
        probabilities = np.asarray((total / total.sum(axis=1, keepdims=True))[number])
        at_chance = self.at_chance(indices)
        if at_chance.any():
            probabilities[at_chance] = self.intended_probabilities(indices[at_chance])
        return probabilities

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
        """Summarise the tables: fractions of expert transitions with an inferred action and trained on, the median error."""
        inferred = self.inferred.action != NO_ACTION
        statistics = {"inferred": float(inferred.mean()), "trained": float((self.training_count > 0).mean())}
        if inferred.any():
            statistics["inference_error"] = float(np.median(self.inferred.error[inferred]))
        return statistics

    def for_file(self) -> ExpertKnowledge:
        """Return a shallow copy with the tables alone, which :meth:`adopt` completes again."""
        tables = copy.copy(self)
        for name in self._not_in_files:
            delattr(tables, name)
        return tables

    def compares_like(self, restored: ExpertKnowledge) -> bool:
        """
        Tell whether what another one has inferred and matched holds by this one's distance and settings, too.

        :param restored: unpickled knowledge about the same expert data
        """
        # what lay further away than it looked, it has not inferred from
        looked_as_far = self._inference_radius <= restored.inferred_within
        return looked_as_far and (self.metric, self.matching) == (restored.metric, restored.matching)

    def adopt(self, restored: ExpertKnowledge) -> None:
        """
        Take over restored tables, in place: who holds this one goes on with them.

        Where distances were others, what was inferred is forgotten: see :meth:`compares_like`.

        :param restored: unpickled knowledge about the same expert data
        :raises ExpertDataError: if it was learned about other expert data
        """
        if type(restored) is not type(self):
            raise ExpertDataError("the replay buffer was saved by another algorithm: load it into that one")
        if restored.content_hash != self.content_hash:
            raise ExpertDataError(
                f"the replay buffer was learned with expert data {restored.content_hash[:12]}, but the model has "
                f"{self.content_hash[:12]}: pass the same expert data, or start with an empty replay buffer"
            )
        self.training_count, self._generator = restored.training_count, restored._generator
        self._attach(self.expert, self.matcher)
        if not self.compares_like(restored):
            self._reset()
            return
        for name in self._tables:
            setattr(self, name, getattr(restored, name))
        if self.intentions is not None and restored.intentions is not None:
            self.intentions = restored.intentions

    def _reset(self) -> None:
        """Begin with empty tables of what observing agent transitions tells."""
        self.inferred = InferredActions(len(self.expert))
        #: whether the ends of episodes are goals
        self.ends = Ends()
        if self.intentions is not None:
            self.learn_intentions(self.intentions.n_actions)

    def _attach(self, expert: ExpertObservations, matcher: ExpertMatcher) -> None:
        self.expert = expert
        self.matcher = matcher
        #: name of the distance that the tables are of
        self.metric = matcher.distance.kind
        #: what it depends on, beside the distance, which transitions match
        self.matching = (self.settings.similarity_threshold, self.settings.n_neighbors)
        #: from how far away actions are inferred
        self.inferred_within = self._inference_radius
        self._steps_left = None

    @property
    def _match_radius(self) -> float:
        return 1.0 - self.settings.similarity_threshold + ROUNDING

    @property
    def _inference_radius(self) -> float:
        return self.settings.max_inference_error

    @property
    def _radius(self) -> float:
        return min(max(self._match_radius, self._inference_radius), 1.0)

    @property
    def _at_once(self) -> int:
        """How many agent transitions to compare at once, which bounds the memory for their neighbours."""
        return self.matcher.at_once

    def _ways(self) -> tuple[np.ndarray, np.ndarray]:
        """List where each transition leads to, and in how many steps; see :func:`~sb3_diiqn.inference.ways.steps_left`."""
        expert = self.expert
        following = expert.transition_of_observation[expert.observation_index + 1]
        last = np.where(expert.terminals, END, NOWHERE)
        return np.where(following >= 0, following, last), np.ones(len(expert))

    def _starts(self, indices: np.ndarray) -> np.ndarray:
        """Look up the states that expert transitions start at, shape (n,)."""
        return np.asarray(self.matcher.state_of_observation[self.expert.observation_index[indices]])

    def _end_observations(self, indices: np.ndarray) -> np.ndarray:
        """Look up the observations at which expert transitions end, shape (n,)."""
        return np.asarray(self.expert.observation_index[indices] + 1)

    def _observe(self, agent: AgentTransitions) -> np.ndarray:
        n = len(agent.actions)
        encoded = self.matcher.encode(joined(agent.observations, agent.next_observations))
        # a next observation is mostly the observation of the next step: one search for both finds it once
        hits = self.matcher.states_within(encoded, self._radius)
        border = np.searchsorted(hits.query, n)
        now, later = Hits(*(array[:border] for array in hits)), Hits(*(array[border:] for array in hits))
        self.ends.note(agent.rewards, agent.terminals, agent.episode_ends)
        if self.intentions is not None:
            self._note_outcomes(self.intentions, agent.actions, now, later._replace(query=later.query - n))
        self._learn(agent, encoded[:n], encoded[n:], now, later._replace(query=later.query - n))
        neighbors = nearest(self.matcher.with_transitions(now), self.settings.n_neighbors, self._match_radius)
        return self._draw_match(neighbors, n)

    def _note_outcomes(self, intentions: Intentions, actions: np.ndarray, now: Hits, later: Hits) -> None:
        """Count where own actions led from the expert's very states: what was only near may have led elsewhere for that."""
        at, to = (hits.where(hits.distance <= ROUNDING) for hits in (now, later))
        ends = np.full(len(actions), len(self.matcher.states), dtype=np.int64)
        ends[to.query] = to.row
        intentions.note(at.row, actions[at.query], ends[at.query])

    def _learn(
        self, agent: AgentTransitions, encoded: np.ndarray, encoded_next: np.ndarray, now: Hits, later: Hits
    ) -> TransitionHits:
        """
        Infer from agent transitions.

        :param now: expert states near their observations
        :param later: expert states near their next observations
        :return: expert transitions whose action was inferred anew
        """
        # an action inferred from further away has no confidence: nothing beyond needs to be looked at
        closer = self.matcher.closer_transitions(
            encoded, encoded_next, now, later, self._inference_radius, self.inferred.error
        )
        self.inferred.update(closer, agent.actions, agent.rewards, agent.terminals)
        return closer

    def _draw_match(self, accepted: Hits, n_queries: int) -> np.ndarray:
        """Draw, for every agent observation, one of the transitions that start at its accepted states."""
        match = np.full(n_queries, NO_MATCH, dtype=np.int64)
        matched, drawn = self.matcher.draw_starting(accepted, n_queries, self._generator)
        match[matched] = drawn
        return match
