"""HDF5 files in the layout of D4RL: one row per step, all episodes one after the other."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, ExpertDataWarning
from sb3_diiqn.expert.joining import concatenate
from sb3_diiqn.expert.optional import load_package
from sb3_diiqn.expert.pairs import read_pairs
from sb3_diiqn.expert.resets import AcrossResets, join_in_order
from sb3_diiqn.expert.types import Observations, TrajectoryArrays, count_observations, take
from sb3_diiqn.expert.validation import check_flags, numeric_array, numeric_observations

EXPECTED = "'observations' and 'terminals' (and optionally 'timeouts', 'rewards', 'next_observations'), as D4RL has them"


def read_hdf5(path: Path, across_resets: AcrossResets) -> TrajectoryArrays:
    """Read a file of D4RL.

    :param path: the file
    :param across_resets: see :meth:`ExpertObservations.from_transitions`, for files with ``next_observations``
    """
    h5py = load_package("h5py", "minari")
    try:
        with h5py.File(path, "r") as file:
            names = ("observations", "next_observations", "terminals", "timeouts", "rewards")
            content = {name: _read(file[name]) for name in names if name in file}
            others = ", ".join(file)
    except Exception as error:  # whatever h5py raises about damage
        raise ExpertDataError(
            f"{path} is damaged or truncated ({type(error).__name__}: {error}): download it again"
        ) from error
    missing = [name for name in ("observations", "terminals") if name not in content]
    if missing:
        raise ExpertDataError(f"{path} has no '{missing[0]}' among {others or 'nothing'}: expected {EXPECTED}")
    try:
        return _joined(content, across_resets)
    except ExpertDataError as error:
        raise ExpertDataError(f"{path}: {error}") from error


def _read(item: Any) -> Any:
    """The array, or by key those of a group."""
    return {key: _read(part) for key, part in item.items()} if hasattr(item, "items") else item[()]


def _joined(content: dict[str, Any], across_resets: AcrossResets) -> TrajectoryArrays:
    terminals, timeouts, rewards = content["terminals"], content.get("timeouts"), content.get("rewards")
    if "next_observations" in content:
        pairs = read_pairs(content["observations"], content["next_observations"], terminals, rewards, cut=timeouts)
        return join_in_order(pairs, across_resets)
    if across_resets != "error":
        raise ConfigurationError(f"across_resets={across_resets!r}: the file has no 'next_observations', leave it out")
    if timeouts is None:
        warnings.warn(
            "neither 'timeouts' nor 'next_observations' in the file: where a time limit cut an episode, the step to the "
            "next one's beginning counts as the expert's",
            ExpertDataWarning,
            stacklevel=5,
        )
    return _cut(numeric_observations(content["observations"], "observations"), terminals, timeouts, rewards)


def _cut(observations: Observations, terminals: Any, timeouts: Any, rewards: Any) -> TrajectoryArrays:
    """Each episode without its last transition, whose next observation is not in the file; so none is known to have ended."""
    n = count_observations(observations)
    ends = np.zeros(n, bool)
    for name, value in (("terminals", terminals), ("timeouts", timeouts)):
        flags = ends if value is None else check_flags(value, name)
        if flags.shape != (n,):
            raise ExpertDataError(f"{name} has shape {flags.shape}: expected one flag per observation, ({n},)")
        ends = ends | flags
    if rewards is not None:
        rewards = numeric_array(rewards, "rewards")
        if rewards.shape != (n,):
            raise ExpertDataError(f"rewards has shape {rewards.shape}: expected one reward per observation, ({n},)")
    borders = np.unique([0, *(np.flatnonzero(ends) + 1), n])
    parts = [
        TrajectoryArrays(
            take(observations, slice(start, stop)),
            np.array([0, stop - start]),
            np.zeros(1, bool),
            None if rewards is None else rewards[start : stop - 1],
        )
        for start, stop in pairwise(borders)
        if stop - start > 1
    ]
    if not parts:
        raise ExpertDataError("The expert data is empty: no episode has two observations")
    return concatenate(parts)
