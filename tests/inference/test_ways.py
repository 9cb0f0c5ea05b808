"""How far it is to the ends of trajectories, and whether these are goals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn.inference.ways import END, NOWHERE, Ends, steps_left


def test_by_hand() -> None:
    """0 leads to 2 over a bridge of three steps, 2 to the end by 3; 4 was cut, and 5 leads to it."""
    left = steps_left(np.array([2, 2, 3, END, NOWHERE, 4]), np.array([3, 1, 1, 1, 1, 1]))
    assert left.tolist() == [5, 3, 2, 1, np.inf, np.inf]


def test_nothing() -> None:
    assert steps_left(np.zeros(0, dtype=np.int64), np.zeros(0)).shape == (0,)


@st.composite
def ways(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    n = draw(st.integers(1, 40))
    following = [draw(st.sampled_from([END, NOWHERE, *range(number + 1, min(number + 5, n))])) for number in range(n)]
    return following, draw(st.lists(st.integers(1, 4), min_size=n, max_size=n))


@given(ways())
def test_as_walking_step_by_step(way: tuple[list[int], list[int]]) -> None:
    following, steps = way

    def walk(transition: int) -> float:
        if transition < 0:
            return 0.0 if transition == END else np.inf
        return steps[transition] + walk(following[transition])

    assert steps_left(np.array(following), np.array(steps)).tolist() == [walk(number) for number in range(len(steps))]


@pytest.mark.parametrize(
    ("paid", "at_the_end", "expected"),
    [
        ([], [], True),  # nobody knows
        ([-0.01] * 100, [], True),  # a maze whose goal nobody has found
        ([-0.01] * 100, [1.0], True),
        ([-1.0] * 199, [-1.0], True),  # MountainCar
        ([0.0] * 30, [1.0], True),
        ([1.0] * 20, [1.0], False),  # CartPole
        ([0.0, 1.0, 0.0, 1.0], [0.0], False),  # a game that ends with the player's life
        ([0.1] * 10, [5.0], True),  # what the steps pay is little
    ],
)
def test_an_end_is_a_goal_if_it_pays_as_much_as_the_way(paid: list[float], at_the_end: list[float], expected: bool) -> None:
    ends = Ends()
    for _ in range(3):
        ends.note(np.array([*paid, *at_the_end]), *2 * (np.array([0.0] * len(paid) + [1.0] * len(at_the_end)),))
    assert ends.are_goals() == expected


def test_episodes_that_were_cut_are_ways_without_an_end() -> None:
    """Two of three episodes pay 2 and are cut, the third ends after 2, with 3: more than the way of one, less than of all."""
    ends = Ends()
    ends.note(np.array([2.0, 2.0, 2.0, 3.0]), np.array([0, 0, 0, 1]), np.array([1, 1, 0, 1]))
    assert ends.are_goals()
    ends.note(np.array([4.0]), np.array([0]), np.array([0]))
    assert not ends.are_goals()
