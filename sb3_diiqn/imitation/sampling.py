"""Expert transitions from all of the data, wherever the agent happens to be."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch as th

from sb3_diiqn.common.batch import Samples, Transitions
from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.expert.types import take
from sb3_diiqn.imitation.action_inference import ActionInference, ExpertRows
from sb3_diiqn.imitation.expert_rewards import RewardSource
from sb3_diiqn.inference import draw_actions, estimate


class Sampled(NamedTuple):
    """What is sampled for one update, k expert transitions."""

    samples: Samples
    transitions: Transitions | TensorObservations
    """With one of the plausible actions each, or only their observations where outcomes are not known."""


class ExpertSampler:
    """
    Samples expert transitions, with estimates of their actions.

    :param host: has a replay buffer that knows the expert data
    :param inference: estimates the actions
    :param generator: what to sample with
    :param reward_source: tells what they paid; None where nobody is asked
    """

    #: expert transitions in an update
    batch_size = 16
    #: sampled and inferred for so many updates at once: one large pass through a network is faster than many small ones ...
    updates_at_once = 32
    #: ... and each used so often: the estimates do not change much meanwhile
    n_uses = 2

    def __init__(
        self,
        host: Any,
        inference: ActionInference,
        generator: np.random.Generator,
        reward_source: RewardSource | None = None,
    ) -> None:
        self.host = host
        self.inference = inference
        self.reward_source = reward_source
        self._generator = generator
        self._waiting: list[Sampled] = []

    def rows(self, size: int) -> ExpertRows:
        """
        Sample expert transitions without more.

        :param size: how many
        """
        return self.look_up(self._generator.integers(len(self.host.replay_buffer.knowledge.expert), size=size))

    def look_up(self, indices: np.ndarray) -> ExpertRows:
        """
        Look up the observations of expert transitions.

        :param indices: which, shape (n,)
        """
        return ExpertRows(indices, *self.host.replay_buffer.expert_tensors(indices, self.host._vec_normalize_env))

    def sample(self) -> Sampled:
        """Sample for one update."""
        if not self._waiting:
            self._waiting = self._sample_several()
        return self._waiting.pop(0)

    def _sample_several(self) -> list[Sampled]:
        size = self.updates_at_once * self.batch_size
        rows = self.rows(size)
        probabilities = self.inference.probabilities(rows)
        estimates = estimate(probabilities)
        device = self.host.device
        transitions: Transitions | TensorObservations = rows.observations
        outcome_certainty = th.zeros(size, device=device)
        if self.reward_source is not None:
            rewards = self.reward_source.rewards(rows)
            outcome_certainty = th.as_tensor(rewards.certainty, device=device)
            actions = draw_actions(probabilities * estimates.plausible, self._generator)
            transitions = self._transitions(rows, actions, rewards.values)
        plausible = th.as_tensor(estimates.plausible, device=device)
        certainty = th.as_tensor(estimates.certainty, dtype=th.float32, device=device)
        samples = Samples(rows.indices, plausible, certainty, outcome_certainty)
        parts = [slice(start, start + self.batch_size) for start in range(0, size, self.batch_size)]
        return [Sampled(_part(samples, part), _part(transitions, part)) for part in parts] * self.n_uses

    def _transitions(self, rows: ExpertRows, actions: np.ndarray, rewards: np.ndarray) -> Transitions:
        buffer, env = self.host.replay_buffer, self.host._vec_normalize_env
        paid, dones = buffer.expert_outcomes(rows.indices, rewards, env)
        taken = th.as_tensor(actions, device=paid.device).unsqueeze(1)
        discounts = th.full_like(paid, self.host.gamma)
        return Transitions(rows.observations, taken, rows.next_observations, dones, paid, discounts)


def _part(values: Any, part: slice) -> Any:
    if isinstance(values, (Transitions, Samples)):
        return type(values)(*(_part(field, part) for field in values))
    # tensors have rows as arrays do
    return take(values, part)
