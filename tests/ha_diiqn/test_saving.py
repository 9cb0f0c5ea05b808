"""Saving, loading, resuming: bridges are kept with the replay buffer, and the zip stays what it is."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.callbacks import CheckpointCallback, ConvertCallback

from sb3_diiqn import DIIQN, HADIIQN
from sb3_diiqn.exceptions import ExpertDataError, MissingExpertDataError
from sb3_diiqn.ha_diiqn import BridgingPolicy
from tests.ha_diiqn.jumper import CURIOUS, jumps, knowledge_of, line_env, make, streams_of
from tests.imitation.line_models import exploration_of
from tests.inference.bridging_worlds import assert_equals_the_loops, range_of, tables_of


def saved(model: DIIQN, path: Path) -> Path:
    model.save(path / "model")
    model.save_replay_buffer(path / "buffer")
    return path / "model.zip"


@pytest.mark.parametrize("as_path", [False, True])
def test_the_zip_has_neither_data_nor_tables(tmp_path: Path, as_path: bool) -> None:
    data: Any = jumps(n=500).save(tmp_path / "expert.npz") if as_path else jumps(n=500)
    path = saved(make(expert_data=data).learn(150), tmp_path)
    with zipfile.ZipFile(path) as archive:
        content = json.loads(archive.read("data"))
    assert "bridge_kwargs" in content
    assert not {"_expert", "replay_buffer", "learner", "_kept_parameters", "_logger", "callback"} & set(content)
    assert ("expert_data" in content) == as_path
    assert all(isinstance(value, (int, float, str, bool, list, dict, type(None))) for value in content.values())
    assert path.stat().st_size < 100_000


def test_arguments_are_kept(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {
        "infeasibility_threshold": 0.2,
        "infeasibility_evidence": 7,
        "bridge_length": 5,
        "bridge_gain": 6,
        "bridge_patience": 8,
    }
    loaded = HADIIQN.load(saved(make(bridge_kwargs=arguments), tmp_path), env=line_env(), expert_data=jumps())
    assert loaded.bridge_kwargs == arguments
    assert vars(knowledge_of(loaded).bridging) == arguments


@pytest.mark.parametrize("look", ["vector", "dict", "discrete"])
def test_a_loaded_model_predicts_without_its_data(tmp_path: Path, look: str) -> None:
    model = make(look).learn(100)
    path = saved(model, tmp_path)
    observation = line_env(look).reset()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for loaded in (HADIIQN.load(path), HADIIQN.load(path, env=line_env(look))):
            expected = model.predict(observation, deterministic=True)[0]
            np.testing.assert_array_equal(loaded.predict(observation, deterministic=True)[0], expected)
            with pytest.raises(MissingExpertDataError):
                loaded.inspect_expert()
    with pytest.raises(MissingExpertDataError, match="expert_data="):
        loaded.learn(10)


@pytest.mark.parametrize("n_envs", [1, 2])
def test_what_was_learned_comes_with_the_buffer_and_the_search_goes_on(tmp_path: Path, n_envs: int) -> None:
    """Of a checkpoint in the middle of a rollout, some steps of which have not been looked at: then a new episode."""
    noted: list[dict[str, Any]] = []
    data = jumps().save(tmp_path / "expert.npz")

    def note(locals_: dict[str, Any], globals_: dict[str, Any]) -> bool:
        if locals_["self"].num_timesteps == 122:
            noted.append(tables_of(knowledge_of(locals_["self"])))
        return True

    checkpoints = CheckpointCallback(122 // n_envs, str(tmp_path), save_replay_buffer=True)
    model = make(n_envs=n_envs, expert_data=data, train_freq=7)
    model.learn(150, callback=[checkpoints, ConvertCallback(note)])

    resumed = HADIIQN.load(tmp_path / "rl_model_122_steps", env=line_env(n_envs=n_envs))
    resumed.load_replay_buffer(tmp_path / "rl_model_replay_buffer_122_steps")
    assert [tables_of(knowledge_of(resumed))] == noted
    assert any(noted[0]["bridged"])
    not_looked_at = resumed.replay_buffer.pos - resumed.replay_buffer._n_pending
    assert 0 < not_looked_at < resumed.replay_buffer.pos

    resumed.learn(150, reset_num_timesteps=False)
    resumed.update_confidence()
    streams = streams_of(resumed)
    for stream in streams:
        stream[not_looked_at] = stream[not_looked_at]._replace(begins=True)
    assert_equals_the_loops(knowledge_of(resumed), streams, range_of(knowledge_of(resumed)))


def test_the_guide_follows_what_was_restored(tmp_path: Path) -> None:
    path = saved(make().learn(200), tmp_path)
    loaded = HADIIQN.load(path, env=line_env(), expert_data=jumps())
    loaded.load_replay_buffer(tmp_path / "buffer")
    guide = exploration_of(loaded).guide
    assert isinstance(guide, BridgingPolicy)
    assert guide.knowledge is loaded.knowledge


def test_other_settings_hold_from_the_start(tmp_path: Path) -> None:
    path = saved(make(bridge_kwargs={"bridge_gain": 1}).learn(250), tmp_path)
    loaded = HADIIQN.load(path, env=line_env(), expert_data=jumps(), bridge_kwargs={"infeasibility_evidence": 255})
    loaded.load_replay_buffer(tmp_path / "buffer")
    shown = loaded.inspect_expert()
    assert shown["feasibility"].tolist() == [0, 0, 1] * 2
    assert not shown["bridged"].any()


def test_bridges_of_another_length_are_refused_and_the_own_buffer_stays(tmp_path: Path) -> None:
    path = saved(make().learn(100), tmp_path)
    loaded = HADIIQN.load(path, env=line_env(), expert_data=jumps(), bridge_kwargs={"bridge_length": 6})
    own = loaded.replay_buffer
    with pytest.raises(ExpertDataError, match="bridge_length"):
        loaded.load_replay_buffer(tmp_path / "buffer")
    assert loaded.replay_buffer is own
    loaded.learn(40)


def test_a_buffer_learned_with_other_data_is_named(tmp_path: Path) -> None:
    saved(make().learn(60), tmp_path)
    with pytest.raises(ExpertDataError, match=jumps().content_hash[:12]):
        make(expert_data=jumps()[:1]).load_replay_buffer(tmp_path / "buffer")


def test_a_buffer_of_diiqn_is_refused(tmp_path: Path) -> None:
    saved(DIIQN("MlpPolicy", line_env(), **CURIOUS, expert_data=jumps()).learn(60), tmp_path)
    model = make()
    own = model.replay_buffer
    with pytest.raises(ExpertDataError, match="another algorithm"):
        model.load_replay_buffer(tmp_path / "buffer")
    assert model.replay_buffer is own


def test_a_buffer_of_ha_diiqn_is_refused_by_diiqn(tmp_path: Path) -> None:
    saved(make().learn(60), tmp_path)
    model = DIIQN("MlpPolicy", line_env(), **CURIOUS, expert_data=jumps())
    own = model.replay_buffer
    with pytest.raises(ExpertDataError):
        model.load_replay_buffer(tmp_path / "buffer")
    assert model.replay_buffer is own


def test_a_loaded_model_goes_the_way_it_went(tmp_path: Path) -> None:
    model = make().learn(120)
    model.save_replay_buffer(tmp_path / "buffer")
    loaded = HADIIQN.load(saved(model, tmp_path), env=line_env(), expert_data=jumps())
    loaded.load_replay_buffer(tmp_path / "buffer")
    everything = np.arange(len(jumps()))
    before, after = knowledge_of(model), knowledge_of(loaded)
    np.testing.assert_array_equal(after.steps_left(everything), before.steps_left(everything))
    assert vars(after.ends) == vars(before.ends)
    loaded.learn(60, reset_num_timesteps=False)
