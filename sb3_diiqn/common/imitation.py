"""Deep implicit imitation for an off-policy algorithm of Stable-Baselines3 with discrete actions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.preprocessing import get_obs_shape
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.vec_env import VecNormalize

from sb3_diiqn.common.buffers import ExpertMatchingMixin, ExpertSamples, ImitationSamples, TensorObservations
from sb3_diiqn.common.callbacks import with_confidence_callback
from sb3_diiqn.common.demonstration import ExpertDemonstration
from sb3_diiqn.expert import Observations


class Transitions(NamedTuple):
    """One-step or n-step transitions, n of them."""

    observations: TensorObservations
    """Shape (n, ``*observation_shape``)."""
    actions: th.Tensor
    """Shape (n, 1), int64."""
    next_observations: TensorObservations
    """Shape (n, ``*observation_shape``)."""
    dones: th.Tensor
    """Shape (n, 1)."""
    rewards: th.Tensor
    """Shape (n, 1)."""
    discounts: th.Tensor
    """Factor of the value of the next observation, shape (n, 1)."""


class ImplicitImitation(ExpertDemonstration):
    """
    Mixin with the update and the behaviour of DIIQN. Put it before the algorithm class.

    The host class supplies :meth:`_element_wise_losses`.
    """

    # of the host
    exploration_rate: float
    logger: Any
    max_grad_norm: float
    num_timesteps: int
    policy: Any
    _last_obs: Any
    _last_original_obs: Any
    _n_updates: int
    _vec_normalize_env: VecNormalize | None

    # --- learning ---------------------------------------------------------------------------------------------------

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        if self._expert is not None:
            callback = with_confidence_callback(callback)
        return super()._init_callback(callback, progress_bar)  # type: ignore[misc, no-any-return]

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """
        Update the network, with every expert sample weighted by its confidence.

        :param gradient_steps: number of updates
        :param batch_size: number of agent transitions per update
        """
        if self._expert is None:
            super().train(gradient_steps, batch_size)  # type: ignore[misc]
            return
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)  # type: ignore[attr-defined]
        losses = [self._update(batch_size) for _ in range(gradient_steps)]
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", np.mean(losses))

    def _update(self, batch_size: int) -> float:
        """Make one update: Phi * L_e + (1 - Phi) * L_a for every agent transition of a batch ("Loss" in the paper)."""
        samples: ImitationSamples = self.replay_buffer.sample_with_expert(batch_size, env=self._vec_normalize_env)
        agent, expert = self._agent_transitions(samples), self._expert_transitions(samples)
        demonstration = self._draw_demonstration()
        also = None if demonstration is None else demonstration.observations
        q_values, losses = self._element_wise_losses(joined(agent, expert), also)
        agent_losses, expert_losses = losses[:batch_size], losses[batch_size:]
        phi = self._confidence(samples.expert, q_values[batch_size : len(losses)], agent.actions)
        loss = (agent_losses.sum() + (phi * (expert_losses - agent_losses[samples.expert.rows])).sum()) / batch_size
        if demonstration is not None:
            loss = loss + self._demonstration_loss(demonstration, q_values[len(losses) :])
        self._optimize(loss)
        self._learn_inverse_dynamics()
        return float(loss.item())

    def _agent_transitions(self, samples: ImitationSamples) -> Transitions:
        agent = samples.agent
        discounts = getattr(agent, "discounts", None)
        if discounts is None:
            discounts = th.full_like(agent.rewards, self.gamma)
        return Transitions(
            agent.observations, agent.actions.long(), agent.next_observations, agent.dones, agent.rewards, discounts
        )

    def _expert_transitions(self, samples: ImitationSamples) -> Transitions:
        expert = samples.expert
        discounts = th.full_like(expert.rewards, self.gamma) ** expert.steps
        return Transitions(
            expert.observations, expert.actions, expert.next_observations, expert.dones, expert.rewards, discounts
        )

    def _confidence(self, expert: ExpertSamples, q_values: th.Tensor, agent_actions: th.Tensor) -> th.Tensor:
        """Compute Phi for the expert samples, shape (n,); no gradient flows through it."""
        values = q_values.detach()
        expert_value = values.gather(1, expert.actions).squeeze(1).cpu().numpy()
        agent_value = values.gather(1, agent_actions[expert.rows]).squeeze(1).cpu().numpy()
        knowledge = self.knowledge
        confidence = knowledge.confidence(expert.indices, expert_value, agent_value)  # type: ignore[union-attr]
        knowledge.count_training(expert.indices)  # type: ignore[union-attr]
        self._confidence_statistics.add(confidence, len(agent_actions))
        return th.as_tensor(confidence.phi, dtype=values.dtype, device=values.device)

    def _element_wise_losses(
        self, transitions: Transitions, also: TensorObservations | None = None
    ) -> tuple[th.Tensor, th.Tensor]:
        """
        Compute the temporal-difference loss of each transition, to be supplied by the host.

        :param transitions: n transitions
        :param also: m further observations whose Q-values are wanted
        :return: Q-values of all actions at the n + m observations, shape (n + m, actions), and the n losses, shape (n,)
        """
        raise NotImplementedError

    def _optimize(self, loss: th.Tensor) -> None:
        optimizer = self.policy.optimizer
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        th.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        optimizer.step()

    # --- collecting -------------------------------------------------------------------------------------------------

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        if self._guidance is None:
            return super()._sample_action(learning_starts, action_noise, n_envs)  # type: ignore[misc, no-any-return]
        scheduled = self.exploration_rate
        self.exploration_rate = self._guidance.remaining_exploration_rate(scheduled)
        actions, _ = super()._sample_action(learning_starts, action_noise, n_envs)  # type: ignore[misc]
        self.exploration_rate = scheduled
        warming_up = self.num_timesteps < learning_starts
        actions = self._guidance.override(actions, self._current_observations(), 1.0 if warming_up else scheduled)
        return actions, actions

    def _current_observations(self) -> Observations:
        """Return the observations to act on as the replay buffer stores them: not normalised, discrete ones as columns."""
        observations = self._last_obs if self._vec_normalize_env is None else self._last_original_obs
        if isinstance(self.observation_space, spaces.Dict):
            shapes = {key: get_obs_shape(space) for key, space in self.observation_space.spaces.items()}
            return {key: observations[key].reshape(-1, *shape) for key, shape in shapes.items()}
        return np.asarray(observations).reshape(-1, *get_obs_shape(self.observation_space))

    def _store_transition(self, *args: Any, **kwargs: Any) -> None:
        super()._store_transition(*args, **kwargs)  # type: ignore[misc]
        if self._guidance is not None:
            self._guidance.note_episode_ends(kwargs["dones"] if "dones" in kwargs else args[4])

    # --- what the callback asks for ---------------------------------------------------------------------------------

    def update_confidence(self, at_least: int = 1) -> None:
        """
        Match and infer with everything that the agent has gone through so far.

        :param at_least: leave it for later if there are fewer new transitions
        """
        if isinstance(self.replay_buffer, ExpertMatchingMixin):
            self.replay_buffer.match_pending(at_least)

    def expert_statistics(self) -> dict[str, float]:
        """Summarise what was learned about the expert; the confidence since the last call. See :class:`ConfidenceCallback`."""
        if not isinstance(self.replay_buffer, ExpertMatchingMixin):
            return {}
        return {
            **self._confidence_statistics.take(),
            **self.replay_buffer.knowledge.statistics(),
            "matched": self.replay_buffer.matched_share(),
        }


def joined(first: Transitions, second: Transitions) -> Transitions:
    """
    Put transitions one after the other.

    :param first: n transitions
    :param second: m transitions
    :return: n + m transitions
    """
    if len(second.rewards) == 0:
        return first
    return Transitions(*(_joined_field(one, other) for one, other in zip(first, second, strict=True)))


def with_further(observations: TensorObservations, also: TensorObservations | None) -> TensorObservations:
    """
    Put observations one after the other.

    :param observations: n observations
    :param also: m further ones, or none
    """
    joint: TensorObservations = observations if also is None else _joined_field(observations, also)
    return joint


def _joined_field(first: TensorObservations, second: TensorObservations) -> Any:
    if isinstance(first, dict) and isinstance(second, dict):
        return {key: th.cat([first[key], second[key]]) for key in first}
    return th.cat([first, second])  # type: ignore[list-item]
