"""Which of the paths found is kept as the bridge, and when it is dropped."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn.inference import NO_ACTION
from sb3_diiqn.inference.bridges import BridgeCandidates, Bridges

K = 4


def candidates(*rows: dict[str, Any]) -> BridgeCandidates:
    """Candidates for expert transition 0 unless said otherwise; the first action, the reward and the end tell them apart."""

    def column(name: str, default: Any, dtype: Any) -> np.ndarray:
        return np.array([row.get(name, default) for row in rows], dtype=dtype)

    length = column("length", 2, np.int64)
    mark = column("mark", 0, np.int64)
    actions = np.full((len(rows), K), NO_ACTION)
    for row in range(len(rows)):
        actions[row, : length[row]] = mark[row]
    return BridgeCandidates(
        transition=column("transition", 0, np.int64),
        length=length,
        end_observation=mark,
        gain=column("gain", 1, np.int64),
        distance=column("distance", 0.0, np.float32),
        actions=actions,
        reward=mark / 2,
        terminal=(mark % 2).astype(float),
    )


def kept(bridges: Bridges, transition: int = 0) -> int | None:
    """The mark of the bridge that is kept, after checking that all of it was."""
    if bridges.length[transition] == 0:
        return None
    mark, length = int(bridges.end_observation[transition]), int(bridges.length[transition])
    assert bridges.actions[transition].tolist() == [mark] * length + [NO_ACTION] * (K - length)
    assert bridges.reward[transition] == mark / 2
    assert bridges.terminal[transition] == mark % 2
    return mark


def test_at_first_there_is_none() -> None:
    bridges = Bridges(3, K)
    bridges.update(candidates())
    assert [kept(bridges, transition) for transition in range(3)] == [None] * 3
    assert np.isinf(bridges.distance).all()


# what is known, what is found, and whether the new one is better
ORDER = [
    ({"gain": 1, "length": 3}, {"gain": 1, "length": 2}, True),
    ({"gain": 1, "length": 2}, {"gain": 1, "length": 3}, False),
    ({"gain": 1, "length": 2}, {"gain": 3, "length": 4}, True),
    ({"gain": 3, "length": 4}, {"gain": 2, "length": 3}, False),
    ({"gain": 1, "length": 3, "distance": 0.0}, {"gain": 1, "length": 2, "distance": 0.9}, True),
    ({"gain": 1, "length": 2, "distance": 0.2}, {"gain": 1, "length": 2, "distance": 0.1}, True),
    ({"gain": 1, "length": 2, "distance": 0.1}, {"gain": 1, "length": 2, "distance": 0.2}, False),
    ({"gain": 1, "length": 2}, {"gain": 1, "length": 2}, False),
    ({"gain": 1, "length": 2, "distance": 0.1}, {"gain": 2, "length": 4, "distance": 0.1}, False),
    ({"gain": 1, "length": 1, "distance": 0.1}, {"gain": 3, "length": 3, "distance": 0.0}, True),
]


@pytest.mark.parametrize(("known", "found", "better"), ORDER, ids=str)
@pytest.mark.parametrize("at_once", [True, False])
def test_better_is_more_gain_per_step_then_nearer_then_earlier(
    known: dict[str, Any], found: dict[str, Any], better: bool, at_once: bool
) -> None:
    bridges = Bridges(1, K)
    first, second = {**known, "mark": 7}, {**found, "mark": 8}
    for rows in ([first, second],) if at_once else ([first], [second]):
        bridges.update(candidates(*rows))
    assert kept(bridges) == (8 if better else 7)


rows_of_candidates = st.lists(
    st.fixed_dictionaries(
        {
            "transition": st.integers(0, 2),
            "length": st.integers(1, K),
            "gain": st.integers(1, 6),
            "distance": st.sampled_from([0.0, 0.25, 0.5]),
        }
    ),
    max_size=25,
)


@given(rows=rows_of_candidates, cuts=st.lists(st.integers(0, 25), max_size=3))
def test_batches_of_any_size_leave_what_a_look_at_each_in_turn_does(rows: list[dict[str, Any]], cuts: list[int]) -> None:
    rows = [{**row, "mark": number} for number, row in enumerate(rows)]
    bridges = Bridges(3, K)
    borders = [0, *sorted(cuts), len(rows)]
    for start, stop in zip(borders, borders[1:], strict=False):
        bridges.update(candidates(*rows[start:stop]))

    best: dict[int, dict[str, Any]] = {}
    for row in rows:
        known = best.get(row["transition"])
        rank = (-Fraction(row["gain"], row["length"]), row["distance"])
        if known is None or rank < (-Fraction(known["gain"], known["length"]), known["distance"]):
            best[row["transition"]] = row
    assert [kept(bridges, transition) for transition in range(3)] == [
        best[transition]["mark"] if transition in best else None for transition in range(3)
    ]
    for transition, row in best.items():
        known = (bridges.length[transition], bridges.gain[transition], bridges.distance[transition])
        assert known == (row["length"], row["gain"], row["distance"])


def test_gains_may_be_large() -> None:
    bridges = Bridges(1, K)
    bridges.update(candidates({"gain": 70_000, "mark": 1}))
    bridges.update(candidates({"gain": 60_000, "mark": 2}))
    assert (kept(bridges), bridges.gain[0]) == (1, 70_000)


# --- reliability ------------------------------------------------------------------------------------------------------------


def judged(bridges: Bridges, arrived: list[bool], patience: int = 3) -> None:
    for one in arrived:
        bridges.judge(np.array([0]), np.array([one]), patience)


@pytest.mark.parametrize(
    ("arrived", "stays"),
    [
        ([False, False], True),
        ([False, False, False], False),
        ([True, False, False, False], True),
        ([True, False, False, False, False], False),
        ([False, False, True, False, False], False),
        ([False, True] * 20, True),
    ],
    ids=str,
)
def test_a_bridge_that_failed_more_often_than_not_by_the_patience_is_dropped(arrived: list[bool], stays: bool) -> None:
    bridges = Bridges(2, K)
    bridges.update(candidates({"mark": 5}, {"transition": 1, "mark": 6}))
    judged(bridges, arrived)
    assert (kept(bridges) == 5) == stays
    assert kept(bridges, 1) == 6


def test_several_are_judged_at_once() -> None:
    bridges = Bridges(3, K)
    bridges.update(candidates(*({"transition": transition, "mark": transition} for transition in range(3))))
    bridges.judge(np.array([2, 0]), np.array([False, True]), patience=1)
    assert [kept(bridges, transition) for transition in range(3)] == [0, 1, None]


def test_after_a_drop_any_path_is_better_and_starts_without_failures() -> None:
    bridges = Bridges(1, K)
    bridges.update(candidates({"gain": 4, "length": 1, "mark": 5}))
    judged(bridges, [False] * 3)
    bridges.update(candidates({"gain": 1, "length": 4, "distance": 0.9, "mark": 6}))
    assert kept(bridges) == 6
    judged(bridges, [False] * 2)
    assert kept(bridges) == 6


def test_a_better_bridge_starts_without_the_failures_of_the_one_before() -> None:
    bridges = Bridges(1, K)
    bridges.update(candidates({"gain": 1, "mark": 5}))
    judged(bridges, [False] * 2)
    bridges.update(candidates({"gain": 2, "mark": 6}))
    judged(bridges, [False] * 2)
    assert kept(bridges) == 6
    judged(bridges, [False])
    assert kept(bridges) is None


def test_what_is_no_better_leaves_the_failures() -> None:
    bridges = Bridges(1, K)
    bridges.update(candidates({"mark": 5}))
    judged(bridges, [False] * 2)
    bridges.update(candidates({"mark": 6}))
    judged(bridges, [False])
    assert kept(bridges) is None


def test_no_number_of_successes_drops_a_bridge() -> None:
    bridges = Bridges(1, K)
    bridges.update(candidates({"mark": 5}))
    judged(bridges, [True] * 33_000)
    assert kept(bridges) == 5
