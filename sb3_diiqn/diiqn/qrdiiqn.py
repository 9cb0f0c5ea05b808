"""DIIQN on QR-DQN (sb3-contrib): the same implicit imitation, with a distribution of returns instead of their mean."""

from __future__ import annotations

import inspect
from typing import Any

import torch as th
from stable_baselines3.common.type_aliases import GymEnv

from sb3_diiqn.common.buffers import TensorObservations
from sb3_diiqn.common.export import as_host
from sb3_diiqn.common.imitation import ImplicitImitation
from sb3_diiqn.common.transitions import Batch, Learning, with_further
from sb3_diiqn.diiqn.diiqn import DIIQN
from sb3_diiqn.exceptions import MissingDependencyError

try:
    from sb3_contrib import QRDQN
    from sb3_contrib.qrdqn.policies import QRDQNPolicy
except ImportError as error:
    raise MissingDependencyError("sb3_contrib", "contrib") from error

#: DIIQN's own arguments, which are keyword-only there.
_IMITATION_ARGUMENTS = [
    parameter for parameter in inspect.signature(DIIQN).parameters.values() if parameter.kind is inspect.Parameter.KEYWORD_ONLY
]


class QRDIIQN(ImplicitImitation, QRDQN):
    """
    Deep implicit imitation for QR-DQN (Dabney et al. 2018, arXiv 1710.10044).

    Takes all arguments of :class:`sb3_contrib.QRDQN` and the keyword arguments of :class:`~sb3_diiqn.DIIQN` that DQN does not
    have, with the same defaults. Q-values, as the confidence and the margin loss need them, are the means of the quantiles.
    Without expert data it is sb3-contrib's QRDQN, to the bit.

    :raises ConfigurationError: if an argument is out of range or does not go together with another
    :raises ExpertDataError: if the expert data is damaged or does not fit the environment
    """

    def __init__(
        self,
        policy: str | type[QRDQNPolicy],
        env: GymEnv | str | None,
        *args: Any,
        _init_setup_model: bool = True,
        **kwargs: Any,
    ) -> None:
        imitation = {argument.name: kwargs.pop(argument.name, argument.default) for argument in _IMITATION_ARGUMENTS}
        # QRDQN writes its optimizer into the caller's dictionary
        if kwargs.get("policy_kwargs") is not None:
            kwargs["policy_kwargs"] = dict(kwargs["policy_kwargs"])
        kwargs["_init_setup_model"] = False
        super().__init__(policy, env, *args, **kwargs)  # type: ignore[arg-type]
        self._set_imitation_arguments(**imitation)
        if _init_setup_model:
            self._setup_model()

    def to_qrdqn(self) -> QRDQN:
        """
        Make a plain QRDQN of sb3-contrib with the same weights, see :meth:`sb3_diiqn.DIIQN.to_dqn`.

        :return: the model, on the same device; this one stays as it is
        """
        return as_host(self, QRDQN)

    def _element_wise_losses(self, batch: Batch, also: TensorObservations | None = None) -> Learning:
        with th.no_grad():
            next_quantiles = self.quantile_net_target(batch.next_observations)
            judged = self._judged(self.quantile_net, batch.next_observations) if self.double_q else next_quantiles
            greedy = judged.mean(dim=1).argmax(dim=1)
            next_quantiles = _of_actions(next_quantiles, greedy)[batch.next_row]
            targets = batch.rewards + (1 - batch.dones) * batch.discounts * next_quantiles
        quantiles = self.quantile_net(with_further(batch.observations, also))
        chosen = _of_actions(quantiles[batch.row], batch.actions.squeeze(1))
        errors = (chosen.detach().mean(dim=1) - targets.mean(dim=1)).abs()
        return Learning(quantiles.mean(dim=1), quantile_huber_losses(chosen, targets), errors)


# for help(), and for whoever asks which arguments there are
QRDIIQN.__init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [*inspect.signature(QRDQN.__init__).parameters.values(), *_IMITATION_ARGUMENTS]
)


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
