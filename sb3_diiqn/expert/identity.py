"""By what expert data are recognised."""

from __future__ import annotations

import hashlib

import numpy as np

from sb3_diiqn.expert.types import TrajectoryArrays, arrays_of


def content_hash(arrays: TrajectoryArrays) -> str:
    """SHA-256 over everything. See :attr:`ExpertObservations.content_hash`."""
    digest = hashlib.sha256()
    named = {f"observations/{key}": array for key, array in arrays_of(arrays.observations).items()}
    named.update(offsets=arrays.offsets, terminated=arrays.terminated)
    if arrays.rewards is not None:
        named.update(rewards=arrays.rewards)
    for name in sorted(named):
        array = np.ascontiguousarray(named[name])
        digest.update(f"{name}|{array.dtype.str}|{named[name].shape}|".encode())
        digest.update(array.tobytes() if array.size == 0 else array.data)
    return digest.hexdigest()
