"""The algorithms that a suite can name. A further one is one more entry here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sb3_diiqn.exceptions import ConfigurationError

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

BASELINE = "dqn"


@dataclass(frozen=True)
class Algorithm:
    """
    A class with the interface of a Stable-Baselines3 algorithm.

    :param path: ``module:Class``, imported when the first model is made
    :param uses_expert: whether the constructor takes ``expert_data``
    """

    path: str
    uses_expert: bool

    def load(self) -> type[BaseAlgorithm]:
        """Import the class."""
        loaded: type[BaseAlgorithm] = import_object(self.path)
        return loaded


ALGORITHMS: dict[str, Algorithm] = {
    BASELINE: Algorithm("stable_baselines3:DQN", uses_expert=False),
    "diiqn": Algorithm("sb3_diiqn:DIIQN", uses_expert=True),
    "hadiiqn": Algorithm("sb3_diiqn:HADIIQN", uses_expert=True),
}


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
