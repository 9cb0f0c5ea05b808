"""Clipping against torch's own."""

from __future__ import annotations

import pytest
import torch as th

from sb3_diiqn.common.gradients import clip_gradients


@pytest.mark.parametrize("max_norm", [0.1, 5.0, 1e6])
def test_clips_as_torch_does(max_norm: float) -> None:
    th.manual_seed(0)
    own = [th.nn.Parameter(th.zeros(shape)) for shape in [(3, 4), (5,), (2, 2, 2)]]
    for parameter in own[:2]:
        parameter.grad = th.randn_like(parameter)
    theirs = [parameter.clone().detach().requires_grad_() for parameter in own]
    for one, other in zip(own[:2], theirs[:2], strict=True):
        other.grad = one.grad.clone()  # type: ignore[union-attr]
    clip_gradients(own, max_norm)
    th.nn.utils.clip_grad_norm_(theirs, max_norm)
    assert own[2].grad is None
    for one, other in zip(own[:2], theirs[:2], strict=True):
        assert th.equal(one.grad, other.grad)  # type: ignore[arg-type]


def test_no_gradient_at_all() -> None:
    clip_gradients([th.nn.Parameter(th.zeros(3))], 1.0)
