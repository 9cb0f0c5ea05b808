"""Deep implicit imitation Q-network (DIIQN)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch as th
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn.common.batch import Batch, TDOutput
from sb3_diiqn.common.compatibility import DEFAULT_LEARNING_STARTS, n_steps_argument
from sb3_diiqn.common.export import as_host
from sb3_diiqn.expert.given import ExpertData
from sb3_diiqn.imitation.buffers import ExpertRewards
from sb3_diiqn.imitation.config import GuideChoice, ImitationLoss, Inference
from sb3_diiqn.imitation.host import ImplicitImitation
from sb3_diiqn.losses.large_margin import Margin


class DIIQN(ImplicitImitation, DQN):
    """
    Deep Implicit Imitation Q-Network: DQN that learns from observation-only demonstrations.

    Paper: https://arxiv.org/abs/2511.03616. Which action the expert took is inferred from the agent's own transitions. A guide
    that knows these actions plays some of the episodes, the agent imitates them, and every update weighs matching expert
    transitions against the agent's by a confidence. All of it fades as the agent passes the expert. Without expert data it is
    Stable-Baselines3's DQN, to the bit. The published method is ``DIIQN(..., **PAPER)``.

    All arguments of :class:`stable_baselines3.DQN` keep their names and meaning. The others:

    :param expert_data: observation-only demonstrations: an :class:`~sb3_diiqn.ExpertObservations`, the path of a file or
        folder that its ``load`` reads, a list of these, or None
    :param inference: how the expert's actions are inferred: ``"nearest"``, from the nearest of the agent's transitions as in
        the paper; ``"inverse_dynamics"``, by a network that learns from the agent's transitions which action leads from one
        observation to the next; or a class that takes a :class:`~sb3_diiqn.imitation.context.Context` and is an
        :class:`~sb3_diiqn.imitation.action_inference.ActionInference`. ``"auto"``: the nearest where the expert came to few
        states again and again, as in a maze, else the network
    :param guide: who chooses the actions of guided steps: ``"matching"``, the expert transitions that match the agent's state;
        ``"clone"``, a policy that learns to act as the expert; ``"both"``, the clone where it is certain or nothing matches;
        ``"none"``, as in the paper; or a class that takes a ``Context`` and is a :class:`~sb3_diiqn.guides.Guide`.
        ``"auto"``: matching where the expert's states repeat, else both
    :param guide_fraction: fraction of the episodes that the guide plays at the beginning, in [0, 1). It falls linearly to 0
        over the training, and sooner where these episodes return less than the agent's own
    :param imitation_loss: ``"large_margin"``, which lets the inferred actions be valued above the others; or a class that
        takes a ``Context`` and a :class:`~sb3_diiqn.losses.FadingWeight`, and is an :class:`~sb3_diiqn.losses.ExpertLoss`
    :param imitation_coef: weight of that loss at the beginning; 0 as in the paper. It falls linearly to 0 over half of the
        training, sooner where guide episodes return less than the agent's own, and later where they clearly return more
    :param margin: by how much the expert's action is to be valued above the others, in units of the reward; or ``"auto"``:
        twice the mean temporal-difference error, or the standard deviation of the agent's rewards if that is larger; it also
        scales the weight, so that the unit of the reward does not matter
    :param expert_rewards: ``"inferred"``: a network learns from the agent's transitions what the expert's would have paid, and
        values are learned from all of them, each weighted by how certain that is; ``"recorded"``: the same with the rewards in
        the expert data; ``"none"``: as in the paper, from those alone that match, with the reward that the agent saw.
        ``"auto"``: none where the expert's states repeat, and matches know the reward, else inferred
    :param matching_kwargs: how states are compared and matches trusted, the fields of
        :class:`~sb3_diiqn.inference.InferenceSettings`: ``similarity_metric`` ("auto"), ``similarity_threshold`` (0.97, tau of
        the paper), ``n_neighbors`` (5, k), ``usefulness_beta`` (1, beta), ``max_training_count`` (150 000, c_max), and
        ``max_inference_error`` (err_max; 0.03, and 0.0001, which is equal but for rounding, where a network knows better)
    :raises ConfigurationError: if an argument is out of range or does not go together with another
    :raises ExpertDataError: if the expert data is damaged or does not fit the environment
    """

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: GymEnv | str | None,
        learning_rate: float | Schedule = 1e-4,
        buffer_size: int = 1_000_000,
        learning_starts: int = DEFAULT_LEARNING_STARTS,
        batch_size: int = 32,
        tau: float = 1.0,
        gamma: float = 0.99,
        train_freq: int | tuple[int, str] = 4,
        gradient_steps: int = 1,
        replay_buffer_class: type[ReplayBuffer] | None = None,
        replay_buffer_kwargs: dict[str, Any] | None = None,
        optimize_memory_usage: bool = False,
        n_steps: int = 1,
        target_update_interval: int = 10000,
        exploration_fraction: float = 0.1,
        exploration_initial_eps: float = 1.0,
        exploration_final_eps: float = 0.05,
        max_grad_norm: float = 10,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
        _init_setup_model: bool = True,
        *,
        expert_data: ExpertData = None,
        inference: Inference = "auto",
        guide: GuideChoice = "auto",
        guide_fraction: float = 0.8,
        imitation_loss: ImitationLoss = "large_margin",
        imitation_coef: float = 1.0,
        margin: Margin = "auto",
        expert_rewards: ExpertRewards = "auto",
        matching_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            policy,
            env,  # type: ignore[arg-type]
            learning_rate=learning_rate,
            buffer_size=buffer_size,
            learning_starts=learning_starts,
            batch_size=batch_size,
            tau=tau,
            gamma=gamma,
            train_freq=train_freq,
            gradient_steps=gradient_steps,
            replay_buffer_class=replay_buffer_class,
            # Stable-Baselines3 writes into the caller's dictionary
            replay_buffer_kwargs=None if replay_buffer_kwargs is None else dict(replay_buffer_kwargs),
            optimize_memory_usage=optimize_memory_usage,
            target_update_interval=target_update_interval,
            exploration_fraction=exploration_fraction,
            exploration_initial_eps=exploration_initial_eps,
            exploration_final_eps=exploration_final_eps,
            max_grad_norm=max_grad_norm,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
            **n_steps_argument(n_steps),
        )
        self._set_imitation_arguments(
            expert_data,
            inference=inference,
            guide=guide,
            guide_fraction=guide_fraction,
            imitation_loss=imitation_loss,
            imitation_coef=imitation_coef,
            margin=margin,
            expert_rewards=expert_rewards,
            matching_kwargs=matching_kwargs,
        )
        if _init_setup_model:
            self._setup_model()

    def to_dqn(self) -> DQN:
        """
        Make a plain DQN of Stable-Baselines3 with the same weights, which neither needs this package nor expert data.

        It can be saved, loaded, asked for predictions, and goes on learning as DQN: with the optimizer's state, the number of
        steps and the exploration rate of this model, its arguments, and an empty replay buffer. It has no environment yet, see
        ``set_env``.

        :return: the model, on the same device; this one stays as it is
        """
        with self._averaging():
            return as_host(self, DQN)

    def td_losses(self, batch: Batch) -> TDOutput:
        """
        Compute Q-values and DQN's loss of each transition.

        :param batch: n transitions with m observations
        """
        with th.no_grad():
            next_values = batch.at_ends(self.q_net_target(batch.next_observations).max(dim=1, keepdim=True).values)
            next_values = next_values.clamp(max=batch.largest_value)
            targets = batch.rewards + (1 - batch.dones) * batch.discounts * next_values
        q_values = self.q_net(batch.observations)
        values = batch.at_starts(q_values).gather(1, batch.actions)
        losses = th.nn.functional.smooth_l1_loss(values, targets, reduction="none").squeeze(1)
        return TDOutput(q_values, losses, (values.detach() - targets).abs().squeeze(1))
