"""Replay buffers that match the agent's transitions with the expert's."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch as th
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from sb3_diiqn.common.batch import Matches
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError
from sb3_diiqn.expert import Observations
from sb3_diiqn.inference import NO_MATCH, AgentTransitions, ExpertKnowledge

ExpertRewards = Literal["auto", "inferred", "recorded", "none"]

if TYPE_CHECKING:
    from stable_baselines3.common.buffers import ReplayBuffer as _Buffer
else:
    _Buffer = object

# making a generator takes longer than drawing a batch from it
_TWIN = np.random.RandomState(0)


class ExpertSamples(NamedTuple):
    """Expert transitions of a batch: those whose confidence can be above zero, n <= batch size."""

    rows: np.ndarray
    """The row of the batch that each belongs to, shape (n,)."""
    indices: np.ndarray
    """Which expert transition each is, shape (n,)."""
    observations: TensorObservations
    """s_e, shape (n, ``*observation_shape``)."""
    actions: th.Tensor
    """a_e, shape (n, 1)."""
    next_observations: TensorObservations
    """s'_e, shape (n, ``*observation_shape``)."""
    dones: th.Tensor
    """Shape (n, 1)."""
    rewards: th.Tensor
    """Shape (n, 1)."""
    steps: th.Tensor
    """How many steps of the agent lie between s_e and s'_e, shape (n, 1)."""

    @property
    def matches(self) -> Matches:
        """Which they are, and which of the agent's they were matched with."""
        return Matches(self.rows, self.indices)


class ImitationSamples(NamedTuple):
    """A batch for one update."""

    agent: ReplayBufferSamples | DictReplayBufferSamples
    """The agent's transitions, as Stable-Baselines3 samples them."""
    expert: ExpertSamples
    """The expert's transitions that some of them were matched with."""


def to_tensors(buffer: Any, observations: Observations, env: VecNormalize | None) -> TensorObservations:
    """
    Turn observations into what the networks are given for those of a replay buffer.

    :param buffer: the replay buffer
    :param observations: as the buffer stores them
    :param env: to normalise observations
    """
    normalized = buffer._normalize_obs(observations, env)
    if isinstance(normalized, dict):
        return {key: buffer.to_torch(array) for key, array in normalized.items()}
    tensor: th.Tensor = buffer.to_torch(normalized)
    return tensor


