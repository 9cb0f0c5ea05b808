"""Copies of a model, and of its replay buffer, are complete: they go on learning as the original does, and apart from it."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np
import pytest
import torch as th
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import SubprocVecEnv

from sb3_diiqn import DIIQN, HADIIQN, PAPER
from sb3_diiqn.exceptions import ExpertDataError
from tests.ha_diiqn.jumper import BRIDGING, jumps, line_env
from tests.ha_diiqn.jumper import make as make_hadiiqn
from tests.helpers import LENGTH, TINY, LineEnv, right_walks, walk
from tests.imitation.conftest import env, make


def reloaded(model: Any) -> Any:
    return cloudpickle.loads(cloudpickle.dumps(model))


HOW: dict[str, Callable[[Any], Any]] = {"deepcopy": copy.deepcopy, "cloudpickle": reloaded}
ways = pytest.mark.parametrize("copied", HOW.values(), ids=HOW)


def make_qrdiiqn() -> Any:
    pytest.importorskip("sb3_contrib")
    from sb3_diiqn import QRDIIQN  # noqa: PLC0415

    arguments = {**TINY, "policy_kwargs": {"net_arch": [8], "n_quantiles": 5}}
    return QRDIIQN("MlpPolicy", env(), **arguments, expert_data=right_walks())


#: What holds state of its own: guides, networks beside the Q-network, tables, searches.
MODELS: dict[str, Callable[[], Any]] = {
    "DQN": lambda: DQN("MlpPolicy", env(), **TINY),
    "default": lambda: make(right_walks()),
    "vectorised": lambda: make(right_walks("dict"), "dict", n_envs=2),
    "paper": lambda: make(right_walks(), **PAPER),
    "clone and matches": lambda: make(right_walks(), guide="both", inference="inverse_dynamics", margin=0.8),
    "recorded rewards": lambda: make(rewarded(), expert_rewards="recorded"),
    "own metric": lambda: make(right_walks(), matching_kwargs={"similarity_metric": furthest}, **BRIDGING),
    "learned metric": lambda: make(right_walks(), matching_kwargs={"similarity_metric": "learned"}),
    "HADIIQN": lambda: make_hadiiqn(n_envs=2),
    "QRDIIQN": make_qrdiiqn,
}


def rewarded() -> Any:
    from sb3_diiqn import ExpertObservations  # noqa: PLC0415

    return ExpertObservations.from_trajectories([walk(range(LENGTH))], terminated=True, rewards=[np.ones(LENGTH - 1)])


def furthest(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.minimum(np.abs(first[:, None] - second[None]).max(axis=-1), 1.0)


def trained_further(model: Any, n_steps: int = 60) -> dict[str, th.Tensor]:
    """The weights after some more steps, with the same draws from the global generators each time."""
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - Stable-Baselines3 draws from it
    th.manual_seed(1)
    model.learn(n_steps, reset_num_timesteps=False)
    return {name: value.clone() for name, value in model.policy.state_dict().items()}


def assert_equal(first: dict[str, th.Tensor], second: dict[str, th.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert th.equal(value, second[name]), name


@pytest.mark.slow
@ways
@pytest.mark.parametrize("made", MODELS.values(), ids=MODELS)
def test_a_copy_learns_on_as_the_original_to_the_bit(made: Callable[[], Any], copied: Any, monkeypatch: Any) -> None:
    # soon enough to change the metric once before the copy, and once after it
    monkeypatch.setattr("sb3_diiqn.imitation.learned_metric.LearnedMetric.first_refresh", 10)
    model = made().learn(80)
    other = copied(model)
    before = {name: value.clone() for name, value in other.policy.state_dict().items()}
    weights = trained_further(model)
    assert_equal(before, other.policy.state_dict())
    assert not all(th.equal(weights[name], value) for name, value in before.items()), "nothing was learned"
    assert_equal(weights, trained_further(other))


def test_what_a_copy_learns_about_the_expert_is_its_own() -> None:
    model = make(right_walks()).learn(60)
    other = copy.deepcopy(model)
    counts, matches = model.knowledge.training_count.copy(), model.replay_buffer.expert_indices.copy()
    trained_further(other)
    assert (other.knowledge.training_count > counts).any()
    np.testing.assert_array_equal(model.knowledge.training_count, counts)
    np.testing.assert_array_equal(model.replay_buffer.expert_indices, matches)
    assert other.expert is model.expert, "immutable, and maybe large"


@ways
@pytest.mark.parametrize("made", [MODELS["default"], MODELS["HADIIQN"]], ids=["DIIQN", "HADIIQN"])
def test_a_copy_of_the_replay_buffer_alone_is_complete(made: Callable[[], Any], copied: Any) -> None:
    model = made().learn(80)
    model.update_confidence()
    buffer = copied(model.replay_buffer)
    np.random.seed(2)  # noqa: NPY002
    expected = model.replay_buffer.sample_with_expert(32)
    np.random.seed(2)  # noqa: NPY002
    drawn = buffer.sample_with_expert(32)
    np.testing.assert_array_equal(drawn.expert.indices, expected.expert.indices)
    assert len(drawn.expert.indices) > 0
    assert th.equal(drawn.expert.observations, expected.expert.observations)
    buffer.match_again()


@pytest.mark.parametrize("made", [MODELS["clone and matches"], MODELS["HADIIQN"]], ids=["DIIQN", "HADIIQN"])
def test_a_copied_buffer_can_take_the_place_of_the_models_own(made: Callable[[], Any]) -> None:
    """What was learned about the expert comes with it, and everything goes on with that."""
    model = made().learn(80)
    copied = copy.deepcopy(model.replay_buffer)
    before = copied.knowledge.training_count.copy()
    model.learn(60, reset_num_timesteps=False)
    assert model.knowledge.training_count.sum() > before.sum()
    model.replay_buffer = copied
    model.learn(0, reset_num_timesteps=False)
    np.testing.assert_array_equal(model.knowledge.training_count, before)
    model.learn(60, reset_num_timesteps=False)
    assert model.knowledge.training_count.sum() > before.sum()
    matching = getattr(model.learner.exploration.guide, "second", model.learner.exploration.guide)
    assert model.replay_buffer is copied
    for part in (copied, matching, model.learner, model.learner.losses[0]):
        assert part.knowledge is model.knowledge, part


def test_another_buffer_in_place_of_the_models_own_is_checked_as_one_that_is_loaded() -> None:
    model = make(right_walks()).learn(40)
    for other, fragment in (
        (make(right_walks()[:1]).learn(40), "learned with expert data"),
        (make(None).learn(40), "without expert data"),
    ):
        model.replay_buffer = other.replay_buffer
        with pytest.raises(ExpertDataError, match=fragment):
            model.learn(20, reset_num_timesteps=False)
    plain = make(None).learn(40)
    plain.replay_buffer = make(right_walks()).learn(40).replay_buffer
    with pytest.raises(ExpertDataError, match="saved with expert data"):
        plain.learn(20, reset_num_timesteps=False)


def test_a_pickled_buffer_that_is_loaded_by_the_model_keeps_what_was_learned(tmp_path: Any) -> None:
    """Not written by ``save_replay_buffer``, so that it has the expert data, too."""
    model = make(right_walks()).learn(60)
    (tmp_path / "buffer.pkl").write_bytes(cloudpickle.dumps(model.replay_buffer))
    other = make(right_walks())
    other.load_replay_buffer(tmp_path / "buffer.pkl")
    np.testing.assert_array_equal(other.knowledge.training_count, model.knowledge.training_count)
    assert other.knowledge.expert is other.expert
    other.learn(40, reset_num_timesteps=False)


def test_environments_in_processes_of_their_own_change_nothing() -> None:
    weights = []
    for venv in (SubprocVecEnv([LineEnv, LineEnv], start_method="fork"), env(n_envs=2)):
        model = DIIQN("MlpPolicy", venv, **TINY, expert_data=right_walks())
        weights.append(trained_further(model, 120))
        venv.close()
    assert_equal(*weights)


def test_a_hadiiqn_copy_has_bridges_of_its_own() -> None:
    model = HADIIQN("MlpPolicy", line_env(), **{**TINY, "learning_starts": 50}, expert_data=jumps()).learn(150)
    other = copy.deepcopy(model)
    shown = model.inspect_expert()
    trained_further(other, 100)
    for name, value in model.inspect_expert().items():
        np.testing.assert_array_equal(value, shown[name], err_msg=name)
