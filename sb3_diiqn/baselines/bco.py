"""
BCO and BCO(alpha): behavioural cloning from observation (Torabi et al. 2018, arXiv 1805.01954). It sees no reward.

An inverse model learns from the agent's own transitions which action leads from s to s'; it labels the expert's pairs; a
policy learns the labels by maximum likelihood. With alpha > 0 the policy then acts, and with what it experiences all of it
is repeated.

Choices:

- ``learning_starts`` is the number of pre-demonstration interactions, with random actions. After that the first policy is
  made.
- With ``alpha = 0`` that policy stays as it is: it acts until the end of the training, so that its curve can be drawn, and
  nothing is learned from what it sees. With ``alpha > 0`` a new policy follows every ``alpha * learning_starts`` steps,
  until the end of the training (the paper: until it no longer improves, which needs rewards or a person to tell).
- The inverse model learns from all own transitions that the replay buffer holds, random ones and those of all policies so
  far. Each round goes on from the networks of the round before.
- The policy has the network, the optimizer and the learning rate of DQN's policy. While acting, actions are drawn from its
  distribution; ``predict(..., deterministic=True)`` takes the most likely one.
- A label is the most likely action, as in the paper. Both networks make ``updates`` steps per round, of ``batch_size``
  pairs.
- The inverse model is that of DIIQN, :class:`~sb3_diiqn.networks.inverse_dynamics.InverseDynamics`.

DQN's arguments for exploration, target network, discount and update schedule have no effect.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch as th
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn.baselines.actor import Actor
from sb3_diiqn.baselines.expert_dqn import ExpertDQN
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert.given import ExpertData
from sb3_diiqn.networks.inverse_dynamics import InverseDynamics

LABELLING_BATCH = 4096


class CloningDQN(ExpertDQN):
    """
    Base class of those that clone the expert from labels of an inverse model.

    :param updates: gradient steps of the inverse model, and then of the clone, per round
    """

    networks: ClassVar[tuple[str, ...]] = ("inverse_dynamics",)

    inverse_dynamics: InverseDynamics

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: GymEnv | str | None,
        expert_data: ExpertData = None,
        *,
        updates: int = 5000,
        _init_setup_model: bool = True,
        **dqn_settings: Any,
    ) -> None:
        if updates < 1:
            raise ConfigurationError(f"updates={updates}: expected at least 1 gradient step")
        super().__init__(policy, env, expert_data, _init_setup_model=False, **dqn_settings)
        if self.learning_starts < 1:
            raise ConfigurationError(
                f"learning_starts={self.learning_starts}: the inverse model needs that many random steps, at least 1"
            )
        self.updates = updates
        if _init_setup_model:
            self._setup_model()

    def _make_networks(self) -> None:
        self.inverse_dynamics = InverseDynamics(self.observation_space, self._n_actions()).to(self.device)

    def label_expert(self) -> np.ndarray:
        """Estimate the action of every expert transition: the most likely one, shape (n_transitions,), int64."""
        n = len(self._present_expert)
        batches = [np.arange(start, min(start + LABELLING_BATCH, n)) for start in range(0, n, LABELLING_BATCH)]
        estimates = [self.inverse_dynamics.probabilities(*self._expert_tensors(batch)) for batch in batches]
        return np.asarray(np.concatenate(estimates).argmax(axis=1))

    def _clone_expert(self, actor: Actor, batch_size: int) -> None:
        """Make a round: the inverse model learns, labels, and the actor learns the labels."""
        inverse_losses = [self._learn_inverse_dynamics(batch_size) for _ in range(self.updates)]
        labels = th.as_tensor(self.label_expert(), device=self.device)
        cloning_losses = []
        for _ in range(self.updates):
            indices = self._draw_expert(batch_size)
            cloning_losses.append(actor.learn(self._to_tensors(self._present_expert.current(indices)), labels[indices]))
        self.logger.record("train/inverse_loss", np.mean(inverse_losses[-100:]))
        self.logger.record("train/cloning_loss", np.mean(cloning_losses[-100:]))

    def _learn_inverse_dynamics(self, batch_size: int) -> float:
        own = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
        return self.inverse_dynamics.learn(own.observations, own.actions.long(), own.next_observations)


class BCO(CloningDQN):
    """
    Behavioural cloning from observation. See the module's text for the choices.

    :param alpha: new interactions per round as a fraction of ``learning_starts``; 0: a single round
    :raises ConfigurationError: if alpha is negative, or ``learning_starts`` or ``updates`` is below 1
    """

    actor: Actor

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: GymEnv | str | None,
        expert_data: ExpertData = None,
        *,
        alpha: float = 0.0,
        updates: int = 5000,
        _init_setup_model: bool = True,
        **dqn_settings: Any,
    ) -> None:
        if alpha < 0:
            raise ConfigurationError(f"alpha={alpha}: expected 0, or a positive share of learning_starts")
        super().__init__(policy, env, expert_data, updates=updates, _init_setup_model=False, **dqn_settings)
        self.alpha = alpha
        self.rounds = 0
        if _init_setup_model:
            self._setup_model()

    def _make_networks(self) -> None:
        super()._make_networks()
        # the policy's own network, so that whatever takes the policy out of the model gets the clone
        self.actor = Actor(self.q_net, self.policy.optimizer, self.max_grad_norm)

    def _begin_anew(self) -> None:
        super()._begin_anew()
        self.rounds = 0

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """
        Make a round, if enough has been gone through since the last one.

        :param gradient_steps: no effect
        :param batch_size: pairs per update
        """
        if not self._is_due():
            return
        self._update_learning_rate(self.policy.optimizer)
        self._clone_expert(self.actor, batch_size)
        self.rounds += 1
        self.logger.record("train/rounds", self.rounds)

    def _is_due(self) -> bool:
        if self.rounds == 0:
            return True
        return self.alpha > 0 and self.num_timesteps >= self.learning_starts * (1 + self.rounds * self.alpha)
