"""The method's own parameters."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.inference.distances import DistanceFunction
from sb3_diiqn.inference.metrics import check_metric

#: The smallest positive number, for bounds that are not themselves allowed values.
TINY = sys.float_info.min

#: What numpy's generators are seeded with: a number, several, or None for a seed from the operating system.
Seed = int | Sequence[int] | None


@dataclass(frozen=True)
class InferenceSettings:
    """
    Parameters of inference and confidence. Those that the paper leaves open are marked so.

    :param similarity_metric: how alike two observations are, in [0, 1] (open in the paper). ``"auto"`` chooses by the
        observation space and the expert data, whose units it takes, too, such that at the default threshold less than 5 % of
        the pairs of distinct expert states match, see docs/matching.md: differences relative to their range for floats,
        Jaccard similarity of active cells for binary planes, equality for categories such as the symbols of a grid, mean
        absolute difference for images, and the mean over the keys of Dict observations. Or one of ``"jaccard"``,
        ``"absolute"``, ``"range"``, ``"mismatch"``, or a function that gets two arrays of n and of m observations and returns
        *distances* in [0, 1], of shape (n, m). A warning says if distinct expert states match by it. Or ``"learned"``: as
        ``"auto"`` at the beginning, and then by embeddings that an auxiliary network learns from the agent's and the expert's
        transitions, which leave out what is noise; a similarity of 0.97 is a third of one of the expert's steps
    :param similarity_threshold: tau, an expert state is accepted as a match from this similarity on, in [0, 1]
    :param n_neighbors: k, how many nearest expert states are considered for a match (open in the paper), at least 1
    :param usefulness_beta: beta, steepness of the usefulness (open in the paper), positive
    :param max_training_count: c_max, count at which a sample counts as fully trained, at least 1
    :param max_inference_error: err_max, error at which an inferred action is not believed (open in the paper), in (0, 1]
    """

    similarity_metric: str | DistanceFunction = "auto"
    similarity_threshold: float = 0.97
    n_neighbors: int = 5
    usefulness_beta: float = 1.0
    max_training_count: int = 150_000
    max_inference_error: float = 0.03

    def __post_init__(self) -> None:
        check_metric(self.similarity_metric)
        require(is_in(self.similarity_threshold, 0, 1), "similarity_threshold", self.similarity_threshold, "in [0, 1]")
        require_count("n_neighbors", self.n_neighbors)
        require(is_in(self.usefulness_beta, TINY), "usefulness_beta", self.usefulness_beta, "positive")
        # a large number, which yml files like to write as a float
        whole = is_in(self.max_training_count, 1) and int(self.max_training_count) == self.max_training_count
        require(whole, "max_training_count", self.max_training_count, "a whole number of at least 1")
        require(is_in(self.max_inference_error, TINY, 1), "max_inference_error", self.max_inference_error, "in (0, 1]")


@dataclass(frozen=True)
class BridgingSettings:
    """
    Parameters of infeasibility and bridges (HA-DIIQN). The paper leaves their values open.

    :param infeasibility_threshold: an expert transition with a larger inference error is infeasible, in [0, 1]
    :param infeasibility_evidence: how often each own action must have been tried at states that match it, 1 to 255
    :param bridge_length: k, longest bridge in agent steps, at least 1
    :param bridge_gain: n, how many expert steps later a bridge may end, at least 1
    :param bridge_patience: a bridge that was followed in vain so many times more often than not is dropped, at least 1
    """

    infeasibility_threshold: float = 0.03
    infeasibility_evidence: int = 1
    bridge_length: int = 4
    bridge_gain: int = 4
    bridge_patience: int = 3

    def __post_init__(self) -> None:
        require(
            is_in(self.infeasibility_threshold, 0, 1), "infeasibility_threshold", self.infeasibility_threshold, "in [0, 1]"
        )
        require(
            is_in(self.infeasibility_evidence, 1, 255),
            "infeasibility_evidence",
            self.infeasibility_evidence,
            "a whole number from 1 to 255",
        )
        for name in ("infeasibility_evidence", "bridge_length", "bridge_gain", "bridge_patience"):
            require_count(name, getattr(self, name))


def require_count(name: str, value: object) -> None:
    """
    Check an argument that is a count.

    :param name: name of the argument
    :param value: its value
    :raises ConfigurationError: if it is no whole number of at least 1; a float is none
    """
    require(isinstance(value, (int, np.integer)) and is_in(value, 1), name, value, "a whole number of at least 1")


def is_in(value: object, low: float, high: float = sys.float_info.max) -> bool:
    """
    Tell whether something is a finite number within bounds; True and False are none.

    :param value: anything
    :param low: smallest allowed value
    :param high: largest allowed value
    """
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and low <= float(value) <= high


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """
    Check an argument.

    :param condition: what must hold
    :param name: name of the argument
    :param value: its value
    :param expected: what it must be, to complete "it must be ..."
    :raises ConfigurationError: if the condition does not hold
    """
    if not condition:
        raise ConfigurationError(f"{name}={value!r}: it must be {expected}")
