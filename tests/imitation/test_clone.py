"""A clone of the expert that learns beside the Q-network, and guides where nothing matches."""

from __future__ import annotations

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import DIIQN, ExpertObservations
from sb3_diiqn.guides import CloneGuide, FirstCertain, Guide, MatchingGuide
from sb3_diiqn.inference import NO_ACTION
from tests.helpers import LEFT, RIGHT, TINY, LineEnv, walk
from tests.imitation.line_models import CLONE, exploration_of, learner_of, make


def walks_to_the_middle(look: str = "vector") -> ExpertObservations:
    """Right from 0 to 3, and left from 4 to 2."""
    return ExpertObservations.from_trajectories([walk(range(4), look), walk([4, 3, 2], look)])


STARTS, WENT = [0, 1, 2, 4, 3], [RIGHT] * 3 + [LEFT] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("look", "inference"),
    [("vector", "nearest"), *((look, "inverse_dynamics") for look in ("vector", "bool planes", "dict", "discrete"))],
)
def test_the_clone_does_what_the_expert_did(look: str, inference: str) -> None:
    model = make(look, inference=inference, **CLONE, expert_data=walks_to_the_middle(look)).learn(600)
    probabilities = learner_of(model).clone_probabilities(walk(STARTS, look))
    assert probabilities is not None
    assert probabilities.argmax(axis=1).tolist() == WENT
    assert (probabilities.max(axis=1) > 0.7).all()


@pytest.mark.slow
def test_the_clone_is_followed_where_nothing_matches() -> None:
    """A little beside the expert's states matching knows nothing, and the clone what to do."""
    beside = walk(STARTS) + 0.05
    arguments = {**CLONE, "guide": "both", "inference": "inverse_dynamics", "expert_data": walks_to_the_middle()}
    both = exploration_of(make(**arguments).learn(1000)).guide
    assert isinstance(both, FirstCertain)

    def drawn(guide: Guide) -> np.ndarray:
        return np.stack([guide.act(beside, np.zeros(len(STARTS), dtype=np.int64)).actions for _ in range(50)])

    assert (drawn(both.second) == NO_ACTION).all()
    for guide in (both.first, both):
        assert ((drawn(guide) == WENT).mean(axis=0) > 0.6).all()


@pytest.mark.slow
def test_the_clone_sees_what_the_agent_sees() -> None:
    """With normalised observations; what it makes of others differs."""
    env = VecNormalize(DummyVecEnv([LineEnv]))
    arguments = {**TINY, "buffer_size": 1000, "inference": "inverse_dynamics", "guide_fraction": 0.0, **CLONE}
    model = DIIQN("MlpPolicy", env, expert_data=walks_to_the_middle(), **arguments).learn(1000)
    learner = learner_of(model)
    seen = learner.clone_probabilities(walk(STARTS))
    assert seen is not None and learner.clone is not None
    assert seen.argmax(axis=1).tolist() == WENT
    np.testing.assert_array_equal(seen, learner.clone.probabilities(th.as_tensor(env.normalize_obs(walk(STARTS)))))
    assert not np.allclose(seen, learner.clone.probabilities(th.as_tensor(walk(STARTS))), atol=0.01)


def test_a_clone_that_has_learned_nothing_is_not_followed() -> None:
    model = make(guide="clone", learning_starts=300)
    model.learn(300)
    guide = exploration_of(model).guide
    assert guide.act(walk([0, 1]), np.arange(2)).actions.tolist() == [NO_ACTION] * 2
    model.learn(100, reset_num_timesteps=False)
    assert NO_ACTION not in guide.act(walk([0, 1]), np.arange(2)).actions


def test_each_guide_is_made_of_what_it_needs() -> None:
    """Nobody is cloned where nobody asks a clone."""
    for name, kind, cloned in (("matching", MatchingGuide, False), ("clone", CloneGuide, True), ("both", FirstCertain, True)):
        model = make(guide=name)
        assert type(exploration_of(model).guide) is kind
        assert (learner_of(model).clone is not None) == cloned
    model = make(guide="none")
    assert learner_of(model).exploration is None and learner_of(model).clone is None
    both = exploration_of(make(guide="both")).guide
    assert isinstance(both, FirstCertain)
    assert (type(both.first), type(both.second)) == (CloneGuide, MatchingGuide)
