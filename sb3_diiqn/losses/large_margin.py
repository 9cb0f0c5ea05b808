"""Imitation: the action that the expert, or the guide, seems to have taken is to be valued above the others by a margin."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch as th

from sb3_diiqn.common.batch import Batch, TDOutput
from sb3_diiqn.common.running_means import RunningMeans
from sb3_diiqn.losses.base import ExpertLoss
from sb3_diiqn.losses.fading import FadingWeight

Margin = float | Literal["auto"]


class FixedMargin:
    """
    A margin in units of the reward.

    :param margin: positive
    """

    #: what the loss is multiplied by
    scale = 1.0

    def __init__(self, margin: float) -> None:
        self.margin = margin

    def note(self, errors: th.Tensor, rewards: th.Tensor) -> None:
        """
        Nothing to learn from.

        :param errors: absolute temporal-difference errors, shape (n,)
        :param rewards: shape (n, 1)
        """


class ScaledMargin:
    """
    A margin that does not depend on the unit of the reward, the larger one of two.

    Twice the mean absolute temporal-difference error of late: values are not known better than that, and what is closer
    together may be in any order. And the standard deviation of the rewards, or n-step returns, in the agent's batches of
    late: where they are rare, the errors are next to nothing, and so would be the margin.

    The loss is multiplied by the same number, up to 1: the gradient of the temporal-difference loss grows with the errors up
    to 1, that of the margin loss does not.
    """

    #: the margin in mean errors
    factor = 2.0
    #: weight of a new batch in the running means
    step_size = 0.01

    def __init__(self) -> None:
        # of the errors, of the rewards, and of their squares
        self._means: np.ndarray | None = None

    def note(self, errors: th.Tensor, rewards: th.Tensor) -> None:
        """
        Note an update.

        :param errors: absolute temporal-difference errors, shape (n,)
        :param rewards: as the networks have them, shape (n, 1)
        """
        means = np.array([float(errors.mean()), float(rewards.mean()), float(rewards.square().mean())])
        before = means if self._means is None else self._means
        self._means = before + self.step_size * (means - before)

    @property
    def margin(self) -> float:
        """The margin, 0 as long as nothing is known."""
        if self._means is None:
            return 0.0
        error, reward, square = self._means
        return float(max(self.factor * error, np.sqrt(max(square - reward**2, 0.0))))

    @property
    def scale(self) -> float:
        """What the loss is multiplied by, in [0, 1]."""
        return min(self.margin, 1.0)


def make_margin(margin: Margin) -> FixedMargin | ScaledMargin:
    """
    Make the margin that an argument asks for.

    :param margin: in units of the reward, or ``"auto"`` for :class:`ScaledMargin`
    """
    return ScaledMargin() if margin == "auto" else FixedMargin(margin)


class ImitateExpert(ExpertLoss):
    """
    The large-margin loss on sampled expert transitions, weighted by the certainty of their actions.

    :param weight: how much it counts
    :param margin: the margin
    """

    def __init__(self, weight: FadingWeight, margin: FixedMargin | ScaledMargin) -> None:
        self.weight = weight
        self.margin = margin
        self._means = RunningMeans()

    def statistics(self, progress_remaining: float) -> dict[str, float]:
        """Return the mean loss before weighting since the last call, and the weight and the margin that are in use now."""
        in_use = {"imitation_weight": self.weight(progress_remaining), "imitation_margin": self.margin.margin}
        return self._means.take() | in_use

    def wants_samples(self, progress_remaining: float) -> bool:
        """As long as it counts for anything."""
        return self.weight.is_worth_it(progress_remaining)

    def __call__(self, batch: Batch, td: TDOutput, progress_remaining: float) -> th.Tensor:
        """Compute the mean over the samples."""
        if batch.samples is None:
            return td.losses.new_zeros(())
        self.margin.note(td.errors[batch.agent], batch.rewards[batch.agent])
        losses = margin_losses(td.q_values[batch.sampled_observations], batch.samples.plausible, self.margin.margin)
        loss = (batch.samples.certainty * losses).mean()
        self._means.add("imitation_loss", loss)
        return self.margin.scale * self.weight(progress_remaining) * loss


class ImitateGuide(ExpertLoss):
    """
    The large-margin loss where the guide has chosen the agent's action, which it has for a reason.

    What comes halfway on a bridge is nowhere in the recording.

    :param weight: how much it counts
    :param margin: the margin, shared with :class:`ImitateExpert`
    """

    def __init__(self, weight: FadingWeight, margin: FixedMargin | ScaledMargin) -> None:
        self.weight = weight
        self.margin = margin

    def __call__(self, batch: Batch, td: TDOutput, progress_remaining: float) -> th.Tensor:
        """Compute the mean over the agent's transitions, 0 for those that were its own choice."""
        if not self.weight.is_worth_it(progress_remaining):
            return td.losses.new_zeros(())
        q_values = td.q_values[batch.agent]
        taken = th.zeros_like(q_values, dtype=th.bool).scatter_(1, batch.actions[batch.agent], True)
        losses = margin_losses(q_values, taken, self.margin.margin)
        return self.margin.scale * self.weight(progress_remaining) * (batch.guided.float() * losses).mean()


def margin_losses(q_values: th.Tensor, plausible: th.Tensor, margin: float) -> th.Tensor:
    """
    Compute by how much the best of the plausible actions falls short of being a margin above all others.

    The large-margin classification of DQfD (Hester et al. 2018, arXiv 1704.03732) for a set of actions instead of one::

        max(0, max over others (Q(s_e, a) + margin) - max over plausible Q(s_e, a))

    :param q_values: Q(s_e, .), shape (n, n_actions)
    :param plausible: which actions the expert may have taken, shape (n, n_actions), bool
    :param margin: the margin
    :return: shape (n,); 0 where all actions are plausible
    """
    lowest = th.finfo(q_values.dtype).min
    best = q_values.masked_fill(~plausible, lowest).max(dim=1).values
    others = q_values.masked_fill(plausible, lowest).max(dim=1).values
    return th.relu(others + margin - best)
