"""DQN with expert data at hand: what the baselines that are built from DQN's parts have in common."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch as th
from stable_baselines3 import DQN
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn.baselines.actor import Actor
from sb3_diiqn.common.prepared_learning import PreparedLearning
from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.exceptions import ConfigurationError, MissingExpertDataError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.given import ExpertData, load_expert
from sb3_diiqn.imitation.buffers import to_tensors


class ExpertDQN(PreparedLearning, DQN):
    """
    Base class. What a subclass adds to the networks goes into :meth:`_make_networks`, what it learns into ``train``.

    :param policy: as in DQN
    :param env: environment with discrete actions
    :param expert_data: recordings of the expert, or a path to a file of them. Saving leaves them out; a loaded model predicts
        without them.
    :param dqn_settings: DQN's further arguments
    :raises MissingExpertDataError: if there are no expert data
    :raises ExpertDataError: if they are damaged or do not fit the environment
    """

    #: names of the attributes with an auxiliary network; each has an ``optimizer``
    networks: ClassVar[tuple[str, ...]] = ()

    #: acts instead of the Q-network, in the baselines that learn a policy
    actor: Actor | None = None  # type: ignore[assignment]
    expert: ExpertObservations | None
    replay_buffer: Any

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: GymEnv | str | None,
        expert_data: ExpertData = None,
        *,
        _init_setup_model: bool = True,
        **dqn_settings: Any,
    ) -> None:
        if dqn_settings.get("n_steps", 1) != 1:
            raise ConfigurationError(
                f"n_steps={dqn_settings['n_steps']}: {type(self).__name__} learns from single steps, use 1"
            )
        super().__init__(policy, env, _init_setup_model=False, **dqn_settings)  # type: ignore[arg-type]
        self.expert_data = expert_data
        self._is_set_up = False
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        if self.expert_data is None and not self._is_set_up:
            raise MissingExpertDataError(f"{type(self).__name__} learns from an expert: pass expert_data=...")
        self.expert = None if self.expert_data is None else load_expert(self.expert_data).adapted_to(self.observation_space)
        super()._setup_model()
        self._expert_generator = np.random.default_rng(None if self.seed is None else [self.seed, 1])
        self._make_networks()
        self._is_set_up = True

    def _make_networks(self) -> None:
        """Make the auxiliary networks, and whatever else needs the expert data."""

    def _begin_anew(self) -> None:
        """Prepare for a training that counts its steps from 0, with new episodes."""

    def _prepare_to_learn(self, reset_num_timesteps: bool) -> None:
        if self.expert is None:
            raise MissingExpertDataError("the model was loaded without expert data: load(path, env=env, expert_data=...)")
        if reset_num_timesteps:
            self._begin_anew()

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Choose actions; as in DQN, except that an actor's actions are drawn from its distribution."""
        if self.actor is None:
            return super().predict(observation, state, episode_start, deterministic)
        return self.actor.act(observation, deterministic), state

    # --- what the subclasses learn from -----------------------------------------------------------------------------

    def _draw_expert(self, n: int) -> np.ndarray:
        """Sample n expert transitions uniformly, with replacement."""
        return self._expert_generator.integers(len(self._present_expert), size=n)

    def _expert_tensors(self, indices: Any) -> tuple[TensorObservations, TensorObservations]:
        """Return s and s' of expert transitions as the networks have them."""
        expert = self._present_expert
        return self._to_tensors(expert.current(indices)), self._to_tensors(expert.next(indices))

    @property
    def _present_expert(self) -> ExpertObservations:
        if self.expert is None:
            raise MissingExpertDataError("there are no expert data")
        return self.expert

    def _to_tensors(self, observations: Any) -> TensorObservations:
        return to_tensors(self.replay_buffer, observations, self._vec_normalize_env)

    def _minimize(self, loss: th.Tensor) -> float:
        """Make one step of gradient descent of the Q-network, and return the loss."""
        self.policy.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        th.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        return float(loss.item())

    def _n_actions(self) -> int:
        return int(self.action_space.n)  # type: ignore[attr-defined]

    # --- saving -----------------------------------------------------------------------------------------------------

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "expert_data", "expert", "_expert_generator", "actor", *self.networks]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        state_dicts, tensors = super()._get_torch_save_params()
        own = [name for network in self.networks for name in (network, f"{network}.optimizer")]
        return [*state_dicts, *own], tensors
