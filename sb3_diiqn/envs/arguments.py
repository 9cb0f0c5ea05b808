"""Checks of constructor arguments that the environments share."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from sb3_diiqn.exceptions import ConfigurationError


def check_number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """Return ``value`` as a float if it is a finite number within ``[low, high]``.

    :param name: name of the argument, for the message
    :param value: what the user gave
    :param low: smallest allowed value
    :param high: largest allowed value
    :raises ConfigurationError: if it is not
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not low <= value <= high:
        raise ConfigurationError(f"{name}={value!r} must be a finite number in [{low}, {high}].")
    return float(value)


def check_integer(name: str, value: Any, low: int) -> int:
    """Return ``value`` as an int if it is a whole number of at least ``low``.

    :param name: name of the argument, for the message
    :param value: what the user gave
    :param low: smallest allowed value
    :raises ConfigurationError: if it is not
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < low:
        raise ConfigurationError(f"{name}={value!r} must be a whole number of at least {low}.")
    return int(value)


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of ``choices``.

    :param name: name of the argument, for the message
    :param value: what the user gave
    :param choices: the allowed values
    :raises ConfigurationError: if it is not
    """
    if not isinstance(value, str) or value not in choices:
        raise ConfigurationError(f"{name}={value!r} is unknown; choose one of {', '.join(choices)}.")
    return str(value)


def check_action(action: Any, n_actions: int) -> int:
    """Return ``action`` as an int if it is one of ``n_actions`` discrete actions.

    :param action: what the policy gave, an int or a NumPy integer
    :param n_actions: number of actions
    :raises ConfigurationError: if it is no whole number in ``[0, n_actions)``
    """
    if action != int(action) or not 0 <= action < n_actions:
        raise ConfigurationError(f"action={action!r} must be a whole number from 0 to {n_actions - 1}.")
    return int(action)
