"""What is checked and made when a model with expert data is set up."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer

from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.imitation.buffers import EXPERT_BUFFERS, ExpertRewards
from sb3_diiqn.imitation.config import ImitationConfig
from sb3_diiqn.inference import ExpertKnowledge
from sb3_diiqn.inference.settings import require


def refuse_impossible_combinations(model: Any, config: ImitationConfig, expert: ExpertObservations) -> None:
    """
    Refuse arguments that do not go together with expert data, or with each other.

    :param model: the model that is set up
    :param config: its own arguments, completed
    :param expert: the expert data
    :raises ConfigurationError: names the argument, and what to do
    """
    if config.expert_rewards == "recorded" and expert.rewards is None:
        raise ConfigurationError("expert_rewards='recorded': the expert data has no rewards; use 'inferred'")
    if model.optimize_memory_usage or model.replay_buffer_kwargs.get("optimize_memory_usage"):
        raise ConfigurationError("optimize_memory_usage=True does not work with expert data: leave it False")
    if model.replay_buffer_class is not None and model.replay_buffer_class not in EXPERT_BUFFERS:
        raise ConfigurationError(
            f"replay_buffer_class={model.replay_buffer_class.__name__}: expert data needs a replay buffer of its own; "
            "leave replay_buffer_class=None, or expert_data=None"
        )
    if _own_n_steps(model) > 1 and isinstance(model.observation_space, spaces.Dict):
        raise ConfigurationError(f"n_steps={model.n_steps}: Dict observations have no n-step returns; use n_steps=1")
    networks = config.inference == "inverse_dynamics" or config.expert_rewards == "inferred"
    alone = model.batch_size == 1 and networks
    require(not alone, "batch_size", model.batch_size, "at least 2 with networks that infer, which normalise batches")


def warn_of_unused(model: Any, names: Iterable[str]) -> None:
    """
    Warn of arguments that were given and do nothing without expert data.

    :param model: the model that is set up
    :param names: of its own arguments
    """
    constructors = (vars(each).get("__init__") for each in reversed(type(model).__mro__))
    signatures = [inspect.signature(constructor) for constructor in constructors if constructor is not None]
    defaults = {name: parameter.default for signature in signatures for name, parameter in signature.parameters.items()}
    given = [name for name in names if getattr(model, name) != defaults[name]]
    if given:
        warnings.warn(f"without expert_data, {', '.join(given)} does nothing: the agent learns as DQN", stacklevel=2)


def make_expert_buffer(model: Any, knowledge: ExpertKnowledge, expert_rewards: ExpertRewards) -> ReplayBuffer:
    """
    Make the replay buffer that matches with the expert data, of the kind that the host would make.

    :param model: the model that is set up
    :param knowledge: the expert data, and what is known of them
    :param expert_rewards: see :class:`~sb3_diiqn.imitation.buffers.ExpertMatchingMixin`
    """
    chosen, arguments = model.replay_buffer_class, dict(model.replay_buffer_kwargs)
    if _own_n_steps(model) > 1:
        chosen = NStepReplayBuffer
        arguments.update(n_steps=model.n_steps, gamma=model.gamma)
    elif chosen is None:
        chosen = DictReplayBuffer if isinstance(model.observation_space, spaces.Dict) else ReplayBuffer
    buffer_class: Any = EXPERT_BUFFERS[chosen]
    buffer: ReplayBuffer = buffer_class(
        model.buffer_size,
        model.stored_space,
        model.action_space,
        device=model.device,
        n_envs=model.n_envs,
        knowledge=knowledge,
        expert_rewards=expert_rewards,
        **arguments,
    )
    return buffer


def _own_n_steps(model: Any) -> int:
    """Return the steps of the n-step return; a replay buffer class that the user chose has its own arguments for them."""
    return int(getattr(model, "n_steps", 1)) if model.replay_buffer_class is None else 1
