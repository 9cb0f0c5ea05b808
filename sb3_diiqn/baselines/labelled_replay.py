"""
DQN with labelled expert transitions in its batches, after RLV (Schmeckpeper et al. 2020, arXiv 2011.06507).

Half of every batch is the agent's own, half are expert transitions whose actions an inverse model tells, which learns
alongside. All of it is DQN's one loss: nothing weighs a doubtful label less.

Choices:

- An expert transition is labelled anew, with the most likely action, whenever it is drawn. The inverse model makes one
  update per update of DQN, from ``batch_size`` own transitions, of which one half are those that DQN learns from.
- RLV's part for videos of another body (features that hide the domain) is left out: expert and agent see the same.
- The expert's rewards: ``expert_reward="recorded"`` takes those in the recordings. That is the environment's reward, and
  more than DIIQN is given, so the comparison favours this baseline. ``"terminal"`` is RLV's own answer for recordings without
  rewards: ``terminal_reward`` where the expert's episode really ended, 0 elsewhere. It fits tasks that end with success,
  and is wrong where an episode ends with failure.
- An expert transition is the end of an episode where the recording says that the episode really ended.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch as th
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.dqn.policies import DQNPolicy
from torch.nn import functional

from sb3_diiqn.baselines.expert_dqn import ExpertDQN
from sb3_diiqn.common.batch import Transitions, joined
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError
from sb3_diiqn.expert.given import ExpertData
from sb3_diiqn.expert.types import take
from sb3_diiqn.networks.inverse_dynamics import InverseDynamics


class LabelledReplayDQN(ExpertDQN):
    """
    DQN with inverse-model-labelled expert transitions in its batches. See the module's text for the choices.

    :param expert_reward: ``"recorded"`` or ``"terminal"``
    :param terminal_reward: reward of the last transition of an expert's episode that really ended, with ``"terminal"``
    :raises ConfigurationError: if ``expert_reward`` is something else, or ``batch_size`` is below 2
    :raises ExpertDataError: if rewards are to be taken from recordings that have none
    """

    networks = ("inverse_dynamics",)

    inverse_dynamics: InverseDynamics

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: GymEnv | str | None,
        expert_data: ExpertData = None,
        *,
        expert_reward: Literal["recorded", "terminal"] = "recorded",
        terminal_reward: float = 10.0,
        _init_setup_model: bool = True,
        **dqn_settings: Any,
    ) -> None:
        if expert_reward not in {"recorded", "terminal"}:
            raise ConfigurationError(f"expert_reward={expert_reward!r}: it must be 'recorded' or 'terminal'")
        super().__init__(policy, env, expert_data, _init_setup_model=False, **dqn_settings)
        if self.batch_size < 2:
            raise ConfigurationError(f"batch_size={self.batch_size}: one half are the expert's, so at least 2 are needed")
        self.expert_reward = expert_reward
        self.terminal_reward = terminal_reward
        if _init_setup_model:
            self._setup_model()

    def _make_networks(self) -> None:
        self.inverse_dynamics = InverseDynamics(self.observation_space, self._n_actions()).to(self.device)
        if self.expert is not None and self.expert_reward == "recorded" and self.expert.rewards is None:
            raise ExpertDataError("the expert data have no rewards: record them, or use expert_reward='terminal'")

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """
        Update the Q-network and the inverse model.

        :param gradient_steps: number of updates
        :param batch_size: transitions per update, the agent's and the expert's together
        """
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = [self._update(batch_size) for _ in range(gradient_steps)]
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", np.mean(losses, axis=0)[0])
        self.logger.record("train/inverse_loss", np.mean(losses, axis=0)[1])

    def _update(self, batch_size: int) -> tuple[float, float]:
        own = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
        inverse_loss = self.inverse_dynamics.learn(own.observations, own.actions.long(), own.next_observations)
        return self._minimize(self._td_loss(self._batch(own))), inverse_loss

    def _batch(self, own: Any) -> Transitions:
        """Replace the second half of the agent's transitions by the expert's."""
        discounts = th.full_like(own.rewards, self.gamma)
        agent = Transitions(own.observations, own.actions, own.next_observations, own.dones, own.rewards, discounts)
        n_own = (len(own.rewards) + 1) // 2
        expert = self._expert_transitions(self._draw_expert(len(own.rewards) - n_own))
        joint: list[Any] = [
            joined(take(one, slice(n_own)), other)  # type: ignore[arg-type]
            for one, other in zip(agent, expert, strict=True)
        ]
        return Transitions(*joint)

    def _expert_transitions(self, indices: np.ndarray) -> Transitions:
        observations, next_observations = self._expert_tensors(indices)
        actions = self.inverse_dynamics.probabilities(observations, next_observations).argmax(axis=1)
        rewards = self.replay_buffer._normalize_reward(self._rewards(indices), self._vec_normalize_env)
        columns = (actions, self._ends(indices).astype(np.float32), rewards.astype(np.float32))
        labels, dones, paid = (th.as_tensor(column, device=self.device).reshape(-1, 1) for column in columns)
        return Transitions(observations, labels, next_observations, dones, paid, th.full_like(paid, self.gamma))

    def _rewards(self, indices: np.ndarray) -> np.ndarray:
        recorded = self._present_expert.rewards
        if self.expert_reward == "recorded" and recorded is not None:
            return np.asarray(recorded[indices])
        return np.asarray(self.terminal_reward * self._ends(indices))

    def _ends(self, indices: np.ndarray) -> np.ndarray:
        """Tell which expert transitions really ended an episode, shape (n,)."""
        return np.asarray(self._present_expert.terminals[indices])

    def _td_loss(self, batch: Transitions) -> th.Tensor:
        with th.no_grad():
            next_values = self.q_net_target(batch.next_observations).max(dim=1, keepdim=True).values
            targets = batch.rewards + (1 - batch.dones) * batch.discounts * next_values
        values = self.q_net(batch.observations).gather(1, batch.actions.long())
        return functional.smooth_l1_loss(values, targets)
