"""Spaces with which DQN fails are refused at construction, with the wrapper that helps; and that wrapper does help."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import DIIQN, HADIIQN, PAPER, ExpertObservations
from sb3_diiqn.exceptions import ConfigurationError
from tests.diiqn.test_wrapped_observations import arguments_of
from tests.helpers import LENGTH, LOOKS, LineEnv, right_walks

VECTOR = LOOKS["vector"].space


class Sampled(LineEnv):
    """Shows random observations of any space."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        super().__init__()
        self.observation_space, self.show = space, lambda _: space.sample()


class FromOne(gymnasium.ActionWrapper[Any, Any, Any]):
    """Actions 1 and 2 instead of 0 and 1, as an environment may have them."""

    def __init__(self, env: LineEnv, start: int = 1) -> None:
        super().__init__(env)
        self.action_space = spaces.Discrete(2, start=start)

    def action(self, action: Any) -> Any:
        """Refuse what is not one of its actions."""
        assert self.action_space.contains(action), f"invalid action {action}"
        return action - self.action_space.start


SPACES: dict[str, tuple[spaces.Space[Any], str]] = {
    "discrete": (spaces.Discrete(LENGTH, start=1), r"observation space is Discrete\(6, start=1\).*observation - 1"),
    "negative": (spaces.Discrete(LENGTH, start=-2), r"does not start at 0.*observation - -2"),
    "multi-discrete": (spaces.MultiDiscrete([3, 3], start=[1, 0]), r"does not start at 0.*observation - \[1, 0\]"),
    "two axes": (spaces.MultiDiscrete([[2, 3], [2, 2]]), r"with 2 axes.*observation.reshape\(-1\)"),
    "scalar": (spaces.Box(0, 1, (), np.float32), r"single number.*observation.reshape\(1\)"),
    "empty": (spaces.Box(0, 1, (0,), np.float32), "without any element.*leaves it out"),
    "empty rows": (spaces.Box(0, 1, (2, 0), np.float32), "without any element"),
    "key": (spaces.Dict({"room": spaces.Discrete(3, start=1), "where": VECTOR}), r"space\['room'\].*does not start at 0"),
    "scalar key": (spaces.Dict({"room": spaces.Box(0, 1, (), np.float32), "where": VECTOR}), r"\['room'\].*single number"),
    "empty key": (spaces.Dict({"room": spaces.Box(0, 1, (0,), np.float32), "where": VECTOR}), r"\['room'\].*without any"),
    "no keys": (spaces.Dict({}), "empty Dict"),
}


def policy_of(space: spaces.Space[Any]) -> dict[str, Any]:
    return arguments_of("dict" if isinstance(space, spaces.Dict) else "vector")


@pytest.mark.parametrize("with_data", [True, False])
@pytest.mark.parametrize(("space", "message"), SPACES.values(), ids=SPACES)
def test_observation_spaces(space: spaces.Space[Any], message: str, with_data: bool) -> None:
    data = right_walks() if with_data else None
    for algorithm in (DIIQN, HADIIQN):
        with pytest.raises(ConfigurationError, match=message):
            algorithm(env=Sampled(space), **policy_of(space), expert_data=data)


@pytest.mark.parametrize("space", [space for space, _ in SPACES.values()], ids=SPACES)
def test_dqn_does_fail_with_them(space: spaces.Space[Any]) -> None:
    """Else there would be no reason to refuse them without expert data."""
    with pytest.raises((RuntimeError, ValueError, IndexError, TypeError, AssertionError)):
        DQN(env=Sampled(space), **policy_of(space)).learn(100)


@pytest.mark.parametrize("start", [1, -1])
def test_action_spaces(start: int) -> None:
    with pytest.raises((RuntimeError, AssertionError)):
        DQN(env=FromOne(LineEnv(), start), **arguments_of("vector")).learn(60)
    for data in (right_walks(), None):
        with pytest.raises(ConfigurationError, match=rf"lambda action: action \+ {start}, gymnasium.spaces.Discrete\(2\)"):
            DIIQN(env=FromOne(LineEnv(), start), **arguments_of("vector"), expert_data=data)


class ActionsFromZero(gymnasium.ActionWrapper[Any, Any, Any]):
    """As the documentation has it."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.action_space = spaces.Discrete(env.action_space.n)

    def action(self, action: Any) -> Any:
        """Shift to the environment's own."""
        return action + self.env.action_space.start  # type: ignore[attr-defined]


class ObservationsFromZero(gymnasium.ObservationWrapper[Any, Any, Any]):
    """As the documentation has it."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.observation_space = spaces.Discrete(env.observation_space.n)

    def observation(self, observation: Any) -> Any:
        """Shift to begin at 0."""
        return observation - self.env.observation_space.start  # type: ignore[attr-defined]


def test_the_wrappers_of_the_documentation_help() -> None:
    inner = LineEnv("discrete")
    inner.observation_space, inner.show = spaces.Discrete(LENGTH, start=3), lambda state: state + 3
    env = ObservationsFromZero(ActionsFromZero(FromOne(inner)))
    data = ExpertObservations.from_trajectories([np.arange(LENGTH)], terminated=True)
    model = DIIQN(env=env, **arguments_of("vector"), expert_data=data, **PAPER).learn(60)
    assert model.expert_statistics()["matched"] > 0


@pytest.mark.skipif(not hasattr(gymnasium.wrappers, "TransformAction"), reason="since Gymnasium 1.0")
def test_the_wrapper_of_the_error_message_helps() -> None:
    env = gymnasium.wrappers.TransformAction(FromOne(LineEnv()), lambda action: action + 1, spaces.Discrete(2))
    DIIQN(env=DummyVecEnv([lambda: env]), **arguments_of("vector"), expert_data=right_walks(), **PAPER).learn(40)


def test_multi_binary_planes_work() -> None:
    """Two axes are no problem there."""
    space = spaces.MultiBinary([2, LENGTH])
    env = LineEnv()
    env.observation_space, env.show = space, lambda state: np.tile(np.eye(LENGTH, dtype=np.int8)[state], (2, 1))
    data = ExpertObservations.from_trajectories([np.stack([env.show(state) for state in range(LENGTH)])])
    model = DIIQN(env=env, **arguments_of("vector"), expert_data=data, **PAPER).learn(40)
    assert model.expert_statistics()["matched"] > 0
