"""Policies of an expert that is to be recorded: trained models, and functions of the user's own."""

from __future__ import annotations

import copy
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import check_shape_equal
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from stable_baselines3.common.vec_env.stacked_observations import StackedObservations

from sb3_diiqn.exceptions import ConfigurationError

Environment: TypeAlias = gym.Env[Any, Any]
Policy: TypeAlias = Callable[[Any], Any]
"""From one observation to one action. If it has a method ``reset``, that is called before each episode."""

# QRDIIQN is in a module of its own, which needs sb3-contrib
ALGORITHM_MODULES = ("stable_baselines3", "sb3_contrib", "sb3_diiqn", "sb3_diiqn.diiqn.qrdiiqn")


class ModelPolicy:
    """A trained model as a policy on the environment's own observations.

    :param model: a model of any algorithm; its deterministic prediction is used
    :param env: the environment that it will act in, not vectorised
    :param vec_normalize: statistics of a model that was trained on normalised observations; None (default): those of the
        model's own environment, if it has one; False: the model sees observations as they are
    :param frame_stack: number of frames that the model was trained on; they are stacked after normalisation
    :raises ConfigurationError: the model's spaces do not fit the environment, or its statistics are needed
    """

    def __init__(
        self,
        model: BaseAlgorithm,
        env: Environment,
        vec_normalize: VecNormalize | Literal[False] | None = None,
        frame_stack: int = 1,
    ) -> None:
        if frame_stack < 1:
            raise ConfigurationError(f"frame_stack is {frame_stack}: expected at least 1")
        self.model, self.env = model, env
        self.vec_normalize = (_own_statistics(model) if vec_normalize is None else vec_normalize) or None
        self.is_maskable = "action_masks" in inspect.signature(model.predict).parameters
        self.frames: StackedObservations[Any] | None = None
        if model.action_space != env.action_space:
            raise ConfigurationError(f"The model's action space is {model.action_space}, the environment's {env.action_space}")
        try:
            seen: Any = env.observation_space
            if self.vec_normalize is not None:
                check_shape_equal(self.vec_normalize.observation_space, seen)
                seen = self.vec_normalize.observation_space
            if frame_stack > 1:
                self.frames = StackedObservations(1, frame_stack, seen)
            self.reset()
            model.predict(self._seen_by_model(copy.deepcopy(env.observation_space).sample()), deterministic=True)
        except Exception as error:  # depending on spaces and policy, a misfit shows as almost any exception
            raise ConfigurationError(
                f"The model was trained on observations {model.observation_space}, which do not fit the environment's "
                f"{env.observation_space}: choose the model's environment, or name its VecNormalize file or frame stacking"
            ) from error
        self.reset()

    def reset(self) -> None:
        """Forget the episode before."""
        self.state: Any = None
        self.is_first = True

    def __call__(self, observation: Any) -> Any:
        """The model's action for the environment's next observation."""
        masks = {"action_masks": self._action_masks()} if self.is_maskable else {}
        action, self.state = self.model.predict(
            self._seen_by_model(observation),
            state=self.state,
            episode_start=np.array([self.is_first]),
            deterministic=True,
            **masks,
        )
        self.is_first = False
        return action

    def _seen_by_model(self, observation: Any) -> Any:
        if self.vec_normalize is not None:
            observation = self.vec_normalize.normalize_obs(observation)
        if self.frames is None:
            return observation
        batch = _with_batch_axis(observation)
        stack = self.frames.reset(batch) if self.is_first else self.frames.update(batch, np.array([False]), [{}])[0]
        return {key: array[0] for key, array in stack.items()} if isinstance(stack, dict) else stack[0]

    def _action_masks(self) -> Any:
        try:
            return self.env.get_wrapper_attr("action_masks")()
        except AttributeError:
            return None


def _own_statistics(model: BaseAlgorithm) -> VecNormalize | None:
    """The statistics that a model was trained with, if it still has its environment."""
    statistics = model.get_vec_normalize_env()
    # other algorithms keep the original observation also without VecNormalize
    if statistics is None and isinstance(model, OnPolicyAlgorithm) and model._last_original_obs is not None:
        raise ConfigurationError(
            "The model was trained with VecNormalize, and its statistics are not at hand: name their file with "
            "--vec-normalize, or pass vec_normalize=load_vec_normalize(path, env). If it was trained on original "
            "observations, and only rewards were normalised: --vec-normalize none, or vec_normalize=False"
        )
    return statistics


