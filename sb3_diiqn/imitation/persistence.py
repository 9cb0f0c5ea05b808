"""Expert data in, and what a saved model remembers of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from sb3_diiqn.common.wrappers import count_stacked_frames, find_stored_space, refuse_wrong_order
from sb3_diiqn.exceptions import ExpertDataError, ExpertDataWarning, MissingDependencyError, MissingExpertDataError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.given import ExpertData, load_expert, paths_of
from sb3_diiqn.expert.storage import is_there
from sb3_diiqn.expert.types import arrays_of


@dataclass
class ExpertMemory:
    """What a model remembers of its expert data, also when it is loaded without them."""

    content_hash: str | None = None
    #: where they were read from
    paths: list[str] = field(default_factory=list)
    #: how many frames the environment stacks, None if it does not
    n_stack: int | None = None
    #: the space of the observations in the replay buffer, once an environment has told
    stored_space: spaces.Space[Any] | None = None
    #: why they could not be read
    problem: str | None = None

    def read(self, data: ExpertData, space: spaces.Space[Any], env: VecEnv | None) -> ExpertObservations | None:
        """
        Read expert data and bring them into the form of the environment's observations.

        :param data: expert data, paths, a list of both, or None
        :param space: the observation space
        :param env: the environment, None in a model that is loaded without one
        :return: None if there are none, or those of a loaded model are not there: it predicts without
        :raises ExpertDataError: if they are damaged or do not fit
        """
        self.problem = None
        if data is None or self._are_missing(data):
            return None
        try:
            expert = load_expert(data)
            adapted = self._adapted(expert, space, env)
        except (ExpertDataError, MissingDependencyError) as error:
            # it is the saved model that names these files, and to predict it does not need them
            if not self._are_named_by_the_model(data):
                raise
            self.problem = str(error)
            warnings.warn(f"the loaded model cannot learn, only predict, without its expert data: {error}", stacklevel=2)
            return None
        self.paths = paths_of(data)
        self.content_hash = expert.content_hash
        return adapted

    def require(self, data: ExpertData) -> None:
        """
        Refuse to learn without the expert data.

        :param data: the argument
        :raises MissingExpertDataError: if there were some
        """
        if self.content_hash is not None:
            absent = ", ".join(repr(path) for path in paths_of(data) if not is_there(path))
            reason = self.problem or (f"{absent} does not exist" if absent else "none was given")
            raise MissingExpertDataError(
                f"this model was trained with expert data {self.content_hash[:12]}, and {reason}: "
                "pass it when loading, as in load(path, env=env, expert_data=...)"
            )

    def _are_missing(self, data: ExpertData) -> bool:
        """Tell whether a loaded model's expert data is absent."""
        if self.content_hash is None:
            return False
        # a file that is named anew is to be there
        return self._are_named_by_the_model(data) and not all(map(is_there, paths_of(data)))

    def _are_named_by_the_model(self, data: ExpertData) -> bool:
        """Tell whether the expert data are the files that a loaded model itself names."""
        paths = paths_of(data)
        return bool(paths) and paths == self.paths

    def _adapted(self, data: ExpertObservations, space: spaces.Space[Any], env: VecEnv | None) -> ExpertObservations:
        if self.content_hash not in {None, data.content_hash}:
            warnings.warn("the expert data is not what the saved model was trained with", stacklevel=2)
        own_space = None
        if env is not None:
            refuse_wrong_order(env)
            own_space = env.unwrapped.observation_space
            # kept for a model that is loaded without an environment
            self.n_stack, self.stored_space = count_stacked_frames(env), find_stored_space(env)
        adapted = data.adapted_to(
            space if self.stored_space is None else self.stored_space, n_stack=self.n_stack, own_space=own_space
        )
        if env is not None and self.n_stack is None and _size(adapted) != _size(data):
            warnings.warn(
                "consecutive frames of the expert data were stacked, to look as the environment's observations do, but it has "
                "no VecFrameStack: if it does not stack frames otherwise, record the expert with the environment's wrappers",
                ExpertDataWarning,
                stacklevel=2,
            )
        return adapted


def _size(data: ExpertObservations) -> int:
    return sum(array[0].size for array in arrays_of(data.observations).values())
