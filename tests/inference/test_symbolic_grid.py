"""On grids of symbols, what matches is the same state."""

from __future__ import annotations

import numpy as np
import pytest

from sb3_diiqn.inference import AgentTransitions, ExpertKnowledge, InferenceSettings
from sb3_diiqn.inference.knowledge import NO_MATCH
from tests.symbolic_grid import SymbolicGrid, record_walks


def wander(env: SymbolicGrid, n: int, generator: np.random.Generator) -> np.ndarray:
    """Observations of random steps, from time to time at another place."""
    seen = [env.reset(seed=0)[0]]
    while len(seen) < n:
        observation, _, arrived, _, _ = env.step(int(generator.choice(3, p=[0.25, 0.25, 0.5])))
        if arrived or generator.random() < 0.03:
            observation, _ = env.reset(options={"place": env.places[generator.integers(len(env.places))]})
        seen.append(observation)
    return np.stack(seen)


@pytest.mark.parametrize("partial", [True, False], ids=["partial view", "full view"])
@pytest.mark.parametrize("size", [9, 15])
@pytest.mark.parametrize("metric", ["auto", "learned"])
def test_what_matches_is_the_same_state(partial: bool, size: int, metric: str) -> None:
    env = SymbolicGrid(partial, size)
    expert, seen = record_walks(env, 20), wander(env, 500, np.random.default_rng(1))
    knowledge = ExpertKnowledge(expert, env.observation_space, InferenceSettings(metric), seed=0)
    nothing = np.zeros(499)

    match = knowledge.observe(AgentTransitions(seen[:-1], seen[1:], nothing.astype(int), nothing, nothing, nothing))

    matched = match != NO_MATCH
    same = (seen[:-1][matched] == expert.current(match[matched])).reshape(matched.sum(), -1).all(axis=1)
    assert same.mean() >= 0.95
    known = {state.tobytes() for state in expert.current(np.arange(len(expert)))}
    assert matched.mean() == pytest.approx(np.mean([state.tobytes() in known for state in seen[:-1]]), abs=0.02)
    assert matched.mean() > 0.2
