"""The algorithms that a suite can name: these here, and as ``module:Class`` any other one."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from sb3_diiqn.exceptions import ConfigurationError

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

BASELINE = "dqn"
PAPER = {"inference": "nearest", "guide": "none", "imitation_coef": 0.0, "expert_rewards": "none"}
"""What ``sb3_diiqn.PAPER`` has, without the seconds that importing it takes; a test compares the two."""


@dataclass(frozen=True)
class Algorithm:
    """
    A class with the interface of a Stable-Baselines3 algorithm.

    :param path: ``module:Class``, imported when the first model is made
    :param uses_expert: whether the constructor takes ``expert_data``
    :param shares_settings: whether the environment's settings, which are DQN's, are meant for it too
    :param defaults: arguments that it has where no settings name them
    :param plays_alone: whether the agent plays all episodes itself; with an argument ``guide``, that says so
    :param requires: a package that not everybody has, without which its cells are left out; none if empty
    """

    path: str
    uses_expert: bool
    shares_settings: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict)
    plays_alone: bool = False
    requires: str = ""

    @property
    def is_available(self) -> bool:
        """Tell whether what it requires is installed."""
        return not self.requires or importlib.util.find_spec(self.requires) is not None

    def load(self) -> type[BaseAlgorithm]:
        """Import the class."""
        loaded: type[BaseAlgorithm] = import_object(self.path)
        return loaded


ALGORITHMS: dict[str, Algorithm] = {
    BASELINE: Algorithm("stable_baselines3:DQN", uses_expert=False, plays_alone=True),
    "dqn-averaged": Algorithm("benchmarks.averaged_dqn:AveragedDQN", uses_expert=False, plays_alone=True),
    # as in Python: the classes with their defaults, and the published methods
    "diiqn": Algorithm("sb3_diiqn:DIIQN", uses_expert=True),
    "diiqn-paper": Algorithm("sb3_diiqn:DIIQN", uses_expert=True, defaults=PAPER),
    "hadiiqn": Algorithm("sb3_diiqn:HADIIQN", uses_expert=True),
    "hadiiqn-paper": Algorithm("sb3_diiqn:HADIIQN", uses_expert=True, defaults=PAPER),
    "qrdiiqn": Algorithm("sb3_diiqn:QRDIIQN", uses_expert=True, requires="sb3_contrib"),
    "qrdiiqn-paper": Algorithm("sb3_diiqn:QRDIIQN", uses_expert=True, defaults=PAPER, requires="sb3_contrib"),
    "qrdqn": Algorithm("sb3_contrib:QRDQN", uses_expert=False, plays_alone=True, requires="sb3_contrib"),
    "bco": Algorithm("sb3_diiqn.baselines:BCO", uses_expert=True, plays_alone=True),
    "labelled-replay": Algorithm("sb3_diiqn.baselines:LabelledReplayDQN", uses_expert=True, plays_alone=True),
    "jsrl": Algorithm("sb3_diiqn.baselines:JSRL", uses_expert=True),
    "oril": Algorithm("sb3_diiqn.baselines:ORIL", uses_expert=True, plays_alone=True),
    "gaifo": Algorithm(
        "sb3_diiqn.baselines:GAIfO", uses_expert=True, plays_alone=True, shares_settings=False, requires="imitation"
    ),
}
RETIRED: dict[str, Algorithm] = {
    "dqn-greedy-episodes": Algorithm("benchmarks.greedy_episodes:GreedyEpisodesDQN", uses_expert=False),
    "benchmarks.variants:Matching": Algorithm("benchmarks.variants:Matching", uses_expert=True),
    "benchmarks.variants:Exploring": Algorithm("benchmarks.variants:Exploring", uses_expert=True),
}
"""What is gone, and what committed results still name: they can be read, and never be made again."""


def find_algorithm(name: str) -> Algorithm:
    """
    Find an algorithm.

    :param name: key of :data:`ALGORITHMS`, or ``module:Class`` of one with the interface of Stable-Baselines3, which learns
        from an expert if its constructor has an argument ``expert_data``
    :raises ConfigurationError: if there is none
    """
    known = ALGORITHMS | RETIRED
    if name in known:
        return known[name]
    if ":" not in name:
        raise ConfigurationError(
            f"There is no algorithm {name!r}: expected one of {', '.join(ALGORITHMS)}, or 'module:Class'."
        )
    return _own_algorithm(name)


@cache
def _own_algorithm(name: str) -> Algorithm:
    found = import_object(name)
    from stable_baselines3.common.base_class import BaseAlgorithm  # noqa: PLC0415 - takes seconds, and is not always needed

    if not inspect.isclass(found) or not issubclass(found, BaseAlgorithm):
        raise ConfigurationError(f"{name!r} is {found!r}: expected a class derived from Stable-Baselines3's BaseAlgorithm.")
    return Algorithm(name, uses_expert="expert_data" in constructor_arguments(found))


def constructor_arguments(algorithm: type[BaseAlgorithm]) -> list[str]:
    """
    List the names of a constructor's arguments, also of those that it hands on to the classes that it is derived from.

    :param algorithm: what :meth:`Algorithm.load` returns
    """
    names: list[str] = []
    for base in algorithm.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base).parameters.values()
        names += [parameter.name for parameter in parameters if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
        if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            break
    return list(dict.fromkeys(names))


def import_object(path: str) -> Any:
    """
    Import what a ``module:name`` string names.

    :param path: for example ``torch.nn:ReLU``
    :raises ConfigurationError: if there is no such module, or nothing of that name in it
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"{path!r} cannot be imported: {error}. Expected 'module:name' of something installed."
        ) from error
