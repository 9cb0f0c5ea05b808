"""
GAIfO: generative adversarial imitation from observation (Torabi et al. 2018, arXiv 1807.06158). It sees no reward.

A discriminator tells the expert's pairs (s, s') from the agent's; the agent is rewarded for pairs that look like the
expert's. It is ``imitation``'s GAIL, with a discriminator that sees neither actions nor ends of episodes, and PPO as the
learner.

Choices:

- ``imitation`` 1.0.1 needs Stable-Baselines3 2.2 and Gymnasium 0.29, so this baseline exists only beside these.
- The expert's actions, which GAIL wants to have and this discriminator does not see, are 0.
- Episodes may have any length (``allow_variable_horizon``). GAIL's reward is positive, so longer episodes are worth more,
  whatever the task; where an early end is the goal, as in MountainCar, that is a handicap.
- The discriminator is ``imitation``'s fully connected network (32, 32) on flattened observations; float observations are
  normalised by their running mean and deviation. It makes ``discriminator_updates`` steps after each of PPO's rollouts, of
  ``discriminator_batch_size`` expert pairs and as many of the last rollout's.
- All other arguments are PPO's. It is on-policy: a training ends with a whole rollout, up to ``n_steps * n_envs - 1`` steps
  late.
- In a suite it does not share the environment's settings, which are DQN's; its policy is ``MlpPolicy`` unless it has
  another.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback

from sb3_diiqn.exceptions import ConfigurationError, MissingDependencyError, MissingExpertDataError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.given import ExpertData, load_expert

SelfGAIfO = TypeVar("SelfGAIfO", bound="GAIfO")


class GAIfO(PPO):
    """
    PPO with a reward from a discriminator of pairs of observations. See the module's text for the choices.

    :param policy: as in PPO
    :param env: environment with discrete actions
    :param expert_data: recordings of the expert, or a path to a file of them. Saving leaves them out; a loaded model predicts
        without them, and goes on learning with a new discriminator.
    :param discriminator_updates: the discriminator's steps per rollout
    :param discriminator_batch_size: expert pairs per step, and as many of the agent's
    :param ppo_settings: PPO's further arguments
    :raises MissingDependencyError: if ``imitation`` is not installed
    :raises MissingExpertDataError: if there are no expert data
    :raises ExpertDataError: if they are damaged or do not fit the environment
    :raises ConfigurationError: if an argument is out of range, or the observations are dictionaries
    """

    expert: ExpertObservations | None = None

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: GymEnv | str | None,
        expert_data: ExpertData = None,
        *,
        discriminator_updates: int = 8,
        discriminator_batch_size: int = 256,
        _init_setup_model: bool = True,
        **ppo_settings: Any,
    ) -> None:
        _require_imitation()
        for name, value in (("updates", discriminator_updates), ("batch_size", discriminator_batch_size)):
            if value < 1:
                raise ConfigurationError(f"discriminator_{name}={value}: expected at least 1")
        super().__init__(policy, env, _init_setup_model=_init_setup_model, **ppo_settings)  # type: ignore[arg-type]
        self.expert_data = expert_data
        self.discriminator_updates = discriminator_updates
        self.discriminator_batch_size = discriminator_batch_size
        self._trainer: Any = None
        if _init_setup_model:
            self.expert = self._read_expert()

    def learn(
        self: SelfGAIfO,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "GAIfO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> SelfGAIfO:
        """Learn from the environment and the expert data. Takes PPO's arguments."""
        if self.expert is None:
            self.expert = self._read_expert()
        if self._trainer is None:
            self._trainer = self._make_trainer(self.expert)
        # of a training that was stopped within a rollout
        self._trainer.venv_buffering.pop_trajectories()
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    def train(self) -> None:
        """Update PPO with the discriminator's rewards, then the discriminator with the rollout."""
        from imitation.data.rollout import flatten_trajectories_with_rew  # noqa: PLC0415
        from imitation.util.networks import training  # noqa: PLC0415

        super().train()
        trajectories, _ = self._trainer.venv_buffering.pop_trajectories()
        self._trainer._gen_replay_buffer.store(flatten_trajectories_with_rew(trajectories))
        with training(self._trainer.reward_train):
            statistics = [self._trainer.train_disc() for _ in range(self.discriminator_updates)]
        for name in ("disc_loss", "disc_acc_expert", "disc_acc_gen"):
            self.logger.record(f"train/{name}", np.mean([entry[name] for entry in statistics]))

    def _read_expert(self) -> ExpertObservations:
        if self.expert_data is None:
            raise MissingExpertDataError("GAIfO learns from an expert: pass expert_data=...")
        if isinstance(self.observation_space, spaces.Dict):
            raise ConfigurationError(f"GAIfO does not work with Dict observations: {self.observation_space}")
        return load_expert(self.expert_data).adapted_to(self.observation_space)

    def _make_trainer(self, expert: ExpertObservations) -> Any:
        from imitation.algorithms.adversarial.gail import GAIL  # noqa: PLC0415
        from imitation.rewards.reward_nets import BasicRewardNet  # noqa: PLC0415
        from imitation.util.networks import RunningNorm  # noqa: PLC0415

        is_float = isinstance(self.observation_space, spaces.Box) and np.issubdtype(self.observation_space.dtype, np.floating)
        reward_net = BasicRewardNet(
            self.observation_space,
            self.action_space,
            use_action=False,
            use_next_state=True,
            normalize_input_layer=RunningNorm if is_float else None,
        )
        trainer = GAIL(
            demonstrations=_demonstrations(expert),
            demo_batch_size=min(self.discriminator_batch_size, len(expert)),
            venv=self.env,
            gen_algo=self,
            reward_net=reward_net,
            gen_replay_buffer_capacity=self.n_steps * self.n_envs,
            custom_logger=_SilentLogger(folder=None, output_formats=[]),
            allow_variable_horizon=True,
        )
        # the trainer has given this model its silent logger
        self._custom_logger = False
        return trainer

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "expert_data", "expert", "_trainer"]


class _SilentLogger(Logger):
    """What GAIL demands of a logger; its own kind makes folders of files."""

    def accumulate_means(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()

    def dump(self, step: int = 0) -> None:
        self.name_to_value.clear()


def _demonstrations(expert: ExpertObservations) -> Any:
    from imitation.data.types import Transitions  # noqa: PLC0415

    n = len(expert)
    every = slice(None)
    return Transitions(
        obs=expert.current(every),
        acts=np.zeros(n, dtype=np.int64),
        infos=np.array([{}] * n),
        next_obs=expert.next(every),
        dones=np.zeros(n, dtype=bool),
    )


def _require_imitation() -> None:
    try:
        import imitation.algorithms.adversarial.gail  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingDependencyError("imitation", "imitation") from error
