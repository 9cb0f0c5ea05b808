"""Variants that only suites compare."""

from __future__ import annotations

import pytest

from benchmarks.algorithms import find_algorithm
from benchmarks.variants import Repeating, Varying
from sb3_diiqn import DIIQN
from sb3_diiqn.guides import FirstCertain, MatchingGuide
from tests.helpers import LineEnv, right_walks


def test_a_variant_is_found_by_its_path() -> None:
    found = find_algorithm("benchmarks.variants:Repeating")
    assert found.load() is Repeating
    assert found.uses_expert


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("variant", [DIIQN, Repeating, Varying])
def test_variants_have_the_habits_that_the_rule_does_not_pick(
    variant: type[DIIQN], repeat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sb3_diiqn.imitation.host.states_repeat", lambda expert: repeat)
    learner = variant("MlpPolicy", LineEnv(), expert_data=right_walks(), device="cpu").learner
    assert learner is not None and learner.exploration is not None
    matches = variant is Repeating or (repeat and variant is DIIQN)
    assert isinstance(learner.exploration.guide, MatchingGuide if matches else FirstCertain)
