"""Clipping gradients."""

from __future__ import annotations

from collections.abc import Iterable

import torch as th


def clip_gradients(parameters: Iterable[th.Tensor], max_norm: float | None) -> None:
    """
    Do what ``torch.nn.utils.clip_grad_norm_`` does, but touch the gradients only where they are too large.

    On small networks that takes a third of the time.

    :param parameters: those without a gradient are left out
    :param max_norm: largest Euclidean norm of all gradients together; None: any
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if max_norm is None or not gradients:
        return
    norm = th.linalg.vector_norm(th.stack([th.linalg.vector_norm(gradient) for gradient in gradients]))
    factor = max_norm / (norm + 1e-6)
    if factor < 1.0:
        for gradient in gradients:
            gradient.mul_(factor)
