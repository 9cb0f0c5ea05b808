"""The mean of a Q-network over its latest updates, which the greedy policy is taken from."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch as th
from stable_baselines3.common.policies import BasePolicy


class AveragedNetwork:
    """
    The mean of a policy's Q-network over about the last twentieth of its updates.

    Values do not come to rest: which of two close actions is the greedy one changes with nearly every update, and a policy
    that is frozen at one moment may be stuck where the one before was not. In the mean of the parameters most of that is gone
    (Polyak and Juditsky 1992). The weights are those of Shamir and Zhang (2013, arXiv 1212.1824), which need no time scale.

    :param policy: policy of Stable-Baselines3
    :param name: its attribute that is the network
    """

    #: fraction of all updates that count
    fraction = 0.05
    #: updates between two of those that are averaged: the mean is as good, and costs next to nothing
    every = 8

    def __init__(self, policy: BasePolicy, name: str) -> None:
        self.policy = policy
        self.name = name
        self._mean = self._copied()
        self._n_taken = 0
        self._n_updates = 0

    def note_updates(self, n_updates: int) -> None:
        """
        Take the network as it is now into the mean, if there were enough updates.

        :param n_updates: number of updates since the last call
        """
        self._n_updates += n_updates
        if self._n_updates >= self.every:
            self._n_updates = 0
            self._take()

    @th.no_grad()
    def _take(self) -> None:
        self._n_taken += 1
        latest: th.nn.Module = getattr(self.policy, self.name)
        weight = min(1.0, 1.0 / (self.fraction * self._n_taken))
        th._foreach_lerp_(list(self._mean.parameters()), list(latest.parameters()), weight)
        # such as the statistics of a normalisation
        for mine, theirs in zip(self._mean.buffers(), latest.buffers(), strict=True):
            mine.copy_(theirs)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the mean take the network's place in the policy."""
        # the policy turns training off in what it has, and that is the mean
        if self.policy.training:
            self.policy.set_training_mode(False)
        network = getattr(self.policy, self.name)
        setattr(self.policy, self.name, self._mean)
        try:
            yield
        finally:
            setattr(self.policy, self.name, network)

    def state_dict(self) -> dict[str, Any]:
        """Return what :meth:`load` takes."""
        return {"network": self._mean.state_dict(), "n_taken": self._n_taken}

    def load(self, state: dict[str, Any] | None) -> None:
        """
        Go on from what was saved.

        :param state: None: begin anew with the network as it is
        """
        if state is None:
            self._mean, self._n_taken = self._copied(), 0
        else:
            self._mean.load_state_dict(state["network"])
            self._n_taken = state["n_taken"]

    def _copied(self) -> Any:
        network = copy.deepcopy(getattr(self.policy, self.name)).requires_grad_(False)
        network.set_training_mode(False)
        return network
