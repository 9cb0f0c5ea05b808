"""
ORIL for discrete actions: offline reinforced imitation learning (Zolna et al. 2020, arXiv 2011.13885). It sees no reward.

A reward model learns to tell the expert's observations from others, which may be as good as the expert's:
positive-unlabelled learning. With its rewards, critic-regularised regression (CRR, Wang et al. 2020, arXiv 2006.15134)
learns a policy that imitates those actions that a critic finds better than the policy's average.

Choices:

- **The data.** The paper has fixed data without labels. Here, as for the other algorithms, there is none: the
  unlabelled set is the replay buffer with the agent's own transitions, ``learning_starts`` random steps and then
  those of its policy, drawn from its distribution. So it is ORIL's losses on growing data, not offline learning.
- The expert's transitions train the reward model only. CRR needs actions, which they do not have.
- The reward model sees (s, s'), with the network of DIIQN's inverse model and one output; the paper's sees s. With s' good
  and bad ends of an episode can be told apart. Rewards are its probabilities, in (0, 1), computed when a batch is drawn.
- The loss is positive-unlabelled with the prior ``positive_prior``, 0.5 by default, and non-negative: what the expert's
  fraction takes away from the unlabelled part never makes that part negative (Kiryo et al. 2017, arXiv 1703.00593).
- CRR's expectations over the policy's actions are exact. ``weighting="binary"`` imitates actions of positive advantage,
  with weight 1; ``"exponential"`` has weights exp(advantage / ``temperature``), at most ``max_weight``.
- Critic: DQN's network, target network, schedule, Huber loss. Actor: a second network like it, with its own optimizer.
- What the paper does beyond that to keep the reward model from overfitting is left out.

All rewards are positive, so longer episodes are worth more, whatever the task: where an early end is the goal, as in
MountainCar, that is a handicap. The paper's tasks have a fixed length.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch as th
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.dqn.policies import DQNPolicy
from torch import nn

from sb3_diiqn.baselines.actor import Actor
from sb3_diiqn.baselines.expert_dqn import ExpertDQN
from sb3_diiqn.common.batch import joined
from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert.given import ExpertData
from sb3_diiqn.expert.types import count_observations
from sb3_diiqn.networks.inverse_dynamics import TransitionNetwork

Weighting = Literal["binary", "exponential"]


class RewardModel(nn.Module):
    """
    The probability that a pair (s, s') is the expert's.

    :param observation_space: the environment's observation space
    :param positive_prior: assumed fraction of the unlabelled pairs that are as good as the expert's, in [0, 1]
    """

    def __init__(self, observation_space: Any, positive_prior: float) -> None:
        super().__init__()
        self.positive_prior = positive_prior
        # the same network, with a single output
        self.network = TransitionNetwork(observation_space, n_outputs=1)
        self.optimizer = self.network.optimizer

    def rewards(self, observations: TensorObservations, next_observations: TensorObservations) -> th.Tensor:
        """Compute the rewards of pairs, shape (n, 1)."""
        self.eval()
        with th.no_grad():
            return th.sigmoid(self.network(observations, next_observations))

    def learn(
        self,
        expert: tuple[TensorObservations, TensorObservations],
        own: tuple[TensorObservations, TensorObservations],
    ) -> float:
        """
        Make one step of gradient descent.

        :param expert: s and s' of expert transitions, n of them
        :param own: s and s' of the agent's, m of them
        :return: the loss
        """
        self.train()
        # in one batch, so that the normalisation cannot give away which is which
        logits = self.network(*(joined(one, other) for one, other in zip(expert, own, strict=True))).squeeze(1)
        n_expert = len(logits) - count_observations(own[0])
        loss = positive_unlabelled_loss(logits[:n_expert], logits[n_expert:], self.positive_prior)
        return self.network.minimize(loss)


def positive_unlabelled_loss(expert_logits: th.Tensor, own_logits: th.Tensor, positive_prior: float) -> th.Tensor:
    """
    Compute eta E_e[-log R] + max(0, E_u[-log(1 - R)] - eta E_e[-log(1 - R)]).

    :param expert_logits: logits of R for the expert's pairs, shape (n,)
    :param own_logits: the same for the unlabelled ones, shape (m,)
    :param positive_prior: eta
    """
    positive = nn.functional.softplus(-expert_logits).mean()
    negative = nn.functional.softplus(own_logits).mean() - positive_prior * nn.functional.softplus(expert_logits).mean()
    return positive_prior * positive + negative.clamp(min=0)


def regression_weights(
    q_values: th.Tensor, probabilities: th.Tensor, actions: th.Tensor, weighting: Weighting, temperature: float, maximum: float
) -> th.Tensor:
    """
    Compute how much each action is worth imitating.

    :param q_values: the critic's, shape (n, n_actions)
    :param probabilities: the policy's, shape (n, n_actions)
    :param actions: shape (n, 1)
    :param weighting: 1 where the advantage is positive, or its exponential
    :param temperature: what the advantage is divided by before
    :param maximum: of the exponential
    :return: shape (n,)
    """
    advantages = (q_values.gather(1, actions) - (probabilities * q_values).sum(dim=1, keepdim=True)).squeeze(1)
    if weighting == "binary":
        return (advantages > 0).to(q_values.dtype)
    return (advantages / temperature).exp().clamp(max=maximum)


class ORIL(ExpertDQN):
    """
    Reward from positive-unlabelled learning, policy from critic-regularised regression. See the module's text for the choices.

    :param positive_prior: assumed fraction of the agent's transitions that are as good as the expert's, in [0, 1]
    :param weighting: ``"binary"`` or ``"exponential"``
    :param temperature: of the exponential weights, above 0
    :param max_weight: their maximum
    :raises ConfigurationError: if one of them is out of range
    """

    networks = ("reward_model", "actor")

    reward_model: RewardModel
    actor: Actor

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: GymEnv | str | None,
        expert_data: ExpertData = None,
        *,
        positive_prior: float = 0.5,
        weighting: Weighting = "binary",
        temperature: float = 1.0,
        max_weight: float = 20.0,
        _init_setup_model: bool = True,
        **dqn_settings: Any,
    ) -> None:
        if not 0 <= positive_prior <= 1:
            raise ConfigurationError(f"positive_prior={positive_prior}: expected a share in [0, 1]")
        if weighting not in {"binary", "exponential"}:
            raise ConfigurationError(f"weighting={weighting!r}: it must be 'binary' or 'exponential'")
        if temperature <= 0 or max_weight <= 0:
            raise ConfigurationError(f"temperature={temperature}, max_weight={max_weight}: both must be above 0")
        super().__init__(policy, env, expert_data, _init_setup_model=False, **dqn_settings)
        self.positive_prior, self.weighting = positive_prior, weighting
        self.temperature, self.max_weight = temperature, max_weight
        if _init_setup_model:
            self._setup_model()

    def _make_networks(self) -> None:
        self.reward_model = RewardModel(self.observation_space, self.positive_prior).to(self.device)
        self.actor = Actor.beside(self.policy, self.lr_schedule(1), self.max_grad_norm)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """
        Update reward model, critic and actor.

        :param gradient_steps: number of updates of each
        :param batch_size: own transitions per update, and as many of the expert's for the reward model
        """
        self.policy.set_training_mode(True)
        self._update_learning_rate([self.policy.optimizer, self.actor.optimizer])
        losses = np.mean([self._update(batch_size) for _ in range(gradient_steps)], axis=0)
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        for name, value in zip(("reward_loss", "loss", "actor_loss", "mean_reward"), losses, strict=True):
            self.logger.record(f"train/{name}", value)

    def _update(self, batch_size: int) -> tuple[float, float, float, float]:
        own = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
        pairs, actions = (own.observations, own.next_observations), own.actions.long()
        reward_loss = self.reward_model.learn(self._expert_tensors(self._draw_expert(batch_size)), pairs)
        rewards = self.reward_model.rewards(*pairs)
        critic_loss = self._learn_critic(own, actions, rewards)
        with th.no_grad():
            q_values, probabilities = self.q_net(own.observations), self.actor(own.observations).softmax(dim=1)
        weights = regression_weights(q_values, probabilities, actions, self.weighting, self.temperature, self.max_weight)
        actor_loss = self.actor.learn(own.observations, actions.squeeze(1), weights)
        return reward_loss, critic_loss, actor_loss, float(rewards.mean().item())

    def _learn_critic(self, own: Any, actions: th.Tensor, rewards: th.Tensor) -> float:
        with th.no_grad():
            probabilities = self.actor(own.next_observations).softmax(dim=1)
            next_values = (probabilities * self.q_net_target(own.next_observations)).sum(dim=1, keepdim=True)
            targets = rewards + (1 - own.dones) * self.gamma * next_values
        values = self.q_net(own.observations).gather(1, actions)
        return self._minimize(nn.functional.smooth_l1_loss(values, targets))
