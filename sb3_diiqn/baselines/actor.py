"""A policy with the architecture of DQN's network: its outputs are the logits of the actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import nn

from sb3_diiqn.common.types import TensorObservations


class Actor(nn.Module):
    """
    Chooses actions, and learns to by weighted maximum likelihood.

    :param network: gives the logits
    :param optimizer: of the network's parameters
    :param max_grad_norm: gradients are clipped to this norm
    """

    def __init__(self, network: QNetwork, optimizer: th.optim.Optimizer, max_grad_norm: float) -> None:
        super().__init__()
        self.network = network
        self.optimizer = optimizer
        self.max_grad_norm = max_grad_norm

    @classmethod
    def beside(cls, policy: DQNPolicy, learning_rate: float, max_grad_norm: float) -> Actor:
        """
        Make one with a network of its own.

        :param policy: has the architecture and the optimizer's class and arguments
        :param learning_rate: of the optimizer
        :param max_grad_norm: gradients are clipped to this norm
        """
        network = policy.make_q_net()
        optimizer: Any = policy.optimizer_class
        return cls(network, optimizer(network.parameters(), lr=learning_rate, **policy.optimizer_kwargs), max_grad_norm)

    def forward(self, observations: TensorObservations) -> th.Tensor:
        """
        Compute the logits of the actions.

        :param observations: shape (n, ``*observation_shape``)
        :return: shape (n, n_actions)
        """
        logits: th.Tensor = self.network(observations)
        return logits

    def learn(self, observations: TensorObservations, actions: th.Tensor, weights: th.Tensor | None = None) -> float:
        """
        Make one step of gradient descent on the mean of the weighted negative log-likelihoods.

        :param observations: shape (n, ``*observation_shape``)
        :param actions: shape (n,)
        :param weights: shape (n,), or None: all 1
        :return: the loss
        """
        self.network.set_training_mode(True)
        losses = nn.functional.cross_entropy(self(observations), actions, reduction="none")
        loss = losses.mean() if weights is None else (weights * losses).mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return float(loss.item())

    def act(self, observation: np.ndarray | dict[str, np.ndarray], deterministic: bool) -> np.ndarray:
        """
        Choose actions.

        :param observation: one observation, or a batch of them
        :param deterministic: whether to choose the most likely action instead of drawing one
        :return: shape () or (n,), as the observation
        """
        self.network.set_training_mode(False)
        tensors, is_batch = self.network.obs_to_tensor(observation)
        with th.no_grad():
            logits = self(tensors)
        chosen = logits.argmax(dim=1) if deterministic else th.multinomial(logits.softmax(dim=1), 1).squeeze(1)
        actions = chosen.cpu().numpy()
        return actions if is_batch else np.asarray(actions[0])
