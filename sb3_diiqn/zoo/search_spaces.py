"""What Optuna searches when rl-zoo tunes DIIQN and its kin, and how what it found becomes arguments. Reasons: docs/zoo.md.

A further argument is one further line in a search space. Its name says how it is searched: ``one_minus_NAME`` for arguments
that are close to 1, ``NAME_pow`` for powers of two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from sb3_diiqn.inference import BridgingSettings, InferenceSettings

if TYPE_CHECKING:
    from optuna import Trial

Suggest: TypeAlias = "Callable[[Trial, str], Any]"
SearchSpace: TypeAlias = "Mapping[str, Suggest]"
Sampler: TypeAlias = "Callable[[Trial, int, int, dict[str, Any]], dict[str, Any]]"


def _number(low: float, high: float, log: bool = False, step: float | None = None) -> Suggest:
    return lambda trial, name: trial.suggest_float(name, low, high, log=log, step=step)


def _integer(low: int, high: int, log: bool = False) -> Suggest:
    return lambda trial, name: trial.suggest_int(name, low, high, log=log)


def _choice(*choices: str | float) -> Suggest:
    return lambda trial, name: trial.suggest_categorical(name, choices)


DQN_SPACE: SearchSpace = {
    "learning_rate": _number(1e-5, 2e-3, log=True),
    "batch_size_pow": _integer(4, 9),
    "one_minus_gamma": _number(1e-4, 0.05, log=True),
    "train_freq_pow": _integer(0, 4),
    "steps_per_update_pow": _integer(0, 3),
    "target_update_interval": _integer(10, 10_000, log=True),
    "exploration_fraction": _number(0.02, 0.5),
    "exploration_final_eps": _number(0.01, 0.2),
}
IMITATION_SPACE: SearchSpace = {
    "inference": _choice("nearest", "inverse_dynamics"),
    "guide": _choice("matching", "clone", "both", "none"),
    "guide_fraction": _number(0.0, 0.8, step=0.2),  # in steps, so that 0, which turns it off, is tried as well
    "imitation_coef": _number(0.0, 1.0, step=0.25),
    "margin": _choice("auto", 0.1, 0.3, 1.0, 2.0),
    "expert_rewards": _choice("inferred", "none"),
    "one_minus_similarity_threshold": _number(0.003, 0.2, log=True),
    "n_neighbors": _integer(1, 20, log=True),
    "usefulness_beta": _number(0.1, 30.0, log=True),
    "max_training_count": _integer(100, 200_000, log=True),
    "max_inference_error": _number(0.0001, 0.3, log=True),
}
BRIDGING_SPACE: SearchSpace = {
    "infeasibility_threshold": _number(0.003, 0.3, log=True),
    "bridge_length": _integer(1, 8),
    "bridge_gain": _integer(1, 12),
}

OWN_SPACES: dict[str, SearchSpace] = {
    "diiqn": IMITATION_SPACE,
    # what the agent cannot do is worth nothing to it, and the network that infers actions does not know of any such
    "hadiiqn": {
        **{name: suggest for name, suggest in IMITATION_SPACE.items() if name != "expert_rewards"},
        **BRIDGING_SPACE,
    },
    "qrdiiqn": IMITATION_SPACE,
}
"""For each algorithm the search space of its own arguments, those that DQN does not have."""

NESTED = {"matching_kwargs": InferenceSettings, "bridge_kwargs": BridgingSettings}
"""The arguments that are dictionaries, and what they hold."""


def sampler(space: SearchSpace) -> Sampler:
    """
    Make a sampler as rl-zoo wants it. It leaves the network of the yml file alone: no ``policy_kwargs`` are searched.

    :param space: what to search
    """
    return partial(_sample, space)


def _sample(space: SearchSpace, trial: Trial, n_actions: int, n_envs: int, additional_args: dict[str, Any]) -> dict[str, Any]:
    return convert({name: suggest(trial, name) for name, suggest in space.items()})


def convert(sampled: Mapping[str, Any]) -> dict[str, Any]:
    """
    Turn a trial's parameters into constructor arguments.

    :param sampled: values by the names of the search space
    """
    arguments = dict(_argument(name, value) for name, value in sampled.items())
    if "steps_per_update" in arguments:
        # an update cannot be for more steps than are collected between two trainings
        arguments["gradient_steps"] = max(arguments["train_freq"] // arguments.pop("steps_per_update"), 1)
    for name, settings in NESTED.items():
        # rl-zoo merges a trial with the yml file argument by argument: what is tuned stays flat until here
        nested = {field.name: arguments.pop(field.name) for field in fields(settings) if field.name in arguments}
        if nested:
            arguments[name] = nested
    return arguments


def _argument(name: str, value: Any) -> tuple[str, Any]:
    if name.startswith("one_minus_"):
        return name.removeprefix("one_minus_"), 1 - value
    if name.endswith("_pow"):
        return name.removesuffix("_pow"), 2**value
    return name, value
