"""Expert transitions from all of the data, sampled and inferred for many updates at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th

from sb3_diiqn import ExpertObservations
from sb3_diiqn.common.batch import Transitions
from sb3_diiqn.imitation.action_inference import ActionInference, ExpertRows
from sb3_diiqn.imitation.expert_rewards import RecordedRewards
from sb3_diiqn.imitation.sampling import ExpertSampler
from tests.helpers import LENGTH, right_walks, walk
from tests.imitation.line_models import INVERSE, learner_of, make


@pytest.mark.parametrize("look", ["vector", "dict"])
def test_estimates_are_made_for_many_updates_at_once(look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each update has its own draws, those that one draw of all of them gives; and the next ones are estimated anew."""
    monkeypatch.setattr(ExpertSampler, "batch_size", 5)
    learner = learner_of(make(look, **INVERSE).learn(200))
    generator = np.random.default_rng(7)
    sampler = ExpertSampler(learner.host, learner.inference, generator)
    n = sampler.updates_at_once
    drawn = [sampler.sample() for _ in range(n)]
    indices = np.random.default_rng(7).integers(len(right_walks(look)), size=5 * n)
    rows = learner.sampler.look_up(indices)
    estimates = learner.infer(indices)
    for number, (samples, observations) in enumerate(drawn):
        part = slice(5 * number, 5 * number + 5)
        given, wanted = (one if isinstance(one, dict) else {"": one} for one in (observations, rows.observations))
        assert all((given[key] == wanted[key][part]).all() for key in wanted)  # type: ignore[index, call-overload]
        np.testing.assert_array_equal(samples.indices, indices[part])
        np.testing.assert_array_equal(samples.plausible.numpy(), estimates.plausible[part])
        np.testing.assert_allclose(samples.certainty.numpy(), estimates.certainty[part], rtol=1e-5)
    state = generator.bit_generator.state
    again = [sampler.sample() for _ in range(n * (sampler.n_uses - 1))]
    assert [samples.indices.tolist() for samples, _ in again] == [samples.indices.tolist() for samples, _ in drawn]
    assert generator.bit_generator.state == state, "each was used again"
    assert len(sampler.sample().samples.certainty) == 5
    drawn_anew = generator.bit_generator.state
    assert drawn_anew != state
    sampler.sample()
    assert generator.bit_generator.state == drawn_anew


def test_expert_transitions_are_looked_up() -> None:
    sampler = learner_of(make()).sampler
    rows = sampler.look_up(np.array([7, 2]))
    np.testing.assert_array_equal(rows.observations, walk([2, 2]))  # type: ignore[arg-type]
    np.testing.assert_array_equal(rows.next_observations, walk([3, 3]))  # type: ignore[arg-type]
    drawn = sampler.rows(10_000).indices
    np.testing.assert_allclose(np.bincount(drawn) / 10_000, np.full(2 * (LENGTH - 1), 0.1), atol=0.02)


class OneOfTwo(ActionInference):
    """Thinks that it was action 0 with a probability of 0.5, 1 with 0.35, or 2, which is not plausible, with 0.15."""

    def __init__(self, *context: Any) -> None:
        pass

    def probabilities(self, rows: ExpertRows) -> np.ndarray:
        return np.tile([0.5, 0.35, 0.15], (len(rows.indices), 1))


def test_with_their_outcomes_each_has_one_of_the_plausible_actions() -> None:
    rewards = np.array([0.0, 1.0, 2.0, 3.0, 5.0])
    paid = ExpertObservations.from_trajectories([walk(range(LENGTH))] * 2, terminated=[True, False], rewards=[rewards] * 2)
    host = learner_of(make(expert_data=paid, expert_rewards="recorded", gamma=0.7)).host
    sampler = ExpertSampler(host, OneOfTwo(), np.random.default_rng(0), RecordedRewards(paid))
    actions = []
    for _ in range(64):
        samples, transitions = sampler.sample()
        assert isinstance(transitions, Transitions)
        step = samples.indices % (LENGTH - 1)
        np.testing.assert_array_equal(transitions.rewards[:, 0], rewards[step])
        np.testing.assert_array_equal(transitions.dones[:, 0], samples.indices == LENGTH - 2)
        np.testing.assert_array_equal(transitions.observations, walk(step))  # type: ignore[arg-type]
        np.testing.assert_array_equal(transitions.next_observations, walk(step + 1))  # type: ignore[arg-type]
        assert transitions.discounts.unique().tolist() == pytest.approx([0.7])
        actions.append(transitions.actions[:, 0])
    assert th.cat(actions).bincount().tolist() == pytest.approx([0.5 / 0.85 * 1024, 0.35 / 0.85 * 1024], abs=80)
