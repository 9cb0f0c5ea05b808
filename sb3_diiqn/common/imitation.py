"""Deep implicit imitation for an off-policy algorithm of Stable-Baselines3 with discrete actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.preprocessing import get_obs_shape
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, MaybeCallback, ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from sb3_diiqn.common.buffers import ExpertMatchingMixin, ExpertSamples, ImitationSamples, TensorObservations
from sb3_diiqn.common.callbacks import with_confidence_callback
from sb3_diiqn.common.compatibility import is_of_the_hosts
from sb3_diiqn.common.gradients import clip_gradients
from sb3_diiqn.common.learned_metric import LearnedMetric
from sb3_diiqn.common.prepared_learning import PreparedLearning
from sb3_diiqn.common.statistics import in_use
from sb3_diiqn.common.transitions import Batch, Learning, Transitions, batch_alone, batch_of, with_transitions
from sb3_diiqn.common.units import UnitsCheck, UnitsComparison
from sb3_diiqn.expert import Observations


class ImplicitImitation(LearnedMetric, PreparedLearning):
    """
    Mixin with the update and the behaviour of DIIQN. Put it before the algorithm class.

    The host class supplies :meth:`_element_wise_losses`.
    """

    # of the host
    exploration_rate: float
    learning_starts: int
    logger: Any
    max_grad_norm: Any
    num_timesteps: int
    policy: Any
    verbose: int
    _last_obs: Any
    _last_original_obs: Any
    _n_updates: int
    _vec_normalize_env: VecNormalize | None

    _units: UnitsCheck | None = None

    def _setup_model(self) -> None:
        super()._setup_model()
        self._units = None if self._expert is None else UnitsCheck(self._expert, self.observation_space)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_units"]

    # --- learning ---------------------------------------------------------------------------------------------------

    def _prepare_to_learn(self, reset_num_timesteps: bool) -> None:
        self._require_expert()
        if self._expert is not None and self.verbose >= 1:
            print(in_use(self))

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        if self._expert is not None:
            callback = with_confidence_callback(callback)
        return super()._init_callback(callback, progress_bar)  # type: ignore[misc, no-any-return]

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """
        Update the network, with every expert sample, if there are any, weighted by its confidence.

        :param gradient_steps: number of updates
        :param batch_size: number of agent transitions per update
        """
        if self._expert is None and not self.double_q:
            super().train(gradient_steps, batch_size)  # type: ignore[misc]
            return
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)  # type: ignore[attr-defined]
        update = self._update_alone if self._expert is None else self._update
        losses = [update(batch_size) for _ in range(gradient_steps)]
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", np.mean(losses))

    def _update(self, batch_size: int) -> float:
        """Make one update: Phi * L_e + (1 - Phi) * L_a for every agent transition of a batch ("Loss" in the paper)."""
        samples: ImitationSamples = self.replay_buffer.sample_with_expert(batch_size, env=self._vec_normalize_env)
        agent = self._agent_transitions(samples.agent)
        batch = batch_of(agent, self._expert_transitions(samples), samples.expert.rows)
        matched = batch.row[batch_size:]
        demonstration = self._draw_demonstration()
        further = None if demonstration is None else demonstration.observations
        if demonstration is not None and demonstration.recorded is not None:
            batch, further = with_transitions(batch, demonstration.recorded.transitions), None
        q_values, losses, errors = self._element_wise_losses(batch, further)
        weights = self._weights(samples.expert, q_values.detach()[matched], agent.actions)
        if demonstration is not None and demonstration.recorded is not None:
            weights = th.cat([weights, demonstration.recorded.weights])
        loss = (weights * losses).sum() / batch_size
        if demonstration is not None:
            loss = loss + self._demonstration_loss(
                demonstration, q_values[-len(demonstration.confidence) :], errors[:batch_size]
            )
            if self.imitate_guide:
                loss = loss + self._guide_loss(agent.actions, self.replay_buffer.drawn_guided(), q_values[:batch_size])
        self._optimize(loss)
        self._train_networks()
        return float(loss.item())

    def _update_alone(self, batch_size: int) -> float:
        """Make one update of the host with the targets of double Q-learning, without expert data."""
        samples = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
        loss = self._element_wise_losses(batch_alone(self._agent_transitions(samples))).losses.mean()
        self._optimize(loss)
        return float(loss.item())

    def _agent_transitions(self, agent: ReplayBufferSamples | DictReplayBufferSamples) -> Transitions:
        discounts = getattr(agent, "discounts", None)
        if discounts is None:
            discounts = th.full_like(agent.rewards, self.gamma)
        return Transitions(
            agent.observations, agent.actions.long(), agent.next_observations, agent.dones, agent.rewards, discounts
        )

    def _expert_transitions(self, samples: ImitationSamples) -> Transitions:
        expert = samples.expert
        discounts = th.full_like(expert.rewards, self.gamma) ** expert.steps
        return Transitions(
            expert.observations, expert.actions, expert.next_observations, expert.dones, expert.rewards, discounts
        )

    def _weights(self, expert: ExpertSamples, q_values: th.Tensor, agent_actions: th.Tensor) -> th.Tensor:
        """
        Compute how much each transition counts: Phi for the expert's, 1 - Phi for the agent's, 1 where it has none beside it.

        :param expert: the expert's transitions, n of them
        :param q_values: Q(s_e, .), shape (n, n_actions); no gradient flows through them
        :param agent_actions: a_a, shape (batch_size, 1)
        :return: shape (batch_size + n,)
        """
        phi = self._confidence(expert, q_values.cpu().numpy(), agent_actions.cpu().numpy())
        weights = np.ones(len(agent_actions) + len(phi), dtype=np.float32)
        weights[expert.rows] -= phi
        weights[len(agent_actions) :] = phi
        return th.as_tensor(weights, device=q_values.device)

    def _confidence(self, expert: ExpertSamples, values: np.ndarray, agent_actions: np.ndarray) -> np.ndarray:
        """Compute Phi for the expert samples, shape (n,)."""
        row = np.arange(len(expert.indices))
        expert_value = values[row, expert.actions[:, 0].cpu().numpy()]
        agent_value = values[row, agent_actions[expert.rows, 0]]
        confidence = self.replay_buffer.knowledge.confidence(expert.indices, expert_value, agent_value)
        self.replay_buffer.knowledge.count_training(expert.indices)
        self._confidence_statistics.add(confidence, len(agent_actions))
        return np.asarray(confidence.phi)

    def _element_wise_losses(self, batch: Batch, also: TensorObservations | None = None) -> Learning:
        """
        Compute the temporal-difference loss of each transition, to be supplied by the host.

        :param batch: n transitions with m observations
        :param also: further observations whose Q-values are wanted
        """
        raise NotImplementedError

    def _judged(self, network: Any, next_observations: TensorObservations) -> th.Tensor:
        """Let the network that learns say what it expects of the next observations, as it would when acting."""
        self.policy.set_training_mode(False)
        expected: th.Tensor = network(next_observations)
        self.policy.set_training_mode(True)
        return expected

    def _optimize(self, loss: th.Tensor) -> None:
        optimizer = self.policy.optimizer
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        # as zero_grad does, without the profiler's hooks
        for parameter in parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        clip_gradients(parameters, self.max_grad_norm)
        optimizer.step()

    # --- collecting -------------------------------------------------------------------------------------------------

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, BaseCallback]:
        # where the host resets the environments, in the middle of episodes
        if self._guidance is not None and (reset_num_timesteps or self._last_obs is None):
            self._guidance.restart()
        arguments = (total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)
        return super()._setup_learn(*arguments)  # type: ignore[misc, no-any-return]

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        if self._expert is None:
            return super()._sample_action(learning_starts, action_noise, n_envs)  # type: ignore[misc, no-any-return]
        warming_up = self.num_timesteps < learning_starts
        rate = 1.0 if warming_up else self.exploration_rate
        unguided = rate if self._guidance is None else self._guidance.remaining_exploration_rate(rate)
        explores = warming_up or np.random.rand() < unguided  # noqa: NPY002 - the host's generator
        actions = self._random_actions(n_envs) if explores else self._greedy_actions()
        if self._guidance is not None:
            remaining = self._current_progress_remaining
            actions = self._guidance.override(actions, self._current_observations(), rate, remaining)
            # those that do not explore are greedy already
            if explores and not warming_up and (greedy := self._guidance.greedy()).any():
                actions = np.where(greedy, self._greedy_actions(), actions)
        return actions, actions

    def _greedy_actions(self) -> np.ndarray:
        """Choose as the host does, but do not walk through all modules to turn training off, unless somebody chooses anew."""
        if not (is_of_the_hosts(type(self).predict) and is_of_the_hosts(type(self.policy).predict)):  # type: ignore[attr-defined]
            return np.asarray(self.predict(self._last_obs, deterministic=True)[0]).reshape(-1)  # type: ignore[attr-defined]
        if self.policy.training:
            self.policy.set_training_mode(False)
        with th.no_grad():
            observations, _ = self.policy.obs_to_tensor(self._last_obs)
            return np.asarray(self.policy._predict(observations, deterministic=False).cpu().numpy()).reshape(-1)

    def _random_actions(self, n_envs: int) -> np.ndarray:
        return np.array([self.action_space.sample() for _ in range(n_envs)])

    def _current_observations(self) -> Observations:
        """Return the observations to act on as the replay buffer stores them: not normalised, discrete ones as columns."""
        observations = self._last_obs if self._vec_normalize_env is None else self._last_original_obs
        if isinstance(self.observation_space, spaces.Dict):
            shapes = {key: get_obs_shape(space) for key, space in self.observation_space.spaces.items()}
            return {key: observations[key].reshape(-1, *shape) for key, shape in shapes.items()}
        return np.asarray(observations).reshape(-1, *get_obs_shape(self.observation_space))

    def _store_transition(
        self, replay_buffer: Any, buffer_action: Any, new_obs: Any, reward: np.ndarray, dones: np.ndarray, infos: Any
    ) -> None:
        super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)  # type: ignore[misc]
        if self._guidance is not None:
            replay_buffer.note_guided(self._guidance.has_chosen)
            rewards = reward if self._vec_normalize_env is None else self._vec_normalize_env.get_original_reward()
            cut = np.array([info.get("TimeLimit.truncated", False) for info in infos])
            # in a second training the agent acts at random at first, too
            has_learned = self._n_updates > 0 and self.num_timesteps >= self.learning_starts
            self._guidance.note_step(rewards, dones, has_learned=has_learned, cut=cut)

    # --- what the callback asks for ---------------------------------------------------------------------------------

    def update_confidence(self, at_least: int = 1) -> None:
        """
        Match and infer with everything that the agent has gone through so far.

        :param at_least: leave it for later if there are fewer new transitions
        """
        if isinstance(self.replay_buffer, ExpertMatchingMixin):
            self._refresh_metric_if_due()
            self.replay_buffer.match_pending(at_least)

    def expert_statistics(self) -> dict[str, float]:
        """
        Summarise what was learned about the expert, and from it; means and fractions since the last call.

        See :class:`~sb3_diiqn.common.callbacks.ConfidenceCallback` for the names. Numbers that could not be anything but 0 are
        left out: beside a network only equal transitions tell an action, and of continuous observations there are none.
        """
        if not isinstance(self.replay_buffer, ExpertMatchingMixin):
            return {}
        statistics = self._confidence_statistics.take() | self.replay_buffer.knowledge.statistics()
        if self.inverse_dynamics is not None and statistics["inferred"] == 0:
            statistics = {
                name: value for name, value in statistics.items() if name not in {"confidence", "inferred", "trained"}
            }
        statistics["matched"] = self.replay_buffer.matched_share()
        comparison = self.compare_units()
        if comparison is not None:
            statistics["range_overlap"] = comparison.range_overlap
        guided = {} if self._guidance is None else self._guidance.statistics()
        return statistics | self._demonstration_statistics() | guided

    def compare_units(self) -> UnitsComparison | None:
        """Compare the ranges of expert and agent; None if too little is known, or the observations have no units."""
        return None if self._units is None else self._units.compare(self.replay_buffer)

    def check_units(self) -> None:
        """Warn once, when enough is known, if the expert's observations seem to be in other units, or have no effect."""
        if self._units is None or self.num_timesteps < self.learning_starts:
            return
        matches_only = self.inverse_dynamics is None
        knowledge = self.replay_buffer.knowledge
        in_use = max(self.replay_buffer.matched_share(), knowledge.statistics()["inferred"])
        self._units.check(self.replay_buffer, in_use if matches_only else 1.0)
