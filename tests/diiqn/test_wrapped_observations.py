"""Images, vectors and Dicts under the wrappers of vector environments: whatever DQN learns with works, with raw recordings."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecNormalize, VecTransposeImage

from sb3_diiqn import DIIQN, PAPER, ExpertObservations
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError
from tests.helpers import LENGTH, LOOKS, RIGHT, TINY, LineEnv, Look

Wrapper = Callable[[VecEnv], VecEnv]


def image(state: int, height: int = 10, width: int = 2) -> np.ndarray:
    """Three channels: stripes of one colour on a ground of another."""
    shown = np.full((height, LENGTH * width, 3), 7, np.uint8)
    shown[:, state * width : (state + 1) * width] = 250, 100, 40
    return shown


def camera(state: int) -> np.ndarray:
    """Large enough for the convolutions that Stable-Baselines3 uses in Dicts."""
    return image(state, 38, 6)


def first(shown: np.ndarray) -> np.ndarray:
    """Channels first."""
    return np.moveaxis(shown, -1, 0)


def byte_box(*shape: int) -> spaces.Box:
    return spaces.Box(0, 255, shape, np.uint8)


VECTOR, VECTOR_SPACE = LOOKS["vector"].show, LOOKS["vector"].space
KINDS: dict[str, Look] = {
    "vector": LOOKS["vector"],
    "HWC": Look(byte_box(10, 12, 3), image),
    "CHW": Look(byte_box(3, 10, 12), lambda state: first(image(state))),
    "dict": Look(
        spaces.Dict({"camera": byte_box(38, 36, 3), "where": VECTOR_SPACE}),
        lambda state: {"camera": camera(state), "where": VECTOR(state)},
    ),
    "dict CHW": Look(
        spaces.Dict({"camera": byte_box(3, 38, 36), "where": VECTOR_SPACE}),
        lambda state: {"camera": first(camera(state)), "where": VECTOR(state)},
    ),
}

NORMALIZE: dict[str, Wrapper] = {
    "": lambda env: env,
    "normalised": VecNormalize,
    "rewards": lambda env: VecNormalize(env, norm_obs=False),
    "camera": lambda env: VecNormalize(env, norm_obs_keys=["camera"]),
    "where": lambda env: VecNormalize(env, norm_obs_keys=["where"]),
}


def stacked(env: VecEnv) -> VecEnv:
    return VecFrameStack(env, 3)


class Stack(NamedTuple):
    """Wrappers below and above VecNormalize."""

    below: Wrapper
    above: Wrapper


def nothing(env: VecEnv) -> VecEnv:
    return env


ORDERS: dict[str, Stack] = {
    "N": Stack(nothing, nothing),
    "N T": Stack(VecTransposeImage, nothing),
    "T N": Stack(nothing, VecTransposeImage),
    "N S": Stack(stacked, nothing),
    "S N": Stack(nothing, stacked),
    "N T S": Stack(lambda env: VecTransposeImage(stacked(env)), nothing),
    "N S T": Stack(lambda env: stacked(VecTransposeImage(env)), nothing),
    "T S N": Stack(nothing, lambda env: VecTransposeImage(stacked(env))),
    "T N S": Stack(stacked, VecTransposeImage),
    "S N T": Stack(VecTransposeImage, stacked),
}


def is_made(kind: str, normalization: str, order: str) -> bool:
    """Whether Stable-Baselines3 can make it."""
    above_n = order.split("N", maxsplit=1)[0]
    if normalization in {"camera", "where"} and not kind.startswith("dict"):
        return False
    if normalization == "" and above_n:
        return False
    if "T" in order and kind in {"vector", "CHW", "dict CHW"}:
        return False
    # above VecNormalize no image is left to be transposed
    return not (kind == "HWC" and normalization == "normalised" and "T" in above_n)


CASES = [case for case in itertools.product(KINDS, NORMALIZE, ORDERS) if is_made(*case)]


def bare(kind: str, n_envs: int = 1) -> VecEnv:
    def make() -> LineEnv:
        env = LineEnv()
        # VecNormalize changes Dict spaces
        env.observation_space, env.show = deepcopy(KINDS[kind].space), KINDS[kind].show
        return env

    return DummyVecEnv([make] * n_envs)


def wrapped(kind: str, normalization: str, order: str, n_envs: int = 1) -> VecEnv:
    below, above = ORDERS[order]
    return above(NORMALIZE[normalization](below(bare(kind, n_envs))))


def stack(observations: list[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {key: np.stack([one[key] for one in observations]) for key in observations[0]}
    return np.stack(observations)


def recording(kind: str) -> ExpertObservations:
    """Raw single frames, as the environment itself shows them."""
    states = [KINDS[kind].show(state) for state in range(LENGTH)]
    return ExpertObservations.from_trajectories([stack(states)] * 2, terminated=True)


def seen_on_the_way(env: VecEnv) -> Any:
    """What an environment shows to whoever goes right, the last observation of the episode included."""

    def only(batch: Any) -> Any:
        return {key: array[0].copy() for key, array in batch.items()} if isinstance(batch, dict) else batch[0].copy()

    seen = [only(env.reset())]
    for _ in range(LENGTH - 1):
        batch, _, _, infos = env.step(np.array([RIGHT] * env.num_envs))
        seen.append(infos[0].get("terminal_observation", only(batch)))
    return stack(seen)


def arguments_of(kind: str) -> dict[str, Any]:
    """Of tiny networks."""
    if not kind.startswith("dict"):
        return {**TINY, "policy": "MlpPolicy"}
    extractor = {"features_extractor_kwargs": {"cnn_output_dim": 8}, "net_arch": [8]}
    return {**TINY, "policy": "MultiInputPolicy", "policy_kwargs": extractor}


def dqn_learns(kind: str, normalization: str, order: str) -> bool:
    try:
        DQN(env=wrapped(kind, normalization, order), **arguments_of(kind)).learn(30)
    except (ValueError, TypeError, RuntimeError):
        return False
    return True


def as_arrays(tensors: Any) -> dict[str, np.ndarray]:
    return {key: tensor.numpy() for key, tensor in (tensors if isinstance(tensors, dict) else {"": tensors}).items()}


@pytest.mark.parametrize(("kind", "normalization", "order"), CASES)
def test_what_dqn_learns_with_works_and_the_rest_is_refused(kind: str, normalization: str, order: str) -> None:
    number = CASES.index((kind, normalization, order))
    # every number of environments and the default and the published method with some of the cases
    n_envs, method = 1 + number % 2, {} if number % 5 == 0 else PAPER
    env = wrapped(kind, normalization, order, n_envs)
    if not dqn_learns(kind, normalization, order):
        with pytest.raises(ConfigurationError, match=r"from below VecNormalize.*Use VecNormalize\("):
            DIIQN(env=env, **arguments_of(kind), expert_data=recording(kind))
        return
    model = DIIQN(env=env, **arguments_of(kind), expert_data=recording(kind), **method).learn(40)
    model.update_confidence()
    assert model.expert_statistics()["matched"] > 0
    knowledge, normalize = model.knowledge, model.get_vec_normalize_env()
    below: Any = model.env if normalize is None else normalize.venv
    raw = seen_on_the_way(below)
    expected = raw if normalize is None else normalize.normalize_obs(raw)
    tensors, next_tensors = model.replay_buffer.expert_tensors(np.arange(LENGTH - 1), normalize)
    for key, array in (expected if isinstance(expected, dict) else {"": expected}).items():
        np.testing.assert_array_equal(as_arrays(tensors)[key], array[:-1])
        np.testing.assert_array_equal(as_arrays(next_tensors)[key], array[1:])
    stored = model.replay_buffer.observations
    for key, array in (stored if isinstance(stored, dict) else {"": stored}).items():
        expert = knowledge.expert.observations
        assert array.dtype == (expert[key] if isinstance(expert, dict) else expert).dtype


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ["N", "N S"])
def test_normalised_recordings_are_refused(kind: str, order: str) -> None:
    raw = recording(kind).observations

    def normalised(array: np.ndarray) -> np.ndarray:
        return np.float32((array - array.mean(axis=0)) / (array.std(axis=0) + 1e-4))

    wrong = {key: normalised(array) for key, array in raw.items()} if isinstance(raw, dict) else normalised(raw)
    data = ExpertObservations.from_trajectories([wrong])
    with pytest.raises(ExpertDataError, match=r"raw observations, also for an environment in VecNormalize"):
        DIIQN(env=wrapped(kind, "normalised", order), **arguments_of(kind), expert_data=data)


@pytest.mark.parametrize("kind", ["dict", "dict CHW"])
def test_a_space_that_an_earlier_wrapper_has_changed(kind: str) -> None:
    """VecNormalize writes into a Dict space, which environments may share: images look like floats between -10 and 10 then."""
    shared = deepcopy(KINDS[kind].space)
    for _ in range(2):
        base = bare(kind)
        base.envs[0].observation_space = base.observation_space = shared  # type: ignore[attr-defined]
        env = VecNormalize(DummyVecEnv([lambda base=base: base.envs[0]]))  # type: ignore[misc]
        model = DIIQN(env=env, **arguments_of(kind), expert_data=recording(kind), **PAPER).learn(40)
        assert model.expert_statistics()["matched"] > 0


def test_floats_with_the_bounds_of_normalised_images_stay_floats() -> None:
    space = spaces.Dict({"plane": spaces.Box(-10, 10, (2, LENGTH, 1), np.float32)})
    env = LineEnv()
    env.observation_space = space
    env.show = lambda state: {"plane": LOOKS["float image"].show(state) * 9 - 5}
    data = ExpertObservations.from_trajectories([stack([env.show(state) for state in range(LENGTH)])])
    normalize = VecNormalize(DummyVecEnv([lambda: env]))
    model = DIIQN("MultiInputPolicy", normalize, **TINY, expert_data=data).learn(40)
    assert model.expert_statistics()["matched"] > 0


@pytest.mark.parametrize("order", ["N", "N S"])
@pytest.mark.parametrize("kind", ["vector", "CHW", "dict"])
def test_the_end_of_an_episode_is_stored_as_it_was_shown(kind: str, order: str) -> None:
    """The goal is never part of VecNormalize's statistics: normalised and back again, little would be left of it in an image."""
    arguments = {**arguments_of(kind), "learning_starts": 400, "buffer_size": 400, **PAPER}
    model = DIIQN(env=wrapped(kind, "normalised", order, 2), expert_data=recording(kind), **arguments).learn(400)
    buffer = model.replay_buffer
    steps, envs = np.nonzero(buffer.dones * (1 - buffer.timeouts))
    assert len(steps)
    if order == "N":
        model.update_confidence()
        inferred = model.knowledge.inferred  # type: ignore[union-attr]
        assert (inferred.action[LENGTH - 2], inferred.error[LENGTH - 2]) == (RIGHT, 0)
    goal = KINDS[kind].show(LENGTH - 1)
    following = buffer.next_observations
    pairs = [(following[key], goal[key]) for key in goal] if isinstance(goal, dict) else [(following, goal)]
    for stored, shown in ((array[steps, envs], one) for array, one in pairs):
        newest = stored[:, -shown.shape[0] :] if kind == "CHW" else stored[..., -shown.shape[-1] :]
        np.testing.assert_array_equal(newest, np.broadcast_to(shown, newest.shape))
    assert "step_wait" not in vars(model.get_vec_normalize_env().venv), "nothing is left behind"  # type: ignore[union-attr]


