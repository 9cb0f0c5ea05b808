"""Presets: what they set, and what the user sets."""

from __future__ import annotations

from typing import Any

import pytest
from sb3_diiqn.imitation.presets import PRESETS

from sb3_diiqn import DIIQN, HADIIQN
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.ha_diiqn.bridging_policy import BridgingPolicy
from sb3_diiqn.networks.cloned_policy import CloneFollower, CloneOrMatchingFollower
from tests.helpers import TINY, LineEnv, right_walks


def make(algorithm: type[DIIQN] = DIIQN, **arguments: Any) -> DIIQN:
    return algorithm("MlpPolicy", LineEnv(), **TINY, expert_data=right_walks(), **arguments)


@pytest.mark.parametrize("algorithm", [DIIQN, HADIIQN])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_what_the_user_leaves_out(algorithm: type[DIIQN], preset: str) -> None:
    model = make(algorithm, preset=preset)
    # a clone does not know bridges
    expected = PRESETS[preset] | ({"guide": "matching"} if algorithm is HADIIQN else {})
    assert {name: getattr(model, name) for name in PRESETS[preset]} == expected


def test_hadiiqn_follows_bridges_unless_a_clone_is_asked_for() -> None:
    guides = ({}, {"guide": "clone"}, {"guide": "both"})
    followers = [make(HADIIQN, preset="guided", **guide).learn(100)._guidance.follower for guide in guides]
    assert [type(follower) for follower in followers] == [BridgingPolicy, CloneFollower, CloneOrMatchingFollower]
    assert type(followers[2].matching) is BridgingPolicy


@pytest.mark.parametrize("algorithm", [DIIQN, HADIIQN])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"preset": "bridging"}, True),
        ({"preset": "bridging", "guide_follows": "next"}, False),
        ({"preset": "guided", "guide": "matching"}, False),
        ({"preset": "guided", "guide": "matching", "guide_follows": "shortest"}, True),
    ],
)
def test_which_way_the_guide_goes(algorithm: type[DIIQN], arguments: dict[str, Any], expected: bool) -> None:
    follower = make(algorithm, **arguments)._guidance.follower
    assert follower.shortest is expected
    assert (follower.match_pending is not None) is expected


def test_what_the_user_says_counts() -> None:
    model = make(preset="guided", guidance_share=0.0, margin_weight=0.25)
    assert (model.guidance_share, model.margin_weight, model.inference) == (0.0, 0.25, "inverse_dynamics")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"preset": "paper"}, 0.03),
        ({"preset": "bridging"}, 0.03),
        ({"preset": "guided"}, 1e-4),
        ({"preset": "guided", "inference": "nearest"}, 0.03),
        ({"preset": "paper", "inference": "inverse_dynamics"}, 1e-4),
        ({"preset": "guided", "max_inference_error": 0.2}, 0.2),
    ],
)
def test_near_transitions_are_believed_where_no_network_knows_better(arguments: dict[str, Any], expected: float) -> None:
    assert make(**arguments).knowledge.settings.max_inference_error == expected  # type: ignore[union-attr]


def test_by_default_a_clone_leads_and_is_imitated() -> None:
    model = make()
    assert model.preset == "guided"
    assert (model.led_episodes, model.greedy_episodes) == (0.8, 0.5)
    assert model.cloned_policy is not None and model.inverse_dynamics is not None
    assert (model.margin_weight, model.margin) == (1.0, "auto")


def test_by_default_hadiiqn_follows_bridges() -> None:
    model = make(HADIIQN)
    assert model.preset == "bridging"
    assert model.guidance_share == 0.5 and type(model._guidance.follower) is BridgingPolicy
    assert (model.led_episodes, model.margin_weight, model.margin, model.imitate_guide) == (0.8, 1.0, "auto", True)
    assert model.cloned_policy is None and model.inverse_dynamics is None


@pytest.mark.parametrize("algorithm", [DIIQN, HADIIQN])
def test_the_published_method_has_nothing_beside(algorithm: type[DIIQN]) -> None:
    model = make(algorithm, preset="paper")
    assert (model.guidance_share, model.margin_weight, model.inference) == (0.0, 0.0, "nearest")
    assert model._guidance is None and model.inverse_dynamics is None


@pytest.mark.parametrize("preset", ["best", None, 3])
def test_there_is_no_other(preset: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"preset={preset!r}.*'paper', 'bridging', 'guided'"):
        make(preset=preset)
