"""When the auxiliary networks learn, and from what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch as th

from sb3_diiqn.common.running_means import RunningMeans

if TYPE_CHECKING:
    from sb3_diiqn.imitation.learner import Learner


class NetworkTraining:
    """
    Lets the networks of a learner learn, from more at once than an update has, and ever more rarely.

    They need more transitions than updates: a step of four times as many takes far less than four times as long.

    :param learner: the learner
    """

    #: they learn after every so many updates at first, after n updates in one of n / ``warm_up``, and at least in one of the
    #: second number: there is less and less that is new to them
    intervals = (4, 256)
    warm_up = 250
    #: the agent's transitions that they learn from at once
    batch_size = 64
    #: expert transitions that the clone learns from, and how often it does so: by it the guide acts
    clone_batch_size, clone_steps = 128, 2

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self._losses = RunningMeans()
        self._generator = np.random.default_rng(learner.host.stream_seed(6))

    def after_update(self, number: int) -> None:
        """
        Let them learn, if it is time to.

        :param number: of the update that was made
        """
        if number % int(np.clip(number // self.warm_up, *self.intervals)) != 0:
            return
        self._learn_from_agent()
        self._learn_clone()
        if self.learner.metric is not None:
            self.learner.metric.learn(self.learner.host.replay_buffer, self.batch_size)

    def take_losses(self) -> dict[str, float]:
        """Return the mean losses since the last time, by name."""
        return self._losses.take()

    def _learn_from_agent(self) -> None:
        inference, source = self.learner.inference, self.learner.reward_source
        reward_model = None if source is None else source.network
        if inference.knows_only_tables and reward_model is None:
            return
        buffer = self.learner.host.replay_buffer
        drawn = buffer.draw_steps(self.batch_size, self._generator)
        observations, actions, next_observations = buffer.single_steps(*drawn, self.learner.host._vec_normalize_env)
        if not inference.knows_only_tables:
            loss = inference.learn(observations, actions, next_observations)
            if inference.network is not None:
                self._losses.add("inverse_dynamics_loss", loss)
        if reward_model is not None:
            loss = reward_model.learn(observations, next_observations, *buffer.outcomes_of(*drawn))
            self._losses.add("reward_loss", loss)

    def _learn_clone(self) -> None:
        clone = self.learner.clone
        if clone is None:
            return
        for _ in range(self.clone_steps):
            rows = self.learner.sampler.rows(self.clone_batch_size)
            probabilities = self.learner.inference.probabilities(rows)
            targets = th.as_tensor(probabilities, dtype=th.float32, device=self.learner.host.device)
            self._losses.add("clone_loss", clone.learn(rows.observations, targets))
