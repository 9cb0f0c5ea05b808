"""Temporal-difference learning from sampled expert transitions, summed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sb3_diiqn.losses import ExpertTD
from tests.losses.batches import batch, known, output


class SomeBridged:
    """Knows that the first two expert transitions are replaced by bridges."""

    def bridged(self, indices: np.ndarray) -> np.ndarray:
        return indices < 2


KNOWLEDGE: Any = SomeBridged()


def test_each_sample_counts_by_its_certainties_and_none_where_there_is_a_bridge() -> None:
    samples = known([[True, False]] * 3, [0.5, 1.0, 0.25], indices=[7, 1, 4], outcome_certainty=[1.0, 1.0, 0.5])
    of = batch([0, 1], {0: (5, 1)}, samples, sampled=[0, 0, 1])
    losses = [10.0, 20.0, 30.0, 2.0, 4.0, 8.0]
    loss = ExpertTD(KNOWLEDGE)
    assert loss.weights(of.samples).tolist() == [0.5, 0.0, 0.125]  # type: ignore[arg-type]
    # over the two transitions of the agent
    value = loss(of, output(of, [[0.0, 0.0]] * 6, losses), 0.0)
    assert float(value.detach()) == pytest.approx((0.5 * 2 + 0.0 * 4 + 0.125 * 8) / 2)


def test_samples_are_wanted_to_the_end_of_the_training() -> None:
    assert ExpertTD(KNOWLEDGE).wants_samples(0.0)


def test_without_samples_it_is_nothing() -> None:
    of = batch([0, 1])
    assert float(ExpertTD(KNOWLEDGE)(of, output(of, [[0.0, 0.0]] * 2, [3.0, 4.0]), 1.0)) == 0
