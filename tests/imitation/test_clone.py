"""A clone of the expert that learns beside the Q-network, and leads where nothing matches."""

from __future__ import annotations

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import DIIQN, ExpertObservations
from sb3_diiqn.inference import NO_ACTION
from tests.diiqn.line_models import CLONE, make
from tests.helpers import LEFT, RIGHT, TINY, LineEnv, walk


def walks_to_the_middle(look: str = "vector") -> ExpertObservations:
    """Right from 0 to 3, and left from 4 to 2."""
    return ExpertObservations.from_trajectories([walk(range(4), look), walk([4, 3, 2], look)])


STARTS, WENT = [0, 1, 2, 4, 3], [RIGHT] * 3 + [LEFT] * 2


@pytest.mark.parametrize("inference", ["nearest", "inverse_dynamics"])
@pytest.mark.parametrize("look", ["vector", "bool planes", "dict", "discrete"])
def test_the_clone_does_what_the_expert_did(look: str, inference: str) -> None:
    model = make(look, inference=inference, **CLONE, expert_data=walks_to_the_middle(look)).learn(1000)
    probabilities = model.clone_probabilities(walk(STARTS, look))
    assert probabilities is not None
    assert probabilities.argmax(axis=1).tolist() == WENT
    assert (probabilities.max(axis=1) > 0.7).all()


def test_the_clone_is_followed_where_nothing_matches() -> None:
    """A little beside the expert's states matching knows nothing, and the clone what to do."""
    beside = walk(STARTS) + 0.05
    arguments = {**CLONE, "guidance_share": 1.0, "inference": "inverse_dynamics", "expert_data": walks_to_the_middle()}
    for guide in ("matching", "clone"):
        model = make(**{**arguments, "guide": guide}).learn(1000)
        assert model._guidance is not None
        drawn = np.stack([model._guidance.follower.actions(beside, np.zeros(len(STARTS), dtype=np.int64)) for _ in range(50)])
        if guide == "matching":
            assert (drawn == NO_ACTION).all()
        else:
            assert ((drawn == WENT).mean(axis=0) > 0.6).all()


def test_the_clone_sees_what_the_agent_sees() -> None:
    """With normalised observations; what it makes of others differs."""
    env = VecNormalize(DummyVecEnv([LineEnv]))
    arguments = {**TINY, "buffer_size": 1000, "inference": "inverse_dynamics", **CLONE}
    model = DIIQN("MlpPolicy", env, expert_data=walks_to_the_middle(), **arguments).learn(1000)
    assert model.cloned_policy is not None
    seen = model.clone_probabilities(walk(STARTS))
    assert seen is not None
    assert seen.argmax(axis=1).tolist() == WENT
    np.testing.assert_array_equal(seen, model.cloned_policy.probabilities(th.as_tensor(env.normalize_obs(walk(STARTS)))))
    assert not np.allclose(seen, model.cloned_policy.probabilities(th.as_tensor(walk(STARTS))), atol=0.01)


def test_a_clone_that_has_learned_nothing_is_not_followed() -> None:
    model = make(preset="guided", guide="clone", learning_starts=300)
    model.learn(300)
    assert model._guidance is not None
    assert model._guidance.follower.actions(walk([0, 1]), np.arange(2)).tolist() == [NO_ACTION] * 2
    model.learn(100, reset_num_timesteps=False)
    assert NO_ACTION not in model._guidance.follower.actions(walk([0, 1]), np.arange(2))


def test_without_guidance_nobody_is_cloned() -> None:
    assert make(guide="clone").cloned_policy is None
    assert make(guide="both").cloned_policy is None
    assert make(guide="matching", guidance_share=0.5).cloned_policy is None
    assert make(guide="both", guidance_share=0.5).cloned_policy is not None
