"""Means of what is logged now and then and comes in all the time."""

from __future__ import annotations

import torch as th


class RunningMeans:
    """Means over what has come in since they were last taken; until then tensors stay on a GPU, and nothing waits for it."""

    def __init__(self) -> None:
        self._sums: dict[str, float | th.Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: float | th.Tensor, count: int = 1) -> None:
        """
        Note a value.

        :param name: of what
        :param value: a number or a tensor of shape (); the sum, if it stands for several
        :param count: how many values it is the sum of
        """
        value = value.detach() if isinstance(value, th.Tensor) else value
        self._sums[name] = self._sums.get(name, 0.0) + value
        self._counts[name] = self._counts.get(name, 0) + count

    def take(self) -> dict[str, float]:
        """Return the means by their names and start anew; what nothing has come in of is left out."""
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items() if self._counts[name]}
        self._sums, self._counts = {}, {}
        return means
