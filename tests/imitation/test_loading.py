"""Loading where something has changed meanwhile: the expert data's file, arguments, the distance; and what is told of data."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from sb3_diiqn.imitation.presets import PRESETS
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn import DIIQN, ExpertObservations
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, MissingExpertDataError
from tests.diiqn.conftest import env, make, saved
from tests.helpers import LENGTH, TINY, LineEnv, right_walks, walk


@pytest.mark.parametrize("how", ["damaged", "another environment's"])
def test_what_the_named_file_has_become_does_not_keep_a_loaded_model_from_predicting(
    tmp_path: Path, data_file: Path, how: str
) -> None:
    zip_path = saved(make(data_file).learn(40), tmp_path)
    if how == "damaged":
        data_file.write_bytes(b"no longer data")
    else:
        right_walks("bool vector").save(data_file)
    with pytest.warns(UserWarning, match="cannot learn, only predict"):
        loaded = DIIQN.load(zip_path, env=env())
    loaded.predict(env().reset())
    with pytest.raises(MissingExpertDataError, match=f"{right_walks().content_hash[:12]}.*(npz file|shape).*expert_data="):
        loaded.learn(10)
    elsewhere = right_walks().save(tmp_path / "elsewhere")
    DIIQN.load(zip_path, env=env(), expert_data=elsewhere).learn(10)


def test_a_damaged_file_that_is_passed_when_loading_is_refused(tmp_path: Path, data_file: Path) -> None:
    zip_path = saved(make(data_file), tmp_path)
    (tmp_path / "other.npz").write_bytes(b"no data")
    with pytest.raises(ExpertDataError, match="not an .npz file"):
        DIIQN.load(zip_path, env=env(), expert_data=tmp_path / "other.npz")


def test_a_missing_file_that_is_passed_when_loading_is_refused(tmp_path: Path, data_file: Path) -> None:
    for given in (data_file, right_walks()):
        zip_path = saved(make(given), tmp_path)
        with pytest.raises(ExpertDataError, match="typo.npz"):
            DIIQN.load(zip_path, env=env(), expert_data=tmp_path / "typo.npz")


# --- other arguments -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {"preset": "paper"}),
        ({"guidance_share": 0.3, "inference": "inverse_dynamics"}, {"preset": "paper"}),
        ({"preset": "paper"}, {"preset": "guided", "led_episodes": 0.2}),
        ({}, {"inference": "nearest", "guide": "matching"}),
        ({"guidance_share": 0.3}, {"guidance_share": None}),
        # the same as the preset guided has, but now said
        ({}, {"preset": "paper", "margin_weight": 1.0, "led_episodes": 0.8}),
    ],
)
def test_arguments_that_are_changed_when_loading_mean_what_they_mean_to_the_constructor(
    tmp_path: Path, given: dict[str, Any], changed: dict[str, Any]
) -> None:
    zip_path = saved(make(right_walks(), **given), tmp_path)
    loaded = DIIQN.load(zip_path, env=env(), expert_data=right_walks(), **changed)
    expected = make(right_walks(), **{**given, **changed})
    for name in (*PRESETS["paper"], "max_inference_error", "preset"):
        assert getattr(loaded, name) == getattr(expected, name), name
    again = DIIQN.load(saved(loaded, tmp_path), env=env(), expert_data=right_walks())
    assert again.guidance_share == expected.guidance_share
    again.learn(40)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_model_of_a_version_that_knew_fewer_arguments_has_the_defaults_of_the_others(tmp_path: Path, preset: str) -> None:
    added = ("greedy_episodes", "margin_weight", "margin_factor", "double_q")
    zip_path = saved(make(right_walks(), preset=preset), tmp_path)
    with zipfile.ZipFile(zip_path) as file:
        content = {name: file.read(name) for name in file.namelist()}
    attributes = json.loads(content["data"])
    for known in (attributes, attributes["_given_settings"], attributes["_settings_in_use"]):
        for name in added:
            del known[name]
    with zipfile.ZipFile(zip_path, "w") as file:
        for name, part in content.items():
            file.writestr(name, json.dumps(attributes) if name == "data" else part)
    loaded = DIIQN.load(zip_path, env=env(), expert_data=right_walks())
    expected = make(right_walks(), preset=preset)
    assert {name: getattr(loaded, name) for name in added} == {name: getattr(expected, name) for name in added}
    again = DIIQN.load(saved(loaded, tmp_path), env=env(), expert_data=right_walks())
    assert {name: getattr(again, name) for name in added} == {name: getattr(expected, name) for name in added}
    assert DIIQN.load(zip_path, env=env(), expert_data=right_walks(), greedy_episodes=0.3).greedy_episodes == 0.3


def test_a_preset_that_does_not_exist_is_refused_when_loading(tmp_path: Path) -> None:
    zip_path = saved(make(right_walks()), tmp_path)
    with pytest.raises(ConfigurationError, match="preset='telepathy'"):
        DIIQN.load(zip_path, env=env(), expert_data=right_walks(), preset="telepathy")


def test_what_was_inferred_with_another_function_is_forgotten(tmp_path: Path) -> None:
    def near(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.minimum(np.abs(first[:, None] - second[None]).max(axis=-1), 1.0)

    data = ExpertObservations.from_trajectories([walk(range(3, LENGTH))])
    model = make(data, similarity_metric=near).learn(100)
    model.save_replay_buffer(tmp_path / "buffer")
    before = model.replay_buffer.matched_share()
    assert 0 < before < 1
    for function, expected in ((near, before), (lambda first, second: near(first, second) / 100, 1)):
        other = make(data, similarity_metric=function)
        other.load_replay_buffer(tmp_path / "buffer")
        assert other.replay_buffer.matched_share() == expected, "by a hundredth of the distance, everything is near"


@pytest.mark.parametrize("changed", [{"similarity_threshold": 0.5}, {"n_neighbors": 1}])
def test_what_a_loaded_buffer_has_matched_is_matched_with_the_models_own_settings(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    def near(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.minimum(0.1 * np.abs(first[:, None] - second[None]).max(axis=-1), 1.0)

    data = ExpertObservations.from_trajectories([walk(range(3, LENGTH))])
    make(data, similarity_metric=near).learn(100).save_replay_buffer(tmp_path / "buffer")
    model = make(data, similarity_metric=near, **changed)
    model.load_replay_buffer(tmp_path / "buffer")
    loaded = model.replay_buffer.matched_share()
    model.replay_buffer.match_again()
    assert model.replay_buffer.matched_share() == loaded
    assert model.knowledge.matching == (model.similarity_threshold, model.n_neighbors)


# --- what the data must look like ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stacking", [True, False])
def test_frames_that_are_stacked_although_the_environment_does_not_are_warned_about(stacking: bool) -> None:
    wide = spaces.Box(0, 255, (36, 36, 3), dtype=np.uint8)

    class Colour(gymnasium.ObservationWrapper[Any, Any, Any]):
        observation_space = wide

        def observation(self, observation: np.ndarray) -> np.ndarray:
            return np.repeat(observation, 3, axis=-1)

    plain = DummyVecEnv([lambda: LineEnv("byte image") if stacking else Colour(LineEnv("byte image"))])
    frames: Any = VecFrameStack(plain, 3) if stacking else plain
    arguments = {**TINY, "policy_kwargs": {}, "expert_data": right_walks("byte image")}
    if stacking:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            DIIQN("CnnPolicy", frames, **arguments)
    else:
        with pytest.warns(UserWarning, match="consecutive frames.*VecFrameStack"):
            DIIQN("CnnPolicy", frames, **arguments)


def test_a_policy_of_the_users_own_keeps_the_optimizer_arguments_that_it_has_where_none_are_given() -> None:
    class Careful(DQNPolicy):
        def __init__(self, *args: Any, optimizer_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
            given = {"eps": 1.5e-4} if optimizer_kwargs is None else optimizer_kwargs
            super().__init__(*args, optimizer_kwargs=given, **kwargs)

    for data in (None, right_walks()):
        model = DIIQN(Careful, env(), **TINY, expert_data=data)
        assert model.policy.optimizer.defaults["eps"] == 1.5e-4
