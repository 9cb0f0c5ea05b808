"""Expert data on disk: one ``.npz``, written atomically, read without ever executing anything."""

from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError
from sb3_diiqn.expert.builtin import is_builtin
from sb3_diiqn.expert.hub import is_hub
from sb3_diiqn.expert.joining import split_at_starts
from sb3_diiqn.expert.pairs import read_pairs
from sb3_diiqn.expert.resets import AcrossResets, join_in_order
from sb3_diiqn.expert.types import Observations, TrajectoryArrays, count_observations
from sb3_diiqn.expert.validation import check_flags, numeric_array, numeric_observations

SCHEMA_VERSION = 1
DICT_PREFIX = "observations/"
OWN_NAMES = ("schema_version", "observations", "offsets", "terminated", "rewards")
HAND_MADE_NAMES = ("next_observations", "dones", "episode_starts", "truncated")
IMITATION_NAMES = ("obs", "indices", "terminal", "rews")
SINGLE_NAMES = {*OWN_NAMES, *HAND_MADE_NAMES, *IMITATION_NAMES}
DICT_PREFIXES = (DICT_PREFIX, "next_observations/")
LAYOUTS = "'observations' (or 'observations/NAME' for each key) and one of 'episode_starts', 'dones', 'next_observations'"


def write(path: str | os.PathLike[str], arrays: TrajectoryArrays) -> Path:
    """Write expert data. See :meth:`ExpertObservations.save`."""
    content: dict[str, Any] = {"schema_version": np.int64(SCHEMA_VERSION)}
    if isinstance(arrays.observations, dict):
        content.update({DICT_PREFIX + key: array for key, array in arrays.observations.items()})
    else:
        content["observations"] = arrays.observations
    content.update(offsets=arrays.offsets, terminated=arrays.terminated)
    if arrays.rewards is not None:
        content["rewards"] = arrays.rewards
    return write_npz(path, content)


def npz_path(path: str | os.PathLike[str]) -> Path:
    """The path with ``.npz`` if it has no suffix; a number is none, as in ``CartPole-v1-0.5``."""
    target = Path(path)
    return target if target.suffix and not target.suffix[1:].isdigit() else target.with_name(target.name + ".npz")


def is_there(path: str | os.PathLike[str]) -> bool:
    """Tell whether there is a file of that name, or of that name with ``.npz`` at its end, or no file of the user's."""
    return is_builtin(path) or is_hub(path) or Path(path).exists() or npz_path(path).exists()


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """
    Name a file to be written instead of another one, such that this is there as a whole or not at all.

    The name is of its own in every process: several may write the same file. In the end the written file takes the other's
    place, or if anything fails it is removed.

    :param target: the file; its folder is there
    """
    # Not tempfile: its files are private to the user, these get the permissions of any new file.
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_npz(path: str | os.PathLike[str], content: Mapping[str, Any]) -> Path:
    """Write arrays to a compressed ``.npz``: first under another name in the same folder, then renamed.

    :param path: the file; ``.npz`` is added if it has no suffix, missing folders are created
    :param content: arrays by name
    :return: the path of the file
    """
    target = npz_path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary, temporary.open("xb") as file:
        np.savez_compressed(file, **content)
    return target


def read_npz(source: Path, across_resets: AcrossResets) -> TrajectoryArrays:
    """Read expert data from an ``.npz``. See :meth:`ExpertObservations.load`.

    :param source: the file, which is there and is a zip archive
    :param across_resets: see :meth:`ExpertObservations.from_transitions`
    """
    try:
        content = _read_members(source)
    except ExpertDataError:
        raise
    except Exception as error:  # a damaged file makes zipfile, zlib and numpy fail in a dozen different ways
        raise ExpertDataError(
            f"{source} is damaged, truncated or holds something other than plain arrays ({type(error).__name__}: {error}): "
            "record or save it again"
        ) from error
    try:
        if any(name.startswith("next_observations") for name in content):
            return _pairs_layout(content, across_resets)
        if across_resets != "error":
            raise ConfigurationError(f"across_resets={across_resets!r}: {source} has no 'next_observations', leave it out")
        if "schema_version" in content:
            return _own_layout(content)
        return _imitation_layout(content) if {"obs", "indices"} <= content.keys() else _hand_made_layout(content)
    except ExpertDataError as error:
        raise ExpertDataError(f"{source}: {error}") from error


