"""
DQN that acts greedily in a share of its episodes, and learns nothing from an expert.

Guided DIIQN does so, too, and an episode without exploration returns more. What of its training return comes from that alone,
and what from learning better on longer episodes, this control tells. All else is Stable-Baselines3's DQN. It explores with the
exploration rate in the other episodes, and everywhere until ``learning_starts``. Unlike guided DIIQN's, its greedy
episodes do not stop where a time limit cuts episodes, see :class:`~sb3_diiqn.exploration.selection.GuideEpisodes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3 import DQN
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn.exploration import ComparedReturns, GuideEpisodes
from sb3_diiqn.inference.settings import is_in, require


class GreedyEpisodesDQN(DQN):
    """
    DQN with greedy episodes. See the module's text.

    :param greedy_episodes: share of the episodes in which it acts greedily, in [0, 1)
    :raises ConfigurationError: if that is out of range
    """

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: GymEnv | str | None,
        *,
        greedy_episodes: float = 0.5,
        _init_setup_model: bool = True,
        **dqn_settings: Any,
    ) -> None:
        fraction = is_in(greedy_episodes, 0, 1) and greedy_episodes < 1
        require(fraction, "greedy_episodes", greedy_episodes, "at least 0 and below 1: it must explore, too")
        super().__init__(policy, env, _init_setup_model=False, **dqn_settings)  # type: ignore[arg-type]
        self.greedy_episodes = greedy_episodes
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        super()._setup_model()
        # a guide that never plays
        self._episodes = GuideEpisodes(0.0, ComparedReturns(), self.n_envs, self.seed, self.greedy_episodes)
        self._starts = np.ones(self.n_envs, dtype=bool)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> Any:
        prepared = super()._setup_learn(*args, **kwargs)
        if self.num_timesteps == 0:
            self._starts = np.ones(self.n_envs, dtype=bool)
        return prepared

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        actions, _ = super()._sample_action(learning_starts, action_noise, n_envs)
        self._episodes.begin(self._starts, self._current_progress_remaining)
        if self._episodes.greedy.any() and self.num_timesteps >= learning_starts and self._last_obs is not None:
            greedy, _ = self.policy.predict(self._last_obs, deterministic=True)
            actions = np.where(self._episodes.greedy, greedy, actions)
        return actions, actions

    def _store_transition(
        self, replay_buffer: Any, buffer_action: Any, new_obs: Any, reward: Any, dones: Any, infos: Any
    ) -> None:
        super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)
        self._starts = np.asarray(dones, dtype=bool)
