"""Checks that hold for all expert data, whatever the environment: types, lengths, trajectory borders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert.types import Observations, count_observations, read_only

NUMERIC_KINDS = "biuf"


def place(row: int, offsets: np.ndarray) -> str:
    """Where an observation is, in words.

    :param row: its index among all observations
    :param offsets: (n_trajectories + 1,) first observation of each trajectory
    :return: ``trajectory 3, step 17``
    """
    trajectory = int(np.searchsorted(offsets, row, side="right")) - 1
    return f"trajectory {trajectory}, step {row - int(offsets[trajectory])}"


def numeric_array(value: Any, name: str) -> np.ndarray:
    """Turn a value into an array of booleans, integers or floats in the machine's byte order.

    :param value: anything that numpy understands as an array
    :param name: what the value is, for the message
    :raises ExpertDataError: ragged nesting, strings, objects, complex numbers, ...
    """
    if any(np.ma.is_masked(part) for part in (value if isinstance(value, list | tuple) else [value])):
        raise ExpertDataError(
            f"{name} has masked values: leave out what holds them, or fill them on purpose, as with array.filled(0)"
        )
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # the last of a tensor that needs gradients
        raise ExpertDataError(f"{name} cannot be read as one array ({error}): pass a numpy array of numbers") from error
    if array.dtype.kind not in NUMERIC_KINDS:
        raise ExpertDataError(f"{name} has dtype {array.dtype}, expected booleans, integers or floats")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def numeric_observations(value: Any, name: str) -> Observations:
    """Turn a value into a batch of observations: an array of shape (n, *obs), or a dict of such arrays of equal length.

    :param value: array-like, or a mapping from names to array-likes
    :param name: what the value is, for the message
    :raises ExpertDataError: not numeric, no batch axis, no keys, or keys of different lengths
    """
    if not isinstance(value, Mapping):
        return _with_batch_axis(numeric_array(value, name), name)
    if not value:
        raise ExpertDataError(f"{name} is an empty dict: expected at least one named array")
    for key in value:
        if not isinstance(key, str):
            raise ExpertDataError(f"{name} has the key {key!r}: expected names (str)")
    arrays = {
        key: _with_batch_axis(numeric_array(array, f"{name}[{key!r}]"), f"{name}[{key!r}]") for key, array in value.items()
    }
    lengths = {key: len(array) for key, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ExpertDataError(f"{name} has keys of different lengths, {lengths}: every key needs one entry per observation")
    return arrays


def _with_batch_axis(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 0:
        raise ExpertDataError(f"{name} is the single value {array}: expected an array of shape (number of observations, *obs)")
    return array


def chosen_keys(observations: Observations, keys: str | Iterable[str] | None) -> Observations:
    """Choose from Dict observations.

    :param observations: a dict of arrays, or with ``keys=None`` one array
    :param keys: the names to keep, or one name, whose array then stands alone; None: all as they are
    :raises ExpertDataError: a name that is not there, or observations without names
    """
    if keys is None:
        return observations
    names = [keys] if isinstance(keys, str) else list(keys)
    if not isinstance(observations, dict):
        raise ExpertDataError(f"keys={keys!r}: these observations are plain arrays, without keys; leave keys out")
    absent = [name for name in names if name not in observations]
    if absent or not names:
        raise ExpertDataError(f"keys={keys!r}: expected some of {', '.join(map(repr, observations))}")
    return observations[keys] if isinstance(keys, str) else {name: observations[name] for name in names}


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only version: the array itself if it already is read-only, else a copy."""
    return read_only(array.copy()) if array.flags.writeable else array


def check_offsets(value: Any, n_observations: int) -> np.ndarray:
    """Check trajectory borders.

    :param value: (n_trajectories + 1,) increasing integers from 0 to ``n_observations``
    :param n_observations: number of observations of all trajectories
    :return: int64, read-only
    :raises ExpertDataError: no trajectory, wrong borders, or a trajectory without a transition
    """
    offsets = numeric_array(value, "offsets")
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1:
        raise ExpertDataError(
            f"offsets is {offsets.dtype} of shape {offsets.shape}: expected integers of shape (n_trajectories + 1,)"
        )
    if len(offsets) < 2:
        raise ExpertDataError("The expert data is empty: it needs at least one trajectory of two observations")
    offsets = offsets.astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != n_observations:
        raise ExpertDataError(
            f"offsets go from {offsets[0]} to {offsets[-1]}: expected from 0 to the number of observations, {n_observations}"
        )
    lengths = np.diff(offsets)
    if (lengths < 2).any():
        trajectory = int(np.argmax(lengths < 2))
        raise ExpertDataError(
            f"trajectory {trajectory} has {lengths[trajectory]} observations: "
            "a transition needs at least two, leave shorter trajectories out"
        )
    return read_only(offsets)


def check_terminated(value: Any, n_trajectories: int) -> np.ndarray:
    """Check the flags that say which trajectories really ended.

    :param value: one flag for all trajectories, or one per trajectory; None counts as False
    :param n_trajectories: number of trajectories
    :return: (n_trajectories,) bool, read-only
    """
    flags = check_flags(False if value is None else value, "terminated")
    if flags.shape not in ((), (n_trajectories,)):
        raise ExpertDataError(f"terminated has shape {flags.shape}: expected one flag per trajectory, ({n_trajectories},)")
    return read_only(np.array(np.broadcast_to(flags, (n_trajectories,))))


def check_flags(value: Any, name: str) -> np.ndarray:
    """Turn booleans, or numbers that are all 0 or 1, into booleans.

    :raises ExpertDataError: any other value
    """
    flags = numeric_array(value, name)
    wrong = (flags != 0) & (flags != 1)
    if wrong.any():
        raise ExpertDataError(f"{name} contains {flags[wrong].flat[0]}: expected only True and False")
    return flags.astype(bool)


def check_rewards(value: Any, offsets: np.ndarray) -> np.ndarray:
    """Check rewards.

    :param value: (n_transitions,) finite numbers
    :param offsets: (n_trajectories + 1,) checked trajectory borders
    :return: float32, read-only
    """
    given = numeric_array(value, "rewards")
    n_transitions = int(offsets[-1]) - len(offsets) + 1
    if given.shape != (n_transitions,):
        raise ExpertDataError(f"rewards has shape {given.shape}: expected one reward per transition, ({n_transitions},)")
    with np.errstate(over="ignore"):
        rewards = given.astype(np.float32)
    if not np.isfinite(rewards).all():
        first = int(np.argmin(np.isfinite(rewards)))
        where = place(first, offsets - np.arange(len(offsets)))
        raise ExpertDataError(
            f"{where}: the reward is {given[first]}, expected a finite float32 number: repair it or drop the rewards"
        )
    return read_only(rewards)


def check_observations(value: Any) -> Observations:
    """Check a batch of observations and make it read-only; arrays that are read-only already are not copied."""
    observations = numeric_observations(value, "observations")
    if count_observations(observations) == 0:
        raise ExpertDataError("The expert data is empty: it needs at least one trajectory of two observations")
    if isinstance(observations, dict):
        return {key: frozen(array) for key, array in observations.items()}
    return frozen(observations)
