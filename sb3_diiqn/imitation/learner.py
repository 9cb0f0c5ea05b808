"""The learner: owns the strategies, and makes an update of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecNormalize

from sb3_diiqn.common.batch import Batch, TDOutput, Transitions, make_batch
from sb3_diiqn.expert import Observations
from sb3_diiqn.guides import (
    CloneGuide,
    ComparedReturns,
    FirstCertain,
    Guide,
    GuidedExploration,
    GuideEpisodes,
    MatchingGuide,
)
from sb3_diiqn.imitation.action_inference import ActionInference
from sb3_diiqn.imitation.buffers import ImitationSamples, to_tensors
from sb3_diiqn.imitation.config import INFERENCES, Habits, ImitationConfig
from sb3_diiqn.imitation.context import Context
from sb3_diiqn.imitation.expert_rewards import make_reward_source
from sb3_diiqn.imitation.learned_metric import LearnedMetric
from sb3_diiqn.imitation.network_training import NetworkTraining
from sb3_diiqn.imitation.sampling import ExpertSampler
from sb3_diiqn.imitation.statistics import network_statistics
from sb3_diiqn.imitation.units import UnitsCheck
from sb3_diiqn.inference import ActionEstimates, ExpertKnowledge
from sb3_diiqn.inference.metrics import LEARNED
from sb3_diiqn.inference.settings import Seed
from sb3_diiqn.losses import (
    ConfidenceWeighted,
    ExpertLoss,
    ExpertTD,
    FadingWeight,
    ImitateExpert,
    ImitateGuide,
    make_margin,
)
from sb3_diiqn.networks import ClonedPolicy, ObservationNetwork
from sb3_diiqn.networks.base import network_of


@dataclass
class LearnerState:
    """What a saved model keeps of the learner, beside the parameters of its networks."""

    #: how many updates were made since the networks began to learn
    n_updates: int = 0
    #: what is known of the guide holds after loading, too
    returns: ComparedReturns = field(default_factory=ComparedReturns)
    #: the largest one that was ever seen, not normalised
    largest_reward: float = -np.inf


class Host(Protocol):
    """What an algorithm of Stable-Baselines3 supplies."""

    gamma: float
    policy: Any
    device: Any
    n_envs: int
    batch_size: int
    observation_space: Any
    action_space: Any
    replay_buffer: Any
    _vec_normalize_env: VecNormalize | None

    @property
    def stored_space(self) -> spaces.Space[Any]:
        """The space of observations as the replay buffer stores them."""
        ...

    def td_losses(self, batch: Batch) -> TDOutput:
        """
        Compute Q-values and temporal-difference losses.

        :param batch: n transitions with m observations
        """
        ...

    def optimize(self, loss: th.Tensor) -> None:
        """
        Make one step of gradient descent.

        :param loss: shape ()
        """
        ...

    def stream_seed(self, stream: int) -> Seed:
        """
        Make the seed of one of several independent generators.

        :param stream: which
        """
        ...


class Learner:
    """
    Learns from the expert for a host.

    :param host: an algorithm of Stable-Baselines3 with a replay buffer that matches with the expert data
    :param knowledge: the expert data, and the tables of what was inferred from single transitions; that of the replay buffer
    :param config: what the user asks for, completed
    :param habits: what depends on the expert data
    :param matching_guide: the guide that follows matching transitions
    :param state: what is known from before
    """

    def __init__(
        self,
        host: Host,
        knowledge: ExpertKnowledge,
        config: ImitationConfig,
        habits: Habits,
        matching_guide: type[MatchingGuide],
        state: LearnerState,
    ) -> None:
        self.host = host
        self.knowledge = knowledge
        self.config = config
        self.habits = habits
        self.state = state
        #: whether the expert data have the units of what the agent sees
        self.units = UnitsCheck(knowledge.expert, host.stored_space)
        context = self._context()
        self.inference = self._make_inference(context)
        needs_clone = getattr(config.guide, "needs_clone", False) or config.guide in ("clone", "both")
        self.clone = self._make_clone(context) if needs_clone else None
        learned = knowledge.settings.similarity_metric == LEARNED
        self.metric = LearnedMetric(context) if learned else None
        self.reward_source = make_reward_source(config.expert_rewards, context)
        self.exploration = self._make_exploration(context, matching_guide)
        self.losses = self._make_losses(context)
        if self._asks_for_intentions():
            knowledge.learn_intentions(context.n_actions)
        if config.expert_rewards == "recorded":
            self.note_rewards(np.asarray(knowledge.expert.rewards))
        self.sampler = ExpertSampler(host, self.inference, np.random.default_rng(host.stream_seed(3)), self.reward_source)
        self.network_training = NetworkTraining(self)

    # --- learning ---------------------------------------------------------------------------------------------------

    def update(self, batch_size: int, progress_remaining: float) -> float:
        """
        Make one update: the agent's temporal-difference loss, and what the expert adds to it.

        :param batch_size: number of the agent's transitions
        :param progress_remaining: how much of the training is still to come, in [0, 1]
        :return: the loss
        """
        batch = self._batch(batch_size, progress_remaining)
        loss = self._loss(batch, self.host.td_losses(batch), progress_remaining)
        self.knowledge.count_training(batch.matches.indices)
        self.host.optimize(loss)
        self.state.n_updates += 1
        self.network_training.after_update(self.state.n_updates)
        return float(loss.item())

    def note_rewards(self, rewards: np.ndarray) -> None:
        """
        Note what was paid.

        :param rewards: not normalised, shape (n,)
        """
        self.state.largest_reward = max(self.state.largest_reward, float(rewards.max()))

    @property
    def largest_value(self) -> float:
        """
        No value is larger than that of the largest reward in every step for ever, or than 0 where all rewards are negative;
        infinite where there is no such bound.

        What the expert adds to the loss raises values though nobody pays for it, and what was never tried is taken for the
        best of all. Where the best that was ever paid is 0, there is no bound: nobody knows what is to come.
        """
        largest, env = self.state.largest_reward, self.host._vec_normalize_env
        gamma = getattr(self.host.replay_buffer, "gamma", self.host.gamma)
        # with the published loss alone the targets are the host's
        if len(self.losses) == 1 or largest in (-np.inf, 0.0):
            return np.inf
        if largest < 0:
            return 0.0
        if gamma >= 1:
            return np.inf
        paid = largest if env is None else float(env.normalize_reward(np.array([largest]))[0])
        return paid / (1 - gamma)

    def _loss(self, batch: Batch, td: TDOutput, progress_remaining: float) -> th.Tensor:
        loss = td.losses[batch.agent].mean()
        for term in self.losses:
            loss = loss + term(batch, td, progress_remaining)
        return loss

    def _batch(self, batch_size: int, progress_remaining: float) -> Batch:
        env, buffer = self.host._vec_normalize_env, self.host.replay_buffer
        drawn: ImitationSamples = buffer.sample_with_expert(batch_size, env=env)
        wanted = any(term.wants_samples(progress_remaining) for term in self.losses)
        samples, sampled = self.sampler.sample() if wanted else (None, None)
        agent, matched = self._agent_transitions(drawn), self._matched_transitions(drawn)
        batch = make_batch(agent, matched, drawn.expert.matches, buffer.drawn_guided(), samples, sampled)
        return batch._replace(largest_value=self.largest_value)

    def _agent_transitions(self, drawn: ImitationSamples) -> Transitions:
        agent = drawn.agent
        discounts = getattr(agent, "discounts", None)
        if discounts is None:
            discounts = th.full_like(agent.rewards, self.host.gamma)
        return Transitions(
            agent.observations, agent.actions.long(), agent.next_observations, agent.dones, agent.rewards, discounts
        )

    def _matched_transitions(self, drawn: ImitationSamples) -> Transitions:
        expert = drawn.expert
        discounts = th.full_like(expert.rewards, self.host.gamma) ** expert.steps
        return Transitions(
            expert.observations, expert.actions, expert.next_observations, expert.dones, expert.rewards, discounts
        )

    @property
    def is_as_published(self) -> bool:
        """Whether nothing is added to the method of the paper."""
        return self.exploration is None and len(self.losses) == 1

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def networks(self) -> dict[str, ObservationNetwork]:
        """The auxiliary networks that are there, by name."""
        metric = None if self.metric is None else self.metric.network
        named = {
            "action_inference": self.inference.network,
            "cloned_policy": self.clone,
            "reward_model": None if self.reward_source is None else self.reward_source.network,
            "state_embedding": metric,
        }
        return {name: network for name, network in named.items() if network is not None}

    def infer(self, indices: np.ndarray) -> ActionEstimates:
        """
        Estimate which actions the expert took.

        :param indices: expert transitions, shape (n,)
        """
        return self.inference.infer(self.sampler.look_up(indices))

    def clone_probabilities(self, observations: Observations) -> np.ndarray | None:
        """
        Ask the clone what the expert would do.

        :param observations: as the expert data has them, shape (n, ``*observation_shape``)
        :return: how likely each action is, shape (n, n_actions); None as long as there is no clone that has learned anything
        """
        if self.clone is None or self.state.n_updates == 0:
            return None
        return self.clone.probabilities(to_tensors(self.host.replay_buffer, observations, self.host._vec_normalize_env))

    def match(self, at_least: int = 1) -> None:
        """
        Match and infer with everything that the agent has experienced so far.

        :param at_least: leave it for later if there are fewer new transitions
        """
        if self.metric is not None:
            self.metric.refresh_if_due(self.host.replay_buffer, self.state.n_updates)
        self.host.replay_buffer.match_pending(at_least)

    def _match_pending(self) -> None:
        self.host.replay_buffer.match_pending()

    def statistics(self, progress_remaining: float) -> dict[str, float]:
        """
        Summarise what was learned about the expert, and from it; means and fractions since the last call.

        See :class:`~sb3_diiqn.imitation.callbacks.ConfidenceCallback` for the names. Numbers that could not be anything but 0
        are left out: beside a network only equal transitions tell an action, and of continuous observations there are none.

        :param progress_remaining: how much of the training is still to come, in [0, 1]
        """
        statistics = self.knowledge.statistics()
        for term in self.losses:
            statistics |= term.statistics(progress_remaining)
        if not self.inference.knows_only_tables and statistics["inferred"] == 0:
            for name in ("confidence", "inferred", "trained"):
                statistics.pop(name, None)
        statistics["matched"] = self.host.replay_buffer.matched_share()
        comparison = self.units.compare(self.host.replay_buffer)
        if comparison is not None:
            statistics["range_overlap"] = comparison.range_overlap
        guided = {} if self.exploration is None else self.exploration.statistics()
        return statistics | self.network_training.take_losses() | network_statistics(self) | guided

    def check_units(self) -> None:
        """Warn once, when enough is known, if the expert's observations seem to be in other units, or have no effect."""
        buffer = self.host.replay_buffer
        found = max(buffer.matched_share(), self.knowledge.statistics()["inferred"])
        self.units.check(buffer, found if self.inference.knows_only_tables else 1.0)

    # --- setting up -------------------------------------------------------------------------------------------------

    def _context(self) -> Context:
        host = self.host
        return Context(
            observation_space=host.observation_space,
            stored_space=host.stored_space,
            n_actions=int(host.action_space.n),
            n_envs=host.n_envs,
            device=host.device,
            knowledge=self.knowledge,
            seed=host.stream_seed,
            infer=self.infer,
            clone_probabilities=self.clone_probabilities,
            match_pending=self._match_pending,
            returns=self.state.returns,
        )

    def _asks_for_intentions(self) -> bool:
        """Where states repeat, tables tell them; the published method alone stays as it was published."""
        return self.habits.intentions and self.inference.knows_only_tables and not self.is_as_published

    def _make_inference(self, context: Context) -> ActionInference:
        chosen = self.config.inference
        return (INFERENCES[chosen] if isinstance(chosen, str) else chosen)(context)

    def _make_clone(self, context: Context) -> ClonedPolicy:
        network = network_of(self.host.policy)
        return ClonedPolicy(context.observation_space, context.n_actions, **network).to(context.device)

    def _make_exploration(self, context: Context, matching_guide: type[MatchingGuide]) -> GuidedExploration | None:
        if self.config.guide == "none":
            return None
        guide = self._make_guide(context, matching_guide)
        episodes = None
        if self.config.guide_fraction > 0:
            alone = self.habits.fraction_alone
            episodes = GuideEpisodes(self.config.guide_fraction, alone, self.state.returns, context.n_envs, context.seed(4))
        fraction = self.habits.exploration_fraction
        return GuidedExploration(guide, fraction, context.n_actions, context.n_envs, context.seed(2), episodes)

    def _make_guide(self, context: Context, matching_guide: type[MatchingGuide]) -> Guide:
        chosen = self.config.guide
        if not isinstance(chosen, str):
            return chosen(context)
        clone = CloneGuide(context.clone_probabilities, context.seed(1))
        if chosen == "clone":
            return clone
        matching = matching_guide(
            context.knowledge,
            context.n_envs,
            context.seed(1),
            self.habits.shortest,
            None if self.inference.knows_only_tables else context.infer,
            # on the shortest way every single step counts
            context.match_pending if self.habits.shortest else None,
        )
        return matching if chosen == "matching" else FirstCertain(clone, matching)

    def _make_losses(self, context: Context) -> list[ExpertLoss]:
        losses: list[ExpertLoss] = [ConfidenceWeighted(context.knowledge)]
        if self.reward_source is not None:
            losses.append(ExpertTD(context.knowledge))
        if self.config.imitation_coef > 0:
            plays = self.exploration is not None and self.exploration.episodes is not None
            weight = FadingWeight(self.config.imitation_coef, context.returns if plays else None)
            losses += self._make_imitation(context, weight)
        return losses

    def _make_imitation(self, context: Context, weight: FadingWeight) -> list[ExpertLoss]:
        chosen = self.config.imitation_loss
        if not isinstance(chosen, str):
            return [chosen(context, weight)]
        margin = make_margin(self.config.margin)
        of_guide = [ImitateGuide(weight, margin)] if self.habits.imitate_guide else []
        return [ImitateExpert(weight, margin), *of_guide]