def _with_batch_axis(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: np.asarray(array)[None] for key, array in observation.items()}
    return np.asarray(observation)[None]


def find_algorithm(name: str) -> type[BaseAlgorithm]:
    """The algorithm of that name in Stable-Baselines3, sb3-contrib or this package; upper and lower case are the same.

    :raises ConfigurationError: there is none
    """
    found: dict[str, type[BaseAlgorithm]] = {}
    for module in ALGORITHM_MODULES:
        try:
            members = vars(importlib.import_module(module))
        except ImportError:
            continue
        found.update(
            {key: value for key, value in members.items() if inspect.isclass(value) and issubclass(value, BaseAlgorithm)}
        )
    by_lower_case = {key.lower(): value for key, value in found.items()}
    if name.lower() not in by_lower_case:
        raise ConfigurationError(f"There is no algorithm '{name}': expected one of {', '.join(sorted(found))}")
    return by_lower_case[name.lower()]


def load_model(path: str, algorithm: str) -> BaseAlgorithm:
    """Load a model for prediction, on the CPU and without its replay buffer. Only load files that you trust.

    :raises ConfigurationError: no such algorithm, or a file that is not a model of it
    """
    algorithm_class = find_algorithm(algorithm)
    no_buffer: dict[str, Any] = {"buffer_size": 1, "replay_buffer_class": None, "replay_buffer_kwargs": {}}
    try:
        return algorithm_class.load(path, device="cpu", custom_objects=no_buffer)
    except Exception as error:  # unpickling and rebuilding a foreign file can fail in any way
        raise ConfigurationError(f"'{path}' cannot be loaded as a {algorithm_class.__name__} model: {error}") from error


def load_vec_normalize(path: str | os.PathLike[str], env: Environment) -> VecNormalize:
    """Load the statistics of a ``VecNormalize``. The file is a pickle, which can execute code: only load one that you trust.

    :raises ConfigurationError: not such a file, or one for other observations
    """
    try:
        return VecNormalize.load(str(path), DummyVecEnv([lambda: env]))
    except Exception as error:  # unpickling a foreign file can fail in any way
        raise ConfigurationError(f"'{path}' cannot be loaded as VecNormalize for this environment: {error}") from error


def find_vec_normalize(model_path: str | os.PathLike[str]) -> Path | None:
    """Find the statistics that rl-zoo has saved beside a model: in a folder named after the environment, with its settings.

    :param model_path: the model's file
    :return: the file, None if the model is not of rl-zoo or has none
    :raises ConfigurationError: there are files beside it that look like its statistics, but only the user can know
    """
    folder = Path(model_path).parent
    of_zoo = [path for path in folder.glob("*/vecnormalize.pkl") if (path.parent / "config.yml").exists()]
    if len(of_zoo) == 1:
        return of_zoo[0]
    candidates = of_zoo or [path for path in folder.glob("*.pkl") if "vecnormalize" in path.stem.lower().replace("_", "")]
    if not candidates:
        return None
    raise ConfigurationError(
        f"Beside the model there is {', '.join(map(str, sorted(candidates)))}: if it was trained on observations that were "
        "normalised so, name the file with --vec-normalize (a pickle, which can execute code: only if you trust it), else use "
        "--vec-normalize none"
    )


def load_function(name: str) -> Policy:
    """A policy of the user's own.

    :param name: ``module:function``; the module is also looked for in the current folder
    :raises ConfigurationError: there is none
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise ConfigurationError(f"The policy is '{name}': expected 'random' or 'module:function'")
    function = getattr(import_module(module_name), function_name, None)
    if not callable(function):
        raise ConfigurationError(f"The module '{module_name}' has no function '{function_name}'")
    policy: Policy = function
    return policy


def import_module(module_name: str) -> Any:
    """Import a module by name; it is also looked for in the current folder.

    :raises ConfigurationError: it cannot be imported
    """
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigurationError(f"The module '{module_name}' cannot be imported: {error}") from error


def import_registering(env_id: str) -> str:
    """Import the module of an id as ``"module:Name-v0"``, and return the id without it.

    :raises ConfigurationError: it cannot be imported
    """
    module_name, _, name = env_id.rpartition(":")
    if module_name:
        import_module(module_name)
    return name
