"""Estimates of the expert's actions: by the nearest transition, by a network, and by somebody's own inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import DIIQN, ExpertObservations
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.imitation.action_inference import NearestInference, NetworkInference
from sb3_diiqn.imitation.context import Context
from sb3_diiqn.inference import estimate
from sb3_diiqn.networks import InverseDynamics
from tests.helpers import LEFT, LENGTH, RIGHT, TINY, LineEnv, right_walks, walk
from tests.imitation.line_models import INVERSE, learner_of, make, parameters_of

needs_n_steps = pytest.mark.skipif(NStepReplayBuffer is None, reason="this Stable-Baselines3 has no n-step returns")

EXPLORING: dict[str, Any] = {"gradient_steps": 4, "exploration_fraction": 1.0, "exploration_final_eps": 1.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("look", "n_envs"),
    [
        ("vector", 1),
        ("vector", 3),
        ("unbounded vector", 1),
        ("bool planes", 1),
        ("discrete", 1),
        ("multi-discrete", 1),
        ("dict", 1),
    ],
)
def test_the_network_finds_the_experts_actions_whatever_the_observations(look: str, n_envs: int) -> None:
    model = make(look, n_envs, **INVERSE, **EXPLORING).learn(800)
    estimates = learner_of(model).infer(np.arange(2 * (LENGTH - 1)))
    assert estimates.plausible[:, RIGHT].all()
    assert estimates.plausible.sum() == 2 * (LENGTH - 1)
    assert (estimates.certainty > 0.5).all()


def test_the_nearest_transition_is_believed_with_zeta() -> None:
    model = make()
    learner = learner_of(model)
    assert isinstance(learner.inference, NearestInference) and learner.inference.network is None
    assert learner.infer(np.arange(4)).certainty.tolist() == [0] * 4, "nothing was inferred yet"
    model.learn(400)
    estimates = learner.infer(np.arange(2 * (LENGTH - 1)))
    assert estimates.plausible.argmax(axis=1).tolist() == [RIGHT] * 2 * (LENGTH - 1)
    np.testing.assert_allclose(estimates.certainty, 1.0, atol=1e-4)


def test_the_nearest_are_put_to_the_vote() -> None:
    """At the second state the expert went back once and on three times: all four are taken for going on."""
    expert = ExpertObservations.from_trajectories([walk([0, 1, 0, 1, 2]), walk([0, 1, 2]), walk([0, 1, 2])])
    model = make(expert_data=expert, exploration_fraction=1.0, exploration_final_eps=1.0).learn(300)
    back, on = 1, 3
    estimates = learner_of(model).infer(np.array([back, on]))
    assert estimates.plausible.tolist() == [[False, True]] * 2
    assert estimates.certainty == pytest.approx(0.5), "three of four, beyond chance"
    knowledge = model.knowledge
    assert knowledge.action(np.array([back])).tolist() == [LEFT], "of itself it is known to go back"


@pytest.mark.slow
@needs_n_steps
def test_with_n_step_returns_the_network_learns_from_single_steps() -> None:
    """Three steps to the right and two to the left would look like one to the right."""
    model = make(**INVERSE, **EXPLORING, n_steps=3).learn(500)
    assert learner_of(model).infer(np.arange(LENGTH - 1)).plausible.tolist() == [[False, True]] * (LENGTH - 1)


@pytest.mark.slow
def test_the_network_sees_what_the_agent_sees() -> None:
    """With VecNormalize both are normalised, or the estimates would be far off."""
    env = VecNormalize(DummyVecEnv([LineEnv]))
    model = DIIQN("MlpPolicy", env, expert_data=right_walks(), **INVERSE, **{**TINY, **EXPLORING, "buffer_size": 1000})
    model.learn(500)
    assert learner_of(model).infer(np.arange(LENGTH - 1)).plausible.tolist() == [[False, True]] * (LENGTH - 1)


def test_what_the_agent_likes_to_do_is_not_taken_for_the_expert_s_doing() -> None:
    learner = learner_of(make(**INVERSE).learn(100))
    network: Any = learner.inference.network
    before, after = th.as_tensor(walk(range(LENGTH - 1))), th.as_tensor(walk(range(1, LENGTH)))
    expected = estimate(network.likelihoods(before, after)).certainty
    assert not np.allclose(expected, estimate(network.probabilities(before, after)).certainty)
    np.testing.assert_allclose(learner.infer(np.arange(LENGTH - 1)).certainty, expected, rtol=1e-4, atol=1e-6)


class AlwaysRight(InverseDynamics):
    """Somebody's own network, which knows better."""

    def likelihoods(self, observations: Any, next_observations: Any) -> np.ndarray:
        """Whatever is seen, the expert went right."""
        return np.tile(np.eye(2, dtype=np.float32)[RIGHT], (len(observations), 1))


def always_right(context: Context) -> NetworkInference:
    """Make an inference of that network."""
    return NetworkInference(context, AlwaysRight)


def test_ones_own_network_is_asked_and_saved(tmp_path: Path) -> None:
    model = make(inference=always_right, imitation_coef=1.0)
    assert learner_of(model).infer(np.arange(LENGTH - 1)).plausible.tolist() == [[False, True]] * (LENGTH - 1)
    model.learn(60)
    model.save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model", expert_data=right_walks())
    one, other = (learner_of(each).inference.network for each in (model, loaded))
    assert isinstance(one, AlwaysRight) and isinstance(other, AlwaysRight)
    for own, others in zip(parameters_of(one), parameters_of(other), strict=True):
        np.testing.assert_array_equal(own, others)