# --- frames that are stacked already ------------------------------------------------------------------------------------------


def stacked_recording(kind: str, n: int) -> ExpertObservations:
    """As a VecFrameStack shows it."""
    return ExpertObservations.from_trajectories([seen_on_the_way(VecFrameStack(bare(kind), n))])


@pytest.mark.parametrize("kind", KINDS)
def test_the_environments_own_stacks_are_accepted(kind: str) -> None:
    models = [
        DIIQN(env=stacked(bare(kind)), **arguments_of(kind), expert_data=data, **PAPER)
        for data in (recording(kind), stacked_recording(kind, 3))
    ]
    single, already = (model.expert.current(np.arange(LENGTH - 1)) for model in models)  # type: ignore[union-attr]
    for key in single if isinstance(single, dict) else [...]:
        np.testing.assert_array_equal(single[key], already[key])


@pytest.mark.parametrize("kind", ["vector", "HWC", "CHW", "dict"])
@pytest.mark.parametrize("n", [2, 4])
def test_stacks_of_another_number_are_refused(kind: str, n: int) -> None:
    env = VecFrameStack(bare(kind), 4 if n == 2 else 2)
    with pytest.raises(ExpertDataError, match="[Rr]ecord"):
        DIIQN(env=env, **arguments_of(kind), expert_data=stacked_recording(kind, n))


