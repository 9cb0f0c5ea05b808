"""NaN and infinity from the environment are noticed at the step at which they come, not when all weights have become NaN."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from sb3_diiqn.exceptions import NonFiniteError


def require_finite(step: int, observations: Any, rewards: Any = None, infos: Any = ()) -> None:
    """
    Check what vectorised environments emitted at one step.

    :param step: number of environment steps so far, of all environments together; for the message
    :param observations: shape (n_envs, ``*observation_shape``), or a dictionary of such arrays; only floats are looked at
    :param rewards: shape (n_envs,), None after a reset
    :param infos: one dictionary per environment, whose ``terminal_observation`` is looked at
    :raises NonFiniteError: it names step, environment, key and value
    """
    _require_finite(step, "observation", observations)
    if rewards is not None:
        _require_finite(step, "reward", rewards)
    for environment, info in enumerate(infos):
        last = info.get("terminal_observation")
        if last is not None:
            _require_finite(step, "last observation of an episode", last, environment)


def _require_finite(step: int, what: str, values: Any, environment: int | None = None) -> None:
    if isinstance(values, dict):
        for key, array in values.items():
            _require_finite(step, f"{what}[{key!r}]", array, environment)
        return
    array = np.asarray(values)
    # the sum of squares is the fastest way to see that all is well; it may also overflow
    if array.dtype.kind != "f" or isfinite(np.vdot(array, array)):
        return
    bad = np.argwhere(~np.isfinite(array))
    if len(bad) == 0:
        return
    value, place = array[tuple(bad[0])], [int(index) for index in bad[0]]
    if environment is None:
        environment, place = place[0], place[1:]
    raise NonFiniteError(
        f"step {step}, environment {environment}: the {what} is {value}{f' at index {place}' if place else ''}, expected a "
        "finite number. It was not stored and nothing was learned from it: correct the environment; "
        "VecCheckNan of Stable-Baselines3 tells which action led there"
    )
