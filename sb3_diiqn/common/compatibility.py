"""The differences between Stable-Baselines3 2.2 and 2.9 that matter here, all of them in this place."""

from __future__ import annotations

import inspect
from typing import Any

import torch as th
from stable_baselines3 import DQN
from stable_baselines3.common import buffers
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.policies import BasePolicy

from sb3_diiqn.exceptions import ConfigurationError

#: None where Stable-Baselines3 is older than 2.7 and has no n-step returns.
NStepReplayBuffer: type[ReplayBuffer] | None = getattr(buffers, "NStepReplayBuffer", None)

_DQN_PARAMETERS = inspect.signature(DQN.__init__).parameters

#: DQN's own default, which changed in Stable-Baselines3 2.3.
DEFAULT_LEARNING_STARTS: int = _DQN_PARAMETERS["learning_starts"].default


def n_steps_argument(n_steps: int) -> dict[str, Any]:
    """
    Pass ``n_steps`` on to DQN's constructor where it has that argument.

    :param n_steps: steps of the n-step return
    :raises ConfigurationError: if it is more than 1 and Stable-Baselines3 is too old for it
    """
    if "n_steps" in _DQN_PARAMETERS:
        return {"n_steps": n_steps}
    if n_steps != 1:
        raise ConfigurationError(f"n_steps={n_steps} needs stable-baselines3>=2.7: pip install 'stable-baselines3>=2.7'")
    return {}


#: The fused form of Adam, the same arithmetic in one call; on the CPU it exists since torch 2.4.
FUSED: dict[str, Any] = {"fused": True} if tuple(int(part) for part in th.__version__.split(".")[:2]) >= (2, 4) else {}


def is_of_the_hosts(defined: Any) -> bool:
    """
    Tell whether a class or a function is one of Stable-Baselines3's or sb3-contrib's.

    :param defined: class or function
    """
    return str(defined.__module__).startswith(("stable_baselines3.", "sb3_contrib."))


def with_fused_optimizer(policy_kwargs: dict[str, Any], policy_class: type[BasePolicy]) -> dict[str, Any]:
    """
    Ask for the fused form of Adam, unless the user chose another optimizer, or its form.

    :param policy_kwargs: the user's arguments of the policy, which stay as they are
    :param policy_class: the policy, which may be the user's own and have another optimizer
    """
    parameter = inspect.signature(policy_class.__init__).parameters.get("optimizer_class")
    if parameter is None or policy_kwargs.get("optimizer_class", parameter.default) is not th.optim.Adam:
        return policy_kwargs
    given = policy_kwargs.get("optimizer_kwargs")
    if given is None and not is_of_the_hosts(policy_class):
        # it may choose arguments itself where it is given none
        return policy_kwargs
    arguments = given or {}
    if {"fused", "foreach", "differentiable"} & arguments.keys():
        return policy_kwargs
    return {**policy_kwargs, "optimizer_kwargs": {**FUSED, **arguments}}