@pytest.mark.parametrize("kind", ["vector", "HWC", "CHW", "dict"])
def test_frames_that_are_stacked_twice_are_refused(kind: str) -> None:
    env = VecFrameStack(bare(kind), 4)
    twice = seen_on_the_way(VecFrameStack(VecFrameStack(bare(kind), 2), 2))
    with pytest.raises(ExpertDataError, match="trajectory 0, step [123]: .*4 stacked frames, .*Record single frames"):
        DIIQN(env=env, **arguments_of(kind), expert_data=ExpertObservations.from_trajectories([twice]))


def test_stacks_are_checked_of_data_whose_range_is_not() -> None:
    env = VecFrameStack(bare("vector"), 4)
    twice = seen_on_the_way(VecFrameStack(VecFrameStack(bare("vector"), 2), 2))
    data = ExpertObservations.from_trajectories([twice]).adapted_to(env.observation_space, check_range=False)
    with pytest.raises(ExpertDataError, match="Record single frames"):
        DIIQN(env=env, **arguments_of("vector"), expert_data=data)


def test_errors_name_the_environments_own_shape() -> None:
    data = ExpertObservations.from_trajectories([np.zeros((3, 10, 11, 3), np.uint8)])
    with pytest.raises(ExpertDataError, match=r"\(10, 11, 3\), the environment's has shape \(10, 12, 3\): record"):
        DIIQN(env=bare("HWC"), **arguments_of("HWC"), expert_data=data)
    with pytest.raises(
        ExpertDataError, match=r"\(10, 11, 3\), the environment's has shape \(10, 12, 3\), of which it stacks 3"
    ):
        DIIQN(env=stacked(bare("HWC")), **arguments_of("HWC"), expert_data=data)


# --- loading ------------------------------------------------------------------------------------------------------------------


def test_a_model_loaded_without_an_environment_knows_what_is_stored(tmp_path: Any) -> None:
    data = recording("HWC")
    path = data.save(tmp_path / "expert.npz")
    env = wrapped("HWC", "normalised", "N T S")
    model = DIIQN(env=env, **arguments_of("HWC"), expert_data=path, **PAPER).learn(40)
    model.save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.expert.observations, model.expert.observations)  # type: ignore[union-attr]
    assert loaded.stored_space == model.stored_space == byte_box(9, 10, 12)
    loaded.set_env(wrapped("HWC", "normalised", "N T S"))
    loaded.learn(40)


def test_an_environment_that_is_set_later_is_checked_before_learning() -> None:
    model = DIIQN(env=wrapped("vector", "rewards", "N S"), **arguments_of("vector"), expert_data=recording("vector"))
    model.set_env(wrapped("vector", "rewards", "S N"))
    with pytest.raises(ConfigurationError, match=r"Use VecNormalize\(VecFrameStack\(env\)\); with rl-zoo"):
        model.learn(40)
