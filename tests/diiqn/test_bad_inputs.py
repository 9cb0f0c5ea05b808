"""Whatever cannot work is refused by the constructor, with an error that names the value and says what to do."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.buffers import ReplayBuffer

from sb3_diiqn import DIIQN, ExpertObservations
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.exceptions import ConfigurationError, DIIQNError, ExpertDataError
from tests.helpers import LENGTH, TINY, LineEnv, right_walks, walk

NAN, INFINITY = float("nan"), float("inf")

needs_n_steps = pytest.mark.skipif(NStepReplayBuffer is None, reason="this Stable-Baselines3 has no n-step returns")


class UsersOwnBuffer(ReplayBuffer):
    """A class that the user wrote."""


def make(look: str = "vector", **arguments: Any) -> DIIQN:
    policy = "MultiInputPolicy" if look.startswith("dict") else "MlpPolicy"
    return DIIQN(policy, LineEnv(look), **{**TINY, "expert_data": right_walks(look), **arguments})


def matching(**settings: Any) -> dict[str, Any]:
    return {"matching_kwargs": settings}


ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    (matching(similarity_threshold=1.5), r"similarity_threshold=1.5.*in \[0, 1\]"),
    (matching(similarity_threshold=-0.5), r"similarity_threshold=-0.5.*in \[0, 1\]"),
    (matching(similarity_threshold=NAN), "similarity_threshold=nan"),
    (matching(n_neighbors=0), "n_neighbors=0.*at least 1"),
    (matching(n_neighbors=2.5), "n_neighbors=2.5.*whole number"),
    (matching(usefulness_beta=0), "usefulness_beta=0.*positive"),
    (matching(usefulness_beta=-1), "usefulness_beta=-1.*positive"),
    (matching(max_training_count=0), "max_training_count=0.*at least 1"),
    (matching(max_training_count=1.5), "max_training_count=1.5.*whole number"),
    (matching(max_inference_error=0), r"max_inference_error=0.*in \(0, 1\]"),
    (matching(max_inference_error=1.1), r"max_inference_error=1.1.*in \(0, 1\]"),
    (matching(similarity_metric="jacard"), "similarity_metric='jacard' is unknown.*'jaccard'"),
    (matching(similarity_metric=["auto"]), r"similarity_metric=\['auto'\] is unknown"),
    (matching(similarity_treshold=0.5), "matching_kwargs has the key 'similarity_treshold'.*'similarity_threshold'"),
    ({"matching_kwargs": "auto"}, "matching_kwargs='auto'.*a dictionary, or None"),
    ({"expert_rewards": "both"}, "expert_rewards='both'.*'auto', 'inferred', 'recorded', 'none'"),
    ({"expert_rewards": None}, "expert_rewards=None.*'auto', 'inferred', 'recorded', 'none'"),
    ({"guide_fraction": 1.0}, "guide_fraction=1.0.*at least 0 and below 1"),
    ({"guide_fraction": True}, "guide_fraction=True.*at least 0 and below 1"),
    ({"inference": "telepathy"}, "inference='telepathy'.*'nearest', 'inverse_dynamics', or a class that takes a Context"),
    ({"guide": "teacher"}, "guide='teacher'.*'matching', 'clone', 'both', 'none', or a class"),
    ({"imitation_loss": "mine"}, "imitation_loss='mine'.*'large_margin', or a class"),
    ({"imitation_coef": True}, "imitation_coef=True.*at least 0"),
    ({"margin": 0}, "margin=0.*positive, or 'auto'"),
]

WITH_DATA: list[tuple[dict[str, Any], str]] = [
    (matching(similarity_metric="cosine"), "similarity_metric='cosine' is unknown.*'auto'"),
    (matching(similarity_metric=None), "similarity_metric=None is unknown"),
    ({**matching(similarity_metric="range"), "look": "discrete"}, "similarity_metric='range' needs a Box"),
    (matching(similarity_metric=lambda first, second: np.zeros(3)), r"similarity_metric returned an array of shape \(3,\)"),
    (matching(similarity_metric=lambda first, second: np.full((len(first), len(second)), 2.0)), "similarity_metric returned"),
    (
        {**matching(similarity_metric=lambda first, second: np.zeros((1, 1))), "look": "dict"},
        "a callable is not supported for Dict",
    ),
    ({"batch_size": 1, "inference": "inverse_dynamics"}, "batch_size=1.*at least 2 with networks"),
    ({"batch_size": 1, "inference": "nearest", "expert_rewards": "inferred"}, "batch_size=1.*at least 2 with networks"),
    ({"optimize_memory_usage": True}, "optimize_memory_usage=True.*leave it False"),
    (
        {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}},
        "optimize_memory_usage=True.*leave it False",
    ),
    (
        {"replay_buffer_kwargs": {"optimize_memory_usage": True, "handle_timeout_termination": False}},
        "optimize_memory_usage=True.*leave it False",
    ),
    (
        {"replay_buffer_class": HerReplayBuffer, "look": "dict"},
        "replay_buffer_class=HerReplayBuffer.*leave replay_buffer_class=None",
    ),
    ({"replay_buffer_class": UsersOwnBuffer}, "replay_buffer_class=UsersOwnBuffer.*leave replay_buffer_class=None"),
    pytest.param({"n_steps": 3, "look": "dict"}, "n_steps=3.*n_steps=1", marks=needs_n_steps),  # type: ignore[list-item]
]


def label(value: Any) -> str:
    """A name for a case that is the same in every process: without the addresses of functions."""
    return re.sub(r" at 0x\w+", "", str(value))[:60]


@pytest.mark.parametrize(("arguments", "fragment"), ARGUMENTS, ids=label)
@pytest.mark.parametrize("with_data", [True, False])
def test_arguments_out_of_bounds(arguments: dict[str, Any], fragment: str, with_data: bool) -> None:
    with pytest.raises(ConfigurationError, match=fragment):
        make(**arguments, **({} if with_data else {"expert_data": None}))


@pytest.mark.parametrize(("arguments", "fragment"), WITH_DATA, ids=label)
def test_arguments_that_do_not_go_with_expert_data(arguments: dict[str, Any], fragment: str) -> None:
    with pytest.raises(ConfigurationError, match=fragment):
        make(**arguments)


@pytest.mark.slow
def test_what_expert_data_forbids_is_allowed_without() -> None:
    kwargs = {"handle_timeout_termination": False}
    make(expert_data=None, optimize_memory_usage=True, replay_buffer_kwargs=kwargs).learn(40)
    make(expert_data=None, batch_size=1).learn(40)
    assert type(make(expert_data=None, replay_buffer_class=UsersOwnBuffer).replay_buffer) is UsersOwnBuffer


# --- expert data --------------------------------------------------------------------------------------------------------------


def states(value: Any, at: int = 3) -> ExpertObservations:
    observations = walk(range(LENGTH)).copy()
    observations[at, 1] = value
    return ExpertObservations.from_trajectories([observations])


DATA: list[tuple[str, Any, str]] = [
    ("vector", right_walks("bool vector"), r"shape \(6,\).*shape \(3,\)"),
    ("vector", right_walks("discrete"), "shape"),
    ("vector", right_walks("dict"), "dict with the keys"),
    ("dict", right_walks("vector"), "Dict with the keys.*one array"),
    ("dict", right_walks("dict with image"), "keys"),
    ("byte image", right_walks("float image"), "shape"),
    ("bool vector", ExpertObservations.from_trajectories([np.full((3, LENGTH), 0.5)]), "trajectory 0, step 0.*0.5"),
    ("byte vector", ExpertObservations.from_trajectories([np.full((3, LENGTH), 300)]), "300"),
    ("discrete", ExpertObservations.from_trajectories([np.array([0, 1, LENGTH])]), f"trajectory 0, step 2.*{LENGTH}"),
    ("vector", states(NAN), "trajectory 0, step 3.*nan"),
    ("vector", states(INFINITY), "trajectory 0, step 3.*inf"),
    ("vector", states(-7.0), "trajectory 0, step 3.*-7"),
]


@pytest.mark.parametrize(("look", "data", "fragment"), DATA, ids=label)
def test_expert_data_that_does_not_fit(look: str, data: Any, fragment: str) -> None:
    with pytest.raises(ExpertDataError, match=f"(?s){fragment}"):
        make(look, expert_data=data)


@pytest.mark.parametrize(
    "data", [5, b"bytes", [np.zeros((3, 3))], np.zeros((4, 3)), {"observations": np.zeros((4, 3))}], ids=str
)
def test_expert_data_that_is_none_at_all(data: Any) -> None:
    with pytest.raises(DIIQNError):
        make(expert_data=data)


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ExpertDataError, match="There is no file .*nowhere.npz"):
        make(expert_data=tmp_path / "nowhere.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no archive", b"hello", b"\x80\x04]\x94."])
def test_a_file_that_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "expert.npz"
    path.write_bytes(content)
    with pytest.raises(ExpertDataError, match="expert.npz"):
        make(expert_data=str(path))


def test_a_file_with_no_trajectory(tmp_path: Path) -> None:
    path = tmp_path / "expert.npz"
    np.savez(path, observations=np.zeros((0, 3)), episode_starts=np.zeros(0, dtype=bool))
    with pytest.raises(ExpertDataError, match="empty"):
        make(expert_data=path)


def test_a_space_that_cannot_be_compared() -> None:
    env = LineEnv()
    env.observation_space = spaces.Tuple([spaces.Discrete(3)])
    with pytest.raises(ExpertDataError, match=r"Tuple.*not supported: expected Box, Discrete"):
        DIIQN("MlpPolicy", env, **TINY, expert_data=right_walks())


def test_data_that_the_user_adapted_without_the_bounds_is_accepted() -> None:
    """What the error message about a value out of bounds tells the user to do has to work."""
    data = states(1.5)
    adapted = data.adapted_to(LineEnv().observation_space, check_range=False)
    make(expert_data=adapted).learn(40)


@needs_n_steps
def test_the_n_step_buffer_chosen_by_class() -> None:
    model = make(replay_buffer_class=NStepReplayBuffer, replay_buffer_kwargs={"n_steps": 3, "gamma": 0.9})
    assert (model.replay_buffer.n_steps, model.replay_buffer.gamma) == (3, 0.9)


@needs_n_steps
def test_the_plain_buffer_chosen_by_class_has_no_n_steps() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not hasattr(make(replay_buffer_class=ReplayBuffer, n_steps=3).replay_buffer, "n_steps")


@pytest.mark.skipif(NStepReplayBuffer is not None, reason="this Stable-Baselines3 has n-step returns")
def test_n_steps_where_there_are_none() -> None:
    with pytest.raises(DIIQNError, match="n_steps=3.*2.7"):
        make(n_steps=3)


def test_recorded_rewards_have_to_be_there() -> None:
    with pytest.raises(ConfigurationError, match="expert_rewards='recorded'.*no rewards.*'inferred'"):
        make(expert_rewards="recorded")
