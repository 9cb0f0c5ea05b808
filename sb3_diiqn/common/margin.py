"""Learning from the whole of the expert data: a large-margin loss on the actions that the expert seems to have taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch as th

from sb3_diiqn.common.inverse_dynamics import InverseDynamics
from sb3_diiqn.inference.settings import is_in, require, require_count

INFERENCES = ("nearest", "inverse_dynamics")

Inference = str | type[InverseDynamics]
Margin = float | Literal["auto"]


@dataclass(frozen=True)
class DemonstrationSettings:
    """
    Parameters of the margin loss and of the estimates that it builds on. None of it is in the paper.

    :param inference: where the estimates come from: ``"nearest"``, ``"inverse_dynamics"``, or a class derived from
        :class:`~sb3_diiqn.common.inverse_dynamics.InverseDynamics`
    :param margin_weight: weight of the margin loss, 0 turns it off
    :param margin: by how much the expert's action is to be valued above others, in units of the reward, positive; or
        ``"auto"``, see :class:`AutomaticMargin`
    :param margin_factor: an automatic margin, in mean temporal-difference errors, positive
    :param margin_filter: whether states are left out at which another action is valued higher by more than the margin
    :param margin_priorities: whether transitions are drawn less often of which what is known is learned
    :param margin_vote: whether a network's estimates are put to the vote of all transitions from one state
    :param margin_batch_size: expert transitions per update, at least 1
    :param imitate_guide: whether the guide's actions in the agent's own transitions are imitated, too
    :param recorded_weight: weight of a temporal-difference loss on the same expert transitions, with the recorded rewards
    """

    inference: Inference
    margin_weight: float
    margin: Margin
    margin_factor: float
    margin_filter: bool
    margin_priorities: bool
    margin_vote: bool
    margin_batch_size: int
    imitate_guide: bool
    recorded_weight: float

    @property
    def network_class(self) -> type[InverseDynamics] | None:
        """Class of the network that makes the estimates, None if the nearest transition does."""
        if isinstance(self.inference, type):
            return self.inference
        return InverseDynamics if self.inference == "inverse_dynamics" else None

    def __post_init__(self) -> None:
        own = isinstance(self.inference, type) and issubclass(self.inference, InverseDynamics)
        expected = f"one of {', '.join(map(repr, INFERENCES))}, or a class derived from InverseDynamics"
        require(own or self.inference in INFERENCES, "inference", self.inference, expected)
        require(is_in(self.margin_weight, 0), "margin_weight", self.margin_weight, "at least 0")
        require(is_in(self.recorded_weight, 0), "recorded_weight", self.recorded_weight, "at least 0")
        positive = self.margin == "auto" or is_in(self.margin, 1e-12)
        require(positive, "margin", self.margin, "positive, or 'auto'")
        require(is_in(self.margin_factor, 1e-12), "margin_factor", self.margin_factor, "positive")
        require_count("margin_batch_size", self.margin_batch_size)
        for name in ("margin_filter", "margin_priorities", "margin_vote", "imitate_guide"):
            require(isinstance(getattr(self, name), bool), name, getattr(self, name), "True or False")


class AutomaticMargin:
    """
    A margin that does not depend on the unit of the reward: some times the mean absolute temporal-difference error of late.

    Values are not known better than that: what is closer together may be in any order. The loss is multiplied by the same
    number, up to 1: the gradient of the temporal-difference loss grows with the errors up to 1, that of the margin loss does
    not.

    :param factor: the margin in mean errors
    """

    #: weight of a new batch in the running mean
    step_size = 0.01

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self._mean_error: float | None = None

    def note(self, errors: th.Tensor) -> None:
        """
        Note the errors of an update.

        :param errors: absolute temporal-difference errors, shape (n,)
        """
        error = float(errors.mean())
        before = error if self._mean_error is None else self._mean_error
        self._mean_error = before + self.step_size * (error - before)

    @property
    def margin(self) -> float:
        """The margin, 0 as long as nothing is known."""
        return self.factor * (self._mean_error or 0.0)

    @property
    def weight(self) -> float:
        """What the loss is multiplied by, in [0, 1]."""
        return min(self.margin, 1.0)


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


def without_outvalued(losses: th.Tensor, margin: float) -> th.Tensor:
    """
    Leave out the states at which the agent's own action is valued higher than the expert's, by more than the margin.

    The filter of Nair et al. 2018 (arXiv 1709.10089), with a tolerance: values are not known better than that, and where a
    greedy action is compared with the expert's, it is never the lower one.

    :param losses: what :func:`margin_losses` returns, shape (n,)
    :param margin: the margin
    :return: shape (n,), 0 where the loss is more than twice the margin
    """
    return losses * (losses <= 2.0 * margin)
