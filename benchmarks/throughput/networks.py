"""What the inverse dynamics cost in a whole training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch as th

from benchmarks.throughput.measuring import timed
from benchmarks.throughput.training import make_model
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.imitation.action_inference import NetworkInference
from sb3_diiqn.networks.inverse_dynamics import InverseDynamics


class TimedInverseDynamics(InverseDynamics):
    """Inverse dynamics that tell how long they worked."""

    def __init__(self, *arguments: Any, **named_arguments: Any) -> None:
        super().__init__(*arguments, **named_arguments)
        #: seconds of the CPU time, by what was done
        self.seconds = {"learning": 0.0, "asking": 0.0}

    def learn(self, *arguments: Any) -> float:
        """See the base class."""
        with self._timed("learning"):
            return super().learn(*arguments)

    def probabilities(self, *arguments: Any) -> np.ndarray:
        """See the base class."""
        with self._timed("asking"):
            return super().probabilities(*arguments)

    def likelihoods(self, *arguments: Any) -> np.ndarray:
        """See the base class."""
        with self._timed("asking"):
            return super().likelihoods(*arguments)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[what] += time.process_time() - start


def measure_networks(task: str, expert: ExpertObservations, n_steps: int, device: str = "cpu") -> dict[str, Any]:
    """
    Train with a network as inference, once, and tell which share of the CPU time the inverse dynamics take.

    :param task: key of :data:`~benchmarks.throughput.tasks.TASKS`
    :param expert: expert data
    :param n_steps: environment steps of the whole training: the networks learn ever more rarely
    :param device: where the networks are
    :return: a row of results, with ``share``, of which ``learning_share`` is what learning takes, and ``asking_share`` what
        estimates take
    """
    th.set_num_threads(1)
    inference = partial(NetworkInference, network_class=TimedInverseDynamics)
    guided = {"inference": inference, "guide": "both", "imitation_coef": 1.0, "exploration_fraction": 0.1}
    model: Any = make_model("diiqn", task, 1, expert, device=device, **guided)
    total = timed(lambda: model.learn(n_steps)).cpu
    network = model.learner.inference.network
    shares = {f"{what}_share": round(seconds / total, 3) for what, seconds in network.seconds.items()}
    return {
        "env": task,
        "expert_transitions": len(expert),
        "steps": n_steps,
        "steps_per_s": round(n_steps / total, 1),
        "share": round(sum(network.seconds.values()) / total, 3),
        **shares,
        "device": device,
    }
