"""The arguments of the algorithms, checked, and what follows from the expert data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar, get_args

import numpy as np

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert import ExpertObservations, Observations
from sb3_diiqn.expert.types import arrays_of, take
from sb3_diiqn.guides import Guide
from sb3_diiqn.imitation.action_inference import ActionInference, NearestInference, NetworkInference
from sb3_diiqn.imitation.buffers import ExpertRewards
from sb3_diiqn.imitation.context import Context
from sb3_diiqn.inference import InferenceSettings
from sb3_diiqn.inference.rows import distinct
from sb3_diiqn.inference.settings import is_in, require
from sb3_diiqn.losses import ExpertLoss, FadingWeight
from sb3_diiqn.losses.large_margin import Margin

Inference = str | Callable[[Context], ActionInference]
GuideChoice = str | Callable[[Context], Guide]
ImitationLoss = str | Callable[[Context, FadingWeight], ExpertLoss]
Settings = TypeVar("Settings")

#: Action inference by name.
INFERENCES: dict[str, Callable[[Context], ActionInference]] = {
    "nearest": NearestInference,
    "inverse_dynamics": NetworkInference,
}
#: Guides by name.
GUIDES = ("matching", "clone", "both", "none")

#: The imitation loss by name.
LARGE_MARGIN = "large_margin"

#: The published method: ``DIIQN(..., **PAPER)``.
PAPER: dict[str, Any] = {"inference": "nearest", "guide": "none", "imitation_coef": 0.0, "expert_rewards": "none"}

#: err_max where a network infers actions, too: then only an equal transition is believed, but for rounding. Of float vectors
#: the nearest is soon near enough, and of another action or with another reward all the same: a step is small against states.
MAX_INFERENCE_ERROR_BESIDE_A_NETWORK = 1e-4


@dataclass(frozen=True)
class Habits:
    """
    What depends on whether the expert's states repeat.

    :param inference: the default of the argument
    :param guide: the default of the argument
    :param expert_rewards: the default of the argument
    :param exploration_fraction: fraction of the exploratory steps that are guided
    :param fraction_alone: fraction of its own episodes that the agent plays without guided steps
    :param shortest: whether the guide takes the shortest way that it knows, instead of going on step by step
    :param intentions: whether tables tell, where outcomes are chance, what the expert means
    :param imitate_guide: whether the agent imitates what the guide did in its own transitions, too
    """

    inference: str
    guide: str
    expert_rewards: str
    exploration_fraction: float
    fraction_alone: float
    shortest: bool
    intentions: bool
    imitate_guide: bool


#: Where states repeat, what was inferred from a single transition holds, and matching finds the way.
WHERE_STATES_REPEAT = Habits(
    inference="nearest",
    guide="matching",
    expert_rewards="none",
    exploration_fraction=0.5,
    fraction_alone=0.0,
    shortest=True,
    intentions=True,
    imitate_guide=True,
)
#: Elsewhere networks generalise, and a clone of the expert has an answer everywhere.
WHERE_STATES_VARY = Habits(
    inference="inverse_dynamics",
    guide="both",
    expert_rewards="inferred",
    exploration_fraction=0.8,
    fraction_alone=0.5,
    shortest=False,
    intentions=False,
    imitate_guide=False,
)

#: States repeat where there are at most so many different ones ...
MOST_REPEATING_STATES = 500
#: ... and each was seen so often on average.
FEWEST_VISITS = 4


def states_repeat(expert: ExpertObservations) -> bool:
    """
    Tell whether the expert came to few states again and again, as in a maze.

    :param expert: the expert data
    """
    # of many large observations the first ones already tell
    first = take(expert.observations, slice(FEWEST_VISITS * MOST_REPEATING_STATES))
    if _count_distinct(first) > MOST_REPEATING_STATES:
        return False
    n_states = _count_distinct(expert.observations)
    return n_states <= MOST_REPEATING_STATES and expert.n_observations >= FEWEST_VISITS * n_states


def _count_distinct(observations: Observations) -> int:
    numbers = [distinct(array.reshape(len(array), -1))[1] for array in arrays_of(observations).values()]
    return len(np.unique(np.stack(numbers, axis=1), axis=0))


@dataclass(frozen=True)
class ImitationConfig:
    """
    The arguments that say how the expert is learned from, see :class:`~sb3_diiqn.DIIQN`.

    :raises ConfigurationError: if one is out of range
    """

    inference: Inference
    guide: GuideChoice
    guide_fraction: float
    imitation_loss: ImitationLoss
    imitation_coef: float
    margin: Margin
    expert_rewards: ExpertRewards
    matching_kwargs: Mapping[str, Any] | None

    def __post_init__(self) -> None:
        self._require_choice("inference", ["auto", *INFERENCES], "a class that takes a Context")
        self._require_choice("guide", ["auto", *GUIDES], "a class that takes a Context")
        self._require_choice("imitation_loss", [LARGE_MARGIN], "a class that takes a Context and a FadingWeight")
        fraction = is_in(self.guide_fraction, 0, 1) and self.guide_fraction < 1
        require(fraction, "guide_fraction", self.guide_fraction, "at least 0 and below 1: the agent must act, too")
        require(is_in(self.imitation_coef, 0), "imitation_coef", self.imitation_coef, "at least 0")
        require(self.margin == "auto" or is_in(self.margin, 1e-12), "margin", self.margin, "positive, or 'auto'")
        rewards = get_args(ExpertRewards)
        require(self.expert_rewards in rewards, "expert_rewards", self.expert_rewards, f"one of {_listed(rewards)}")
        self.matching()

    def _require_choice(self, name: str, names: list[str], own: str) -> None:
        value = getattr(self, name)
        require(callable(value) or value in names, name, value, f"one of {_listed(names)}, or {own}")

    def completed(self, habits: Habits) -> ImitationConfig:
        """
        Replace ``"auto"``.

        :param habits: what depends on the expert data
        """
        chosen = {name: getattr(self, name) for name in (field.name for field in fields(self))}
        for name in ("inference", "guide", "expert_rewards"):
            if chosen[name] == "auto":
                chosen[name] = getattr(habits, name)
        return ImitationConfig(**chosen)

    def matching(self) -> InferenceSettings:
        """Make the settings of inference and confidence."""
        settings = settings_from(InferenceSettings, "matching_kwargs", self.matching_kwargs)
        chosen = INFERENCES.get(self.inference) if isinstance(self.inference, str) else self.inference
        if getattr(chosen, "knows_only_tables", False) or "max_inference_error" in (self.matching_kwargs or {}):
            return settings
        return replace(settings, max_inference_error=MAX_INFERENCE_ERROR_BESIDE_A_NETWORK)


def settings_from(settings_class: type[Settings], name: str, given: Mapping[str, Any] | None) -> Settings:
    """
    Make settings of an argument that is a dictionary.

    :param settings_class: a dataclass
    :param name: name of the argument
    :param given: its value
    :raises ConfigurationError: if it is no dictionary, has an unknown key, or a value that is out of range
    """
    dataclass_type: Any = settings_class
    known = [field.name for field in fields(dataclass_type)]
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(f"{name}={given!r}: it must be a dictionary, or None")
    for key in given or {}:
        if key not in known:
            raise ConfigurationError(f"{name} has the key {key!r}: it may have {_listed(known)}")
    return settings_class(**(given or {}))


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names))
