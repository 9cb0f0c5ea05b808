"""The one mixin: gives an algorithm of Stable-Baselines3 a learner, and forwards the hooks to it."""

from __future__ import annotations

import io
import pathlib
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.preprocessing import get_obs_shape
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import MaybeCallback

from sb3_diiqn.common.averaged_network import AveragedNetwork
from sb3_diiqn.common.averaged_predictions import AveragedPredictions
from sb3_diiqn.common.batch import Batch, TDOutput
from sb3_diiqn.common.compatibility import is_of_the_hosts, with_fused_optimizer
from sb3_diiqn.common.finite import require_finite
from sb3_diiqn.common.gradients import clip_gradients
from sb3_diiqn.common.prepared_learning import PreparedLearning
from sb3_diiqn.common.terminal_observations import kept_terminal_observations, with_terminal_observations
from sb3_diiqn.common.usable_spaces import refuse_unusable_spaces
from sb3_diiqn.common.wrappers import refuse_wrong_order
from sb3_diiqn.exceptions import DIIQNError
from sb3_diiqn.expert import ExpertObservations, Observations
from sb3_diiqn.expert.given import ExpertData, index_path, paths_of
from sb3_diiqn.guides import GuidedExploration, MatchingGuide
from sb3_diiqn.imitation.buffers import ExpertMatchingMixin, complete_restored
from sb3_diiqn.imitation.callbacks import with_confidence_callback
from sb3_diiqn.imitation.config import WHERE_STATES_REPEAT, WHERE_STATES_VARY, Habits, ImitationConfig, states_repeat
from sb3_diiqn.imitation.learner import Learner, LearnerState
from sb3_diiqn.imitation.persistence import ExpertMemory
from sb3_diiqn.imitation.setup import make_expert_buffer, refuse_impossible_combinations, warn_of_unused
from sb3_diiqn.imitation.statistics import in_use
from sb3_diiqn.inference import ExpertKnowledge
from sb3_diiqn.inference.settings import Seed

#: Prefix of the auxiliary networks' names among a model's parameters.
PREFIX = "imitation."
AVERAGED_NETWORK = f"{PREFIX}averaged_network"


