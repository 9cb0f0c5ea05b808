"""Learning from the whole of the expert data, wherever the agent happens to be."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch as th
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.vec_env import VecNormalize

from sb3_diiqn.common.buffers import TensorObservations, to_tensors
from sb3_diiqn.common.cloned_policy import ClonedPolicy, CloneFollower, CloneOrMatchingFollower
from sb3_diiqn.common.expert_side import ExpertSide
from sb3_diiqn.common.guidance import Follower, GuidanceSettings
from sb3_diiqn.common.inverse_dynamics import InverseDynamics
from sb3_diiqn.common.margin import (
    AutomaticMargin,
    DemonstrationSettings,
    Inference,
    Margin,
    margin_losses,
    without_outvalued,
)
from sb3_diiqn.common.observation_network import ObservationNetwork, network_of, with_fitting_networks
from sb3_diiqn.common.priorities import TransitionPriorities
from sb3_diiqn.common.running_means import RunningMeans
from sb3_diiqn.common.statistics import network_statistics
from sb3_diiqn.common.transitions import Transitions
from sb3_diiqn.expert import Observations
from sb3_diiqn.expert.types import take
from sb3_diiqn.inference import ActionEstimates, draw_actions, estimate
from sb3_diiqn.inference.settings import TINY, require


class RecordedSamples(NamedTuple):
    """Expert transitions with the recorded rewards, n of them."""

    transitions: Transitions
    """With one of the plausible actions each."""
    weights: th.Tensor
    """How much each of them counts, where one of the agent's counts 1, shape (n,)."""

    def part(self, rows: slice) -> RecordedSamples:
        """
        Take some of them.

        :param rows: which
        """
        return RecordedSamples(Transitions(*(_taken(field, rows) for field in self.transitions)), self.weights[rows])


class DemonstrationSamples(NamedTuple):
    """Expert transitions to imitate, n of them."""

    observations: TensorObservations
    """s_e, shape (n, ``*observation_shape``)."""
    plausible: th.Tensor
    """Which actions the expert may have taken, shape (n, n_actions), bool."""
    confidence: th.Tensor
    """That it was one of them, shape (n,)."""
    indices: np.ndarray
    """Which expert transitions they are, shape (n,)."""
    recorded: RecordedSamples | None = None
    """The same as transitions, if their recorded rewards are learned from."""

    def part(self, rows: slice) -> DemonstrationSamples:
        """
        Take some of them.

        :param rows: which
        """
        recorded = None if self.recorded is None else self.recorded.part(rows)
        return DemonstrationSamples(
            _taken(self.observations, rows), self.plausible[rows], self.confidence[rows], self.indices[rows], recorded
        )