class ExpertMatchingMixin(_Buffer):
    """
    Makes a replay buffer of Stable-Baselines3 hold expert observation transitions. Put it before the buffer class.

    The paper stores the tuple <s_a, a_a, s'_a, r, s_e, a_e, s'_e>; here the second half is one index, which is smaller, and
    the action looked up when a batch is drawn is the newest inference.

    :param knowledge: expert data and what has been learned about it
    :param expert_rewards: ``"recorded"``: a matched expert transition has the reward in the expert data; else the one that the
        agent itself got on the transition from which the action was inferred
    """

    # a long rollout is matched in portions, which bounds the memory for comparing
    max_pending = 256
    # so many stored ones are compared anew at once
    matched_again_at_once = 1024

    knowledge: ExpertKnowledge
    expert_rewards: ExpertRewards

    def __init__(self, *args: Any, knowledge: ExpertKnowledge, expert_rewards: ExpertRewards = "none", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.knowledge = knowledge
        self.expert_rewards = expert_rewards
        #: index of the expert transition that each stored transition was matched with, shape (buffer_size, n_envs)
        self.expert_indices = np.full((self.buffer_size, self.n_envs), NO_MATCH, dtype=np.int32)
        #: whether the action of each stored transition was the guide's, shape (buffer_size, n_envs)
        self.guided = np.zeros((self.buffer_size, self.n_envs), dtype=bool)
        self._n_pending = 0
        self._drawn = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))

    def add(self, *args: Any, **kwargs: Any) -> None:
        """Store a transition of each environment; matching follows in batches, see :meth:`match_pending`."""
        self.guided[self.pos] = False  # of what was stored there before
        super().add(*args, **kwargs)
        self._n_pending += 1
        if self._n_pending * self.n_envs >= self.max_pending or self._n_pending == self.buffer_size:
            self.match_pending()

    def note_guided(self, guided: np.ndarray) -> None:
        """
        Note which actions of the transitions that were stored last were the guide's.

        :param guided: shape (n_envs,), bool
        """
        self.guided[self.pos - 1] = guided

    def match_pending(self, at_least: int = 1) -> None:
        """
        Compare the transitions stored since the last time with the expert's.

        :param at_least: leave it for later if there are fewer
        """
        if self._n_pending * self.n_envs < max(at_least, 1):
            return
        steps = np.arange(self.pos - self._n_pending, self.pos) % self.buffer_size
        self._n_pending = 0
        self._match(steps)

    def match_again(self) -> None:
        """Compare all stored transitions anew, the oldest first: the knowledge has come to compare by another distance."""
        n_stored = self.size()
        steps = np.arange(self.pos - n_stored, self.pos) % self.buffer_size
        self._n_pending = 0
        portion = max(self.matched_again_at_once // self.n_envs, 1)
        for start in range(0, n_stored, portion):
            self._match(steps[start : start + portion])

    def reset(self) -> None:
        """Empty the buffer; what was learned about the expert stays."""
        super().reset()
        self.expert_indices[:] = NO_MATCH
        self.guided[:] = False
        self._n_pending = 0

    def for_file(self) -> ExpertMatchingMixin:
        """Return a shallow copy with what was learned about the expert, but without the expert data."""
        lean = copy.copy(self)
        lean.knowledge = self.knowledge.for_file()
        return lean

    def sample_with_expert(self, batch_size: int, env: VecNormalize | None = None) -> ImitationSamples:
        """
        Draw transitions exactly as the host class does, and the expert transitions that they were matched with.

        :param batch_size: number of agent transitions
        :param env: to normalise observations and rewards
        """
        agent = self.sample(batch_size, env=env)
        # how many steps ago each was stored
        age = (self.pos - 1 - self._drawn[0]) % self.buffer_size
        if age.min() < self._n_pending:
            self.match_pending()
        return ImitationSamples(agent, self._expert_samples(*self._drawn, env))

    def draw_steps(self, size: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """
        Draw stored transitions with a generator that is not the host's.

        :param size: how many
        :param generator: what to draw with
        :return: where they are stored, and of which environments they are, each shape (size,)
        """
        return generator.integers(self.size(), size=size), generator.integers(self.n_envs, size=size)

    def single_steps(
        self, steps: np.ndarray, envs: np.ndarray, env: VecNormalize | None
    ) -> tuple[TensorObservations, th.Tensor, TensorObservations]:
        """
        Return stored transitions as the networks have them.

        :param steps: where they are stored, shape (n,)
        :param envs: of which environments they are, shape (n,)
        :param env: to normalise observations
        :return: observations, actions of shape (n, 1), next observations
        """

        def stored(arrays: Any) -> TensorObservations:
            if isinstance(arrays, dict):
                return self._to_tensors({key: array[steps, envs] for key, array in arrays.items()}, env)
            return self._to_tensors(arrays[steps, envs], env)

        actions = self.to_torch(self.actions[steps, envs]).long()
        return stored(self.observations), actions, stored(self.next_observations)

    def outcomes_of(self, steps: np.ndarray, envs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return rewards of stored transitions, not normalised, and whether they ended an episode, each shape (n,).

        :param steps: where they are stored, shape (n,)
        :param envs: of which environments they are, shape (n,)
        """
        return self.rewards[steps, envs], self.dones[steps, envs] * (1 - self.timeouts[steps, envs])

    def drawn_guided(self) -> th.Tensor:
        """Tell which actions of the last drawn transitions were the guide's, shape (n,), bool."""
        return self.to_torch(self.guided[self._drawn])

    def expert_tensors(
        self, indices: np.ndarray, env: VecNormalize | None = None
    ) -> tuple[TensorObservations, TensorObservations]:
        """
        Return s_e and s'_e of expert transitions as the networks have them.

        :param indices: expert transitions, shape (n,)
        :param env: to normalise observations
        """
        expert = self.knowledge.expert
        return self._to_tensors(expert.current(indices), env), self._to_tensors(expert.next(indices), env)

    def expert_outcomes(
        self, indices: np.ndarray, rewards: np.ndarray, env: VecNormalize | None
    ) -> tuple[th.Tensor, th.Tensor]:
        """
        Return rewards of expert transitions as the networks have them, and whether they really ended an episode.

        :param indices: expert transitions, shape (n,)
        :param rewards: not normalised, shape (n,)
        :param env: to normalise rewards
        :return: both of shape (n, 1)
        """
        dones = self.knowledge.expert.terminals[indices].astype(np.float32)
        return self._column(self._normalize_reward(rewards, env)), self._column(dones)

    def matched_share(self) -> float:
        """Fraction of the stored transitions that were matched with an expert transition."""
        n_stored = self.size()
        return float((self.expert_indices[:n_stored] != NO_MATCH).mean()) if n_stored else 0.0

    def _get_samples(self, batch_inds: np.ndarray, env: VecNormalize | None = None) -> Any:
        self._drawn = (batch_inds, self._environments_to_be_drawn(len(batch_inds)))
        return super()._get_samples(batch_inds, env=env)

    def _environments_to_be_drawn(self, n_samples: int) -> np.ndarray:
        """Foresee the environments that the host will draw and not tell, with a copy of its generator."""
        if self.n_envs == 1:
            return np.zeros(n_samples, dtype=np.int64)
        _TWIN.set_state(np.random.get_state())  # noqa: NPY002 - it is the host's generator
        return _TWIN.randint(0, high=self.n_envs, size=(n_samples,))

    def _expert_samples(self, steps: np.ndarray, envs: np.ndarray, env: VecNormalize | None) -> ExpertSamples:
        indices = self.expert_indices[steps, envs].astype(np.int64)
        rows = np.flatnonzero(self.knowledge.usable(indices))
        indices = indices[rows]
        expert = self.knowledge.transitions(indices)
        rewards, dones = expert.rewards, expert.terminals
        if self.expert_rewards == "recorded":
            recorded: Any = self.knowledge.expert
            # a bridge has its own
            bridged = self.knowledge.bridged(indices)
            rewards = np.where(bridged, rewards, recorded.rewards[indices])
            dones = np.where(bridged, dones, recorded.terminals[indices])
        return ExpertSamples(
            rows,
            indices,
            self._to_tensors(expert.observations, env),
            self._column(expert.actions),
            self._to_tensors(expert.next_observations, env),
            self._column(dones),
            self._column(self._normalize_reward(rewards, env)),
            self._column(expert.steps),
        )

    def _match(self, steps: np.ndarray) -> None:
        matches = self.knowledge.observe(self._agent_transitions(steps))
        self.expert_indices[steps] = matches.reshape(len(steps), self.n_envs)

    def _agent_transitions(self, steps: np.ndarray) -> AgentTransitions:
        def flat(array: np.ndarray) -> np.ndarray:
            return np.asarray(array[steps].reshape(-1, *array.shape[2:]))

        def flat_observations(arrays: Any) -> Observations:
            return {key: flat(array) for key, array in arrays.items()} if isinstance(arrays, dict) else flat(arrays)

        dones, timeouts = flat(self.dones), flat(self.timeouts)
        return AgentTransitions(
            flat_observations(self.observations),
            flat_observations(self.next_observations),
            flat(self.actions)[:, 0],
            flat(self.rewards),
            dones * (1 - timeouts),
            dones,
        )

    def _to_tensors(self, observations: Observations, env: VecNormalize | None) -> TensorObservations:
        return to_tensors(self, observations, env)

    def _column(self, values: np.ndarray) -> th.Tensor:
        return self.to_torch(values.reshape(-1, 1))


class ExpertReplayBuffer(ExpertMatchingMixin, ReplayBuffer):
    """Replay buffer with expert observation transitions, see :class:`ExpertMatchingMixin`."""


class ExpertDictReplayBuffer(ExpertMatchingMixin, DictReplayBuffer):
    """Replay buffer for Dict observations with expert observation transitions, see :class:`ExpertMatchingMixin`."""


#: The buffer with expert transitions for each replay buffer class of Stable-Baselines3.
EXPERT_BUFFERS: dict[type[ReplayBuffer] | None, type[ReplayBuffer]] = {
    ReplayBuffer: ExpertReplayBuffer,
    DictReplayBuffer: ExpertDictReplayBuffer,
}

if NStepReplayBuffer is not None:

    class ExpertNStepReplayBuffer(ExpertMatchingMixin, NStepReplayBuffer):  # type: ignore[misc, valid-type]
        """
        Replay buffer for n-step returns with expert observation transitions, see :class:`ExpertMatchingMixin`.

        The agent's half of a batch has n-step returns; the expert's is one step.
        """

    EXPERT_BUFFERS[NStepReplayBuffer] = ExpertNStepReplayBuffer


def complete_restored(buffer: Any, knowledge: ExpertKnowledge | None, n_envs: int, expert_rewards: ExpertRewards) -> None:
    """
    Complete a replay buffer that was loaded, or made by another model, by what a model has: expert data, settings, searches.

    :param buffer: the replay buffer
    :param knowledge: the model's own, None without expert data
    :param n_envs: the model's number of environments
    :param expert_rewards: see :class:`ExpertMatchingMixin`
    :raises ConfigurationError: if it has another number of environments
    :raises ExpertDataError: if it is of other expert data, or one of the two has none
    """
    if knowledge is None:
        raise ExpertDataError("the replay buffer was saved with expert data: give the model the same, expert_data=...")
    if not isinstance(buffer, ExpertMatchingMixin):
        raise ExpertDataError("the replay buffer was saved without expert data: load it into a model without, too")
    if buffer.n_envs != n_envs:
        raise ConfigurationError(
            f"the replay buffer was saved with n_envs={buffer.n_envs}, but the model has n_envs={n_envs}: give the model "
            f"{buffer.n_envs} environments, or start with an empty replay buffer"
        )
    comparable = knowledge.compares_like(buffer.knowledge)
    knowledge.adopt(buffer.knowledge)
    # the learner holds on to the model's own
    buffer.knowledge, buffer.expert_rewards = knowledge, expert_rewards
    if not comparable:
        buffer.match_again()
