"""Loading where something has changed meanwhile: the expert data's file, arguments, the distance; and what is told of data."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn import DIIQN, PAPER, ExpertObservations
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, MissingExpertDataError
from tests.helpers import LENGTH, TINY, LineEnv, right_walks, walk
from tests.imitation.conftest import env, make, saved
from tests.imitation.line_models import learner_of


@pytest.mark.slow
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
        ({}, PAPER),
        (PAPER, {"guide": "both", "inference": "auto", "imitation_coef": 2.0}),
        ({}, {"inference": "nearest", "guide": "matching"}),
        ({"inference": "nearest"}, {"inference": "auto"}),
        ({"expert_rewards": "inferred", "margin": 0.5}, {"expert_rewards": "none"}),
        ({"matching_kwargs": {"n_neighbors": 3}}, {"matching_kwargs": {"usefulness_beta": 2.0}}),
    ],
    ids=str,
)
def test_arguments_that_are_changed_when_loading_mean_what_they_mean_to_the_constructor(
    tmp_path: Path, given: dict[str, Any], changed: dict[str, Any]
) -> None:
    zip_path = saved(make(right_walks(), **given), tmp_path)
    loaded = DIIQN.load(zip_path, env=env(), expert_data=right_walks(), **changed)
    expected = make(right_walks(), **{**given, **changed})
    again = DIIQN.load(saved(loaded, tmp_path), env=env(), expert_data=right_walks())
    for model in (loaded, again):
        assert learner_of(model).config == learner_of(expected).config
        assert model.knowledge.settings == expected.knowledge.settings  # type: ignore[union-attr]
        assert type(learner_of(model).inference) is type(learner_of(expected).inference)
        assert [type(term) for term in learner_of(model).losses] == [type(term) for term in learner_of(expected).losses]
    again.learn(40)


def test_auto_is_decided_anew_by_the_data_that_a_model_is_loaded_with(tmp_path: Path) -> None:
    zip_path = saved(make(right_walks(n=2)), tmp_path)
    with pytest.warns(UserWarning, match="not what the saved model was trained with"):
        loaded = DIIQN.load(zip_path, env=env(), expert_data=right_walks(n=4))
    assert loaded.inference == loaded.guide == "auto"
    assert learner_of(loaded).config.inference == "nearest", "there are few states, and each comes again and again"


def test_a_wrong_argument_is_refused_when_loading(tmp_path: Path) -> None:
    zip_path = saved(make(right_walks()), tmp_path)
    with pytest.raises(ConfigurationError, match="guide='telepathy'"):
        DIIQN.load(zip_path, env=env(), expert_data=right_walks(), guide="telepathy")


def test_what_was_inferred_with_another_function_is_forgotten(tmp_path: Path) -> None:
    def near(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.minimum(np.abs(first[:, None] - second[None]).max(axis=-1), 1.0)

    data = ExpertObservations.from_trajectories([walk(range(3, LENGTH))])
    model = make(data, matching_kwargs={"similarity_metric": near}).learn(100)
    model.save_replay_buffer(tmp_path / "buffer")
    before = model.replay_buffer.matched_share()
    assert 0 < before < 1
    for function, expected in ((near, before), (lambda first, second: near(first, second) / 100, 1)):
        other = make(data, matching_kwargs={"similarity_metric": function})
        other.load_replay_buffer(tmp_path / "buffer")
        assert other.replay_buffer.matched_share() == expected, "by a hundredth of the distance, everything is near"


@pytest.mark.parametrize("changed", [{"similarity_threshold": 0.5}, {"n_neighbors": 1}])
def test_what_a_loaded_buffer_has_matched_is_matched_with_the_models_own_settings(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    def near(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.minimum(0.1 * np.abs(first[:, None] - second[None]).max(axis=-1), 1.0)

    data = ExpertObservations.from_trajectories([walk(range(3, LENGTH))])
    make(data, matching_kwargs={"similarity_metric": near}).learn(100).save_replay_buffer(tmp_path / "buffer")
    model = make(data, matching_kwargs={"similarity_metric": near, **changed})
    model.load_replay_buffer(tmp_path / "buffer")
    loaded = model.replay_buffer.matched_share()
    model.replay_buffer.match_again()
    assert model.replay_buffer.matched_share() == loaded
    settings = model.knowledge.settings
    assert model.knowledge.matching == (settings.similarity_threshold, settings.n_neighbors)
    assert changed.items() <= vars(settings).items()


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
