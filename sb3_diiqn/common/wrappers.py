"""What wrappers of vector environments do to observations, as far as expert data have to follow them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecEnv,
    VecEnvWrapper,
    VecFrameStack,
    VecNormalize,
    VecTransposeImage,
    unwrap_vec_normalize,
    unwrap_vec_wrapper,
)

from sb3_diiqn.exceptions import ConfigurationError


def count_stacked_frames(env: VecEnv) -> int | None:
    """
    Count the frames that ``VecFrameStack`` puts into one observation.

    :param env: environment with its wrappers
    :return: None without ``VecFrameStack``
    """
    stacking = unwrap_vec_wrapper(env, VecFrameStack)
    return stacking.stacked_obs.n_stack if isinstance(stacking, VecFrameStack) else None


def find_stored_space(env: VecEnv) -> spaces.Space[Any]:
    """
    Find the space of the observations that a replay buffer stores: those below ``VecNormalize``.

    ``VecNormalize`` declares images as floats between -clip_obs and clip_obs, also in the Dict space of what it wraps.

    :param env: environment with its wrappers
    """
    normalize = unwrap_vec_normalize(env)
    if normalize is None:
        return env.observation_space
    below = normalize.venv.observation_space
    if not (normalize.norm_obs and isinstance(below, spaces.Dict)):
        return below
    normalized = set(normalize.norm_obs_keys or ())
    return spaces.Dict(
        {
            key: _before_normalization(normalize, key, space) if key in normalized else space
            for key, space in below.spaces.items()
        }
    )


def _before_normalization(normalize: VecNormalize, key: str, space: spaces.Space[Any]) -> spaces.Space[Any]:
    shape: Any = space.shape
    if len(shape) != 3 or space != spaces.Box(-normalize.clip_obs, normalize.clip_obs, shape, np.float32):
        return space
    if np.uint8 in _declared_types(normalize.venv, key):
        return spaces.Box(0, 255, shape, np.uint8)
    # nothing tells floats with these very bounds from images of a space that an earlier VecNormalize has changed
    return spaces.Box(-normalize.clip_obs, max(255.0, normalize.clip_obs), shape, np.float32)


def _declared_types(venv: VecEnv, key: str) -> Iterator[Any]:
    """Yield the types of one key's observations, as everything below ``VecNormalize`` declares them."""
    while True:
        yield from _type_of(venv.observation_space, key)
        if not isinstance(venv, VecEnvWrapper):
            break
        venv = venv.venv
    if isinstance(venv, DummyVecEnv):
        if key in venv.buf_obs:
            yield venv.buf_obs[key].dtype
        return
    try:
        (own,) = venv.get_attr("observation_space", 0)
    except (AttributeError, NotImplementedError):
        return
    yield from _type_of(own, key)


def _type_of(space: spaces.Space[Any], key: str) -> Iterator[Any]:
    if isinstance(space, spaces.Dict) and key in space.spaces:
        yield space[key].dtype


def refuse_wrong_order(env: VecEnv) -> None:
    """
    Refuse wrappers around ``VecNormalize`` that change the space, as Stable-Baselines3 stores observations from below it.

    :param env: environment with its wrappers
    :raises ConfigurationError: names them, and the order that works
    """
    normalize = unwrap_vec_normalize(env)
    if normalize is None or env.observation_space == normalize.observation_space:
        return
    names = [type(wrapper).__name__ for wrapper in _changing_wrappers(env, normalize)]
    around, closing = "(".join(names), ")" * (len(names) - 1)
    added = "; Stable-Baselines3 adds VecTransposeImage by itself" if VecTransposeImage.__name__ in names else ""
    raise ConfigurationError(
        f"{around}(VecNormalize(env)){closing}: a replay buffer of {env.observation_space} would be given observations of "
        f"{normalize.venv.observation_space}, from below VecNormalize{added}. DQN cannot learn in this order either. Use "
        f"VecNormalize({around}(env){closing}); with rl-zoo, list {' and '.join(reversed(names))} "
        "under vec_env_wrapper, and leave frame_stack out"
    )


def _changing_wrappers(env: VecEnv, until: VecEnv) -> Iterator[VecEnv]:
    while env is not until and isinstance(env, VecEnvWrapper):
        if env.observation_space != env.venv.observation_space:
            yield env
        env = env.venv
