"""Variants that only suites compare."""

from __future__ import annotations

import numpy as np
import pytest
import torch as th

from benchmarks.algorithms import find_algorithm
from benchmarks.variants import LastNetwork, Repeating, Varying
from sb3_diiqn import DIIQN
from sb3_diiqn.guides import FirstCertain, MatchingGuide
from tests.helpers import TINY, LineEnv, right_walks


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


def test_the_last_network_learns_the_same_and_predicts_otherwise() -> None:
    default, last = (
        algorithm("MlpPolicy", LineEnv(), expert_data=right_walks(), **TINY).learn(300) for algorithm in (DIIQN, LastNetwork)
    )
    for one, other in zip(default.q_net.parameters(), last.q_net.parameters(), strict=True):
        assert th.equal(one, other)
    seen: list[th.nn.Module] = []
    for model in (default, last):
        model.policy.predict = lambda *args, model=model: (seen.append(model.policy.q_net), (args[0], None))[1]
        model.predict(np.zeros((1, 2), dtype=np.float32), deterministic=True)
    assert (seen[0] is default.q_net, seen[1] is last.q_net) == (False, True)
