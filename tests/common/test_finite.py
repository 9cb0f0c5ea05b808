"""NaN and infinity from the environment stop the training at the step at which they come, with a word on where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import DIIQN
from sb3_diiqn.common.finite import require_finite
from sb3_diiqn.exceptions import NonFiniteError
from tests.helpers import TINY, LineEnv, right_walks


class Broken(LineEnv):
    """
    Emits one bad number.

    :param at: step at which, counted from the first reset, which is step 0
    :param where: ``"observation"``, ``"reward"``, or the key of a Dict observation
    :param time_limit: episodes are cut after so many steps
    """

    def __init__(self, look: str, at: int, where: str, value: float = np.nan, time_limit: int = 20) -> None:
        super().__init__(look, time_limit)
        self.at, self.where, self.value, self.n_emitted = at, where, value, 0

    def _broken(self, observation: Any) -> Any:
        self.n_emitted += 1
        if self.n_emitted - 1 != self.at or self.where == "reward":
            return observation
        array = observation[self.where] if isinstance(observation, dict) else observation
        array[1] = self.value
        return observation

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = super().reset(**arguments)
        return self._broken(observation), info

    def step(self, action: Any) -> Any:
        observation, reward, *others = super().step(action)
        observation = self._broken(observation)
        return observation, self.value if self.where == "reward" and self.n_emitted - 1 == self.at else reward, *others


def model_on(*envs: LineEnv, look: str = "vector", normalised: bool = False, **arguments: Any) -> DIIQN:
    venv: Any = DummyVecEnv([lambda env=env: env for env in envs])
    venv = VecNormalize(venv) if normalised else venv
    policy = "MultiInputPolicy" if look == "dict" else "MlpPolicy"
    return DIIQN(policy, venv, **{**TINY, "expert_data": right_walks(look), **arguments})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # VecNormalize's, which takes the mean
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize(
    ("where", "named"), [("observation", r"the observation is \S+ at index \[1\]"), ("reward", r"the reward is \S+, expected")]
)
def test_the_error_names_step_environment_and_value(value: float, normalised: bool, where: str, named: str) -> None:
    model = model_on(LineEnv(), Broken("vector", 2, where, value), LineEnv(), normalised=normalised)
    with pytest.raises(NonFiniteError, match=rf"^step 6, environment 1: {named}") as raised:
        model.learn(100)
    assert f" is {value}" in str(raised.value)
    assert model.replay_buffer.pos == 1, "it is not stored"
    assert np.isfinite(model.replay_buffer.rewards).all()


def test_the_error_names_the_key() -> None:
    model = model_on(Broken("dict", 25, "where"), look="dict")
    with pytest.raises(NonFiniteError, match=r"environment 0: the observation\['where'\] is nan at index \[1\]"):
        model.learn(100)
    for values in model.policy.state_dict().values():
        assert th.isfinite(values).all(), "nothing was learned from it"


@pytest.mark.parametrize("guide", ["both", "matching"])
def test_the_first_observation_is_looked_at_before_anybody_acts_on_it(guide: str) -> None:
    with pytest.raises(NonFiniteError, match=r"^step 0, environment 0: the observation is nan"):
        model_on(Broken("vector", 0, "observation"), guide=guide).learn(100)


@pytest.mark.parametrize(("at", "named"), [(3, "last observation of an episode"), (4, "observation")])
def test_both_sides_of_a_reset_are_looked_at(at: int, named: str) -> None:
    """Of three steps: what a vectorised environment shows then is the next episode's first observation."""
    model = model_on(Broken("vector", at, "observation", time_limit=3), guide="matching")
    with pytest.raises(NonFiniteError, match=rf"^step 3, environment 0: the {named} is nan"):
        model.learn(100)


def test_training_can_go_on_once_the_environment_is_right() -> None:
    model = model_on(Broken("vector", 30, "observation"))
    with pytest.raises(NonFiniteError):
        model.learn(100)
    model.set_env(DummyVecEnv([LineEnv]))
    model.learn(100, reset_num_timesteps=False)
    assert all(th.isfinite(values).all() for values in model.policy.state_dict().values())


def test_without_expert_data_it_is_dqn_which_does_not_look() -> None:
    model = model_on(Broken("vector", 30, "reward"), expert_data=None).learn(60)
    assert np.isnan(model.replay_buffer.rewards).any()


def test_finite_numbers_of_any_size_and_integers_pass() -> None:
    huge = np.full((2, 3), 3e38, dtype=np.float32)
    require_finite(1, huge, np.array([1e308, -1e308]), [{}, {"terminal_observation": huge[0]}])
    require_finite(1, {"image": np.full((1, 3), 255, dtype=np.uint8), "flag": np.ones((1, 2), dtype=bool)})
    require_finite(1, np.zeros((2, 4, 4))[:, ::2, ::2])
    with pytest.raises(NonFiniteError, match=r"environment 1: the observation is nan at index \[0, 1\]"):
        require_finite(1, np.where(np.arange(8).reshape(2, 2, 2) == 5, np.nan, 1e200))
