"""Following matching expert transitions: along trajectories, or by the shortest way."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn import ExpertObservations
from sb3_diiqn.guides import MatchingGuide
from sb3_diiqn.inference import NO_ACTION, ActionEstimates, AgentTransitions, ExpertKnowledge, InferenceSettings

CELLS = spaces.Discrete(10)


def guide_of(
    *trajectories: list[int], n_envs: int = 1, shortest: bool = False, terminated: list[bool] | None = None
) -> MatchingGuide:
    """The expert's action at a cell is the next cell, and it has been inferred for all transitions."""
    cells = [np.array(one) for one in trajectories]
    expert = ExpertObservations.from_trajectories(cells, terminated).adapted_to(CELLS)
    knowledge = ExpertKnowledge(expert, CELLS, InferenceSettings(similarity_threshold=1.0), seed=0)
    every = np.arange(len(expert))
    following = expert.next(every)
    nothing = np.zeros(len(expert))
    knowledge.observe(AgentTransitions(expert.current(every), following, following[:, 0], nothing, nothing, nothing))
    return MatchingGuide(knowledge, n_envs, seed=0, shortest=shortest)


@pytest.mark.parametrize(
    "trajectory", [[0, 1, 2, 3, 4], [0, 1, 2, 1, 2, 3, 2, 1, 2, 3, 4], [5, 0, 1, 0, 2, 0, 3, 0, 4]], ids=str
)
def test_a_known_trajectory_is_followed_from_its_start_to_its_end(trajectory: list[int]) -> None:
    """In a world where the action is the next cell; where cells come again, the next one in time is taken."""
    guide = guide_of([9, 3, 2, 1, 0, 9], trajectory)
    visited = trajectory[:1]
    while len(visited) < len(trajectory):
        visited.append(int(guide.act(np.array([visited[-1:]]), np.array([0])).actions[0]))
    assert visited == trajectory


def test_the_shortest_way_leaves_out_detours() -> None:
    """From cell 1 it is 4 and 2 steps to the end on the first way, 3 on the second; the third, which was cut, does not count."""
    ways = [0, 1, 2, 1, 2, 3], [1, 4, 5, 3], [1, 6]
    guide = guide_of(*ways, shortest=True, terminated=[True, True, False])
    assert [int(guide.act(np.array([[cell]]), np.array([0])).actions[0]) for cell in (0, 1, 2)] == [1, 2, 3]


@pytest.mark.parametrize("cut", [True, False])
def test_without_a_goal_the_trajectory_is_followed_step_by_step(cut: bool) -> None:
    """Either the ways were cut, or ends are what is to be avoided: each step before them paid."""
    guide = guide_of([0, 1, 2, 1, 2, 3], shortest=True, terminated=[not cut])
    if not cut:
        guide.knowledge.ends.note(np.array([1.0, 0.0]), np.array([0, 1]), np.array([0, 1]))
    cells = [0]
    while len(cells) < 6:
        cells.append(int(guide.act(np.array([cells[-1:]]), np.array([0])).actions[0]))
    assert cells == [0, 1, 2, 1, 2, 3]


@pytest.mark.slow
@given(st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=12), min_size=1, max_size=4), st.data())
def test_who_goes_the_shortest_way_never_comes_back(ways: list[list[int]], data: st.DataObject) -> None:
    """In a world where the action is the next cell, and cell 9 the goal: what comes next has fewer steps left."""
    guide = guide_of(*([*way, 9] for way in ways), shortest=True, terminated=[True] * len(ways))
    way = data.draw(st.sampled_from(ways))
    cell, visited = way[0], [way[0]]
    while cell != 9:
        cell = int(guide.act(np.array([[cell]]), np.array([0])).actions[0])
        assert cell not in visited
        visited.append(cell)
    assert len(visited) <= len(way) + 1, "no longer than the way itself"


def test_every_environment_follows_its_own_trajectory() -> None:
    """At cell 5 the two trajectories cross."""
    guide = guide_of([0, 5, 1], [2, 5, 3], n_envs=3)
    both = np.array([0, 2])
    assert guide.act(np.array([[0], [2]]), both).actions.tolist() == [5, 5]
    assert guide.act(np.array([[5], [5]]), both).actions.tolist() == [1, 3]


