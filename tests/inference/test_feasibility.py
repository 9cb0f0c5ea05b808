"""Unknown, feasible, infeasible: the counts of what was tried, and the decision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn.inference import Feasibility
from sb3_diiqn.inference.feasibility import TriedActions, classify

UNKNOWN, FEASIBLE, INFEASIBLE = Feasibility

NEVER = np.inf


@pytest.mark.parametrize(
    ("error", "tried", "expected"),
    [
        (NEVER, False, UNKNOWN),
        (0.5, False, UNKNOWN),
        (NEVER, True, INFEASIBLE),
        (0.5, True, INFEASIBLE),
        (0.1001, True, INFEASIBLE),
        (0.1001, False, UNKNOWN),
        (0.1, True, FEASIBLE),
        (0.1, False, FEASIBLE),
        (0.0, True, FEASIBLE),
        (0.0, False, FEASIBLE),
    ],
)
def test_the_three_states(error: float, tried: bool, expected: Feasibility) -> None:
    """An error at the threshold is that of a feasible transition, for which one success is enough."""
    assert classify(np.array([error], dtype=np.float32), np.array([tried]), 0.1).tolist() == [expected]


@pytest.mark.parametrize(("threshold", "expected"), [(0.0, [FEASIBLE, INFEASIBLE]), (1.0, [FEASIBLE, FEASIBLE])])
def test_the_bounds_of_the_threshold(threshold: float, expected: list[Feasibility]) -> None:
    error = np.array([0.0, 1.0], dtype=np.float32)
    assert classify(error, np.array([True, True]), threshold).tolist() == expected


def test_many_are_decided_at_once() -> None:
    error = np.array([NEVER, 0, 0.3, 0.3], dtype=np.float32)
    states = classify(error, np.array([False, True, True, False]), 0.2)
    assert states.tolist() == [UNKNOWN, FEASIBLE, INFEASIBLE, UNKNOWN]
    assert states.dtype == np.int8


def test_the_names_have_the_documented_values() -> None:
    assert (UNKNOWN, FEASIBLE, INFEASIBLE) == (0, 1, 2)


# --- what was tried -----------------------------------------------------------------------------------------------------------


@given(
    tries=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=3),
    evidence=st.integers(1, 4),
)
def test_counts_equal_counting_each(tries: list[tuple[int, int]], cuts: list[int], evidence: int) -> None:
    tried = TriedActions(4, 3)
    borders = [0, *sorted(cuts), len(tries)]
    for start, stop in zip(borders, borders[1:], strict=False):
        part = np.array(tries[start:stop], dtype=np.int64).reshape(-1, 2)
        tried.update(part[:, 0], part[:, 1])

    for state in range(4):
        for action in range(3):
            assert tried.counts[state, action] == tries.count((state, action))
        expected = all(tries.count((state, action)) >= evidence for action in range(3))
        assert tried.sufficient(np.array([state]), evidence).tolist() == [expected]


def test_every_action_must_have_been_tried() -> None:
    tried = TriedActions(2, 3)
    tried.update(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 1, 0, 1, 2]))
    assert tried.sufficient(np.array([0, 1, 0]), 1).tolist() == [False, True, False]


def test_counts_stop_at_what_can_be_asked_for() -> None:
    tried = TriedActions(1, 1)
    tried.update(np.zeros(254, dtype=np.int64), np.zeros(254, dtype=np.int64))
    assert not tried.sufficient(np.array([0]), 255).any()
    for _ in range(3):
        tried.update(np.zeros(200, dtype=np.int64), np.zeros(200, dtype=np.int64))
        assert tried.sufficient(np.array([0]), 255).all()
