"""The arguments, checked, and what follows from the expert data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn import DIIQN, HADIIQN, PAPER, ExpertObservations
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.guides import CloneGuide, FirstCertain, MatchingGuide
from sb3_diiqn.ha_diiqn import BridgingPolicy
from sb3_diiqn.imitation.action_inference import NearestInference, NetworkInference
from sb3_diiqn.imitation.config import (
    FEWEST_VISITS,
    MOST_REPEATING_STATES,
    WHERE_STATES_REPEAT,
    WHERE_STATES_VARY,
    ImitationConfig,
    settings_from,
    states_repeat,
)
from sb3_diiqn.imitation.expert_rewards import InferredRewards
from sb3_diiqn.inference import BridgingSettings, InferenceSettings
from sb3_diiqn.losses import ConfidenceWeighted
from tests.helpers import TINY, LineEnv, right_walks
from tests.imitation.line_models import exploration_of, learner_of

DEFAULTS: dict[str, Any] = {
    "inference": "auto",
    "guide": "auto",
    "guide_fraction": 0.8,
    "imitation_loss": "large_margin",
    "imitation_coef": 1.0,
    "margin": "auto",
    "expert_rewards": "auto",
    "matching_kwargs": None,
}
NAN, INFINITY = float("nan"), float("inf")


def make(algorithm: Any = DIIQN, repeating: bool = False, **arguments: Any) -> Any:
    data = right_walks(n=4 if repeating else 2)
    return algorithm("MlpPolicy", LineEnv(), **TINY, expert_data=data, **arguments)


# --- values -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "fragment"),
    [
        ("inference", "telepathy", "'auto', 'nearest', 'inverse_dynamics', or a class that takes a Context"),
        ("inference", None, "'auto'"),
        ("inference", ["nearest"], "'auto'"),
        ("guide", "teacher", "'auto', 'matching', 'clone', 'both', 'none', or a class that takes a Context"),
        ("guide", None, "'auto'"),
        ("guide_fraction", 1.0, "at least 0 and below 1"),
        ("guide_fraction", -0.1, "at least 0 and below 1"),
        ("guide_fraction", True, "at least 0 and below 1"),
        ("guide_fraction", "half", "at least 0 and below 1"),
        ("imitation_loss", "large", "'large_margin', or a class that takes a Context and a FadingWeight"),
        ("imitation_loss", None, "'large_margin'"),
        ("imitation_coef", -0.1, "at least 0"),
        ("imitation_coef", NAN, "at least 0"),
        ("imitation_coef", INFINITY, "at least 0"),
        ("imitation_coef", True, "at least 0"),
        ("margin", 0.0, "positive, or 'auto'"),
        ("margin", -1.0, "positive"),
        ("margin", "wide", "positive"),
        ("margin", None, "positive"),
        ("expert_rewards", "both", "'auto', 'inferred', 'recorded', 'none'"),
        ("expert_rewards", None, "'auto', 'inferred', 'recorded', 'none'"),
        ("matching_kwargs", ["auto"], "a dictionary, or None"),
        ("matching_kwargs", 0, "a dictionary, or None"),
    ],
)
def test_wrong_values_are_named_with_what_is_expected(name: str, value: Any, fragment: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ImitationConfig(**{**DEFAULTS, name: value})
    assert str(raised.value).startswith(f"{name}={value!r}: it must be")
    assert fragment in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("guide_fraction", 0),
        ("guide_fraction", 0.99),
        ("imitation_coef", 0),
        ("imitation_coef", np.float32(2.0)),
        ("margin", 1e-3),
        ("matching_kwargs", {}),
        ("inference", NearestInference),
        ("guide", lambda context: None),
        ("imitation_loss", lambda context, weight: None),
    ],
)
def test_the_bounds_themselves_and_classes_are_allowed(name: str, value: Any) -> None:
    assert getattr(ImitationConfig(**{**DEFAULTS, name: value}), name) is value


@pytest.mark.parametrize(
    ("settings_class", "name", "key"),
    [
        (InferenceSettings, "matching_kwargs", "similarity_treshold"),
        (InferenceSettings, "matching_kwargs", "bridge_length"),
        (BridgingSettings, "bridge_kwargs", "n_neighbors"),
        (BridgingSettings, "bridge_kwargs", 3),
    ],
)
def test_unknown_keys_are_named_with_those_that_there_are(settings_class: Any, name: str, key: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings_from(settings_class, name, {key: 1})
    assert str(raised.value).startswith(f"{name} has the key {key!r}: it may have ")
    assert all(repr(known) in str(raised.value) for known in vars(settings_class()))


def test_keys_that_are_given_are_set_and_the_others_have_their_defaults() -> None:
    assert settings_from(InferenceSettings, "matching_kwargs", {"n_neighbors": 2}) == InferenceSettings(n_neighbors=2)
    assert settings_from(BridgingSettings, "bridge_kwargs", None) == BridgingSettings()
    with pytest.raises(ConfigurationError, match="n_neighbors=0"):
        settings_from(InferenceSettings, "matching_kwargs", {"n_neighbors": 0})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"inference": "nearest"}, 0.03),
        ({"inference": "inverse_dynamics"}, 1e-4),
        ({"inference": NetworkInference}, 1e-4),
        ({"inference": "inverse_dynamics", "matching_kwargs": {"max_inference_error": 0.2}}, 0.2),
        ({"inference": "nearest", "matching_kwargs": {"max_inference_error": 0.2}}, 0.2),
    ],
)
def test_near_transitions_are_believed_where_no_network_knows_better(arguments: dict[str, Any], expected: float) -> None:
    assert make(**arguments).knowledge.settings.max_inference_error == expected


# --- what follows from the expert data ----------------------------------------------------------------------------------------


def data_of(states: Any) -> ExpertObservations:
    return ExpertObservations.from_trajectories([np.asarray(states)])


@pytest.mark.parametrize(
    ("n_states", "n_visits", "expected"),
    [
        (5, FEWEST_VISITS, True),
        (5, FEWEST_VISITS - 1, False),
        (MOST_REPEATING_STATES, FEWEST_VISITS, True),
        (MOST_REPEATING_STATES + 1, 2 * FEWEST_VISITS, False),
    ],
)
def test_states_repeat_where_few_were_seen_often(n_states: int, n_visits: int, expected: bool) -> None:
    states = np.random.default_rng(0).permutation(np.arange(n_states).repeat(n_visits))
    assert states_repeat(data_of(states)) == expected
    assert states_repeat(data_of(np.eye(n_states, dtype=bool)[states].reshape(-1, 1, n_states, 1))) == expected


def test_of_the_average_only() -> None:
    """One state again and again, and nineteen once: twenty states and eighty observations."""
    assert states_repeat(data_of([0] * 61 + [*range(1, 20)]))
    assert not states_repeat(data_of([0] * 60 + [*range(1, 20)]))


def test_new_states_after_the_first_thousands_count_too() -> None:
    """They look like a maze at first."""
    first = np.tile(np.arange(10), FEWEST_VISITS * MOST_REPEATING_STATES // 10)
    assert states_repeat(data_of(first))
    assert not states_repeat(data_of(np.concatenate([first, np.arange(100, 100 + MOST_REPEATING_STATES)])))


def test_numbers_of_a_continuous_world_do_not_repeat() -> None:
    assert not states_repeat(data_of(np.random.default_rng(0).random((5000, 2)).astype(np.float32)))


def test_a_state_of_a_dict_is_all_of_its_parts() -> None:
    """Sixteen combinations of four times four."""
    space = spaces.Dict({"row": spaces.Discrete(4), "column": spaces.Discrete(4)})
    pairs = np.stack(np.unravel_index(np.arange(16), (4, 4)))

    def expert(n_visits: int) -> ExpertObservations:
        rows, columns = pairs.repeat(n_visits, axis=1)
        return ExpertObservations.from_trajectories([{"row": rows, "column": columns}]).adapted_to(space)

    assert states_repeat(expert(4))
    assert not states_repeat(expert(3)), "though each row, and each column, was seen twelve times"


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=60))
def test_states_repeat_as_a_set_counts_them(pairs: list[tuple[int, int]]) -> None:
    space = spaces.Dict({"row": spaces.Discrete(3), "column": spaces.Discrete(3)})
    rows, columns = np.array(pairs).T
    expert = ExpertObservations.from_trajectories([{"row": rows, "column": columns}]).adapted_to(space)
    assert states_repeat(expert) == (len(pairs) >= FEWEST_VISITS * len(set(pairs)))


def test_auto_is_what_the_habits_say() -> None:
    for habits in (WHERE_STATES_REPEAT, WHERE_STATES_VARY):
        completed = ImitationConfig(**DEFAULTS).completed(habits)
        of_habits = (habits.inference, habits.guide, habits.expert_rewards)
        assert (completed.inference, completed.guide, completed.expert_rewards) == of_habits
        own = {"inference": "nearest", "guide": "none", "expert_rewards": "recorded", "margin": 0.5}
        chosen = ImitationConfig(**{**DEFAULTS, **own}).completed(habits)
        assert {name: getattr(chosen, name) for name in own} == own
    assert WHERE_STATES_REPEAT != WHERE_STATES_VARY


def test_where_states_vary_a_clone_guides_and_a_network_infers() -> None:
    learner = learner_of(make())
    guide: Any = exploration_of(make()).guide
    assert type(learner.inference) is NetworkInference and type(guide) is FirstCertain
    assert (type(guide.first), type(guide.second)) == (CloneGuide, MatchingGuide)
    episodes = learner.exploration.episodes  # type: ignore[union-attr]
    assert episodes is not None and episodes.fraction == 0.8
    assert type(learner.reward_source) is InferredRewards


def test_where_states_repeat_matching_guides_and_the_nearest_transition_is_believed() -> None:
    learner = learner_of(make(repeating=True))
    assert type(learner.inference) is NearestInference and learner.clone is learner.reward_source is None
    assert learner.exploration is not None and type(learner.exploration.guide) is MatchingGuide
    assert learner.exploration.fraction == 0.5


@pytest.mark.parametrize(("repeating", "guide"), [(True, BridgingPolicy), (False, FirstCertain)])
def test_ha_diiqn_follows_bridges_in_any_case(repeating: bool, guide: type) -> None:
    chosen: Any = exploration_of(make(HADIIQN, repeating)).guide
    assert type(chosen) is guide
    bridging = chosen if repeating else chosen.second
    assert type(bridging) is BridgingPolicy and bridging.shortest
    assert type(exploration_of(make(HADIIQN, repeating, guide="clone")).guide) is CloneGuide


def test_what_the_user_says_counts() -> None:
    model = make(imitation_coef=0.25, inference="nearest", guide="clone", repeating=True)
    assert model.imitation_coef == 0.25
    learner = learner_of(model)
    assert type(learner.inference) is NearestInference and type(exploration_of(model).guide) is CloneGuide
    assert learner.losses[1].weight.coefficient == 0.25  # type: ignore[attr-defined]


@pytest.mark.parametrize("algorithm", [DIIQN, HADIIQN])
@pytest.mark.parametrize("repeating", [True, False])
def test_the_published_method_has_nothing_beside(algorithm: Any, repeating: bool) -> None:
    learner = learner_of(make(algorithm, repeating, **PAPER))
    assert type(learner.inference) is NearestInference
    assert learner.exploration is None and learner.networks == {}
    assert [type(term) for term in learner.losses] == [ConfidenceWeighted]
