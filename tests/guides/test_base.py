"""One guide where it is certain, and a second one elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from sb3_diiqn.guides import CloneGuide, FirstCertain, Guide, GuideActions
from sb3_diiqn.inference import NO_ACTION, NO_MATCH
from tests.guides.test_matching import guide_of


class Saying(Guide):
    """Has the same answer everywhere, and is certain in some environments."""

    def __init__(self, action: int, certain: list[bool]) -> None:
        self.action, self.certain = action, np.array(certain)

    def act(self, observations: Any, environments: np.ndarray) -> GuideActions:
        return GuideActions(np.full(len(environments), self.action), self.certain[environments].copy())


def test_the_second_is_asked_where_the_first_is_not_certain_and_holds_where_it_is() -> None:
    class Expects(Saying):
        """Is only asked about two environments, with their observations."""

        def act(self, observations: Any, environments: np.ndarray) -> GuideActions:
            assert (environments.tolist(), observations.tolist()) == ([1, 3], [[10], [30]])
            return super().act(observations, environments)

        def committed(self) -> np.ndarray:
            return np.zeros(4, dtype=bool)

    both = FirstCertain(Saying(1, [True, False, True, False]), Expects(2, [False, True, False, False]))
    actions, certain = both.act(np.array([[0], [10], [20], [30]]), np.arange(4))
    assert actions.tolist() == [1, 2, 1, 1], "where neither is certain, the first one's answer holds"
    assert certain.tolist() == [True, True, True, False]


def test_a_guide_needs_nothing_but_to_act() -> None:
    guide, everywhere = Saying(1, [True]), np.arange(3)
    assert guide.explore(everywhere, np.array([4, 5, 6])).tolist() == [4, 5, 6], "chance decides"
    assert not guide.committed().any()
    guide.release(everywhere)


def test_matching_is_followed_where_a_clone_is_unsure() -> None:
    """It is sure at cell 5. Cell 7 is in no recording, and at cell 3 the expert's action is not known, which is to be tried."""
    matching = guide_of([0, 5, 1], [3, 4], n_envs=4)
    matching.knowledge.inferred.action[2] = NO_ACTION
    unsure = np.full(10, 0.065)
    unsure[8:] = 0.24
    sure = np.eye(10)[9]
    clone = CloneGuide(lambda observations: np.where(observations == 5, sure, unsure), seed=0)
    both = FirstCertain(clone, matching)
    for _ in range(20):
        actions = both.act(np.array([[7], [0], [3], [5]]), np.arange(4)).actions.tolist()
        assert actions[0] in {8, 9}
        assert actions[1:] == [5, NO_ACTION, 9]
    both.release(np.array([1]))
    assert matching._last[1] == NO_MATCH
    assert not both.committed().any()


def test_a_bridge_that_was_begun_is_finished_however_sure_the_clone_is() -> None:
    matching = guide_of([0, 5, 1], n_envs=2)
    matching.committed = lambda: np.array([False, True])  # type: ignore[method-assign]
    clone = CloneGuide(lambda observations: np.tile(np.eye(10)[9], (len(observations), 1)))
    both = FirstCertain(clone, matching)
    assert both.act(np.array([[0], [0]]), np.arange(2)).actions.tolist() == [9, 5]


def test_where_a_bridge_has_ended_matching_is_asked_once_more_to_judge_it() -> None:
    matching = guide_of([0, 5, 1], n_envs=1)
    clone = CloneGuide(lambda observations: np.tile(np.eye(10)[9], (len(observations), 1)))
    both = FirstCertain(clone, matching)
    actions = []
    for on_bridge in (False, True, True, False, False):
        matching.committed = lambda on_bridge=on_bridge: np.array([on_bridge])  # type: ignore[misc]
        actions.append(both.act(np.array([[0]]), np.arange(1)).actions.item())
    assert actions == [9, 5, 5, 5, 9]
    matching.committed = lambda: np.array([True])  # type: ignore[method-assign]
    both.act(np.array([[0]]), np.arange(1))
    matching.committed = lambda: np.array([False])  # type: ignore[method-assign]
    both.release(np.array([0]))
    assert both.act(np.array([[0]]), np.arange(1)).actions.tolist() == [9], "another episode: nothing was begun in it"


def test_matching_says_what_to_try_where_a_clone_is_asked_first() -> None:
    matching = guide_of([0, 5, 1])
    matching.explore = lambda environments, drawn: drawn + 1  # type: ignore[method-assign]
    both = FirstCertain(CloneGuide(lambda observations: None), matching)
    assert both.explore(np.array([0]), np.array([3])).tolist() == [4]


def test_a_clone_that_has_learned_nothing_leaves_it_to_matching() -> None:
    both = FirstCertain(CloneGuide(lambda observations: None), guide_of([0, 5, 1], n_envs=2))
    assert both.act(np.array([[7], [0]]), np.arange(2)).actions.tolist() == [NO_ACTION, 5]
