"""Types that several parts share."""

from __future__ import annotations

from typing import TypeAlias

import torch as th

TensorObservations: TypeAlias = th.Tensor | dict[str, th.Tensor]
"""A batch of observations as networks have it: one tensor of shape (n, *obs), or for a Dict space one such tensor per key."""
