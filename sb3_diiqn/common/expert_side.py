"""The data side of implicit imitation: expert data in, replay buffer and what is learned about the expert out and in again."""

from __future__ import annotations

import io
import os
import pathlib
import warnings
from dataclasses import fields
from typing import Any, TypeVar, get_args

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, unwrap_vec_wrapper

from sb3_diiqn.common.buffers import EXPERT_BUFFERS, ExpertMatchingMixin, ExpertReward, complete_restored
from sb3_diiqn.common.compatibility import NStepReplayBuffer, with_fused_optimizer
from sb3_diiqn.common.guidance import ExpertGuidance, Follower, GuidanceSettings
from sb3_diiqn.common.leading import ComparedReturns, LedEpisodes
from sb3_diiqn.common.presets import PRESETS, with_preset
from sb3_diiqn.exceptions import ConfigurationError, DIIQNError, ExpertDataError, MissingExpertDataError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.storage import is_there, npz_path
from sb3_diiqn.expert.types import arrays_of
from sb3_diiqn.inference import ConfidenceStatistics, ExpertFollower, ExpertKnowledge, InferenceSettings

ExpertData = ExpertObservations | str | os.PathLike[str] | None
Settings = TypeVar("Settings")
SelfExpertSide = TypeVar("SelfExpertSide", bound="ExpertSide")


