"""A reward model: a network that tells what the agent would have been paid for a transition."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from torch import nn

from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.expert.types import count_observations
from sb3_diiqn.networks.inverse_dynamics import TransitionNetwork


class Rewards(NamedTuple):
    """Rewards of n transitions."""

    values: np.ndarray
    """Shape (n,), float32."""
    certainty: np.ndarray
    """That the agent would see the same, in [0, 1], shape (n,), float32."""


def unknown_rewards(n: int) -> Rewards:
    """
    Say that nothing is known.

    :param n: of how many transitions
    """
    nothing = np.zeros(n, dtype=np.float32)
    return Rewards(nothing, nothing)


class RewardModel(TransitionNetwork):
    """
    Learns from the agent's own transitions, and is asked about the expert's, as inverse dynamics are.

    Most tasks pay few different amounts: the model is a classifier over those that the agent has seen, so that "nothing" is
    exactly 0, and does not add up along an episode. Where there are more than it has classes, it predicts the amount itself,
    and is as certain as the share of their variance that it has explained of late.

    It also tells whether an episode ends. The recording knows that, too; where the two disagree, the agent has seen nothing of
    the kind, and what it would have been paid is not known: a goal at the end of an episode that it has never reached is not
    worth 0. Of what is new within an episode it says nothing of the kind, and takes it for what it knows.

    :param observation_space: the environment's observation space
    :param n_classes: how many different amounts it can tell apart
    """

    #: weight of a new batch in running means
    step_size = 0.01

    def __init__(self, observation_space: spaces.Space[Any], n_classes: int = 32) -> None:
        # beside the classes: the amount itself, and the end
        super().__init__(observation_space, n_classes + 2)
        self.n_classes = n_classes
        # saved with the parameters: the amounts, by class, and how many there are; more than there are classes: too many
        self.register_buffer("amounts", th.zeros(n_classes))
        self.register_buffer("n_amounts", th.zeros((), dtype=th.int64))
        #: how often it has learned
        self.register_buffer("n_learned", th.zeros((), dtype=th.int64))
        # mean and mean square of the amounts, which standardise what is predicted where there are too many
        self.register_buffer("moments", th.zeros(2))
        # share of the variance that predicted amounts leave unexplained; nothing was predicted yet
        self.register_buffer("unexplained", th.ones(()))

    amounts: th.Tensor
    n_amounts: th.Tensor
    n_learned: th.Tensor
    moments: th.Tensor
    unexplained: th.Tensor

    @property
    def is_classifier(self) -> bool:
        """Whether the amounts seen so far are few enough to be classes."""
        return int(self.n_amounts) <= self.n_classes

    def learn(
        self,
        observations: TensorObservations,
        next_observations: TensorObservations,
        rewards: np.ndarray,
        terminals: np.ndarray,
    ) -> float:
        """
        Make one step of gradient descent.

        :param observations: the agent's s, shape (n, ``*observation_shape``)
        :param next_observations: what it saw next, shape (n, ``*observation_shape``)
        :param rewards: what it was paid, not normalised, shape (n,)
        :param terminals: whether its episode ended there, and was not cut, shape (n,)
        :return: the sum of the losses
        """
        paid = th.as_tensor(np.asarray(rewards, dtype=np.float32), device=self.amounts.device)
        self._note(paid)
        self.n_learned += 1
        self.train()
        outputs = self(observations, next_observations)
        ended = th.as_tensor(np.asarray(terminals, dtype=np.float32), device=outputs.device)
        loss = nn.functional.binary_cross_entropy_with_logits(outputs[:, -1], ended)
        return self.minimize(loss + self._reward_loss(outputs, paid))

    def predict(
        self, observations: TensorObservations, next_observations: TensorObservations, terminals: np.ndarray
    ) -> Rewards:
        """
        Tell what transitions would have paid.

        :param observations: s, shape (n, ``*observation_shape``)
        :param next_observations: s', shape (n, ``*observation_shape``)
        :param terminals: whether they ended an episode, shape (n,), bool
        :return: rewards, and how certain they are: the probability of the amount beyond chance, times that of the end as it
            was; without any certainty as long as nothing was learned
        """
        if not self.has_learned:
            return unknown_rewards(count_observations(observations))
        outputs = self._answer(self, observations, next_observations)
        values, certainty = self._amounts(outputs)
        ends = outputs[:, -1].sigmoid()
        agreement = th.where(th.as_tensor(terminals, device=ends.device), ends, 1.0 - ends)
        return Rewards(values.float().cpu().numpy(), (certainty * agreement).cpu().numpy())

    def _reward_loss(self, outputs: th.Tensor, paid: th.Tensor) -> th.Tensor:
        if self.is_classifier:
            known = int(self.n_amounts)
            classes = (paid[:, None] == self.amounts[:known]).int().argmax(dim=1)
            return nn.functional.cross_entropy(outputs[:, :known], classes)
        mean, scale = self._scale()
        targets, predicted = ((paid - mean) / scale).float(), outputs[:, self.n_classes]
        self.unexplained += self.step_size * ((predicted.detach() - targets).square().mean() - self.unexplained)
        return nn.functional.smooth_l1_loss(predicted, targets)

    def _amounts(self, outputs: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """Return amounts, and how certain they are, each shape (n,)."""
        if not self.is_classifier:
            mean, scale = self._scale()
            certainty = float((1.0 - self.unexplained).clamp(0.0, 1.0))
            return outputs[:, self.n_classes] * scale + mean, th.full((len(outputs),), certainty, device=outputs.device)
        known = int(self.n_amounts)
        probability, classes = outputs[:, :known].softmax(dim=1).max(dim=1)
        # of a single amount, nothing else is possible
        chance = 1.0 / known if known > 1 else 0.0
        return self.amounts[classes], ((probability - chance) / (1.0 - chance)).clamp(0.0, 1.0)

    def _scale(self) -> tuple[float, float]:
        mean, square = (float(moment) for moment in self.moments)
        return mean, max(square - mean**2, 1e-12) ** 0.5

    def _note(self, paid: th.Tensor) -> None:
        """Take up amounts that were not seen before."""
        step = 1.0 if int(self.n_amounts) == 0 else self.step_size
        self.moments += step * (th.stack([paid.mean(), paid.square().mean()]) - self.moments)
        if not self.is_classifier:
            return
        known = int(self.n_amounts)
        new = th.unique(paid)
        new = new[~th.isin(new, self.amounts[:known])]
        fits = new[: self.n_classes - known]
        self.amounts[known : known + len(fits)] = fits
        self.n_amounts += len(new)
