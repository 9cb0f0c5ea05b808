"""
JSRL: jump-start reinforcement learning (Uchendu et al. 2022, arXiv 2204.02372), with a guide that BCO makes.

A guide acts for the first h steps of every episode, then the learner goes on; h shrinks as the learner copes, until no
guide is left. The learner is Stable-Baselines3's DQN.

Choices:

- The guide is the policy of BCO (``alpha = 0``), made from the first ``learning_starts`` steps, which are random as in DQN.
  It takes its most likely action.
- The learner learns from all transitions, the guide's included. Its exploration is DQN's.
- h starts at ``horizon``, by default the mean length of the expert's trajectories, and shrinks in ``n_stages`` equal parts
  down to 0. An episode keeps the h with which it began.
- The next stage comes when the mean return of the last ``window`` episodes of this stage is not worse than the best mean of
  the stages before, less ``tolerance`` times that mean's size. It is the training return, exploration included; the paper
  evaluates apart, which would cost steps that the other algorithms do not have.
- ``predict`` is the learner alone, without a guide.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn.baselines.actor import Actor
from sb3_diiqn.baselines.bco import CloningDQN
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert.given import ExpertData


@dataclass
class Curriculum:
    """
    How long the guide acts.

    :param horizon: steps of the guide in the first stage
    :param n_stages: stages until the guide is gone
    :param tolerance: fraction of the best mean return that may be lost
    :param window: episodes that a stage is judged by
    """

    horizon: int
    n_stages: int
    tolerance: float
    window: int
    stage: int = 0
    best: float | None = None
    returns: deque[float] = field(default_factory=deque)

    @property
    def guide_steps(self) -> int:
        """The steps h of the guide at the start of an episode; 0 after the last stage."""
        return -(-self.horizon * (self.n_stages - self.stage) // self.n_stages)

    def note_episode(self, guide_steps: int, episode_return: float) -> None:
        """
        Judge the stage by one more episode.

        :param guide_steps: how long the guide acted in it; an episode of another stage does not count
        :param episode_return: sum of its rewards
        """
        if self.stage == self.n_stages or guide_steps != self.guide_steps:
            return
        self.returns.append(episode_return)
        if len(self.returns) > self.window:
            self.returns.popleft()
        if len(self.returns) < self.window:
            return
        mean = float(np.mean(self.returns))
        if self.best is None or mean >= self.best - self.tolerance * abs(self.best):
            self.best = mean if self.best is None else max(self.best, mean)
            self.stage += 1
            self.returns.clear()


class JSRL(CloningDQN):
    """
    DQN whose episodes are begun by a guide. See the module's text for the choices.

    :param updates: gradient steps for the guide's inverse model, and then for the guide
    :param horizon: steps of the guide in the first stage; None: the mean length of the expert's trajectories
    :param n_stages: stages until the guide is gone
    :param tolerance: fraction of the best mean return that a stage may lose
    :param window: episodes that a stage is judged by
    :raises ConfigurationError: if one of them is out of range, or ``learning_starts`` is below 1
    """

    networks = ("inverse_dynamics", "guide")

    guide: Actor

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: GymEnv | str | None,
        expert_data: ExpertData = None,
        *,
        updates: int = 5000,
        horizon: int | None = None,
        n_stages: int = 10,
        tolerance: float = 0.1,
        window: int = 10,
        _init_setup_model: bool = True,
        **dqn_settings: Any,
    ) -> None:
        for name, value in (("horizon", horizon), ("n_stages", n_stages), ("window", window)):
            if value is not None and value < 1:
                raise ConfigurationError(f"{name}={value}: expected at least 1")
        if tolerance < 0:
            raise ConfigurationError(f"tolerance={tolerance}: expected a share, 0 or more")
        super().__init__(policy, env, expert_data, updates=updates, _init_setup_model=False, **dqn_settings)
        self.horizon, self.n_stages, self.tolerance, self.window = horizon, n_stages, tolerance, window
        self.curriculum: Curriculum | None = None
        self._has_guide = False
        if _init_setup_model:
            self._setup_model()

    def _make_networks(self) -> None:
        super()._make_networks()
        self.guide = Actor.beside(self.policy, self.lr_schedule(1), self.max_grad_norm)
        if self.curriculum is None:
            expert = self._present_expert
            horizon = self.horizon or -(-expert.n_transitions // expert.n_trajectories)
            self.curriculum = Curriculum(horizon, self.n_stages, self.tolerance, self.window)
        self._begin_anew()

    def _begin_anew(self) -> None:
        super()._begin_anew()
        self._steps = np.zeros(self.n_envs, dtype=np.int64)
        self._returns = np.zeros(self.n_envs)
        # an episode that began before there was a guide goes on without one
        guide_steps = self.curriculum.guide_steps if self._has_guide and self.curriculum is not None else 0
        self._guide_steps = np.full(self.n_envs, guide_steps, dtype=np.int64)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Make the guide, the first time; then as DQN."""
        if not self._has_guide:
            self._clone_expert(self.guide, batch_size)
            self._has_guide = True
        super().train(gradient_steps, batch_size)

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        actions, _ = super()._sample_action(learning_starts, action_noise, n_envs)
        is_guided = self._steps < self._guide_steps
        if is_guided.any() and self._last_obs is not None:
            actions = np.where(is_guided, self.guide.act(self._last_obs, deterministic=True), actions)
        return actions, actions

    def _store_transition(
        self, replay_buffer: Any, buffer_action: Any, new_obs: Any, reward: Any, dones: Any, infos: Any
    ) -> None:
        super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)
        self._steps += 1
        self._returns += reward
        for env in np.flatnonzero(dones):
            self._end_episode(int(env))

    def _end_episode(self, env: int) -> None:
        if self._has_guide and self.curriculum is not None:
            self.curriculum.note_episode(int(self._guide_steps[env]), float(self._returns[env]))
            self._guide_steps[env] = self.curriculum.guide_steps
            self.logger.record("rollout/guide_steps", self.curriculum.guide_steps)
        self._steps[env] = self._returns[env] = 0
