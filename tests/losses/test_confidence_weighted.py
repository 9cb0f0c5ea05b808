"""The loss of the paper, summed by hand."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from sb3_diiqn import ExpertObservations
from sb3_diiqn.inference import ExpertKnowledge, InferenceSettings
from sb3_diiqn.losses import ConfidenceWeighted
from tests.losses.batches import batch, output

BETA, MAX_COUNT, MAX_ERROR = 2.0, 9, 0.5
COUNTS, ERRORS = [9, 2, 0], [0.0, 0.45, 0.1]

#: The agent's second transition matches nothing, the last one the transition that was never trained on.
BATCH = batch([0, 1, 1, 0], {0: (0, 1), 2: (1, 0), 3: (2, 1)})
Q_VALUES = [[0.0, 0.0]] * 4 + [[1.0, 1.5], [3.0, 2.0], [0.0, 5.0]]
LOSSES = [0.1, 0.2, 0.3, 0.4, 1.0, 2.0, 4.0]
PHI = [
    # dQ of 1/2 for action 1 over 0, fully trained, no error
    1 / (1 + exp(-BETA * 0.5)),
    # dQ of 1 for action 0 over 1, but what the error leaves is less
    1 - 0.45 / MAX_ERROR,
    # never trained on
    0.0,
]


def make() -> ConfidenceWeighted:
    space = spaces.Discrete(5)
    expert = ExpertObservations.from_trajectories([np.arange(4)]).adapted_to(space)
    settings = InferenceSettings(usefulness_beta=BETA, max_training_count=MAX_COUNT, max_inference_error=MAX_ERROR)
    knowledge = ExpertKnowledge(expert, space, settings)
    knowledge.training_count[:], knowledge.inferred.error[:], knowledge.inferred.action[:] = COUNTS, ERRORS, 0
    return ConfidenceWeighted(knowledge)


def test_phi_is_the_smaller_of_usefulness_times_training_and_inference() -> None:
    assert 1 / (1 + exp(-BETA)) * log(3) / log(10) > PHI[1], "or the error would not be seen"
    assert make().confidence(BATCH, output(BATCH, Q_VALUES, LOSSES)).tolist() == pytest.approx(PHI)


def test_it_takes_the_place_of_a_part_of_the_agents_loss() -> None:
    """Phi * L_e + (1 - Phi) * L_a where something matches, L_a elsewhere; the mean over the agent's transitions."""
    td = output(BATCH, Q_VALUES, LOSSES)
    total = td.losses[BATCH.agent].mean() + make()(BATCH, td, progress_remaining=0.3)
    mixed = [
        PHI[0] * 1.0 + (1 - PHI[0]) * 0.1,
        0.2,
        PHI[1] * 2.0 + (1 - PHI[1]) * 0.3,
        PHI[2] * 4.0 + (1 - PHI[2]) * 0.4,
    ]
    assert float(total.detach()) == pytest.approx(sum(mixed) / 4)


def test_gradients_flow_through_the_losses_and_not_through_phi() -> None:
    td = output(BATCH, Q_VALUES, LOSSES)
    of_values, of_losses = th.autograd.grad(make()(BATCH, td, 1.0), (td.q_values, td.losses), allow_unused=True)
    assert of_values is None
    expected = np.array([-PHI[0], 0, -PHI[1], 0, PHI[0], PHI[1], 0]) / 4
    np.testing.assert_allclose(of_losses, expected, rtol=1e-5, atol=1e-7)


def test_where_nothing_matches_it_is_nothing() -> None:
    alone = batch([0, 1])
    assert float(make()(alone, output(alone, [[1.0, 2.0]] * 2, [3.0, 4.0]), 1.0).detach()) == 0


def test_statistics_are_means_since_they_were_last_taken() -> None:
    """The confidence counts as 0 where nothing matches."""
    loss = make()
    td = output(BATCH, Q_VALUES, LOSSES)
    for _ in range(2):
        loss(BATCH, td, 1.0)
    taken = loss.statistics(progress_remaining=1.0)
    assert taken["confidence"] == pytest.approx(sum(PHI) / 4)
    assert taken["training"] == pytest.approx((1 + log(3) / log(10) + 0) / 3)
    assert loss.statistics(progress_remaining=1.0) == {}


def test_it_wants_no_samples() -> None:
    assert not make().wants_samples(1.0)
