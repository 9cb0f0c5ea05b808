"""Variants that only suites compare, and the page that says which habits the rule picks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.algorithms import find_algorithm
from benchmarks.gate import TASKS, n_distinct, verdict
from benchmarks.statistics import Estimate
from benchmarks.suite import load_suite
from benchmarks.variants import Matching
from sb3_diiqn import DIIQN
from sb3_diiqn.exploration import FirstCertain, MatchingGuide
from tests.helpers import LineEnv, right_walks

ROOT = Path(__file__).parents[2]


def test_a_variant_is_found_by_its_path() -> None:
    found = find_algorithm("benchmarks.variants:Matching")
    assert found.load() is Matching
    assert found.uses_expert


@pytest.mark.parametrize(("variant", "guide"), [(DIIQN, FirstCertain), (Matching, MatchingGuide)])
def test_variants_differ_in_their_habits_where_states_vary(
    variant: type[DIIQN], guide: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sb3_diiqn.imitation.host.states_repeat", lambda expert: False)
    learner = variant("MlpPolicy", LineEnv(), expert_data=right_walks(), device="cpu").learner
    assert learner is not None and learner.exploration is not None
    assert isinstance(learner.exploration.guide, guide)


def test_verdicts() -> None:
    low, high = Estimate(1.0, 0.5, 1.5), Estimate(2.0, 1.6, 2.4)
    assert verdict(True, high, low) == verdict(False, low, high) == "the better ones"
    assert verdict(True, low, high) == verdict(False, high, low) == "**the worse ones**"
    assert verdict(True, low, None) == verdict(False, None, low) == "the only ones that were run"
    assert verdict(True, None, low) == verdict(False, low, None) == "**those that were not run**"


def test_the_gate_names_rows_that_there_are() -> None:
    for task in TASKS:
        suite = load_suite(task.suite)
        rows = {(environment, algorithm) for environment, algorithm, _ in suite.combinations()}
        assert {(task.environment, name) for name in (task.repeat, task.vary) if name} <= rows


def test_different_observations_are_counted() -> None:
    data = right_walks()
    assert n_distinct(data) == len({tuple(row) for row in data.observations.reshape(len(data.observations), -1).tolist()})
