"""Every policy, observation space and wrapper: learn a little, infer the right actions, save, load, predict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecMonitor, VecNormalize, VecTransposeImage

from sb3_diiqn import DIIQN, PAPER, ExpertObservations
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.imitation.callbacks import ConfidenceCallback
from sb3_diiqn.inference import NO_ACTION
from tests.helpers import LENGTH, RIGHT, TINY, LineEnv, right_walks, walk

Wrapper = Callable[[VecEnv], VecEnv]


class Case(NamedTuple):
    """A combination that has to work."""

    policy: str
    look: str
    wrap: Wrapper = lambda env: env
    arguments: dict[str, Any] = {}  # noqa: RUF012, nobody changes it


def stacked(n: int) -> Wrapper:
    return lambda env: VecFrameStack(env, n)


def normalised(**arguments: Any) -> Wrapper:
    return lambda env: VecNormalize(env, **arguments)


MLP, CNN, MULTI = "MlpPolicy", "CnnPolicy", "MultiInputPolicy"
MATCHING: dict[str, Any] = {"inference": "nearest", "guide": "matching"}
SMALL_CNN = {"policy_kwargs": {"features_extractor_kwargs": {"features_dim": 8}, "net_arch": [8]}}
SMALL_COMBINED = {"policy_kwargs": {"features_extractor_kwargs": {"cnn_output_dim": 8}, "net_arch": [8]}}

CASES = {
    "vector": Case(MLP, "vector"),
    "unbounded vector": Case(MLP, "unbounded vector"),
    "float image": Case(MLP, "float image"),
    "bool vector": Case(MLP, "bool vector"),
    "bool planes": Case(MLP, "bool planes"),
    "byte vector": Case(MLP, "byte vector"),
    "byte image": Case(MLP, "byte image"),
    "discrete": Case(MLP, "discrete"),
    "multi-discrete": Case(MLP, "multi-discrete"),
    "multi-binary": Case(MLP, "multi-binary"),
    "cnn": Case(CNN, "byte image", arguments=SMALL_CNN),
    "cnn, transposed by hand": Case(CNN, "byte image", VecTransposeImage, SMALL_CNN),
    "cnn, stacked": Case(CNN, "byte image", stacked(3), SMALL_CNN),
    "cnn, stacked and transposed by hand": Case(
        CNN, "byte image", lambda env: VecTransposeImage(VecFrameStack(env, 2)), SMALL_CNN
    ),
    "float image, stacked": Case(MLP, "float image", stacked(3)),
    "vector, stacked": Case(MLP, "vector", stacked(2)),
    "vector, stacked and normalised": Case(MLP, "vector", lambda env: VecNormalize(VecFrameStack(env, 3))),
    "dict, stacked": Case(MULTI, "dict with image", stacked(2), SMALL_COMBINED),
    "bool planes, stacked": Case(MLP, "bool planes", stacked(2)),
    "dict": Case(MULTI, "dict"),
    "dict with image": Case(MULTI, "dict with image", arguments=SMALL_COMBINED),
    "vector, normalised": Case(MLP, "vector", normalised()),
    "vector, monitored and normalised": Case(MLP, "vector", lambda env: VecNormalize(VecMonitor(env))),
    "vector, only rewards normalised": Case(MLP, "vector", normalised(norm_obs=False)),
    "dict, normalised": Case(MULTI, "dict", normalised(norm_obs_keys=["where"])),
    "float image, stacked and normalised": Case(MLP, "float image", lambda env: VecNormalize(VecFrameStack(env, 2))),
    "mismatch": Case(MLP, "vector", arguments={"matching_kwargs": {"similarity_metric": "mismatch"}}),
    "jaccard": Case(MLP, "byte vector", arguments={"matching_kwargs": {"similarity_metric": "jaccard"}}),
    "no rewards": Case(MLP, "vector", arguments={"expert_rewards": "none"}),
    "published": Case(MULTI, "dict", arguments=PAPER),
    "published, normalised": Case(MLP, "vector", normalised(), PAPER),
    "guided by matches": Case(MULTI, "dict", arguments=MATCHING),
    "guided by matches, normalised": Case(MLP, "vector", normalised(), MATCHING),
    "guided by matches, discrete": Case(MLP, "discrete", arguments=MATCHING),
    "guided by a clone": Case(MULTI, "dict", arguments={"guide": "clone"}),
    "guided by a clone, normalised": Case(MLP, "vector", normalised(), {"guide": "clone"}),
    "guided by a clone, image": Case(CNN, "byte image", arguments={"guide": "clone"}),
}
if NStepReplayBuffer is not None:
    CASES["n-step"] = Case(MLP, "vector", normalised(), {"n_steps": 3})
    CASES["n-step, discrete"] = Case(MLP, "discrete", arguments={"n_steps": 2})


def make_env(case: Case, n_envs: int) -> VecEnv:
    return case.wrap(DummyVecEnv([lambda: LineEnv(case.look)] * n_envs))


def make(case: Case, n_envs: int, expert: ExpertObservations | None = None) -> DIIQN:
    data = right_walks(case.look) if expert is None else expert
    return DIIQN(case.policy, make_env(case, n_envs), **{**TINY, "expert_data": data, **case.arguments})


def check_has_learned(model: DIIQN) -> None:
    """What was inferred is true, and was used."""
    knowledge = model.knowledge
    assert knowledge is not None
    inferred = knowledge.inferred
    exact = (inferred.action != NO_ACTION) & (inferred.error == 0)
    assert exact[0], "the agent has certainly gone right from the start"
    assert (inferred.action[exact] == RIGHT).all()
    assert np.isin(inferred.reward[exact], np.float32([-0.1, 0.9])).all(), "rewards as the environment gave them"
    assert knowledge.training_count.sum() > 0
    statistics = model.expert_statistics()
    assert 0 < statistics["matched"] <= 1
    assert 0 < statistics["confidence"] < 1
    assert all(th.isfinite(parameter).all() for parameter in model.policy.parameters())


#: One environment and two by turns; both where observations are simplest, and where they are stacked and normalised.
BOTH = ("vector", "dict", "vector, stacked and normalised", "guided by matches, normalised")
NUMBERED = [(name, 1 + number % 2) for number, name in enumerate(CASES)]
NUMBERED += [(name, 3 - n_envs) for name, n_envs in NUMBERED if name in BOTH]


def marks(name: str) -> list[Any]:
    """Convolutions take their time."""
    return [pytest.mark.slow] if "cnn" in name or "image" in name or name == "dict, stacked" else []


@pytest.mark.parametrize(("name", "n_envs"), [pytest.param(*case, marks=marks(case[0])) for case in NUMBERED])
def test_it_works(name: str, n_envs: int, tmp_path: Path) -> None:
    case = CASES[name]
    model = make(case, n_envs).learn(100)
    check_has_learned(model)

    model.save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model", env=make_env(case, n_envs), expert_data=right_walks(case.look))
    observation = model.env.reset()
    expected = model.predict(observation, deterministic=True)[0]
    assert expected.shape == (n_envs,)
    np.testing.assert_array_equal(loaded.predict(observation, deterministic=True)[0], expected)
    loaded.learn(40)
    assert loaded.knowledge.training_count.sum() > 0


@pytest.mark.parametrize("look", ["vector", "discrete", "dict"])
def test_unwrapped_environments_do(look: str) -> None:
    model = DIIQN(MULTI if look == "dict" else MLP, LineEnv(look), **TINY, expert_data=right_walks(look)).learn(100)
    check_has_learned(model)
    assert -2 <= evaluate_policy(model, model.get_env(), n_eval_episodes=2)[0] <= 0.5


def test_vectors_are_stacked_as_the_environment_stacks_them() -> None:
    case = Case(MLP, "vector", stacked(2))
    stacked_data = right_walks("vector").adapted_to(make_env(case, 1).observation_space, n_stack=2)
    for data in (right_walks("vector"), stacked_data):
        model = make(case, 1, data)
        np.testing.assert_array_equal(model.expert.observations, stacked_data.observations)
        check_has_learned(model.learn(100))


def test_matching_is_done_before_normalisation() -> None:
    """The statistics move from step to step; the recording matches exactly from the first to the last."""
    case = CASES["vector, normalised"]
    model = make(case, 2, ExpertObservations.from_trajectories([walk(range(LENGTH))])).learn(160)
    model.update_confidence()
    stored = model.replay_buffer.observations[:80].reshape(-1, 3)
    assert {tuple(one) for one in stored} <= {tuple(one) for one in walk(range(LENGTH))}
    matches = model.replay_buffer.expert_indices[:80].reshape(-1)
    np.testing.assert_array_equal(matches, np.round(stored[:, 0] * 5), err_msg="transition i starts at state i")


@pytest.mark.slow
def test_recordings_from_a_file(tmp_path: Path) -> None:
    for path in (tmp_path / "expert.npz", str(right_walks().save(tmp_path / "expert.npz"))):
        check_has_learned(DIIQN(MLP, LineEnv(), **TINY, expert_data=path).learn(100))


def test_tensorboard(tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    model = DIIQN(MLP, LineEnv(time_limit=8), **TINY, **PAPER, expert_data=right_walks(), tensorboard_log=str(tmp_path))
    model.learn(100, callback=ConfidenceCallback(log_frequency=1), log_interval=1)
    accumulator = accumulators.EventAccumulator(str(tmp_path / "DIIQN_1"))
    accumulator.Reload()
    tags = set(accumulator.Tags()["scalars"])
    names = ("confidence", "usefulness", "training", "inference", "matched", "inferred", "trained", "inference_error")
    assert {tag for tag in tags if tag.startswith("expert/")} == {f"expert/{name}" for name in names}
    assert {"train/loss", "train/learning_rate", "rollout/exploration_rate"} <= tags


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_progress_bar() -> None:
    pytest.importorskip("tqdm")
    pytest.importorskip("rich")
    assert DIIQN(MLP, LineEnv(), **TINY, expert_data=right_walks()).learn(40, progress_bar=True).num_timesteps == 40