class ImplicitImitation(AveragedPredictions, PreparedLearning):
    """
    Mixin that gives an off-policy algorithm with discrete actions expert data and a learner. Put it before the algorithm.

    The host class supplies :meth:`td_losses`, and calls :meth:`_set_imitation_arguments` in its constructor, before its own
    :meth:`_setup_model`. Without expert data nothing of the host's behaviour changes.
    """

    #: the policy's attribute that is the Q-network
    value_network = "q_net"
    #: follows matching expert transitions
    matching_guide: type[MatchingGuide] = MatchingGuide
    #: what depends on the expert data
    where_states_repeat: Habits = WHERE_STATES_REPEAT
    where_states_vary: Habits = WHERE_STATES_VARY

    learner: Learner | None
    if TYPE_CHECKING:
        # of DQN and QRDQN, not of all off-policy algorithms
        exploration_rate: float
        max_grad_norm: Any
        # an argument of our own
        expert_rewards: Any

    def _set_imitation_arguments(self, expert_data: ExpertData, **arguments: Any) -> None:
        """
        Keep the arguments under their own names, from where :meth:`_setup_model` takes them, also after loading.

        :param expert_data: the expert data, a path to them, a list of both, or None
        :param arguments: the fields of :class:`~sb3_diiqn.imitation.config.ImitationConfig`
        """
        self.expert_data = expert_data
        self._imitation_arguments = tuple(arguments)
        for name, value in arguments.items():
            setattr(self, name, value)
        self.learner = None
        # saved with the model
        self._expert_memory = ExpertMemory()
        self._learner_state = LearnerState()
        #: what takes the place of a seed where there is none
        self._drawn_seed: int | None = None
        self._expert: ExpertObservations | None = None
        # of auxiliary networks that a model without its expert data cannot build
        self._kept_parameters: dict[str, Any] = {}

    @property
    def expert(self) -> ExpertObservations | None:
        """The expert data as the environment's observation space has them, None if there are none."""
        return self._expert

    @property
    def knowledge(self) -> ExpertKnowledge | None:
        """What has been learned about the expert so far, None without expert data."""
        return self.replay_buffer.knowledge if isinstance(self.replay_buffer, ExpertMatchingMixin) else None

    @property
    def stored_space(self) -> spaces.Space[Any]:
        """The space of the observations in the replay buffer: the environment's, before ``VecNormalize`` if there is one."""
        stored = self._expert_memory.stored_space
        return self.observation_space if stored is None else stored

    @property
    def _exploration(self) -> GuidedExploration | None:
        return None if self.learner is None else self.learner.exploration

    @property
    def _last_shown(self) -> Any:
        """The last observations as the environments showed them, not normalised."""
        return self._last_obs if self._vec_normalize_env is None else self._last_original_obs

    # --- setting up -------------------------------------------------------------------------------------------------

    def _setup_model(self) -> None:
        config = ImitationConfig(**{name: getattr(self, name) for name in self._imitation_arguments})
        refuse_unusable_spaces(self.observation_space, self.action_space)
        known = self._expert_memory.content_hash
        self._expert = self._expert_memory.read(self.expert_data, self.observation_space, self.env)
        if known not in {None, self._expert_memory.content_hash}:
            # what was known of the guide was of another expert
            self._learner_state = LearnerState(largest_reward=self._learner_state.largest_reward)
        if self._expert is None:
            if known is None:
                warn_of_unused(self, self._imitation_arguments)
            super()._setup_model()
            return
        habits = self.where_states_repeat if states_repeat(self._expert) else self.where_states_vary
        config = config.completed(habits)
        refuse_impossible_combinations(self, config, self._expert)
        users = {name: getattr(self, name) for name in ("replay_buffer_class", "replay_buffer_kwargs", "policy_kwargs")}
        # the host writes into it
        self.replay_buffer_kwargs = dict(self.replay_buffer_kwargs)
        # the host builds a buffer only where there is none
        knowledge = self._make_knowledge(config, self._expert)
        self.replay_buffer = make_expert_buffer(self, knowledge, config.expert_rewards)
        self.policy_kwargs = with_fused_optimizer(self.policy_kwargs, self.policy_class)
        super()._setup_model()
        vars(self).update(users)
        self.learner = Learner(self, knowledge, config, habits, self.matching_guide, self._learner_state)
        if not self.learner.is_as_published:
            self._averaged = AveragedNetwork(self.policy, self.value_network)

    def _make_knowledge(self, config: ImitationConfig, expert: ExpertObservations) -> ExpertKnowledge:
        cache = index_path(self.expert_data, expert.content_hash)
        return ExpertKnowledge(expert, self.stored_space, config.matching(), self.stream_seed(0), cache)

    def stream_seed(self, stream: int) -> Seed:
        """
        Make the seed of one of several independent generators, without one of the user's from the global generator.

        :param stream: which
        """
        if self.seed is None and self._expert is not None and self._drawn_seed is None:
            self._drawn_seed = int(np.random.randint(2**31 - 1))  # noqa: NPY002 - the host's generator
        seed = self._drawn_seed if self.seed is None else self.seed
        return None if seed is None else [seed, stream]

    # --- learning ---------------------------------------------------------------------------------------------------

    def td_losses(self, batch: Batch) -> TDOutput:
        """
        Compute Q-values and the temporal-difference loss of each transition.

        :param batch: n transitions with m observations
        """
        raise NotImplementedError

    def optimize(self, loss: th.Tensor) -> None:
        """
        Make one step of gradient descent, with the host's optimizer.

        :param loss: shape ()
        """
        optimizer = self.policy.optimizer
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        # as zero_grad does, without the profiler's hooks
        for parameter in parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        clip_gradients(parameters, self.max_grad_norm)
        optimizer.step()

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """
        Update the network, and learn from the expert.

        :param gradient_steps: number of updates
        :param batch_size: number of agent transitions per update
        """
        if self.learner is None:
            super().train(gradient_steps, batch_size)
            return
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = [self.learner.update(batch_size, self._current_progress_remaining) for _ in range(gradient_steps)]
        self._note_updates(gradient_steps)
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", np.mean(losses))

    def _prepare_to_learn(self, reset_num_timesteps: bool) -> None:
        if self.learner is None:
            self._expert_memory.require(self.expert_data)
        elif self.env is not None:
            # set_env may have come with other wrappers
            refuse_wrong_order(self.env)
        self._accept_replay_buffer()
        if self.learner is not None and self.verbose >= 1:
            print(in_use(self.learner))

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        if self.learner is not None:
            callback = with_confidence_callback(callback)
        return super()._init_callback(callback, progress_bar)

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
        if self._exploration is not None and (reset_num_timesteps or self._last_obs is None):
            self._exploration.restart()
        prepared = super()._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)
        if self.learner is not None:
            # the host does so after the first step only, and who plays the first episodes is drawn before
            self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
            # the guide already acts on them
            require_finite(self.num_timesteps, self._last_shown)
        return prepared

    def collect_rollouts(self, *args: Any, **kwargs: Any) -> Any:
        """Collect experience as the host does, and keep what it stores of it exact."""
        with kept_terminal_observations(None if self.learner is None else self._vec_normalize_env):
            return super().collect_rollouts(*args, **kwargs)

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.learner is None:
            return super()._sample_action(learning_starts, action_noise, n_envs)
        exploration = self.learner.exploration
        warming_up = self.num_timesteps < learning_starts
        rate = 1.0 if warming_up else self.exploration_rate
        unguided = rate if exploration is None else exploration.remaining_exploration_rate(rate)
        explores = warming_up or np.random.rand() < unguided  # noqa: NPY002 - the host's generator
        actions = self._random_actions(n_envs) if explores else self._greedy_actions()
        if exploration is not None:
            remaining = self._current_progress_remaining
            actions = exploration.override(actions, self._current_observations(), rate, remaining)
        return actions, actions

    def _greedy_actions(self) -> np.ndarray:
        """Choose as the host does, but do not walk through all modules to turn training off, unless somebody chooses anew."""
        last: Any = self._last_obs
        if type(self).predict is not AveragedPredictions.predict or not is_of_the_hosts(type(self.policy).predict):
            with self._without_averaging():
                return np.asarray(self.predict(last, deterministic=True)[0]).reshape(-1)
        if self.policy.training:
            self.policy.set_training_mode(False)
        with th.no_grad():
            observations, _ = self.policy.obs_to_tensor(last)
            return np.asarray(self.policy._predict(observations, deterministic=False).cpu().numpy()).reshape(-1)

    def _random_actions(self, n_envs: int) -> np.ndarray:
        return np.array([self.action_space.sample() for _ in range(n_envs)])

    def _current_observations(self) -> Observations:
        """Return the observations to act on as the replay buffer stores them: not normalised, discrete ones as columns."""
        observations: Any = self._last_shown
        if isinstance(self.observation_space, spaces.Dict):
            shapes = {key: get_obs_shape(space) for key, space in self.observation_space.spaces.items()}
            return {key: observations[key].reshape(-1, *shape) for key, shape in shapes.items()}
        return np.asarray(observations).reshape(-1, *get_obs_shape(self.observation_space))

    def _store_transition(
        self, replay_buffer: Any, buffer_action: Any, new_obs: Any, reward: np.ndarray, dones: np.ndarray, infos: Any
    ) -> None:
        normalizer = self._vec_normalize_env
        rewards = reward if normalizer is None else normalizer.get_original_reward()
        if self.learner is not None:
            shown = new_obs if normalizer is None else normalizer.get_original_obs()
            require_finite(self.num_timesteps, shown, rewards, infos)
            self.learner.note_rewards(rewards)
        if self.learner is None or normalizer is None:
            super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)
        else:
            self._store_as_shown(replay_buffer, buffer_action, new_obs, dones, infos)
        exploration = self._exploration
        if exploration is not None:
            replay_buffer.note_guided(exploration.has_chosen)
            # in a second training the agent acts at random at first, too
            has_learned = self._n_updates > 0 and self.num_timesteps >= self.learning_starts
            exploration.note_step(rewards, dones, has_learned=has_learned)

    def _store_as_shown(self, replay_buffer: Any, actions: Any, new_obs: Any, dones: np.ndarray, infos: Any) -> None:
        """Store as the host does, but terminal observations as they were shown: the expert's are exact, too."""
        env: Any = self._vec_normalize_env
        following = with_terminal_observations(env.get_original_obs(), dones, infos)
        replay_buffer.add(self._last_original_obs, following, actions, env.get_original_reward(), dones, infos)
        self._last_obs, self._last_original_obs = new_obs, env.get_original_obs()

    # --- what the callback asks for ---------------------------------------------------------------------------------

    def update_confidence(self, at_least: int = 1) -> None:
        """
        Match and infer with everything that the agent has experienced so far.

        :param at_least: leave it for later if there are fewer new transitions
        """
        if self.learner is not None:
            self.learner.match(at_least)

    def expert_statistics(self) -> dict[str, float]:
        """Summarise what was learned about the expert, and from it, since the last call. See :class:`ConfidenceCallback`."""
        return {} if self.learner is None else self.learner.statistics(self._current_progress_remaining)

    def check_units(self) -> None:
        """Warn once, when enough is known, if the expert's observations seem to be in other units, or have no effect."""
        if self.learner is not None and self.num_timesteps >= self.learning_starts:
            self.learner.check_units()

    # --- saving and loading -----------------------------------------------------------------------------------------

    def _excluded_save_params(self) -> list[str]:
        excluded = [*super()._excluded_save_params(), "_expert", "learner", "_averaged", "_drawn_seed", "_kept_parameters"]
        return excluded if paths_of(self.expert_data) else [*excluded, "expert_data"]

    def get_parameters(self) -> dict[str, dict[str, Any]]:
        """Return the parameters of the policy, as the host does, and those of the auxiliary networks."""
        return {**super().get_parameters(), **self._kept_parameters, **self._auxiliary_parameters()}

    def _auxiliary_parameters(self) -> dict[str, dict[str, Any]]:
        networks = {} if self.learner is None else self.learner.networks
        states = {f"{PREFIX}{name}": network.state_dict() for name, network in networks.items()}
        if self._averaged is not None:
            states[AVERAGED_NETWORK] = self._averaged.state_dict()
        return states | {f"{PREFIX}{name}.optimizer": network.optimizer.state_dict() for name, network in networks.items()}

    def set_parameters(
        self, load_path_or_dict: str | dict[str, Any], exact_match: bool = True, device: th.device | str = "auto"
    ) -> None:
        """
        Load parameters; an auxiliary network that is not among them, or that they do not fit, stays as it is.

        :param load_path_or_dict: see Stable-Baselines3
        :param exact_match: see Stable-Baselines3
        :param device: see Stable-Baselines3
        """
        given: Any = load_path_or_dict
        if not isinstance(given, dict):
            _, given, _ = load_from_zip_file(given, device=device, load_data=False)
        auxiliary = {name: state for name, state in given.items() if name.startswith(PREFIX)}
        super().set_parameters({name: given[name] for name in given if name not in auxiliary}, exact_match, device)
        averaged = auxiliary.pop(AVERAGED_NETWORK, None)
        if averaged is not None and self.learner is None:
            # a loaded model without its expert data still predicts
            self._averaged = AveragedNetwork(self.policy, self.value_network)
        if self._averaged is not None:
            self._averaged.load(averaged)
        if self.learner is None:
            self._kept_parameters = {**self._kept_parameters, **auxiliary}
            return
        for name, network in self.learner.networks.items():
            network.load_if_fitting(auxiliary.get(f"{PREFIX}{name}"), auxiliary.get(f"{PREFIX}{name}.optimizer"), name)
        if not all(network.has_learned for network in self.learner.networks.values()):
            # in a loaded model, one that the file does not have
            self._learner_state.n_updates = 0

    def save_replay_buffer(self, path: str | pathlib.Path | io.BufferedIOBase) -> None:
        """
        Save the replay buffer with what was learned about the expert, but without the expert data.

        :param path: file to write, see Stable-Baselines3
        """
        own: Any = self.replay_buffer
        if isinstance(own, ExpertMatchingMixin):
            self.replay_buffer = own.for_file()
        try:
            super().save_replay_buffer(path)
        finally:
            self.replay_buffer = own

    def load_replay_buffer(self, path: str | pathlib.Path | io.BufferedIOBase, truncate_last_traj: bool = True) -> None:
        """
        Load a replay buffer, and with it what was learned about the expert.

        :param path: file that ``save_replay_buffer`` wrote
        :param truncate_last_traj: see Stable-Baselines3
        :raises ConfigurationError: if it was saved with another number of environments
        :raises ExpertDataError: if it was saved with other expert data than the model has, or one of the two has none
        """
        own = self.replay_buffer
        super().load_replay_buffer(path, truncate_last_traj)
        try:
            self._accept_replay_buffer()
        except DIIQNError:
            self.replay_buffer = own
            raise

    def _accept_replay_buffer(self) -> None:
        """Check and complete a replay buffer that has taken the place of the model's own, whether loaded or assigned."""
        learner, buffer = self.learner, cast("Any", self.replay_buffer)
        own = None if learner is None else learner.knowledge
        if self.knowledge is own:
            return
        complete_restored(buffer, own, self.n_envs, "none" if learner is None else learner.config.expert_rewards)
        if learner is not None and buffer.size() > 0:
            learner.note_rewards(buffer.rewards[: buffer.size()])
        if self._exploration is not None:
            self._exploration.restart()
