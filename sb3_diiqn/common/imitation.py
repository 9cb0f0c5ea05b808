"""Deep implicit imitation for an off-policy algorithm of Stable-Baselines3 with discrete actions."""

from __future__ import annotations

import io
import os
import pathlib
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.vec_env import VecNormalize

from sb3_diiqn.common.buffers import (
    ExpertDictReplayBuffer,
    ExpertMatchingMixin,
    ExpertReplayBuffer,
    ExpertReward,
    ExpertSamples,
    ImitationSamples,
    TensorObservations,
)
from sb3_diiqn.common.callbacks import with_confidence_callback
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, MissingExpertDataError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.inference import ConfidenceStatistics, ExpertKnowledge, InferenceSettings

ExpertData = ExpertObservations | str | os.PathLike[str] | None


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


class ImplicitImitation:
    """
    Mixin with the data side and the update of DIIQN. Put it before the algorithm class.

    The host class calls :meth:`_set_imitation_arguments` in its constructor and supplies :meth:`_element_wise_losses`.
    Without expert data nothing of the host's behaviour changes.
    """

    # of the host
    env: Any
    device: Any
    gamma: float
    logger: Any
    max_grad_norm: float
    n_envs: int
    n_steps: int
    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    buffer_size: int
    optimize_memory_usage: bool
    policy: Any
    replay_buffer: ReplayBuffer | None
    replay_buffer_class: type[ReplayBuffer] | None
    replay_buffer_kwargs: dict[str, Any]
    seed: int | None
    _n_updates: int
    _vec_normalize_env: VecNormalize | None

    def _set_imitation_arguments(self, expert_data: ExpertData, settings: dict[str, Any], expert_reward: ExpertReward) -> None:
        """
        Keep the arguments under their own names, from where :meth:`_setup_model` takes them, also after loading.

        :param expert_data: the expert data, a path to it, or None
        :param settings: arguments of :class:`~sb3_diiqn.inference.InferenceSettings`
        :param expert_reward: see :class:`~sb3_diiqn.common.buffers.ExpertMatchingMixin`
        """
        self.expert_data = expert_data
        for name, value in settings.items():
            setattr(self, name, value)
        self._setting_names = list(settings)
        self.expert_reward = expert_reward
        self._expert: ExpertObservations | None = None
        self._expert_content_hash: str | None = None
        self._confidence_statistics = ConfidenceStatistics()

    @property
    def expert(self) -> ExpertObservations | None:
        """The expert data as the environment's observation space has them, None if there are none."""
        return self._expert

    @property
    def knowledge(self) -> ExpertKnowledge | None:
        """What has been learned about the expert so far, None without expert data."""
        return self.replay_buffer.knowledge if isinstance(self.replay_buffer, ExpertMatchingMixin) else None

    # --- setting up -------------------------------------------------------------------------------------------------

    def _setup_model(self) -> None:
        settings = self._inference_settings()
        self._expert = self._read_expert()
        if self._expert is None:
            super()._setup_model()  # type: ignore[misc]
            return
        self._refuse_impossible_combinations()
        users_class = self.replay_buffer_class
        # the host builds a buffer only where there is none
        self.replay_buffer = self._make_expert_buffer(self._expert, settings)
        super()._setup_model()  # type: ignore[misc]
        self.replay_buffer_class = users_class

    def _inference_settings(self) -> InferenceSettings:
        if self.expert_reward not in {"matched", "agent"}:
            raise ConfigurationError(f"expert_reward={self.expert_reward!r}: it must be 'matched' or 'agent'")
        return InferenceSettings(**{name: getattr(self, name) for name in self._setting_names})

    def _read_expert(self) -> ExpertObservations | None:
        if self._expert_is_missing():
            return None
        data = self.expert_data
        if data is None:
            return None
        if not isinstance(data, ExpertObservations):
            data = ExpertObservations.load(data)
        if len(data) == 0:
            raise ExpertDataError(f"the expert data {data!r} has no transition: at least one is needed")
        if self._expert_content_hash not in {None, data.content_hash}:
            warnings.warn("the expert data is not what the saved model was trained with", stacklevel=2)
        self._expert_content_hash = data.content_hash
        return data.adapted_to(self.observation_space)

    def _expert_is_missing(self) -> bool:
        """A loaded model predicts without its expert data; only learning needs it."""
        if self._expert_content_hash is None or isinstance(self.expert_data, ExpertObservations):
            return False
        return self.expert_data is None or not os.path.exists(self.expert_data)

    def _refuse_impossible_combinations(self) -> None:
        if self.optimize_memory_usage:
            raise ConfigurationError("optimize_memory_usage=True does not work with expert data: leave it False")
        if self.replay_buffer_class not in {None, ReplayBuffer, DictReplayBuffer, NStepReplayBuffer}:
            raise ConfigurationError(
                f"replay_buffer_class={self.replay_buffer_class.__name__}: expert data needs a replay buffer of its own; "  # type: ignore[union-attr]
                "leave replay_buffer_class=None, or expert_data=None"
            )
        if self._n_step_return() > 1 and isinstance(self.observation_space, spaces.Dict):
            raise ConfigurationError(f"n_steps={self.n_steps}: Dict observations have no n-step returns; use n_steps=1")

    def _n_step_return(self) -> int:
        return int(getattr(self, "n_steps", 1))

    def _make_expert_buffer(self, expert: ExpertObservations, settings: InferenceSettings) -> ReplayBuffer:
        buffer_class: type[ReplayBuffer] = ExpertReplayBuffer
        arguments = dict(self.replay_buffer_kwargs)
        if isinstance(self.observation_space, spaces.Dict):
            buffer_class = ExpertDictReplayBuffer
        elif self._n_step_return() > 1:
            from sb3_diiqn.common.buffers import ExpertNStepReplayBuffer

            buffer_class = ExpertNStepReplayBuffer
            arguments.update(n_steps=self.n_steps, gamma=self.gamma)
        return buffer_class(
            self.buffer_size,
            self.observation_space,
            self.action_space,
            device=self.device,
            n_envs=self.n_envs,
            knowledge=ExpertKnowledge(expert, self.observation_space, settings, self.seed),
            expert_reward=self.expert_reward,
            **arguments,
        )

    # --- learning ---------------------------------------------------------------------------------------------------

    def _require_expert(self) -> None:
        """Raise ``MissingExpertDataError`` if the model was loaded and the expert data it learned from is not there."""
        if self._expert is None and self._expert_content_hash is not None:
            reason = "none was given" if self.expert_data is None else f"{str(self.expert_data)!r} does not exist"
            raise MissingExpertDataError(
                f"this model was trained with expert data {self._expert_content_hash[:12]}, and {reason}: "
                "pass it when loading, as in load(path, env=env, expert_data=...)"
            )

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
        samples: ImitationSamples = self.replay_buffer.sample_with_expert(batch_size, env=self._vec_normalize_env)  # type: ignore[union-attr]
        agent, expert = self._agent_transitions(samples), self._expert_transitions(samples)
        q_values, losses = self._element_wise_losses(joined(agent, expert))
        agent_losses, expert_losses = losses[:batch_size], losses[batch_size:]
        phi = self._confidence(samples.expert, q_values[batch_size:], agent.actions)
        loss = (agent_losses.sum() + (phi * (expert_losses - agent_losses[samples.expert.rows])).sum()) / batch_size
        self._optimize(loss)
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
        discounts = th.full_like(expert.rewards, self.gamma)
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

    def _element_wise_losses(self, transitions: Transitions) -> tuple[th.Tensor, th.Tensor]:
        """
        Compute the temporal-difference loss of each transition, to be supplied by the host.

        :param transitions: n transitions
        :return: Q-values of all actions at the observations, shape (n, actions), and the losses, shape (n,)
        """
        raise NotImplementedError

    def _optimize(self, loss: th.Tensor) -> None:
        self.policy.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        th.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()

    # --- what the callback asks for ---------------------------------------------------------------------------------

    def update_confidence(self) -> None:
        """Match and infer with everything that the agent has gone through so far."""
        if isinstance(self.replay_buffer, ExpertMatchingMixin):
            self.replay_buffer.match_pending()

    def expert_statistics(self) -> dict[str, float]:
        """Summarise what was learned about the expert; the confidence since the last call. See :class:`ConfidenceCallback`."""
        if not isinstance(self.replay_buffer, ExpertMatchingMixin):
            return {}
        return {
            **self._confidence_statistics.take(),
            **self.replay_buffer.knowledge.statistics(),
            "matched": self.replay_buffer.matched_share(),
        }

    # --- saving and loading -----------------------------------------------------------------------------------------

    def _excluded_save_params(self) -> list[str]:
        excluded = [*super()._excluded_save_params(), "_expert", "_confidence_statistics"]  # type: ignore[misc]
        return excluded if isinstance(self.expert_data, (str, os.PathLike)) else [*excluded, "expert_data"]

    def load_replay_buffer(self, path: str | pathlib.Path | io.BufferedIOBase, truncate_last_traj: bool = True) -> None:
        """
        Load a replay buffer, and with it what was learned about the expert.

        :param path: file that ``save_replay_buffer`` wrote
        :param truncate_last_traj: see Stable-Baselines3
        :raises ExpertDataError: if it was saved with other expert data than the model has, or one of the two has none
        """
        own = self.replay_buffer
        super().load_replay_buffer(path, truncate_last_traj)  # type: ignore[misc]
        try:
            self._complete_restored_buffer(own)
        except ExpertDataError:
            self.replay_buffer = own
            raise

    def _complete_restored_buffer(self, own: ReplayBuffer | None) -> None:
        restored = self.replay_buffer
        if isinstance(own, ExpertMatchingMixin) and isinstance(restored, ExpertMatchingMixin):
            restored.knowledge = own.knowledge.adopt(restored.knowledge)
            restored.expert_reward = self.expert_reward
        elif isinstance(own, ExpertMatchingMixin):
            raise ExpertDataError("the replay buffer was saved without expert data: load it into a model without, too")
        elif isinstance(restored, ExpertMatchingMixin):
            raise ExpertDataError("the replay buffer was saved with expert data: give the model the same, expert_data=...")


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


def _joined_field(first: TensorObservations, second: TensorObservations) -> Any:
    if isinstance(first, dict) and isinstance(second, dict):
        return {key: th.cat([first[key], second[key]]) for key in first}
    return th.cat([first, second])  # type: ignore[list-item]
