"""The method's own parameters."""

from __future__ import annotations

from dataclasses import dataclass

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.inference.distances import DistanceFunction


@dataclass(frozen=True)
class InferenceSettings:
    """
    Parameters of inference and confidence. Those that the paper leaves open are marked so.

    :param similarity_metric: the distance d (open in the paper), see :func:`~sb3_diiqn.inference.distances.make_distance`
    :param similarity_threshold: tau, an expert state is accepted as a match from this similarity on, in [0, 1]
    :param n_neighbors: k, how many nearest expert states are considered for a match (open in the paper), at least 1
    :param usefulness_beta: beta, steepness of the usefulness (open in the paper), positive
    :param max_training_count: c_max, count at which a sample counts as fully trained, at least 1
    :param max_inference_error: err_max, error at which an inferred action is not believed at all (open in the paper), in (0, 1]
    """

    similarity_metric: str | DistanceFunction = "auto"
    similarity_threshold: float = 0.97
    n_neighbors: int = 5
    usefulness_beta: float = 1.0
    max_training_count: int = 150_000
    max_inference_error: float = 0.1

    def __post_init__(self) -> None:
        _require(0 <= self.similarity_threshold <= 1, "similarity_threshold", self.similarity_threshold, "in [0, 1]")
        _require(_is_count(self.n_neighbors), "n_neighbors", self.n_neighbors, "a whole number of at least 1")
        _require(self.usefulness_beta > 0, "usefulness_beta", self.usefulness_beta, "positive")
        _require(_is_count(self.max_training_count), "max_training_count", self.max_training_count, "a whole number of at least 1")
        _require(0 < self.max_inference_error <= 1, "max_inference_error", self.max_inference_error, "in (0, 1]")


def _is_count(value: int) -> bool:
    return int(value) == value and value >= 1


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise ConfigurationError(f"{name}={value!r}: it must be {expected}")
