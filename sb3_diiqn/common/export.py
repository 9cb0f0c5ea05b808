"""A model that has learned from an expert, as one of the algorithm that it extends, which does without this package."""

from __future__ import annotations

import copy
import warnings
from typing import Any, TypeVar

import cloudpickle
import torch as th
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

Host = TypeVar("Host", bound=OffPolicyAlgorithm)

#: Attributes that a host without an environment does not have from its constructor.
_OF_THE_ENVIRONMENT = {"observation_space", "action_space", "n_envs"}


def as_host(model: OffPolicyAlgorithm, host_class: type[Host]) -> Host:
    """
    Make a model of the algorithm that a model's class extends, with the same weights and at the same point of its training.

    It has the optimizer's state, the counters and the arguments of that algorithm, but no environment, and an empty replay
    buffer.

    :param model: the model, which stays as it is
    :param host_class: the algorithm, such as ``DQN``
    """
    host = host_class(model.policy_class, None, device=model.device, _init_setup_model=False)  # type: ignore[call-arg, arg-type]
    names = (vars(host).keys() | _OF_THE_ENVIRONMENT) - set(model._excluded_save_params())
    attributes = {name: copy.deepcopy(getattr(model, name)) for name in names}
    _warn_of_own_classes(attributes)
    vars(host).update(attributes)
    # neither seeds nor initial weights are to change the course of a training that goes on
    host.seed = None
    with th.random.fork_rng(devices=[]):
        host._setup_model()
    host.seed = model.seed
    host.policy.load_state_dict(model.policy.state_dict())
    host.policy.optimizer.load_state_dict(_as_of_the_host(model.policy.optimizer, host.policy.optimizer))
    host.policy.set_training_mode(False)
    return host


def _as_of_the_host(optimizer: Any, of_host: Any) -> dict[str, Any]:
    """Return an optimizer's state for the form of the same arithmetic that the host chooses, which is not fused by itself."""
    state: dict[str, Any] = copy.deepcopy(optimizer.state_dict())
    for group, own in zip(state["param_groups"], of_host.param_groups, strict=True):
        group.update({name: own[name] for name in ("fused", "foreach") if name in own})
        if not own.get("fused"):
            # only the fused form counts steps on the GPU
            for number in group["params"]:
                if th.is_tensor(step := state["state"].get(number, {}).get("step")):
                    state["state"][number]["step"] = step.cpu()
    return state


def _warn_of_own_classes(attributes: dict[str, Any]) -> None:
    """Say so if a file of the model would name classes of this package, as the policies for MinAtar."""
    needing = [name for name, value in attributes.items() if b"sb3_diiqn" in cloudpickle.dumps(value)]
    if needing:
        warnings.warn(
            f"{' and '.join(sorted(needing))} name something of sb3_diiqn: where the exported model is loaded, this package "
            "must be installed",
            stacklevel=3,
        )
