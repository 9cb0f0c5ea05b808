"""The callback that keeps the confidence up to date and makes it visible."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ConvertCallback
from stable_baselines3.common.type_aliases import MaybeCallback

if TYPE_CHECKING:
    from sb3_diiqn.imitation.host import ImplicitImitation


class ConfidenceCallback(BaseCallback):
    """
    Updates matches, inference and with them the confidence after rollouts, and logs them under ``expert/``.

    ``learn`` adds it by itself. What is logged, of those parts that are in use (docs/monitoring.md has what is good, and what
    to do where it is not):

    - of the data: ``range_overlap``, how well the units of expert and agent agree in the worst dimension, see
      :func:`~sb3_diiqn.inference.overlap.range_overlap`; ``matched``, fraction of the agent's stored transitions with a
      match; ``inferred`` and ``trained``, fractions of the expert transitions with an action inferred from a near transition
      and trained on; ``inference_error``, the median distance from which actions were inferred
    - of the confidence: ``confidence``, mean Phi over batches, 0 where there is no expert sample, so that it is the fraction
      of the learning that goes to the expert; ``usefulness``, ``training``, ``inference``, the parts of Phi, means over
      expert samples
    - of the networks: see :func:`~sb3_diiqn.imitation.statistics.network_statistics`, and ``inverse_dynamics_loss``,
      ``reward_loss`` and ``clone_loss``, means since the last log
    - of the imitation: ``imitation_weight``, that of the margin loss; ``imitation_loss``, mean margin loss before weighting
      since the last log; ``imitation_margin``, the margin in use
    - of the guide: see :meth:`~sb3_diiqn.guides.statistics.GuidanceStatistics.take` and
      :meth:`~sb3_diiqn.guides.selection.ComparedReturns.statistics`

    Where nothing of the expert data can have an effect, or they are in other units than what the agent sees, it warns, once.

    :param log_frequency: summaries are made after this many environment steps
    :param match_at_least: rollouts with fewer transitions wait for the next ones, since comparing many at once takes little
        longer than comparing one. What an update draws is always compared before. With 1, no rollout waits.
    """

    def __init__(self, log_frequency: int = 1000, match_at_least: int = 64) -> None:
        super().__init__()
        self.log_frequency = log_frequency
        self.match_at_least = match_at_least
        self._next_log = 0

    def _on_training_start(self) -> None:
        self._next_log = self.num_timesteps

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        model = cast("ImplicitImitation", self.model)
        model.update_confidence(self.match_at_least)
        if self.num_timesteps >= self._next_log:
            self._next_log = self.num_timesteps + self.log_frequency
            model.update_confidence()
            for name, value in model.expert_statistics().items():
                self.logger.record(f"expert/{name}", value)
            model.check_units()


def with_confidence_callback(callback: MaybeCallback) -> list[BaseCallback]:
    """
    Add a :class:`ConfidenceCallback` to what a user handed to ``learn``, unless there is one.

    :param callback: None, a callback, a list of callbacks, or a function
    """
    if callback is None:
        callbacks = []
    elif isinstance(callback, list):
        callbacks = list(callback)
    else:
        callbacks = [callback if isinstance(callback, BaseCallback) else ConvertCallback(callback)]
    return callbacks if any(map(_has_confidence_callback, callbacks)) else [*callbacks, ConfidenceCallback()]


def _has_confidence_callback(callback: BaseCallback) -> bool:
    if isinstance(callback, CallbackList):
        return any(map(_has_confidence_callback, callback.callbacks))
    return isinstance(callback, ConfidenceCallback)
