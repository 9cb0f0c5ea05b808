"""What comes before an algorithm learns from an expert."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from stable_baselines3.common.type_aliases import MaybeCallback

if TYPE_CHECKING:
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm as _Algorithm
else:
    _Algorithm = object

SelfPreparedLearning = TypeVar("SelfPreparedLearning", bound="PreparedLearning")


class PreparedLearning(_Algorithm):
    """Mixin that prepares for learning, and names TensorBoard's runs after the class. Put it before the algorithm class."""

    def _prepare_to_learn(self, reset_num_timesteps: bool) -> None:
        """Check that there is what to learn from."""
        raise NotImplementedError

    def learn(
        self: SelfPreparedLearning,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 4,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> SelfPreparedLearning:
        """
        Learn from the environment and the expert data. Takes the host's arguments.

        :param total_timesteps: number of steps of all environments together
        :param callback: called at every step
        :param log_interval: number of episodes between two logs
        :param tb_log_name: name of the run for TensorBoard, default: that of the class
        :param reset_num_timesteps: whether to count steps from 0
        :param progress_bar: whether to show one
        :return: the model
        :raises MissingExpertDataError: if the model was loaded and its expert data is not there
        """
        self._prepare_to_learn(reset_num_timesteps)
        name = tb_log_name or type(self).__name__
        return super().learn(total_timesteps, callback, log_interval, name, reset_num_timesteps, progress_bar)