def _read_members(source: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(source) as archive:
        members = {member.removesuffix(".npy"): member for member in archive.namelist() if member.endswith(".npy")}
        return {name: _read_array(archive, member) for name, member in members.items() if _is_known(name)}


def _is_known(name: str) -> bool:
    return name in SINGLE_NAMES or name.startswith(DICT_PREFIXES)


def _read_array(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    with archive.open(member) as file:
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        # The checksum is compared at the end of the member only, so that must be reached.
        if file.read(1):
            raise ExpertDataError(f"{member} is longer than its header says")
    array.setflags(write=False)
    return array


def _own_layout(content: dict[str, np.ndarray]) -> TrajectoryArrays:
    version = content["schema_version"]
    if version.shape != () or version.dtype.kind not in "iu" or version < 1:
        raise ExpertDataError(
            f"schema_version is {version}, expected a number from 1 on: the file is damaged, record it again"
        )
    if version > SCHEMA_VERSION:
        raise ExpertDataError(
            f"written by a newer version of sb3-diiqn (schema {version}, this one reads up to {SCHEMA_VERSION}): "
            "upgrade sb3-diiqn"
        )
    missing = [name for name in ("offsets", "terminated") if name not in content]
    if missing:
        raise ExpertDataError(f"{' and '.join(missing)} missing: the file is damaged, record it again")
    return TrajectoryArrays(
        _observations(content, "observations"), content["offsets"], content["terminated"], content.get("rewards")
    )


def _imitation_layout(content: dict[str, np.ndarray]) -> TrajectoryArrays:
    """As earlier versions of imitation saved trajectories: ``indices`` are the transitions where the next one begins."""
    terminal = check_flags(content.get("terminal", False), "terminal")
    borders = numeric_array(content["indices"], "indices")
    if terminal.ndim != 1 or borders.shape != (len(terminal) - 1,):
        raise ExpertDataError(
            f"indices has shape {borders.shape} and terminal {terminal.shape}: expected imitation's trajectories, with a "
            "flag per trajectory and an index less"
        )
    observations = numeric_observations(content["obs"], "obs")
    n_transitions = count_observations(observations) - len(terminal)
    # an empty list of indices was saved as floats
    borders = borders if len(borders) else borders.astype(np.int64)
    offsets = np.concatenate([[0], borders, [n_transitions]]) + np.arange(len(terminal) + 1)
    return TrajectoryArrays(observations, offsets, terminal, content.get("rews"))


def _pairs_layout(content: dict[str, np.ndarray], across_resets: AcrossResets) -> TrajectoryArrays:
    current, following = _observations(content, "observations"), _observations(content, "next_observations")
    flags = [content.get(name) for name in ("dones", "rewards", "episode_starts", "truncated")]
    return join_in_order(read_pairs(current, following, *flags), across_resets)


def _hand_made_layout(content: dict[str, np.ndarray]) -> TrajectoryArrays:
    observations = numeric_observations(_observations(content, "observations"), "observations")
    rewards, dones = content.get("rewards"), content.get("dones")
    if "episode_starts" in content:
        return split_at_starts(observations, content["episode_starts"], content.get("terminated"), rewards)
    if dones is not None:
        return _split_at_dones(observations, dones, rewards)
    raise ExpertDataError(f"nothing says where trajectories begin: expected {LAYOUTS}")


def _split_at_dones(observations: Observations, dones: np.ndarray, rewards: np.ndarray | None) -> TrajectoryArrays:
    """Flags at the last observation of each episode say the same as flags at the first one of the next."""
    ends = check_flags(dones, "dones")
    if ends.shape != (count_observations(observations),):
        raise ExpertDataError(
            f"dones has shape {ends.shape}: expected one flag per observation, ({count_observations(observations)},)"
        )
    starts = np.append(True, ends)[:-1]
    is_last = ends | (np.arange(len(ends)) == len(ends) - 1)
    return split_at_starts(observations, starts, ends[is_last], rewards)


def _observations(content: dict[str, np.ndarray], name: str) -> Observations:
    """The plain array of that name, or the dict of all arrays under ``name/``."""
    by_key = {key.removeprefix(f"{name}/"): array for key, array in content.items() if key.startswith(f"{name}/")}
    if by_key and name in content:
        raise ExpertDataError(f"both '{name}' and '{name}/{next(iter(by_key))}' present: expected one kind")
    if name not in content and not by_key:
        raise ExpertDataError(f"no '{name}': expected {LAYOUTS}")
    return by_key or content[name]
