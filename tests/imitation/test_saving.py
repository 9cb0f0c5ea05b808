"""Saving, loading, resuming: nothing lost, nothing in the zip that does not belong there, and no silent mix-up of data."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch as th
from stable_baselines3.common.callbacks import CheckpointCallback, ConvertCallback
from stable_baselines3.common.vec_env import VecFrameStack

from sb3_diiqn import DIIQN, PAPER, ExpertObservations
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, MissingExpertDataError
from sb3_diiqn.imitation.action_inference import NearestInference
from sb3_diiqn.losses import ConfidenceWeighted
from sb3_diiqn.record import record_expert
from tests.helpers import LENGTH, TINY, right_walks, walk
from tests.imitation.conftest import env, make, saved
from tests.imitation.line_models import exploration_of, learner_of

OTHER_DATA = ExpertObservations.from_trajectories([walk(range(LENGTH - 1, -1, -1))])

needs_n_steps = pytest.mark.skipif(NStepReplayBuffer is None, reason="this Stable-Baselines3 has no n-step returns")


def tables(model: DIIQN) -> dict[str, Any]:
    """Everything that was learned about the expert."""
    assert model.knowledge is not None
    learned = {name: table.tolist() for name, table in vars(model.knowledge.inferred).items()}
    return {
        **learned,
        "count": model.knowledge.training_count.tolist(),
        "matches": model.replay_buffer.expert_indices.tolist(),
    }


def same_weights(one: DIIQN, other: DIIQN) -> bool:
    first, second = one.policy.state_dict(), other.policy.state_dict()
    return all(th.equal(first[key], second[key]) for key in first)


# --- what is in the zip -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_path", [False, True])
def test_the_zip_has_neither_expert_data_nor_buffer(tmp_path: Path, as_path: bool) -> None:
    generator = np.random.default_rng(0)
    large = ExpertObservations.from_trajectories([generator.random((200_000, 3)).astype(np.float32)])
    data: Any = large.save(tmp_path / "large.npz") if as_path else large
    model = make(data, matching_kwargs={"similarity_threshold": 0.99}, **PAPER)
    model.learn(60)
    path = saved(model, tmp_path)

    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        content = json.loads(archive.read("data"))
    assert {"data", "policy.pth", "policy.optimizer.pth"} <= names
    assert names <= {
        "data",
        "policy.pth",
        "policy.optimizer.pth",
        "pytorch_variables.pth",
        "_stable_baselines3_version",
        "system_info.txt",
    }
    assert not {"_expert", "replay_buffer", "learner", "_kept_parameters", "_logger", "callback"} & set(content)
    assert ("expert_data" in content) == as_path
    assert path.stat().st_size < 100_000
    assert all(isinstance(value, (int, float, str, bool, list, dict, type(None))) for value in content.values())


@pytest.mark.slow
def test_the_zip_does_not_grow_with_training(tmp_path: Path, data_file: Path) -> None:
    """Episodes of the guide have a memory, which is full at some time."""
    sizes = []
    for n, name in ((100, "short"), (300, "long")):
        model = make(data_file, guide_fraction=0.0).learn(n)
        model.save(tmp_path / name)
        sizes.append((tmp_path / f"{name}.zip").stat().st_size)
    assert sizes[1] < sizes[0] + 2000


@pytest.mark.parametrize("kind", [str, Path])
def test_the_path_is_kept(tmp_path: Path, data_file: Path, kind: Any) -> None:
    loaded = DIIQN.load(saved(make(kind(data_file)), tmp_path), env=env())
    assert loaded.expert_data == kind(data_file)
    assert loaded.expert.content_hash == right_walks().content_hash


def test_arguments_are_kept(tmp_path: Path) -> None:
    matching = {
        "similarity_metric": "mismatch",
        "similarity_threshold": 0.5,
        "n_neighbors": 3,
        "usefulness_beta": 2.0,
        "max_training_count": 77,
        "max_inference_error": 0.7,
    }
    arguments: dict[str, Any] = {
        "inference": "nearest",
        "guide": "clone",
        "guide_fraction": 0.25,
        "imitation_coef": 0.5,
        "margin": 0.7,
        "expert_rewards": "inferred",
        "matching_kwargs": matching,
    }
    loaded = DIIQN.load(saved(make(right_walks(), **arguments), tmp_path), env=env(), expert_data=right_walks())
    assert {name: getattr(loaded, name) for name in arguments} == arguments
    assert vars(loaded.knowledge.settings) == matching
    assert loaded.replay_buffer.expert_rewards == "inferred"
    learner = learner_of(loaded)
    assert type(learner.inference) is NearestInference and learner.losses[2].margin.margin == 0.7  # type: ignore[attr-defined]
    assert exploration_of(loaded).episodes.fraction == 0.25  # type: ignore[union-attr]


def test_a_function_as_metric_is_kept(tmp_path: Path) -> None:
    def far(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.minimum(np.abs(first[:, None] - second[None]).max(axis=-1), 1.0)

    loaded = DIIQN.load(
        saved(make(right_walks(), matching_kwargs={"similarity_metric": far}), tmp_path), env=env(), expert_data=right_walks()
    )
    assert loaded.learn(60).knowledge.training_count.sum() > 0


# --- without the data ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_path", [False, True])
@pytest.mark.parametrize("look", ["vector", "dict", "discrete"])
def test_a_loaded_model_predicts_without_its_data(tmp_path: Path, look: str, as_path: bool) -> None:
    data: Any = right_walks(look)
    path = data.save(tmp_path / "expert.npz")
    model = make(path if as_path else data, look).learn(60)
    zip_path = saved(model, tmp_path)
    path.unlink()
    observation = env(look).reset()
    expected = model.predict(observation, deterministic=True)[0]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for loaded in (DIIQN.load(zip_path), DIIQN.load(zip_path, env=env(look))):
            np.testing.assert_array_equal(loaded.predict(observation, deterministic=True)[0], expected)
            assert loaded.expert is None
            assert loaded.knowledge is None


@pytest.mark.parametrize(("as_path", "fragment"), [(False, "none was given"), (True, "expert.npz' does not exist")])
def test_learning_without_the_data_says_what_is_missing(tmp_path: Path, data_file: Path, as_path: bool, fragment: str) -> None:
    zip_path = saved(make(data_file if as_path else right_walks()).learn(40), tmp_path)
    data_file.unlink()
    loaded = DIIQN.load(zip_path, env=env())
    with pytest.raises(MissingExpertDataError, match=f"{fragment}.*expert_data=") as raised:
        loaded.learn(10)
    assert right_walks().content_hash[:12] in str(raised.value)
    assert loaded.num_timesteps == 40, "nothing was done"


def test_learning_without_the_data_is_refused_after_saving_once_more(tmp_path: Path, data_file: Path) -> None:
    zip_path = saved(make(data_file), tmp_path)
    data_file.unlink()
    DIIQN.load(zip_path, env=env()).save(tmp_path / "again")
    with pytest.raises(MissingExpertDataError):
        DIIQN.load(tmp_path / "again", env=env()).learn(10)
    right_walks().save(data_file)
    assert DIIQN.load(tmp_path / "again", env=env()).learn(60).knowledge.training_count.sum() > 0


@pytest.mark.parametrize("by", ["object", "path"])
def test_the_data_can_be_passed_when_loading(tmp_path: Path, data_file: Path, by: str) -> None:
    zip_path = saved(make(right_walks()).learn(40), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = DIIQN.load(zip_path, env=env(), expert_data=right_walks() if by == "object" else data_file)
    assert loaded.learn(60).knowledge.training_count.sum() > 0


def test_the_data_can_lie_elsewhere_when_loading(tmp_path: Path, data_file: Path) -> None:
    zip_path = saved(make(str(data_file)), tmp_path)
    moved = data_file.rename(tmp_path / "moved.npz")
    loaded = DIIQN.load(zip_path, env=env(), expert_data=str(moved))
    assert loaded.expert_data == str(moved)
    assert loaded.learn(60).knowledge.training_count.sum() > 0


def test_the_suffix_may_be_left_out(tmp_path: Path, data_file: Path) -> None:
    zip_path = saved(make(str(data_file.with_suffix(""))), tmp_path)
    DIIQN.load(zip_path, env=env()).learn(10)


def test_a_file_may_have_no_suffix_at_all(tmp_path: Path, data_file: Path) -> None:
    zip_path = saved(make(str(data_file.rename(tmp_path / "recording"))), tmp_path)
    DIIQN.load(zip_path, env=env()).learn(10)


def test_other_data_when_loading_is_warned_about(tmp_path: Path) -> None:
    zip_path = saved(make(right_walks()), tmp_path)
    with pytest.warns(UserWarning, match="not what the saved model was trained with"):
        loaded = DIIQN.load(zip_path, env=env(), expert_data=OTHER_DATA)
    assert loaded.learn(40).expert.content_hash == OTHER_DATA.content_hash


def test_a_model_without_expert_data_can_get_some_when_loading(tmp_path: Path) -> None:
    zip_path = saved(make(None).learn(40), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = DIIQN.load(zip_path, env=env(), expert_data=right_walks())
    assert loaded.learn(60).knowledge.training_count.sum() > 0


def test_data_that_does_not_fit_is_refused_when_loading(tmp_path: Path) -> None:
    zip_path = saved(make(right_walks()), tmp_path)
    with pytest.warns(UserWarning, match="not what"), pytest.raises(ExpertDataError, match="shape"):
        DIIQN.load(zip_path, env=env(), expert_data=right_walks("bool vector"))


# --- going on -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", ["vector", "dict", "discrete"])
@pytest.mark.parametrize("n_envs", [1, 2])
def test_a_checkpoint_and_its_buffer_have_everything(tmp_path: Path, look: str, n_envs: int) -> None:
    data = right_walks(look).save(tmp_path / "expert.npz")
    noted: list[dict[str, Any]] = []

    def note(locals_: dict[str, Any], globals_: dict[str, Any]) -> bool:
        if locals_["self"].num_timesteps == 60:
            noted.append(tables(locals_["self"]))
        return True

    checkpoints = CheckpointCallback(60 // n_envs, str(tmp_path), save_replay_buffer=True)
    # rollouts of 7 steps: the checkpoint is made in the middle of one, when not everything is matched
    make(data, look, n_envs, train_freq=7).learn(80, callback=[checkpoints, ConvertCallback(note)])

    resumed = DIIQN.load(tmp_path / "rl_model_60_steps", env=env(look, n_envs))
    resumed.load_replay_buffer(tmp_path / "rl_model_replay_buffer_60_steps")
    assert resumed.num_timesteps == 60
    before = tables(resumed)
    assert [before] == noted
    assert sum(before["count"]) > 0
    assert {1} <= set(before["action"]) <= {1, -1}
    resumed.learn(60, reset_num_timesteps=False)
    after = tables(resumed)
    assert resumed.num_timesteps >= 120
    assert all(later >= earlier for earlier, later in zip(before["count"], after["count"], strict=True))
    assert sum(after["count"]) > sum(before["count"])
    assert all(later <= earlier for earlier, later in zip(before["error"], after["error"], strict=True))


def test_where_actions_led_by_chance_is_remembered_longer_than_the_transitions(tmp_path: Path) -> None:
    """A buffer of 50 transitions; the expert wanders over ice at random."""
    lake = gymnasium.make("FrozenLake-v1")
    expert = record_expert(lake, n_steps=300, seed=0).expert_data
    model = DIIQN("MlpPolicy", lake, expert_data=expert, **{**TINY, "buffer_size": 50}).learn(200)
    model.update_confidence()
    model.save_replay_buffer(tmp_path / "buffer")
    loaded = DIIQN.load(saved(model, tmp_path), env=lake, expert_data=expert)
    loaded.load_replay_buffer(tmp_path / "buffer")
    everything = np.arange(len(expert))
    counted, restored = (one.knowledge.intentions for one in (model, loaded) if one.knowledge is not None)
    assert counted is not None and restored is not None
    assert restored.tries.sum() > 150
    assert restored.counts.tolist() == counted.counts.tolist()
    assert learner_of(loaded).infer(everything).certainty.tolist() == learner_of(model).infer(everything).certainty.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{}, pytest.param({"n_steps": 3}, marks=needs_n_steps)], ids=str)
def test_tables_and_matches_survive_to_the_bit(tmp_path: Path, data_file: Path, arguments: dict[str, Any]) -> None:
    # what is imitated is drawn by a generator that does not go into files
    model = make(data_file, n_envs=2, imitation_coef=0.0, **arguments).learn(500)
    model.save_replay_buffer(tmp_path / "buffer")
    loaded = DIIQN.load(saved(model, tmp_path), env=env(n_envs=2))
    loaded.load_replay_buffer(tmp_path / "buffer")
    assert tables(loaded) == tables(model)
    assert same_weights(loaded, model)
    (confidence_weighted,) = (term for term in learner_of(loaded).losses if isinstance(term, ConfidenceWeighted))
    assert confidence_weighted.knowledge is loaded.knowledge, "all parts go on with the same one"
    # both go on alike: the generator of the draws was kept, too
    for one in (model, loaded):
        one.replay_buffer.add(*[np.stack([walk([2])[0]] * 2)] * 2, np.zeros(2), np.zeros(2), np.zeros(2), [{}, {}])
        one.update_confidence()
    assert tables(loaded) == tables(model)
    np.random.seed(0)  # noqa: NPY002
    model.train(3, 16)
    np.random.seed(0)  # noqa: NPY002
    loaded.set_logger(model.logger)
    loaded.train(3, 16)
    assert same_weights(loaded, model)


def test_the_saved_buffer_does_not_have_the_expert_data(tmp_path: Path) -> None:
    large = ExpertObservations.from_trajectories([np.random.default_rng(0).random((20, 100_000)).astype(np.float32)])
    small = right_walks()
    sizes = []
    for name, data in (("large", large), ("small", small)):
        model = make(small)
        if data is large:
            model.replay_buffer.knowledge.expert = large
        model.save_replay_buffer(tmp_path / name)
        sizes.append((tmp_path / f"{name}.pkl").stat().st_size)
    assert sizes[0] == sizes[1]


def test_a_buffer_learned_with_other_data_is_refused_and_the_own_stays(tmp_path: Path) -> None:
    make(OTHER_DATA).learn(40).save_replay_buffer(tmp_path / "buffer")
    model = make(right_walks()).learn(40)
    own = model.replay_buffer
    with pytest.raises(ExpertDataError, match=OTHER_DATA.content_hash[:12]):
        model.load_replay_buffer(tmp_path / "buffer")
    assert model.replay_buffer is own
    model.learn(20, reset_num_timesteps=False)


@pytest.mark.parametrize(("with_data", "fragment"), [(True, "saved without expert data"), (False, "saved with expert data")])
def test_a_buffer_from_a_model_with_data_and_one_without_are_not_mixed(tmp_path: Path, with_data: bool, fragment: str) -> None:
    make(None if with_data else right_walks()).learn(40).save_replay_buffer(tmp_path / "buffer")
    model = make(right_walks() if with_data else None)
    own = model.replay_buffer
    with pytest.raises(ExpertDataError, match=fragment):
        model.load_replay_buffer(tmp_path / "buffer")
    assert model.replay_buffer is own


@pytest.mark.parametrize(("saved_by", "loaded_by"), [(1, 2), (4, 1)])
def test_a_buffer_of_another_number_of_environments_is_refused_at_once(tmp_path: Path, saved_by: int, loaded_by: int) -> None:
    make(right_walks(), n_envs=saved_by).learn(40).save_replay_buffer(tmp_path / "buffer")
    model = make(right_walks(), n_envs=loaded_by).learn(40)
    own = model.replay_buffer
    with pytest.raises(ConfigurationError, match=f"n_envs={saved_by}, but the model has n_envs={loaded_by}"):
        model.load_replay_buffer(tmp_path / "buffer")
    assert model.replay_buffer is own
    model.learn(20, reset_num_timesteps=False)


def test_saving_the_buffer_leaves_it_as_it_is(tmp_path: Path) -> None:
    model = make(right_walks()).learn(40)
    own = model.replay_buffer
    model.save_replay_buffer(tmp_path / "buffer")
    assert model.replay_buffer is own
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        model.save_replay_buffer(tmp_path / "file" / "buffer")
    assert model.replay_buffer is own
    model.learn(20, reset_num_timesteps=False)


def test_a_loaded_buffer_has_the_models_own_parameters(tmp_path: Path) -> None:
    make(right_walks()).learn(40).save_replay_buffer(tmp_path / "buffer")
    model = make(right_walks(), expert_rewards="inferred", matching_kwargs={"max_training_count": 9})
    model.load_replay_buffer(tmp_path / "buffer")
    assert model.replay_buffer.expert_rewards == "inferred"
    assert model.knowledge.settings.max_training_count == 9


def test_learning_goes_on_without_a_restart_of_the_clock() -> None:
    model = make(right_walks()).learn(60)
    before = tables(model)
    model.learn(40, reset_num_timesteps=False)
    assert model.num_timesteps == 100
    assert sum(tables(model)["count"]) > sum(before["count"])


def test_learning_again_keeps_buffer_and_tables() -> None:
    model = make(right_walks()).learn(60)
    before = tables(model)
    model.learn(40)
    assert model.num_timesteps == 40
    assert model.replay_buffer.pos == 100
    assert sum(tables(model)["count"]) > sum(before["count"])


def test_another_environment_can_be_set() -> None:
    model = make(right_walks(), n_envs=2).learn(60)
    before = sum(tables(model)["count"])
    model.set_env(env(n_envs=2))
    model.learn(40, reset_num_timesteps=False)
    assert sum(tables(model)["count"]) > before
    with pytest.raises(ValueError, match="[Oo]bservation spaces do not match"):
        model.set_env(env("discrete", n_envs=2))


def test_a_loaded_model_gets_its_environment_later(tmp_path: Path, data_file: Path) -> None:
    loaded = DIIQN.load(saved(make(data_file), tmp_path))
    loaded.set_env(env())
    assert loaded.learn(60).knowledge.training_count.sum() > 0


def test_a_model_on_stacked_vectors_is_loaded_without_an_environment(tmp_path: Path, data_file: Path) -> None:
    model = DIIQN("MlpPolicy", VecFrameStack(env(), 2), **TINY, expert_data=data_file)
    observation = model.env.reset()
    loaded = DIIQN.load(saved(model, tmp_path))
    expected = model.predict(observation, deterministic=True)[0]
    np.testing.assert_array_equal(loaded.predict(observation, deterministic=True)[0], expected)


def test_parameters_can_be_copied() -> None:
    model, other = make(right_walks()).learn(60), make(right_walks(), seed=9)
    other.set_parameters(model.get_parameters())
    assert same_weights(model, other)
