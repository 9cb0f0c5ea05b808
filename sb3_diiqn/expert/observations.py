"""What the expert showed: trajectories of observations, without actions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert import adaptation, exports, files, joining, sources, storage, validation
from sb3_diiqn.expert.identity import content_hash
from sb3_diiqn.expert.minari_datasets import read_minari
from sb3_diiqn.expert.pairs import read_pairs
from sb3_diiqn.expert.resets import AcrossResets, join_in_order
from sb3_diiqn.expert.types import Observations, TrajectoryArrays, arrays_of, count_observations, describe, read_only, take


class ExpertObservations:
    """Observation-only demonstrations: trajectories of observations. Immutable; all arrays are read-only.

    Transition i of the expert is the pair (s_i, s'_i) of two consecutive observations of one trajectory, numbered through all
    trajectories in order (arXiv 2511.03616). There are no actions: where a source has them, they are dropped.

    Normally made by one of the ``from_...`` methods or :meth:`load`. ``len(data)`` is the number of transitions; ``data[2]``
    and ``data[1:3]`` select trajectories. Writeable arrays are copied, read-only ones are taken as they are.

    :param observations: all trajectories one after the other, (n_observations, *obs), or for a Dict space a dict of such
        arrays; booleans, integers or floats, kept in their own dtype
    :param offsets: (n_trajectories + 1,) integers, trajectory m is ``observations[offsets[m]:offsets[m + 1]]``; at least two
        observations each
    :param terminated: one flag, or one per trajectory: True if the episode really ended with the trajectory's last
        observation, False if it was cut there (time limit, end of the recording)
    :param rewards: (n_transitions,) what the expert received, or None if it is not known
    :raises ExpertDataError: anything inconsistent; the message names the trajectory and the value
    """

    offsets: np.ndarray
    """(n_trajectories + 1,) int64."""
    terminated: np.ndarray
    """(n_trajectories,) bool."""
    rewards: np.ndarray | None
    """(n_transitions,) float32, or None."""

    def __init__(self, observations: Any, offsets: Any, terminated: Any, rewards: Any = None) -> None:
        checked = validation.check_observations(observations)
        borders = validation.check_offsets(offsets, count_observations(checked))
        self.__dict__.update(
            _observations=checked,
            offsets=borders,
            terminated=validation.check_terminated(terminated, len(borders) - 1),
            rewards=None if rewards is None else validation.check_rewards(rewards, borders),
            _accepted_space=None,
        )

    # Ways in and out

    @classmethod
    def from_trajectories(
        cls, trajectories: Any, terminated: Any = None, rewards: Any = None, episode_starts: Any = None
    ) -> ExpertObservations:
        """Expert data from whole trajectories.

        :param trajectories: list of (T + 1, *obs) arrays or of dicts of such arrays; with ``episode_starts`` one (S, *obs)
            array or dict of such arrays with all trajectories one after the other
        :param terminated: one flag, or one per trajectory; None (default) means cut, which is the safe reading
        :param rewards: None, or one (T,) array per trajectory; with ``episode_starts`` one array with a reward per transition,
            or per observation (the entry of a trajectory's last observation is not used)
        :param episode_starts: (S,) flags, True where an observation is the first one of its trajectory
        """
        if episode_starts is not None:
            return cls(*joining.split_at_starts(trajectories, episode_starts, terminated, rewards))
        return cls(*joining.join_trajectories(trajectories, terminated, rewards))

    @classmethod
    def from_transitions(
        cls,
        observations: Any,
        next_observations: Any,
        dones: Any = None,
        rewards: Any = None,
        *,
        truncated: Any = None,
        episode_starts: Any = None,
        across_resets: AcrossResets = "error",
        tolerance: float = 0.0,
    ) -> ExpertObservations:
        """Expert data from pairs. Consecutive pairs that continue each other become one trajectory.

        In what an auto-resetting vector environment yields, ``next_observations`` at an episode's end is the first observation
        of the next one (Stable-Baselines3, Gymnasium's same-step mode), or a transition from the one to the other follows
        (next-step mode). Both show in that most episodes end in the observation of the next row.

        :param observations: (n, *obs) array or dict of such arrays
        :param next_observations: (n, *obs), what came after each of them
        :param dones: (n,) flags, True where the episode really ended with ``next_observations[i]``; None: nowhere
        :param rewards: None, or (n,) rewards
        :param truncated: (n,) flags, True where the episode was cut there, as by a time limit; None: not known
        :param episode_starts: (n,) flags, True where ``observations[i]`` is the first one of an episode; None: not known
        :param across_resets: what to do then. ``"error"`` (default): refuse them, and say which of the two it is;
            ``"drop_last"``: leave each episode's last transition out, so that all count as cut; ``"drop_first"``: leave the
            transition after each episode's end out; ``"keep"``: they are right, the expert's episodes end where others begin
        :param tolerance: how far each element of ``next_observations[i]`` may be from ``observations[i + 1]`` if one pair
            continues the other; of the two, the latter is kept
        """
        pairs = read_pairs(observations, next_observations, dones, rewards, episode_starts, truncated)
        return cls(*join_in_order(pairs, across_resets, tolerance))

    @classmethod
    def from_imitation(cls, trajectories: Any) -> ExpertObservations:
        """Expert data from trajectories of the ``imitation`` package, which need not be installed.

        :param trajectories: sequence of objects with ``obs`` (T + 1 observations), ``terminal``, and optionally ``rews``;
            rewards are kept if all of them have some
        """
        return cls(*sources.read_imitation(trajectories))

    @classmethod
    def from_minari(
        cls, dataset: Any, keys: str | Iterable[str] | None = None, drop_damaged: bool = False
    ) -> ExpertObservations:
        """Expert data from a Minari dataset.

        :param dataset: a ``minari.MinariDataset``, or the id of one that is on this machine
        :param keys: which of the keys of Dict observations are read, or one of them, whose observations then are plain; None
            (default): all that are numbers, with a warning that names those that are text
        :param drop_damaged: whether to leave out, with a warning, the episodes that cannot be read, are inconsistent, or hold
            NaN or infinities; False (default): they are an error, which names them
        """
        return cls(*read_minari(dataset, keys, drop_damaged))

    @classmethod
    def from_replay_buffer(cls, buffer: Any) -> ExpertObservations:
        """Expert data from a Stable-Baselines3 replay buffer: environment by environment, oldest transition first.

        A memory-optimised buffer overwrites the last observation of every finished episode; these episodes end one observation
        earlier and count as cut.

        :param buffer: a ``ReplayBuffer``, ``DictReplayBuffer`` or a subclass
        """
        return cls(*sources.read_replay_buffer(buffer))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        keys: str | Iterable[str] | None = None,
        *,
        drop_damaged: bool = False,
        across_resets: AcrossResets = "error",
    ) -> ExpertObservations:
        """Read a file or folder, by what it holds and not by its name, without executing anything in it.

        - the ``.npz`` of :meth:`save`
        - an ``.npz`` made by hand, with ``observations`` (for a Dict space ``observations/NAME`` for every key), optionally
          ``rewards``, and one of ``episode_starts`` ((S,) True at the first observation of each trajectory; optionally
          ``terminated`` per trajectory), ``dones`` ((S,) True at the last observation of each episode that really ended), or
          ``next_observations`` (pairs as in :meth:`from_transitions`, with its ``dones``, ``truncated``, ``episode_starts``)
        - trajectories that ``imitation`` saved: the ``.npz`` of its earlier versions, or the folder of a Hugging Face dataset
        - the ``.hdf5`` of D4RL; without ``next_observations`` each episode lacks its last transition
        - the folder of a Minari dataset
        - one of the recordings that come with the package, as ``"builtin:cartpole"``, see :mod:`sb3_diiqn.datasets`
        - one on the Hugging Face Hub, as ``"hub:user/repository"`` or ``"hub:user/repository/file.npz@revision"``, see
          :mod:`sb3_diiqn.hub`

        Other arrays in them, such as actions, are not read. See docs/expert-data.md.

        :param path: the file or folder; the suffix ``.npz`` may be left out
        :param keys: which of the keys of Dict observations, see :meth:`from_minari`
        :param drop_damaged: see :meth:`from_minari`; for Minari's folders only
        :param across_resets: see :meth:`from_transitions`; for files with ``next_observations`` only
        :raises ExpertDataError: missing, damaged, foreign or inconsistent file
        :raises MissingDependencyError: the package that reads this format is not installed
        """
        arrays = files.read(path, keys, drop_damaged, across_resets)
        try:
            return cls(*arrays)
        except ExpertDataError as error:
            raise ExpertDataError(f"{path}: {error}") from error

    @classmethod
    def concatenate(cls, parts: Iterable[ExpertObservations]) -> ExpertObservations:
        """The trajectories of several recordings, one after the other; ``a + b`` is short for those of two.

        Rewards are kept if all have them; a warning says if only some do.

        :param parts: expert data of the same keys, dtypes and shapes
        :raises ExpertDataError: none, or parts that do not fit; the message names the first
        """
        sets = list(parts)
        joined = joining.concatenate_alike([part._arrays() for part in sets])
        spaces_of_parts = [part._accepted_space for part in sets]
        accepted = spaces_of_parts[0] if all(space == spaces_of_parts[0] for space in spaces_of_parts) else None
        return sets[0] if len(sets) == 1 else cls(*joined)._accepted_for(accepted)

    def __add__(self, other: ExpertObservations) -> ExpertObservations:
        return self.concatenate([self, other]) if isinstance(other, ExpertObservations) else NotImplemented

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one compressed ``.npz``, or leave what was there untouched if that fails.

        :param path: the file; ``.npz`` is added if it has no suffix, missing folders are created
        :return: the path of the file
        """
        return storage.write(path, self._arrays())

    def to_imitation(self) -> list[Any]:
        """Trajectories of the ``imitation`` package, for its algorithms and ``imitation.data.serialize.save``.

        :return: ``TrajectoryWithRew`` if the rewards are known, else ``Trajectory``. The actions are placeholders, all 0
        :raises MissingDependencyError: ``imitation`` is not installed
        """
        return exports.to_imitation(self._arrays())

    def to_minari(self, dataset_id: str, observation_space: spaces.Space[Any] | None = None, **metadata: Any) -> Any:
        """Make a Minari dataset on this machine. Its actions are placeholders, all 0; rewards that are not known are NaN.

        :param dataset_id: the id, such as ``"mine/expert-v0"``
        :param observation_space: that of the environment; None (default): one with the dtype and shape of the data
        :param metadata: other arguments of ``minari.create_dataset_from_buffers``, such as ``author`` and ``description``
        :return: the ``minari.MinariDataset``
        :raises MissingDependencyError: ``minari`` is not installed
        :raises ExpertDataError: Minari refuses the id or the data
        """
        return exports.to_minari(self._arrays(), dataset_id, observation_space, metadata)

    # Sizes and indices

    def __len__(self) -> int:
        return self.n_transitions

    @property
    def observations(self) -> Observations:
        """All trajectories one after the other, (n_observations, *obs) or a dict of such arrays."""
        return dict(self._observations) if isinstance(self._observations, dict) else self._observations

    @property
    def n_trajectories(self) -> int:
        """Number of trajectories."""
        return len(self.offsets) - 1

    @property
    def n_observations(self) -> int:
        """Number of observations of all trajectories."""
        return int(self.offsets[-1])

    @property
    def n_transitions(self) -> int:
        """Number of transitions of all trajectories: one less than the observations of each."""
        return self.n_observations - self.n_trajectories

    @cached_property
    def trajectory_index(self) -> np.ndarray:
        """(n_transitions,) int64: the trajectory of each transition."""
        return read_only(np.repeat(np.arange(self.n_trajectories, dtype=np.int64), np.diff(self.offsets) - 1))

    @cached_property
    def observation_index(self) -> np.ndarray:
        """(n_transitions,) int64: the row of s_i in ``observations``; s'_i is the next row."""
        return read_only(np.arange(self.n_transitions, dtype=np.int64) + self.trajectory_index)

    @cached_property
    def position(self) -> np.ndarray:
        """(n_transitions,) int64: the number of steps from the start of the trajectory to s_i."""
        return read_only(self.observation_index - self.offsets[self.trajectory_index])

    @cached_property
    def transition_of_observation(self) -> np.ndarray:
        """(n_observations,) int64: the transition that starts at each observation, -1 for a trajectory's last observation."""
        transitions = np.full(self.n_observations, -1, dtype=np.int64)
        transitions[self.observation_index] = np.arange(self.n_transitions)
        return read_only(transitions)

    @cached_property
    def is_last(self) -> np.ndarray:
        """(n_transitions,) bool: whether the trajectory goes no further than the transition."""
        return read_only(self.observation_index + 2 == self.offsets[self.trajectory_index + 1])

    @cached_property
    def terminals(self) -> np.ndarray:
        """(n_transitions,) bool: whether the episode really ended with the transition."""
        return read_only(self.is_last & self.terminated[self.trajectory_index])

    def current(self, indices: Any) -> Observations:
        """The observations s_i of the given transitions.

        :param indices: integers of shape (m,), a mask, or a slice
        :return: (m, *obs), or a dict of such arrays
        """
        return take(self._observations, self.observation_index[indices])

    def next(self, indices: Any) -> Observations:
        """The observations s'_i of the given transitions.

        :param indices: integers of shape (m,), a mask, or a slice
        :return: (m, *obs), or a dict of such arrays
        """
        return take(self._observations, self.observation_index[indices] + 1)

    def __getitem__(self, key: int | slice) -> ExpertObservations:
        if not isinstance(key, slice):
            try:
                number = range(self.n_trajectories)[key]
            except IndexError:
                raise IndexError(
                    f"There is no trajectory {key}: these are {self.n_trajectories} of them, with {len(self)} transitions, "
                    "which is their len(); current() and next() look transitions up"
                ) from None
            key = slice(number, number + 1)
        chosen = range(self.n_trajectories)[key]
        if len(chosen) == 0:
            raise IndexError(f"The slice selects none of the {self.n_trajectories} trajectories")
        if chosen.step == 1:
            arrays = self._trajectory_range(chosen.start, chosen.stop)
        else:
            arrays = joining.concatenate(self._trajectory_range(number, number + 1) for number in chosen)
        return type(self)(*arrays)._accepted_for(self._accepted_space)

    def _trajectory_range(self, start: int, stop: int) -> TrajectoryArrays:
        """The arrays of trajectories start to stop, as views."""
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        return TrajectoryArrays(
            take(self._observations, slice(first, last)),
            self.offsets[start : stop + 1] - first,
            self.terminated[start:stop],
            None if self.rewards is None else self.rewards[first - start : last - stop],
        )

    # Identity

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over everything (observations with dtype and shape, borders, flags, rewards), in hexadecimal."""
        return content_hash(self._arrays())

    def __repr__(self) -> str:
        trajectories = f"{self.n_trajectories} {'trajectory' if self.n_trajectories == 1 else 'trajectories'}"
        transitions = f"{len(self)} {'transition' if len(self) == 1 else 'transitions'}"
        rewards = "no rewards" if self.rewards is None else "with rewards"
        return (
            f"{type(self).__name__}({trajectories}, {transitions}, observations {describe(self._observations)}, "
            f"{self.terminated.sum()} terminated, {rewards})"
        )

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"ExpertObservations cannot be changed ('{name}' was to be set): make a new one")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._accepted_space, *self._arrays())

    def __deepcopy__(self, memo: dict[int, Any]) -> ExpertObservations:
        return self  # nothing in it can change

    def _arrays(self) -> TrajectoryArrays:
        return TrajectoryArrays(self._observations, self.offsets, self.terminated, self.rewards)

    _observations: Observations
    # the space that these data were adapted to without a check of the range
    _accepted_space: spaces.Space[Any] | None

    # Fitting an environment

    def adapted_to(
        self,
        observation_space: spaces.Space[Any],
        n_stack: int | None = None,
        check_range: bool = True,
        own_space: spaces.Space[Any] | None = None,
    ) -> ExpertObservations:
        """The same data in the form in which a Stable-Baselines3 replay buffer for this space stores observations.

        - dtype: that of the space. Floats may be rounded, every other conversion must be exact.
        - Discrete observations become (n_observations, 1) int64.
        - uint8 images with bounds 0 and 255 are transposed from channels-last to channels-first if the space is, as
          ``VecTransposeImage`` does.
        - Frames are stacked as ``VecFrameStack`` does (oldest first, zeros before the start of a trajectory) if the space's
          channel axis is a multiple of the data's. For anything but images and planes (three axes) this needs ``n_stack``, or
          bounds that show it: a vector of twice the length may just as well belong to another environment. Data that have the
          space's shape already are stacked already: with ``n_stack``, that each stack follows from the one before is checked.

        :param observation_space: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict of these
        :param n_stack: number of frames that the environment stacks; None (default): inferred
        :param check_range: whether values outside the space's bounds are an error (default). Some environments leave their own
            bounds, for instance LunarLander when flying too high; the result is then accepted for this space wherever it is
            handed to. NaN and infinities are always an error.
        :param own_space: the space before frames are stacked and images transposed, whose shape error messages then name
        :return: this object if nothing has to change, else a new one
        :raises ExpertDataError: names trajectory, step, key and value, or both shapes, and what to do
        """
        is_accepted = self._accepted_space is not None and self._accepted_space == observation_space
        observations = adaptation.adapt(
            self._observations, observation_space, self.offsets, n_stack, check_range and not is_accepted, own_space
        )
        if observations is self._observations and (check_range or is_accepted):
            return self
        return type(self)(observations, self.offsets, self.terminated, self.rewards)._accepted_for(observation_space)

    def _accepted_for(self, space: spaces.Space[Any] | None) -> ExpertObservations:
        """Note, of an object that nobody else has yet, the space that it needs not be checked against any more."""
        self.__dict__["_accepted_space"] = space
        return self


def _restored(accepted_space: spaces.Space[Any] | None, *arrays: Any) -> ExpertObservations:
    """Unpickle without a second copy of the observations."""
    for array in arrays_of(arrays[0]).values():
        read_only(array)
    return ExpertObservations(*arrays)._accepted_for(accepted_space)
