"""Expert data from Minari datasets: objects, ids, and folders."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sb3_diiqn.exceptions import ExpertDataError, ExpertDataWarning
from sb3_diiqn.expert.joining import join_trajectories
from sb3_diiqn.expert.optional import load_package
from sb3_diiqn.expert.types import Observations, TrajectoryArrays, alike, arrays_of, count_observations, describe
from sb3_diiqn.expert.validation import chosen_keys, numeric_array, numeric_observations

METADATA = "metadata.json"
LISTED = 20
"""So many episodes are named in a message."""
SPACES = ("observation_space", "action_space")


class Episode(NamedTuple):
    """What is read of an episode."""

    observations: Observations
    """(T + 1, *obs)."""
    terminated: bool
    rewards: np.ndarray
    """(T,) float64, all NaN if they are not known."""


def read_minari(dataset: Any, keys: str | Iterable[str] | None = None, drop_damaged: bool = False) -> TrajectoryArrays:
    """A Minari dataset or its id. See :meth:`ExpertObservations.from_minari`."""
    if isinstance(dataset, str):
        dataset = _load(dataset)
    if not hasattr(dataset, "iterate_episodes"):
        raise ExpertDataError(f"from_minari got {type(dataset).__name__}: expected a MinariDataset or the id of one")
    reader = _Reader(keys if keys is None or isinstance(keys, str) else list(keys))
    for number, read in _episodes(dataset):
        reader.add(number, read)
    episodes = reader.good_ones(drop_damaged)
    known = not all(np.isnan(episode.rewards).all() for episode in episodes)
    return join_trajectories(
        [episode.observations for episode in episodes],
        [episode.terminated for episode in episodes],
        [episode.rewards for episode in episodes] if known else None,
    )


def read_minari_folder(folder: Path, keys: str | Iterable[str] | None, drop_damaged: bool) -> TrajectoryArrays:
    """A Minari dataset by its folder.

    :param folder: the one that holds ``metadata.json``
    :param keys: see :meth:`ExpertObservations.from_minari`
    :param drop_damaged: see :meth:`ExpertObservations.from_minari`
    """
    minari = load_package("minari", "minari")
    try:
        metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        missing = [name for name in SPACES if name not in metadata]
    except (OSError, ValueError, TypeError) as error:
        raise ExpertDataError(f"{folder / METADATA} cannot be read ({error}): download or make the dataset again") from error
    if missing:
        # Minari would make the environment that the file names, and that may be any code
        raise ExpertDataError(
            f"{folder / METADATA} does not say the dataset's {missing[0]}: if you trust its environment, use "
            "ExpertObservations.from_minari(minari.MinariDataset(...))"
        )
    try:
        dataset = minari.MinariDataset(folder)
    except Exception as error:  # whatever Minari raises about a damaged dataset
        raise ExpertDataError(f"Minari cannot read the dataset in {folder} ({_short(error)}): download it again") from error
    return read_minari(dataset, keys, drop_damaged)


def _load(dataset_id: str) -> Any:
    minari = load_package("minari", "minari")
    try:
        return minari.load_dataset(dataset_id)
    except (OSError, ValueError, KeyError) as error:
        raise ExpertDataError(
            f"Minari cannot load the dataset '{dataset_id}' ({error}): fetch it with `minari download {dataset_id}`"
        ) from error


def _episodes(dataset: Any) -> Iterator[tuple[int, Any]]:
    """The id of each episode, and a function that reads it: one by one, so that a damaged one does not hide the others."""
    numbers = getattr(dataset, "episode_indices", None)
    if numbers is None:
        for number, episode in enumerate(dataset.iterate_episodes()):
            yield number, lambda episode=episode: episode
    else:
        for number in numbers:
            yield int(number), lambda number=number: next(iter(dataset.iterate_episodes([number])))


class _Reader:
    """Reads and checks episodes one after the other."""

    def __init__(self, keys: str | list[str] | None) -> None:
        self.keys = keys
        self.episodes: list[Episode] = []
        self.damaged: dict[int, str] = {}
        self.unreadable = False
        self.texts: list[str] | None = None

    def add(self, number: int, read: Any) -> None:
        """Read one more.

        :param number: its id
        :param read: gives Minari's ``EpisodeData``
        """
        try:
            raw = read()
        except Exception as error:  # whatever Minari and the formats below raise about damage
            self.unreadable = True
            self.damaged[number] = f"it cannot be read, {_short(error)}"
            return
        observations = self._without_texts(raw.observations)
        try:
            self.episodes.append(self._checked(raw, chosen_keys(observations, self.keys)))
        except ExpertDataError as error:
            self.damaged[number] = str(error)

    def _without_texts(self, observations: Any) -> Any:
        """Leave out what is text in the first episode, unless keys were chosen."""
        if not isinstance(observations, dict) or self.keys is not None:
            return observations
        if self.texts is None:
            self.texts = [key for key, value in observations.items() if _is_text(value)]
            if self.texts and len(self.texts) < len(observations):
                rest = [key for key in observations if key not in self.texts]
                warnings.warn(
                    f"left out of the observations, as it is text: {', '.join(self.texts)}. Read is {', '.join(rest)}; "
                    f"keys={rest} says that this is meant",
                    ExpertDataWarning,
                    stacklevel=5,
                )
        return {key: value for key, value in observations.items() if key not in self.texts} or observations

    def _checked(self, raw: Any, value: Any) -> Episode:
        observations = numeric_observations(value, "observations")
        rewards = numeric_array(raw.rewards, "rewards").astype(np.float64)
        terminations = numeric_array(raw.terminations, "terminations")
        n = count_observations(observations)
        if not len(rewards) == len(terminations) == n - 1:
            raise ExpertDataError(
                f"it has {n} observations, {len(rewards)} rewards and {len(terminations)} terminations: "
                "expected one observation more than there are rewards"
            )
        if n < 2:
            raise ExpertDataError(f"it has {n} observations: a transition needs at least two")
        if self.episodes and not alike(observations, self.episodes[0].observations):
            first = describe(self.episodes[0].observations)
            raise ExpertDataError(f"it holds observations {describe(observations)}, others hold {first}")
        for key, array in arrays_of(observations).items():
            if not np.isfinite(array).all():
                raise ExpertDataError(f"observations{f'[{key!r}]' if key else ''} has values that are not finite")
        if not np.isfinite(rewards).all() and not np.isnan(rewards).all():
            raise ExpertDataError("rewards has values that are not finite")
        return Episode(observations, bool(terminations[-1]), rewards)

    def good_ones(self, drop_damaged: bool) -> list[Episode]:
        """The episodes that are in order.

        :param drop_damaged: whether others may be left out
        """
        if not self.damaged:
            return self.episodes
        numbers = list(self.damaged)
        found = (
            f"{len(numbers)} of {len(numbers) + len(self.episodes)} episodes are damaged ({_listed(numbers)}; "
            f"episode {numbers[0]}: {self.damaged[numbers[0]]})"
        )
        if not self.episodes:
            raise ExpertDataError(f"{found}: none is left, download or make the dataset again, or choose other keys")
        if not drop_damaged:
            # Minari's filter reads what it filters
            filtering = (
                ""
                if self.unreadable or len(numbers) > LISTED
                else f", or Minari's filter: dataset.filter_episodes(lambda episode: episode.id not in {{{_listed(numbers)}}})"
            )
            raise ExpertDataError(f"{found}: leave them out with drop_damaged=True{filtering}")
        warnings.warn(f"{found}: they are left out", ExpertDataWarning, stacklevel=4)
        return self.episodes


def _is_text(value: Any) -> bool:
    return not isinstance(value, dict | tuple) and np.asarray(value).dtype.kind in "USO"


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:LISTED]))
    return shown if len(numbers) <= LISTED else f"{shown}, ..."
