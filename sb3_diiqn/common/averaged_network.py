"""The mean of a Q-network over its latest updates, which the greedy policy is taken from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch as th
from stable_baselines3.common.policies import BasePolicy
from torch.optim.swa_utils import AveragedModel


class AveragedNetwork:
    """
    The mean of a policy's Q-network over about the last tenth of its updates.

    Values do not come to rest: which of two close actions is the greedy one changes with nearly every update, and a policy
    that is frozen at one moment may be stuck where the one before was not. In the mean of the parameters most of that is gone
    (Polyak and Juditsky 1992). The weights are those of Shamir and Zhang (2013, arXiv 1212.1824), which need no time scale.

    :param policy: policy of Stable-Baselines3
    :param name: its attribute that is the network
    """

    #: fraction of all updates that count
    fraction = 0.1
    #: updates between two of those that are averaged: the mean is as good, and costs next to nothing
    every = 8

    def __init__(self, policy: BasePolicy, name: str) -> None:
        self.policy = policy
        self.name = name
        self._model = self._restarted()
        self._n_updates = 0

    def note_updates(self, n_updates: int) -> None:
        """
        Take the network as it is now into the mean, if there were enough updates.

        :param n_updates: number of updates since the last call
        """
        self._n_updates += n_updates
        if self._n_updates >= self.every:
            self._model.update_parameters(getattr(self.policy, self.name))
            self._n_updates = 0

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the mean take the network's place in the policy."""
        # the policy turns training off in what it has, and that is the mean
        if self.policy.training:
            self.policy.set_training_mode(False)
        network = getattr(self.policy, self.name)
        setattr(self.policy, self.name, self._model.module)
        try:
            yield
        finally:
            setattr(self.policy, self.name, network)

    def state_dict(self) -> dict[str, Any]:
        """Return what :meth:`load` takes."""
        return self._model.state_dict()

    def load(self, state: dict[str, Any] | None) -> None:
        """
        Go on from what was saved.

        :param state: None: begin anew with the network as it is
        """
        if state is None:
            self._model = self._restarted()
        else:
            self._model.load_state_dict(state)

    def _restarted(self) -> AveragedModel:
        model = AveragedModel(getattr(self.policy, self.name), multi_avg_fn=self._take)
        module: Any = model.module
        module.requires_grad_(False)
        module.set_training_mode(False)
        return model

    @classmethod
    @th.no_grad()
    def _take(cls, mean: Any, latest: Any, n_taken: th.Tensor | int) -> None:
        """Move the mean towards the latest parameters, as AveragedModel asks for."""
        th._foreach_lerp_(mean, latest, min(1.0, 1.0 / (cls.fraction * (int(n_taken) + 1))))