class ExpertDemonstration(ExpertSide):
    """Mixin that estimates the expert's actions in any of its transitions, and lets the agent imitate them."""

    # of the host, and the arguments
    batch_size: int
    double_q: bool
    guide: str
    imitate_guide: bool
    inference: Inference
    margin: Margin
    margin_batch_size: int
    margin_factor: float
    margin_filter: bool
    margin_priorities: bool
    margin_vote: bool
    margin_weight: float
    recorded_weight: float
    _current_progress_remaining: float
    policy: Any
    _vec_normalize_env: VecNormalize | None

    inverse_dynamics: InverseDynamics | None = None
    cloned_policy: ClonedPolicy | None = None
    _priorities: TransitionPriorities | None = None

    #: the networks beside the Q-network learn in every update at first, after n updates in one of n / ``networks_warm_up``,
    #: and at least in one of ``networks_interval``: there is less and less that is new to them
    networks_warm_up = 1000
    networks_interval = 64
    #: share of the training over which the weight of the margin loss falls to 0, unless the guide is clearly better
    margin_fraction = 0.5
    #: power of how clearly the guide is better or worse: after a few episodes, two equals often look a little different
    margin_sharpness = 4
    #: where no larger share of its weight is left, the margin loss is left out, and costs nothing
    least_margin_share = 0.01
    #: the expert's actions are estimated for so many updates at once
    demonstrations_at_once = 32
    #: expert transitions that the clone learns from at once
    clone_batch_size = 128
    _n_batches = 0

    def _setup_model(self) -> None:
        super()._setup_model()
        self._demonstration_generator = np.random.default_rng(self._seed(3))
        self._demonstrations: list[DemonstrationSamples] = []
        self._automatic_margin = AutomaticMargin(self.margin_factor)
        self._losses = RunningMeans()
        # also for a loaded model without its expert data: the file has the networks' parameters
        if self._expert_content_hash is None:
            return
        if self.margin_priorities and self._expert is not None:
            self._priorities = TransitionPriorities(len(self._expert), self._demonstration_generator)
        network_class = self._settings(DemonstrationSettings).network_class
        if network_class is not None:
            self.inverse_dynamics = network_class(self.observation_space, self._n_actions()).to(self.device)
        if self._settings(GuidanceSettings).has_clone:
            network = network_of(self.policy)
            self.cloned_policy = ClonedPolicy(self.observation_space, self._n_actions(), **network).to(self.device)

    def _check_settings(self) -> None:
        super()._check_settings()
        self._settings(DemonstrationSettings)
        require(isinstance(self.double_q, bool), "double_q", self.double_q, "True or False")

    def _refuse_impossible_combinations(self) -> None:
        super()._refuse_impossible_combinations()
        alone = self.batch_size == 1 and self._settings(DemonstrationSettings).network_class is not None
        require(not alone, "batch_size", self.batch_size, "at least 2 with a network as inference, which normalises batches")

    def _make_follower(self) -> Follower:
        clone = CloneFollower(self.clone_probabilities, self._seed(1))
        if self.guide == "clone":
            return clone
        matching: Any = super()._make_follower()
        if self._settings(DemonstrationSettings).network_class is not None:
            matching.estimate_actions = self.estimate_actions
        return matching if self.guide == "matching" else CloneOrMatchingFollower(clone, matching)

    def _excluded_save_params(self) -> list[str]:
        own = ["_demonstration_generator", "_demonstrations", "_automatic_margin", "_losses", "_priorities"]
        return [*super()._excluded_save_params(), *own]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        state_dicts, tensors = super()._get_torch_save_params()  # type: ignore[misc]
        for name, network in self._networks().items():
            if network is not None:
                state_dicts = [*state_dicts, name, f"{name}.optimizer"]
        return state_dicts, tensors

    def set_parameters(
        self, load_path_or_dict: str | dict[str, Any], exact_match: bool = True, device: th.device | str = "auto"
    ) -> None:
        """
        Load parameters; a network beside the Q-network that is not among them, or that they do not fit, stays as it is.

        :param load_path_or_dict: see Stable-Baselines3
        :param exact_match: see Stable-Baselines3
        :param device: see Stable-Baselines3
        """
        given: Any = load_path_or_dict
        if not isinstance(given, dict):
            _, given, _ = load_from_zip_file(given, device=device, load_data=False)
        super().set_parameters(with_fitting_networks(given, self._networks()), exact_match, device)  # type: ignore[misc]
        if not all(network is None or network.has_learned for network in self._networks().values()):
            # in a loaded model, one that the file does not have
            self._n_batches = 0

    def _networks(self) -> dict[str, ObservationNetwork | None]:
        """The networks beside the Q-network, by their names in a saved model."""
        return {"inverse_dynamics": self.inverse_dynamics, "cloned_policy": self.cloned_policy}

    def estimate_actions(self, indices: np.ndarray) -> ActionEstimates:
        """
        Estimate which actions the expert took.

        :param indices: expert transitions, shape (n,)
        """
        return estimate(self._action_probabilities(indices, *self._expert_tensors(indices)))

    def _demonstration_weight(self) -> float:
        """
        Compute the weight of the margin loss, so that the expert is no limit.

        It falls over time, sooner where episodes that the guide leads return less than the agent's own, and not at all while
        they clearly return more.
        """
        remaining = max(0.0, 1.0 - (1.0 - self._current_progress_remaining) / self.margin_fraction)
        if self._guidance is None:
            return self.margin_weight * remaining
        # two equals take turns in looking like the better one: only a clear difference counts, for and against the guide
        not_worse = min(1.0, 2.0 * self._guidance.guide_is_better()) ** self.margin_sharpness
        lasting = self._guidance.guide_has_proved_better() ** self.margin_sharpness
        return self.margin_weight * max(not_worse * remaining, lasting)

    def _draw_demonstration(self) -> DemonstrationSamples | None:
        """Draw from the whole expert data; none where they would count for hardly anything."""
        if self._expert is None:
            return None
        if not self._learns_from_recorded and self._demonstration_weight() <= self.least_margin_share * self.margin_weight:
            return None
        if not self._demonstrations:
            self._demonstrations = self._estimate_demonstrations()
        return self._demonstrations.pop(0)

    def _estimate_demonstrations(self) -> list[DemonstrationSamples]:
        """Draw and estimate for several updates: one large pass through a network is faster than many small ones."""
        size = self.demonstrations_at_once * self.margin_batch_size
        indices = self._random_transitions(size) if self._priorities is None else self._priorities.draw(size)
        observations, next_observations = self._expert_tensors(indices)
        if self.inverse_dynamics is None or self.margin_vote:
            probabilities = self._voted_probabilities(indices)
        else:
            probabilities = self._action_probabilities(indices, observations, next_observations)
        estimates = estimate(probabilities)
        plausible = th.as_tensor(estimates.plausible, device=self.device)
        confidence = th.as_tensor(estimates.confidence, dtype=th.float32, device=self.device)
        recorded = None
        if self._learns_from_recorded:
            actions = draw_actions(probabilities * estimates.plausible, self._demonstration_generator)
            recorded = self._recorded_samples(indices, observations, actions, next_observations, confidence)
        samples = DemonstrationSamples(observations, plausible, confidence, indices, recorded)
        starts = range(0, size, self.margin_batch_size)
        return [samples.part(slice(start, start + self.margin_batch_size)) for start in starts]

    @property
    def _learns_from_recorded(self) -> bool:
        return self.expert_reward == "recorded" and self.recorded_weight > 0

    def _recorded_samples(
        self,
        indices: np.ndarray,
        observations: TensorObservations,
        actions: np.ndarray,
        next_observations: TensorObservations,
        confidence: th.Tensor,
    ) -> RecordedSamples:
        rewards, dones = self.replay_buffer.recorded_outcomes(indices, self._vec_normalize_env)
        taken = th.as_tensor(actions, device=self.device).unsqueeze(1)
        discounts = th.full_like(rewards, self.gamma)
        # the first action of a bridge does not lead to the expert's next state
        leads_there = th.as_tensor(~self.replay_buffer.knowledge.bridged(indices), device=self.device)
        return RecordedSamples(
            Transitions(observations, taken, next_observations, dones, rewards, discounts),
            self.recorded_weight * confidence * leads_there,
        )

    def _random_transitions(self, size: int) -> np.ndarray:
        return self._demonstration_generator.integers(len(self.expert), size=size)  # type: ignore[arg-type]

    def _demonstration_loss(self, samples: DemonstrationSamples, q_values: th.Tensor, errors: th.Tensor) -> th.Tensor:
        """
        Compute the margin losses, weighted by the confidence.

        :param samples: expert transitions, n of them
        :param q_values: Q(s_e, .), shape (n, n_actions)
        :param errors: absolute temporal-difference errors of the agent's transitions, shape (batch_size,)
        """
        if self.margin == "auto":
            self._automatic_margin.note(errors)
        losses = self._margin_losses(q_values, samples.plausible)
        if self._priorities is not None:
            shortfalls = losses.detach() / max(self._current_margin(), TINY)
            self._priorities.note(samples.indices, samples.confidence.cpu().numpy(), shortfalls.cpu().numpy())
        losses = samples.confidence * losses
        self._losses.add("imitation_loss", losses.mean())
        return self._margin_loss(losses)

    def _guide_loss(self, actions: th.Tensor, guided: th.Tensor, q_values: th.Tensor) -> th.Tensor:
        """
        Compute the margin losses where the guide has chosen the agent's action, which it has for a reason.

        :param actions: a_a, shape (batch_size, 1)
        :param guided: which of them were the guide's, shape (batch_size,), bool
        :param q_values: Q(s_a, .), shape (batch_size, n_actions)
        """
        taken = th.zeros_like(q_values, dtype=th.bool).scatter_(1, actions, True)
        return self._margin_loss(guided.float() * self._margin_losses(q_values, taken))

    def _margin_losses(self, q_values: th.Tensor, plausible: th.Tensor) -> th.Tensor:
        margin = self._current_margin()
        losses = margin_losses(q_values, plausible, margin)
        return without_outvalued(losses, margin) if self.margin_filter else losses

    def _margin_loss(self, losses: th.Tensor) -> th.Tensor:
        scale = self._automatic_margin.weight if self.margin == "auto" else 1.0
        return scale * self._demonstration_weight() * losses.mean()

    def _current_margin(self) -> float:
        return self._automatic_margin.margin if self.margin == "auto" else self.margin

    def _train_networks(self) -> None:
        """Let the networks beside the Q-network learn, at first after every update, then ever more rarely."""
        self._n_batches += 1
        interval = min(max(1, self._n_batches // self.networks_warm_up), self.networks_interval)
        if self._n_batches % interval == 0:
            self._let_networks_learn()

    def _let_networks_learn(self) -> None:
        if self.inverse_dynamics is not None:
            loss = self.inverse_dynamics.learn(*self.replay_buffer.drawn_steps(self._vec_normalize_env))
            self._losses.add("inverse_dynamics_loss", loss)
        if self.cloned_policy is not None:
            indices = self._random_transitions(self.clone_batch_size)
            observations, next_observations = self._expert_tensors(indices)
            probabilities = self._action_probabilities(indices, observations, next_observations)
            targets = th.as_tensor(probabilities, dtype=th.float32, device=self.device)
            self._losses.add("clone_loss", self.cloned_policy.learn(observations, targets))

    def _demonstration_statistics(self) -> dict[str, float]:
        """Summarise what the networks know, losses since the last call, and how much the imitation counts now."""
        statistics = self._losses.take() | network_statistics(self)
        if self.margin_weight > 0:
            statistics |= {"imitation_weight": self._demonstration_weight(), "imitation_margin": self._current_margin()}
        return statistics

    def clone_probabilities(self, observations: Observations) -> np.ndarray | None:
        """
        Ask the clone what the expert would do.

        :param observations: as the expert data has them, shape (n, ``*observation_shape``)
        :return: how likely each action is, shape (n, n_actions); None as long as there is no clone that has learned anything
        """
        if self.cloned_policy is None or self._n_batches == 0:
            return None
        return self.cloned_policy.probabilities(to_tensors(self.replay_buffer, observations, self._vec_normalize_env))

    def _action_probabilities(self, indices: np.ndarray, observations: Any, next_observations: Any) -> np.ndarray:
        estimated = None
        if self.inverse_dynamics is not None:
            estimated = self.inverse_dynamics.likelihoods(observations, next_observations)
        return np.asarray(self.replay_buffer.knowledge.action_probabilities(indices, self._n_actions(), estimated))

    def _voted_probabilities(self, indices: np.ndarray) -> np.ndarray:
        network = self.inverse_dynamics
        estimated = None if network is None else lambda transitions: network.likelihoods(*self._expert_tensors(transitions))
        return np.asarray(self.replay_buffer.knowledge.voted_probabilities(indices, self._n_actions(), estimated))

    def _expert_tensors(self, indices: np.ndarray) -> tuple[TensorObservations, TensorObservations]:
        tensors: tuple[TensorObservations, TensorObservations]
        tensors = self.replay_buffer.expert_tensors(indices, self._vec_normalize_env)
        return tensors


def _taken(values: Any, rows: slice) -> Any:
    # tensors have rows as arrays do
    return take(values, rows)
