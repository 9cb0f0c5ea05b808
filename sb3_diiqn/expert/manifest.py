"""What stands beside recordings: JSON files that say what they are and how they were made."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import sb3_diiqn
from sb3_diiqn.expert.observations import ExpertObservations
from sb3_diiqn.expert.storage import replacing

PACKAGES = ("stable_baselines3", "sb3_contrib", "gymnasium", "torch", "numpy", "imitation", "minatar", "gymnasium_robotics")


def describe_recording(data: ExpertObservations, returns: np.ndarray | None) -> dict[str, Any]:
    """
    Say how good an expert was, and which data they are.

    :param data: what was recorded
    :param returns: return of each episode, shape (n_episodes,); if there is none of a whole episode, those of the data
    """
    if returns is None or len(returns) == 0:
        returns = recorded_returns(data)
    return {
        "mean_return": None if returns is None else float(np.mean(returns)),
        "std_return": None if returns is None else float(np.std(returns)),
        "n_episodes": None if returns is None else len(returns),
        "n_transitions": data.n_transitions,
        "content_hash": data.content_hash,
    }


def recorded_returns(data: ExpertObservations) -> np.ndarray | None:
    """
    Sum the rewards of each trajectory.

    :param data: recordings
    :return: shape (n_trajectories,); None if there are no rewards
    """
    if data.rewards is None:
        return None
    return np.bincount(data.trajectory_index, weights=data.rewards, minlength=data.n_trajectories)


def versions() -> dict[str, str]:
    """Find the versions of Python, this package, and the packages that results depend on."""
    own = {"python": platform.python_version(), "sb3_diiqn": sb3_diiqn.__version__}
    return {**own, **installed_versions(PACKAGES)}


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """
    Find the versions of those packages that are installed.

    :param packages: names of distributions
    """
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def settings_hash(settings: dict[str, Any]) -> str:
    """
    Hash settings; the order of keys does not matter.

    :param settings: anything that JSON can hold
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def read_json(path: Path) -> Any:
    """
    Read a JSON file.

    :param path: the file
    :return: None if it is absent or damaged
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    """
    Write a JSON file such that it is there as a whole or not at all.

    :param path: the file; its folder is made
    :param content: what to write
    :param indent: for files that people read; default: as short as possible
    """
    write_text(path, json.dumps(content, indent=indent, separators=None if indent else (",", ":")) + "\n")


def write_text(path: Path, text: str) -> None:
    """
    Write a text file such that it is there as a whole or not at all.

    :param path: the file; its folder is made
    :param text: what to write
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