def test_after_a_release_either_way_is_taken() -> None:
    guide = guide_of([0, 5, 1], [2, 5, 3])
    taken = set()
    for _ in range(40):
        guide.act(np.array([[0]]), np.array([0]))
        guide.release(np.array([True]))
        taken.add(int(guide.act(np.array([[5]]), np.array([0])).actions[0]))
        guide.release(np.array([0]))
    assert taken == {1, 3}


def test_where_nothing_is_known_there_is_no_action() -> None:
    guide = guide_of([0, 5, 1])
    assert guide.act(np.array([[7], [0]]), np.array([0, 0])).actions.tolist() == [NO_ACTION, 5]


def test_it_is_certain_where_something_matches() -> None:
    guide = guide_of([0, 5, 1], n_envs=2)
    assert guide.act(np.array([[7], [0]]), np.arange(2)).certain.tolist() == [False, True]


def test_where_an_action_is_not_known_the_last_steps_are_looked_at_first() -> None:
    knowledge = guide_of([0, 5, 1], [3, 4]).knowledge
    known, knowledge.inferred.action[2] = knowledge.inferred.action[2], NO_ACTION
    calls = []

    def look() -> None:
        calls.append(True)
        knowledge.inferred.action[2] = known

    guide = MatchingGuide(knowledge, 1, seed=0, match_pending=look)
    assert guide.act(np.array([[0]]), np.array([0])).actions.tolist() == [5]
    assert not calls
    assert guide.act(np.array([[3]]), np.array([0])).actions.tolist() == [4]
    assert len(calls) == 1


def test_where_no_action_is_known_somebody_is_asked() -> None:
    """The estimate of the last transition is not trusted."""
    knowledge = guide_of([0, 1, 2, 3]).knowledge
    knowledge.inferred.action[:] = NO_ACTION

    def estimates(indices: np.ndarray) -> ActionEstimates:
        return ActionEstimates(np.eye(10, dtype=bool)[indices + 4], np.array([0.9, 0.8, 0.1])[indices])

    cells, everywhere = np.array([[0], [1], [2]]), np.arange(3)
    asked, alone = MatchingGuide(knowledge, 3, seed=0, infer=estimates), MatchingGuide(knowledge, 3, seed=0)
    assert asked.act(cells, everywhere).actions.tolist() == [4, 5, NO_ACTION]
    assert alone.act(cells, everywhere).actions.tolist() == [NO_ACTION] * 3


def test_of_several_plausible_actions_one_is_drawn() -> None:
    knowledge = guide_of([0, 1]).knowledge
    knowledge.inferred.action[:] = NO_ACTION
    estimates = ActionEstimates(np.array([[True, False, True]]), np.array([1.0]))
    guide = MatchingGuide(knowledge, 1, seed=0, infer=lambda indices: estimates)
    drawn = [int(guide.act(np.array([[0]]), np.array([0])).actions[0]) for _ in range(200)]
    assert set(drawn) == {0, 2}
    assert 60 < drawn.count(0) < 140


def test_where_outcomes_are_chance_it_takes_what_is_meant_and_not_the_shortest_way() -> None:
    """From cell 0 one action leads to the goal, 2, in a tenth of the cases, the other in nearly all; the expert takes that one."""
    lucky, usual = [np.array([0, 2])] * 45, [np.array([0, 1])] * 5
    expert = ExpertObservations.from_trajectories([*lucky, *usual], terminated=True).adapted_to(CELLS)
    knowledge = ExpertKnowledge(expert, CELLS, InferenceSettings(similarity_threshold=1.0), seed=0)
    knowledge.learn_intentions(n_actions=2)
    guide = MatchingGuide(knowledge, 1, seed=0, shortest=True, match_pending=lambda: None)

    def go(action: int, end: int, n: int) -> None:
        cell, nothing = np.zeros((n, 1), dtype=int), np.zeros(n)
        actions = np.full(n, action)
        knowledge.observe(AgentTransitions(cell, np.full((n, 1), end), actions, nothing, nothing, nothing))

    def drawn() -> set[int]:
        return {int(guide.act(np.array([[0]]), np.array([0])).actions[0]) for _ in range(50)}

    go(0, 2, 1)
    assert drawn() == {0}, "it led to the goal, and nothing is known to be chance"
    go(0, 1, 1)
    assert drawn() == {NO_ACTION}, "now it is, and nothing is known of what the expert means"
    go(0, 1, 88)
    go(0, 2, 9)
    go(1, 2, 90)
    go(1, 1, 10)
    assert drawn() == {1}
