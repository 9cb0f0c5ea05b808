"""Means since they were last taken."""

from __future__ import annotations

import torch as th

from sb3_diiqn.common.running_means import RunningMeans


def test_means_since_they_were_taken() -> None:
    means = RunningMeans()
    assert means.take() == {}
    means.add("loss", 1.0)
    means.add("loss", 2.0)
    means.add("part", 3.0, count=4)
    means.add("part", 1.0, count=0)
    means.add("nothing", 0.0, count=0)
    assert means.take() == {"loss": 1.5, "part": 1.0}
    means.add("loss", 5.0)
    assert means.take() == {"loss": 5.0}


def test_tensors_are_kept_without_their_history() -> None:
    parameter = th.tensor(2.0, requires_grad=True)
    means = RunningMeans()
    means.add("loss", parameter * 3)
    means.add("loss", parameter * 4)
    assert not means._sums["loss"].requires_grad  # type: ignore[union-attr]
    assert means.take() == {"loss": 7.0}