class ExpertSide:
    """
    Mixin that gives an off-policy algorithm expert data and a replay buffer that matches with them.

    The host class calls :meth:`_set_imitation_arguments` in its constructor, before its own :meth:`_setup_model`. Without
    expert data, and with ``double_q=False``, nothing of the host's behaviour changes.
    """

    #: follows the expert in guided stretches, by matching
    follower_class: type[ExpertFollower] = ExpertFollower

    # of the host
    action_space: spaces.Space[Any]
    buffer_size: int
    device: Any
    env: Any
    gamma: float
    n_envs: int
    n_steps: int
    observation_space: spaces.Space[Any]
    optimize_memory_usage: bool
    policy_class: type[BasePolicy]
    policy_kwargs: dict[str, Any]
    replay_buffer: Any
    replay_buffer_class: type[ReplayBuffer] | None
    replay_buffer_kwargs: dict[str, Any]
    seed: int | None

    def _set_imitation_arguments(
        self, expert_data: ExpertData, expert_reward: ExpertReward, preset: str, **settings: Any
    ) -> None:
        """
        Keep the arguments under their own names, from where :meth:`_setup_model` takes them, also after loading.

        :param expert_data: the expert data, a path to it, or None
        :param expert_reward: see :class:`~sb3_diiqn.common.buffers.ExpertMatchingMixin`
        :param preset: name of the preset, see :func:`~sb3_diiqn.common.presets.with_preset`
        :param settings: the fields of ``InferenceSettings``, ``GuidanceSettings`` and ``DemonstrationSettings``, and
            ``double_q``
        """
        self.expert_data = expert_data
        self.expert_reward = expert_reward
        self.preset = preset
        # what the user said, None where it is left to the preset, and what came of it
        self._given_settings, self._settings_in_use = settings, dict[str, Any]()
        self._fill_in_preset()
        self._expert: ExpertObservations | None = None
        self._expert_content_hash: str | None = None
        # where they were read from, and why they could not be, in a loaded model
        self._expert_path: ExpertData = None
        self._expert_problem: str | None = None
        #: what takes the place of a seed where there is none
        self._drawn_seed: int | None = None
        self._n_stack: int | None = None
        # of the replay buffer that the model has made or checked
        self._own_knowledge: ExpertKnowledge | None = None
        self._guidance: ExpertGuidance | None = None
        self._confidence_statistics = ConfidenceStatistics()
        # saved with the model: what is known of the guide holds after loading, too
        self._compared_returns = ComparedReturns()

    @property
    def expert(self) -> ExpertObservations | None:
        """The expert data as the environment's observation space has them, None if there are none."""
        return self._expert

    @property
    def knowledge(self) -> ExpertKnowledge | None:
        """What has been learned about the expert so far, None without expert data."""
        return self.replay_buffer.knowledge if isinstance(self.replay_buffer, ExpertMatchingMixin) else None

    # --- setting up -------------------------------------------------------------------------------------------------

    def _setup_model(self) -> None:
        self._fill_in_preset()
        self._check_settings()
        self._expert = self._read_expert()
        if self._expert is None:
            super()._setup_model()  # type: ignore[misc]
            return
        self._refuse_impossible_combinations()
        users_class, users_kwargs = self.replay_buffer_class, self.policy_kwargs
        # the host builds a buffer only where there is none
        self.replay_buffer = self._make_expert_buffer(self._expert)
        self._own_knowledge = self.knowledge
        self.policy_kwargs = with_fused_optimizer(users_kwargs, self.policy_class)
        super()._setup_model()  # type: ignore[misc]
        self.replay_buffer_class, self.policy_kwargs = users_class, users_kwargs
        self._guidance = self._make_guidance()

    def _fill_in_preset(self) -> None:
        """Set what is left to the preset, also where ``load`` was told to change the preset or other arguments."""
        told = self.__dict__.pop("_told_to_load", frozenset())
        # what is not in use in a model that is loaded is what the version that saved it did not know
        present = {name: getattr(self, name) for name in [*self._settings_in_use, *(told & PRESETS["paper"].keys())]}
        changed = {name: value for name, value in present.items() if name in told or value != self._settings_in_use[name]}
        self._given_settings = {**self._given_settings, **changed}
        self._settings_in_use = with_preset(self.preset, self._given_settings)
        for name, value in self._settings_in_use.items():
            setattr(self, name, value)

    def _check_settings(self) -> None:
        self._settings(InferenceSettings)
        self._settings(GuidanceSettings)
        if self.expert_reward not in get_args(ExpertReward):
            raise ConfigurationError(f"expert_reward={self.expert_reward!r}: it must be 'matched', 'agent' or 'recorded'")

    def _settings(self, settings_class: type[Settings]) -> Settings:
        """Collect, and thereby check, the arguments that make up the settings of one part of the method."""
        return settings_class(**{field.name: getattr(self, field.name) for field in fields(settings_class)})  # type: ignore[arg-type]

    def _read_expert(self) -> ExpertObservations | None:
        self._expert_problem = None
        if self.expert_data is None or self._expert_is_missing():
            return None
        try:
            data = load_expert(self.expert_data)
            adapted = self._adapted(data)
        except ExpertDataError as error:
            # it is the saved model that names this file, and to predict it does not need it
            if str(self.expert_data) != str(self._expert_path):
                raise
            self._expert_problem = str(error)
            warnings.warn(f"the loaded model cannot learn, only predict, without its expert data: {error}", stacklevel=2)
            return None
        self._expert_path = None if isinstance(self.expert_data, ExpertObservations) else self.expert_data
        self._expert_content_hash = data.content_hash
        return adapted

    def _adapted(self, data: ExpertObservations) -> ExpertObservations:
        """Bring expert data into the form of the environment's observation space."""
        if self._expert_content_hash not in {None, data.content_hash}:
            warnings.warn("the expert data is not what the saved model was trained with", stacklevel=2)
        if self.expert_reward == "recorded" and data.rewards is None:
            raise ConfigurationError("expert_reward='recorded': the expert data has no rewards; use 'matched' or 'agent'")
        if self.env is not None:
            # kept for a model that is loaded without an environment
            self._n_stack = _count_stacked_frames(self.env)
        adapted = data.adapted_to(self.observation_space, n_stack=self._n_stack)
        if self.env is not None and self._n_stack is None and _size(adapted) != _size(data):
            warnings.warn(
                "consecutive frames of the expert data were stacked, to look as the environment's observations do, but it has "
                "no VecFrameStack: if it does not stack frames otherwise, record the expert with the environment's wrappers",
                stacklevel=2,
            )
        return adapted

    def _expert_is_missing(self) -> bool:
        """Tell whether a loaded model's expert data is absent; it predicts without, only learning needs it."""
        if self._expert_content_hash is None or isinstance(self.expert_data, ExpertObservations):
            return False
        if self.expert_data is None:
            return True
        # a file that is named anew is to be there
        return str(self.expert_data) == str(self._expert_path) and not is_there(self.expert_data)

    def _refuse_impossible_combinations(self) -> None:
        if self.optimize_memory_usage or self.replay_buffer_kwargs.get("optimize_memory_usage"):
            raise ConfigurationError("optimize_memory_usage=True does not work with expert data: leave it False")
        if self.replay_buffer_class is not None and self.replay_buffer_class not in EXPERT_BUFFERS:
            raise ConfigurationError(
                f"replay_buffer_class={self.replay_buffer_class.__name__}: expert data needs a replay buffer of its own; "
                "leave replay_buffer_class=None, or expert_data=None"
            )
        if self._own_n_steps() > 1 and isinstance(self.observation_space, spaces.Dict):
            raise ConfigurationError(f"n_steps={self.n_steps}: Dict observations have no n-step returns; use n_steps=1")

    def _make_guidance(self) -> ExpertGuidance | None:
        settings = self._settings(GuidanceSettings)
        if settings.is_off:
            return None
        leading = None
        if settings.led_episodes > 0:
            leading = LedEpisodes(
                settings.led_episodes,
                self._compared_returns,
                self.n_envs,
                self._seed(4),
                settings.greedy_episodes,
                settings.handed_over_episodes,
            )
        return ExpertGuidance(self._make_follower(), settings, self._n_actions(), self.n_envs, self._seed(2), leading)

    def _make_knowledge(self, expert: ExpertObservations) -> ExpertKnowledge:
        settings = self._settings(InferenceSettings)
        return ExpertKnowledge(expert, self.observation_space, settings, self._seed(0), self._index_cache_path())

    def _index_cache_path(self) -> pathlib.Path | None:
        """Return the file beside the expert data that keeps its search index; None if the data did not come from a file."""
        if not isinstance(self.expert_data, (str, os.PathLike)):
            return None
        path = npz_path(self.expert_data)
        return path.with_name(f"{path.stem}.index.npz")

    def _seed(self, stream: int) -> list[int] | None:
        """Return a seed for one of several independent generators, without one of the user's from the global generator."""
        if self.seed is None and self._expert is not None and self._drawn_seed is None:
            self._drawn_seed = int(np.random.randint(2**31 - 1))  # noqa: NPY002 - the host's generator
        seed = self._drawn_seed if self.seed is None else self.seed
        return None if seed is None else [seed, stream]

    def _n_actions(self) -> int:
        return int(self.action_space.n)  # type: ignore[attr-defined]

    def _make_follower(self) -> Follower:
        shortest = self._settings(GuidanceSettings).guide_follows == "shortest"
        follower = self.follower_class(self.knowledge, self.n_envs, self._seed(1), shortest)  # type: ignore[arg-type]
        if shortest:
            # on its way every single step counts
            follower.match_pending = self.replay_buffer.match_pending
        return follower

    def _own_n_steps(self) -> int:
        """Return the steps of the n-step return; a replay buffer class that the user chose has its own arguments for them."""
        return int(getattr(self, "n_steps", 1)) if self.replay_buffer_class is None else 1

    def _make_expert_buffer(self, expert: ExpertObservations) -> ReplayBuffer:
        chosen, arguments = self.replay_buffer_class, dict(self.replay_buffer_kwargs)
        if self._own_n_steps() > 1:
            chosen = NStepReplayBuffer
            arguments.update(n_steps=self.n_steps, gamma=self.gamma)
        elif chosen is None:
            chosen = DictReplayBuffer if isinstance(self.observation_space, spaces.Dict) else ReplayBuffer
        buffer_class: Any = EXPERT_BUFFERS[chosen]
        buffer: ReplayBuffer = buffer_class(
            self.buffer_size,
            self.observation_space,
            self.action_space,
            device=self.device,
            n_envs=self.n_envs,
            knowledge=self._make_knowledge(expert),
            expert_reward=self.expert_reward,
            **arguments,
        )
        return buffer

    def _require_expert(self) -> None:
        """Raise ``MissingExpertDataError`` if the model was loaded and the expert data it learned from is not there."""
        if self._expert is None and self._expert_content_hash is not None:
            absent = "none was given" if self.expert_data is None else f"{str(self.expert_data)!r} does not exist"
            reason = self._expert_problem or absent
            raise MissingExpertDataError(
                f"this model was trained with expert data {self._expert_content_hash[:12]}, and {reason}: "
                "pass it when loading, as in load(path, env=env, expert_data=...)"
            )

    # --- saving and loading -----------------------------------------------------------------------------------------

    @classmethod
    def load(
        cls: type[SelfExpertSide],
        path: str | pathlib.Path | io.BufferedIOBase,
        env: GymEnv | None = None,
        device: th.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> SelfExpertSide:
        """
        Load a model, as Stable-Baselines3 does. Of its arguments, those that are given here hold, the others as they were.

        :param path: file that ``save`` wrote
        :param env: see Stable-Baselines3, as all that follows
        :param device: where the model runs
        :param custom_objects: what takes the place of saved objects
        :param print_system_info: whether to print with what it was saved
        :param force_reset: whether to reset the environment before learning
        :param kwargs: arguments of the constructor, such as ``expert_data``
        :return: the model; without its expert data it predicts, but does not learn
        :raises ConfigurationError: if an argument is out of range
        :raises ExpertDataError: if the expert data does not fit
        """
        told = frozenset(kwargs)
        return super().load(  # type: ignore[misc, no-any-return]
            path, env, device, custom_objects, print_system_info, force_reset, **kwargs, _told_to_load=told
        )

    def _excluded_save_params(self) -> list[str]:
        own = ["_expert", "_own_knowledge", "_guidance", "_confidence_statistics", "_drawn_seed"]
        excluded = [*super()._excluded_save_params(), *own]  # type: ignore[misc]
        return excluded if isinstance(self.expert_data, (str, os.PathLike)) else [*excluded, "expert_data"]

    def save_replay_buffer(self, path: str | pathlib.Path | io.BufferedIOBase) -> None:
        """
        Save the replay buffer with what was learned about the expert, but without the expert data.

        :param path: file to write, see Stable-Baselines3
        """
        own = self.replay_buffer
        if isinstance(own, ExpertMatchingMixin):
            self.replay_buffer = own.for_file()
        try:
            super().save_replay_buffer(path)  # type: ignore[misc]
        finally:
            self.replay_buffer = own

    def load_replay_buffer(self, path: str | pathlib.Path | io.BufferedIOBase, truncate_last_traj: bool = True) -> None:
        """
        Load a replay buffer, and with it what was learned about the expert.

        :param path: file that ``save_replay_buffer`` wrote
        :param truncate_last_traj: see Stable-Baselines3
        :raises ConfigurationError: if it was saved with another number of environments
        :raises ExpertDataError: if it was saved with other expert data than the model has, or one of the two has none
        """
        own = self.replay_buffer
        super().load_replay_buffer(path, truncate_last_traj)  # type: ignore[misc]
        try:
            self._accept_replay_buffer()
        except DIIQNError:
            self.replay_buffer = own
            raise

    def _accept_replay_buffer(self) -> None:
        """Check and complete a replay buffer that has taken the place of the model's own, whether loaded or assigned."""
        if self.knowledge is self._own_knowledge:
            return
        complete_restored(self.replay_buffer, self._own_knowledge, self.n_envs, self.expert_reward)
        self._own_knowledge = self.knowledge
        self._guidance = self._make_guidance()


def load_expert(data: ExpertObservations | str | os.PathLike[str]) -> ExpertObservations:
    """
    Load expert data, if they are in a file.

    :param data: expert data or the path of a file
    :raises ExpertDataError: if they are damaged
    """
    return data if isinstance(data, ExpertObservations) else ExpertObservations.load(data)


def _size(data: ExpertObservations) -> int:
    return sum(array[0].size for array in arrays_of(data.observations).values())


def _count_stacked_frames(env: VecEnv) -> int | None:
    stacking = unwrap_vec_wrapper(env, VecFrameStack)
    return stacking.stacked_obs.n_stack if isinstance(stacking, VecFrameStack) else None
