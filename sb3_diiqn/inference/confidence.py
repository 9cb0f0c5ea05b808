"""The confidence Phi in an expert sample: how much of an update it may claim ("Confidence" in the paper)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Confidence(NamedTuple):
    """The confidence of expert samples, and what it is made of. Each of shape (n,), in [0, 1]."""

    phi: np.ndarray
    """Phi = min(usefulness * training, inference)."""
    usefulness: np.ndarray
    """dQ: is the expert's action valued higher than the agent's?"""
    training: np.ndarray
    """delta: how often has the sample been trained on?"""
    inference: np.ndarray
    """zeta: how near was the agent's transition from which the action was inferred?"""


def usefulness(expert_value: np.ndarray, agent_value: np.ndarray, beta: float) -> np.ndarray:
    """
    Compute dQ = sigmoid(beta * (Q(s_e, a_e) - Q(s_e, a_a))).

    :param expert_value: Q(s_e, a_e), value of the inferred action at the expert's state
    :param agent_value: Q(s_e, a_a), value of the agent's action at the expert's state
    :param beta: steepness
    """
    # the tanh form does not overflow
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * beta * (expert_value - agent_value))))


def training(count: np.ndarray, max_count: int) -> np.ndarray:
    """
    Compute delta = log(1 + min(c_e, c_max)) / log(1 + c_max).

    :param count: c_e, how often the expert transition has been trained on
    :param max_count: c_max, the count at which delta reaches 1
    """
    return np.asarray(np.log1p(np.minimum(count, max_count)) / np.log1p(max_count))


def inference(error: np.ndarray, max_error: float) -> np.ndarray:
    """
    Compute zeta = 1 - err_e / err_max, clipped to [0, 1].

    :param error: err_e, distance to the agent transition from which the action was inferred; infinite if there is none
    :param max_error: err_max, the error at which zeta reaches 0
    """
    return np.clip(1.0 - error / max_error, 0.0, 1.0)


def confidence(usefulness: np.ndarray, training: np.ndarray, inference: np.ndarray) -> Confidence:
    """
    Compute Phi = min(dQ * delta, zeta).

    :param usefulness: dQ
    :param training: delta
    :param inference: zeta
    """
    return Confidence(np.minimum(usefulness * training, inference), usefulness, training, inference)


class ConfidenceStatistics:
    """Means of the confidence over the updates since they were last taken."""

    def __init__(self) -> None:
        self._sums = np.zeros(len(Confidence._fields))
        self._n_expert = 0
        self._n_agent = 0

    def add(self, confidence: Confidence, batch_size: int) -> None:
        """
        Note an update.

        :param confidence: of the expert samples in the batch
        :param batch_size: number of agent transitions in the batch, with and without an expert sample
        """
        self._sums += [part.sum() for part in confidence]
        self._n_expert += len(confidence.phi)
        self._n_agent += batch_size

    def add_none(self, batch_size: int) -> None:
        """
        Note an update without any expert sample.

        :param batch_size: number of agent transitions in the batch
        """
        self._n_agent += batch_size

    def take(self) -> dict[str, float]:
        """
        Return the means and start anew; nothing if there was no update.

        Phi is averaged over all agent transitions, 0 where there is no expert sample: it is the fraction of learning that
        goes to the expert. Its parts are averaged over the expert samples.
        """
        statistics = {}
        if self._n_agent:
            statistics["confidence"] = float(self._sums[0] / self._n_agent)
        if self._n_expert:
            means = self._sums[1:] / self._n_expert
            statistics |= {name: float(mean) for name, mean in zip(Confidence._fields[1:], means, strict=True)}
        self._sums, self._n_expert, self._n_agent = np.zeros(len(Confidence._fields)), 0, 0
        return statistics
