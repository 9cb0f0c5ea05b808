"""Models of the algorithms that this package extends: equal to the bit, and loadable where the package is not installed."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import VecEnv

from sb3_diiqn import DIIQN
from sb3_diiqn.networks.base import PlanesExtractor
from tests.diiqn.test_copying import make_qrdiiqn
from tests.ha_diiqn.jumper import make as make_hadiiqn
from tests.helpers import LENGTH, global_random_state, q_values, right_walks, walk
from tests.imitation.conftest import env, make

OBSERVATIONS = walk(range(LENGTH))

#: Loads models where this package cannot be imported, predicts, goes on learning, and prints what came of it.
ELSEWHERE = """
import importlib, json, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("sb3_diiqn", "tests"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Blocker())
import gymnasium, numpy, torch

class Noise(gymnasium.Env):
    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}
    def step(self, action):
        return self.observation_space.sample(), 0.0, self.np_random.random() < 0.1, False, {}

def used(algorithm, path, observations):
    module, name = algorithm.split(".")
    model = getattr(importlib.import_module(module), name).load(path)
    observations = numpy.array(observations, dtype=numpy.float32)
    actions = model.predict(observations, deterministic=True)[0]
    network = getattr(model, "quantile_net", None) or model.q_net
    with torch.no_grad():
        values = network(model.policy.obs_to_tensor(observations)[0])
    before, steps = [value.clone() for value in model.policy.parameters()], model.num_timesteps
    model.set_env(Noise(model.observation_space, model.action_space))
    model.learn(40, reset_num_timesteps=False)
    learned = any(not torch.equal(one, other) for one, other in zip(before, model.policy.parameters()))
    return actions.tolist(), values.tolist(), steps, model.num_timesteps, learned

print(json.dumps([used(*arguments) for arguments in json.loads(sys.argv[1])]))
assert not any(name.split(".")[0] == "sb3_diiqn" for name in sys.modules)
"""


def exported(model: Any) -> Any:
    return model.to_qrdqn() if hasattr(model, "to_qrdqn") else model.to_dqn()


MAKERS: dict[str, Any] = {"DIIQN": lambda: make(right_walks()), "HADIIQN": make_hadiiqn, "QRDIIQN": make_qrdiiqn}


@pytest.mark.slow
def test_it_loads_predicts_and_learns_where_this_package_is_not_installed(tmp_path: Path) -> None:
    models = {"stable_baselines3.DQN": make(right_walks()), "sb3_contrib.QRDQN": make_qrdiiqn()}
    for name, model in models.items():
        exported(model.learn(60)).save(tmp_path / name)
    given = [(name, str(tmp_path / name), OBSERVATIONS.tolist()) for name in models]
    environment = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", ELSEWHERE, json.dumps(given)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for model, (actions, values, steps, later, learned) in zip(models.values(), json.loads(done.stdout), strict=True):
        assert actions == model.predict(OBSERVATIONS, deterministic=True)[0].tolist()
        assert np.array_equal(np.array(values, dtype=np.float32), q_values(model).numpy())
        assert (steps, later, learned) == (60, 100, True)


def states_of(optimizer: Any) -> list[dict[str, Any]]:
    state = optimizer.state_dict()["state"]
    return [{key: np.asarray(value).tolist() for key, value in state[number].items()} for number in sorted(state)]


@pytest.mark.parametrize("name", MAKERS)
def test_it_is_at_the_same_point_of_its_training(name: str) -> None:
    model = MAKERS[name]().learn(60)
    random_state, weights = global_random_state(), q_values(model)
    plain = exported(model)
    assert type(plain).__name__ in {"DQN", "QRDQN"} and not isinstance(plain, DIIQN)
    assert global_random_state() == random_state, "a training that goes on is not disturbed"
    assert states_of(plain.policy.optimizer) == states_of(model.policy.optimizer) != []
    assert plain.policy.optimizer.param_groups[0].get("fused") is None, "older versions do not know it on the CPU"
    kept = ("num_timesteps", "_n_updates", "_n_calls", "_episode_num", "exploration_rate", "_current_progress_remaining")
    kept += (
        "learning_rate",
        "gamma",
        "batch_size",
        "buffer_size",
        "target_update_interval",
        "policy_kwargs",
        "seed",
        "n_envs",
    )
    for attribute in kept:
        assert getattr(plain, attribute) == getattr(model, attribute), attribute
    for remaining in (1.0, 0.95, 0.5, 0.0):
        assert plain.exploration_schedule(remaining) == model.exploration_schedule(remaining)
        assert plain.lr_schedule(remaining) == model.lr_schedule(remaining)
    assert plain.env is None and plain.replay_buffer.size() == 0
    # each goes its own way
    plain.set_env(env() if name != "HADIIQN" else model.env)
    plain.learn(60, reset_num_timesteps=False)
    assert th.equal(q_values(model), weights)
    assert not th.equal(q_values(plain), weights)


def test_its_next_updates_are_those_of_the_original_without_expert_data() -> None:
    """Both are DQN then, to the bit."""
    model = make(None).learn(60)
    plain = model.to_dqn()
    plain.replay_buffer = copy.deepcopy(model.replay_buffer)
    plain.set_logger(model.logger)
    for one in (model, plain):
        np.random.seed(0)  # noqa: NPY002 - the host's generator
        one.train(5, 16)
    assert th.equal(q_values(plain), q_values(model))


def test_a_loaded_model_without_its_expert_data_can_be_exported(tmp_path: Path) -> None:
    model = make(right_walks()).learn(40)
    model.save(tmp_path / "model")
    plain = DIIQN.load(tmp_path / "model").to_dqn()
    assert th.equal(q_values(plain), q_values(model))


def test_what_holds_for_many_environments_is_kept() -> None:
    plain = make(right_walks("dict"), "dict", n_envs=3).learn(60).to_dqn()
    several: VecEnv = env("dict", n_envs=3)
    plain.set_env(several)
    assert plain.learn(30, reset_num_timesteps=False).num_timesteps >= 90


def test_parts_of_this_package_are_named() -> None:
    """The file would name the class, and loading it would fail elsewhere."""
    own_extractor = {"features_extractor_class": PlanesExtractor, "features_extractor_kwargs": {"axis": 2}}
    model = make(None, "bool planes", policy_kwargs=own_extractor)
    with pytest.warns(UserWarning, match="policy_kwargs name something of sb3_diiqn.*must be installed"):
        model.to_dqn()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(right_walks()).to_dqn()
