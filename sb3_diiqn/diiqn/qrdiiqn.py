"""DIIQN on QR-DQN (sb3-contrib): the same implicit imitation, with a distribution of returns instead of their mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch as th
from stable_baselines3.common.type_aliases import GymEnv

from sb3_diiqn.common.batch import Batch, TDOutput
from sb3_diiqn.common.export import as_host
from sb3_diiqn.exceptions import MissingDependencyError
from sb3_diiqn.expert.given import ExpertData
from sb3_diiqn.imitation.buffers import ExpertRewards
from sb3_diiqn.imitation.config import GuideChoice, ImitationLoss, Inference
from sb3_diiqn.imitation.host import ImplicitImitation
from sb3_diiqn.losses.large_margin import Margin

try:
    from sb3_contrib import QRDQN
    from sb3_contrib.qrdqn.policies import QRDQNPolicy
except ImportError as error:
    raise MissingDependencyError("sb3_contrib", "contrib") from error


class QRDIIQN(ImplicitImitation, QRDQN):
    """
    Deep implicit imitation for QR-DQN (Dabney et al. 2018, arXiv 1710.10044).

    Takes all arguments of :class:`sb3_contrib.QRDQN`, and those that :class:`~sb3_diiqn.DIIQN` adds to DQN, with the same
    meaning. Q-values, as the confidence and the margin loss need them, are the means of the quantiles. Without expert data it
    is sb3-contrib's QRDQN, to the bit.

    :raises ConfigurationError: if an argument is out of range or does not go together with another
    :raises ExpertDataError: if the expert data is damaged or does not fit the environment
    """

    value_network = "quantile_net"

    def __init__(
        self,
        policy: str | type[QRDQNPolicy],
        env: GymEnv | str | None,
        *args: Any,
        expert_data: ExpertData = None,
        inference: Inference = "auto",
        guide: GuideChoice = "auto",
        guide_fraction: float = 0.8,
        imitation_loss: ImitationLoss = "large_margin",
        imitation_coef: float = 1.0,
        margin: Margin = "auto",
        expert_rewards: ExpertRewards = "auto",
        matching_kwargs: Mapping[str, Any] | None = None,
        _init_setup_model: bool = True,
        **kwargs: Any,
    ) -> None:
        # QRDQN writes its optimizer into the caller's dictionary
        if kwargs.get("policy_kwargs") is not None:
            kwargs["policy_kwargs"] = dict(kwargs["policy_kwargs"])
        kwargs["_init_setup_model"] = False
        super().__init__(policy, env, *args, **kwargs)  # type: ignore[arg-type]
        self._set_imitation_arguments(
            expert_data,
            inference=inference,
            guide=guide,
            guide_fraction=guide_fraction,
            imitation_loss=imitation_loss,
            imitation_coef=imitation_coef,
            margin=margin,
            expert_rewards=expert_rewards,
            matching_kwargs=matching_kwargs,
        )
        if _init_setup_model:
            self._setup_model()

    def to_qrdqn(self) -> QRDQN:
        """
        Make a plain QRDQN of sb3-contrib with the same weights, see :meth:`sb3_diiqn.DIIQN.to_dqn`.

        :return: the model, on the same device; this one stays as it is
        """
        with self._averaging():
            return as_host(self, QRDQN)

    def td_losses(self, batch: Batch) -> TDOutput:
        """
        Compute Q-values and QR-DQN's loss of each transition.

        :param batch: n transitions with m observations
        """
        with th.no_grad():
            next_quantiles = self.quantile_net_target(batch.next_observations)
            greedy = next_quantiles.mean(dim=1).argmax(dim=1)
            next_quantiles = batch.at_ends(_of_actions(next_quantiles, greedy)).clamp(max=batch.largest_value)
            targets = batch.rewards + (1 - batch.dones) * batch.discounts * next_quantiles
        quantiles = self.quantile_net(batch.observations)
        chosen = _of_actions(batch.at_starts(quantiles), batch.actions.squeeze(1))
        errors = (chosen.detach().mean(dim=1) - targets.mean(dim=1)).abs()
        return TDOutput(quantiles.mean(dim=1), quantile_huber_losses(chosen, targets), errors)


def quantile_huber_losses(quantiles: th.Tensor, targets: th.Tensor) -> th.Tensor:
    """
    Compute the quantile regression loss of each transition (equations 9 and 10 of Dabney et al. 2018, with kappa = 1).

    :param quantiles: estimated quantiles of the return, shape (n, n_quantiles)
    :param targets: samples of its target, shape (n, n_targets)
    :return: the sum over the quantiles of the mean over the targets, shape (n,)
    """
    n_quantiles = quantiles.shape[1]
    midpoints = (th.arange(n_quantiles, device=quantiles.device, dtype=quantiles.dtype) + 0.5) / n_quantiles
    shape = (len(quantiles), n_quantiles, targets.shape[1])
    expected, sampled = quantiles.unsqueeze(2).expand(shape), targets.unsqueeze(1).expand(shape)
    huber = th.nn.functional.smooth_l1_loss(expected, sampled, reduction="none")
    weights = (midpoints.view(1, -1, 1) - (sampled < expected).to(quantiles.dtype)).abs()
    losses: th.Tensor = (weights * huber).mean(dim=2).sum(dim=1)
    return losses


def _of_actions(quantiles: th.Tensor, actions: th.Tensor) -> th.Tensor:
    """Select the quantiles of one action each: (n, n_quantiles, n_actions) to (n, n_quantiles)."""
    return quantiles[th.arange(len(actions), device=actions.device), :, actions]
