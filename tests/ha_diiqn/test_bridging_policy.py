"""What the agent does in guided stretches: whole bridges, the expert's actions where it has them, and the trajectory's order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sb3_diiqn import ExpertObservations
from sb3_diiqn.envs import Maze2D
from sb3_diiqn.guides import GuidedExploration
from sb3_diiqn.ha_diiqn import BridgingPolicy
from sb3_diiqn.inference import NO_ACTION, BridgingKnowledge, Feasibility
from tests.inference.bridge_reference import AgentStep
from tests.inference.bridging_worlds import episode, knowledge_of, observe, record_king, trajectories, wander

N_ACTIONS = 3
STAY = 0

#: Where actions 1 and 2 lead; whatever is not here leaves the agent where it is, and so does action 0.
WORLD = {(1, 2): 2, (2, 1): 4, (4, 1): 3, (3, 2): 5, (5, 1): 6, (6, 1): 7, (7, 1): 8}


def after(cell: int, action: int) -> int:
    return WORLD.get((cell, action), cell)


def walk(cell: int, actions: Sequence[int]) -> list[AgentStep]:
    """An episode of these actions."""
    moves = []
    for action in actions:
        moves.append((cell, action, after(cell, action), 0.0))
        cell = moves[-1][2]
    return episode(*moves)


def everything_tried() -> list[list[AgentStep]]:
    return [walk(cell, [action]) for cell in range(10) for action in range(N_ACTIONS)]


def knowing(*expert: list[int], ways: Sequence[list[AgentStep]] = (), **settings: int) -> BridgingKnowledge:
    """Every action was tried everywhere, and the ways have been gone."""
    knowledge = knowledge_of(trajectories(*expert), **settings)
    observe(knowledge, *everything_tried(), *ways)
    return knowledge


def act(policy: BridgingPolicy, *cells: int, environments: Sequence[int] | None = None) -> list[int]:
    chosen = np.arange(len(cells)) if environments is None else np.asarray(environments)
    return policy.act(np.array(cells)[:, None], chosen).actions.tolist()


def follow(policy: BridgingPolicy, cell: int, n: int) -> list[int]:
    """Cells that it gets to; without an action it stays."""
    cells = [cell]
    for _ in range(n):
        action = act(policy, cells[-1])[0]
        cells.append(after(cells[-1], max(action, STAY)))
    return cells


AROUND = walk(1, [2, 1, 1])
"""From 1 by 2 and 4 to 3, which the expert reaches at once."""


def test_a_whole_bridge_is_followed_and_then_the_trajectory() -> None:
    """1 to 3 by a bridge, 3 to 5 by an own action, 5 to 7 by a bridge again."""
    knowledge = knowing([1, 3, 5, 7], ways=[AROUND, walk(5, [1, 1])])
    assert knowledge.bridged(np.arange(3)).tolist() == [True, False, True]
    assert follow(BridgingPolicy(knowledge, 1, seed=0), 1, 6) == [1, 2, 4, 3, 5, 6, 7]


def test_success_is_noted_once_at_the_end() -> None:
    knowledge = knowing([1, 3, 5], ways=[AROUND])
    policy = BridgingPolicy(knowledge, 1, seed=0)
    cells = follow(policy, 1, 3)
    assert (cells[-1], knowledge.bridges.failures.tolist()) == (3, [0, 0]), "not before it is seen there"
    follow(policy, 3, 4)
    assert knowledge.bridges.failures.tolist() == [-1, 0]


def test_a_bridge_that_leads_elsewhere_now_fails_and_is_dropped() -> None:
    knowledge = knowing([1, 3, 5], ways=[AROUND], bridge_patience=2)
    policy = BridgingPolicy(knowledge, 1, seed=0)
    for failures in (1, 0):
        assert [act(policy, cell)[0] for cell in (1, 2, 9)] == [2, 1, 1]
        assert knowledge.bridged(np.array([0])).all()
        assert act(policy, 9) == [NO_ACTION]
        assert knowledge.bridges.failures[0] == failures
    assert not knowledge.bridged(np.array([0])).any()
    assert act(policy, 1) == [NO_ACTION]


def test_back_on_the_trajectory_the_rest_of_the_bridge_is_left() -> None:
    """Off the path of the bridge from 1 to 3, the agent finds itself at 5, from where it can go on to 6."""
    knowledge = knowing([1, 3, 5, 6], ways=[AROUND])
    policy = BridgingPolicy(knowledge, 1, seed=0)
    assert [act(policy, cell)[0] for cell in (1, 2, 5)] == [2, 1, 1]
    assert policy.committed().tolist() == [False]
    act(policy, 6)
    assert knowledge.bridges.failures.tolist() == [0, 0, 0], "it was not followed to its end: nothing to judge"


def test_states_behind_or_of_other_trajectories_do_not_end_a_bridge() -> None:
    knowledge = knowing([2, 1, 3, 5], [4, 3, 5], ways=[AROUND])
    policy = BridgingPolicy(knowledge, 1, seed=0)
    assert follow(policy, 1, 3) == [1, 2, 4, 3]


def test_at_the_end_of_an_episode_the_bridge_is_left() -> None:
    knowledge = knowing([1, 3, 5], ways=[AROUND])
    policy = BridgingPolicy(knowledge, 1, seed=0)
    assert act(policy, 1) == [2]
    assert policy.committed().tolist() == [True]
    policy.release(np.array([True]))
    assert policy.committed().tolist() == [False]
    assert act(policy, 1) == [2], "the first action again, not the second"
    assert [act(policy, cell)[0] for cell in (2, 4)] == [1, 1]
    policy.release(np.array([0]))
    act(policy, 8)
    assert knowledge.bridges.failures.tolist() == [0, 0], "nothing to judge"


def test_after_a_bridge_it_goes_on_with_the_trajectory_that_it_is_of() -> None:
    """At 3 another trajectory passes in the other direction."""
    knowledge = knowing([9, 3, 3, 3, 9], [1, 3, 5], [4, 3, 3, 3, 4], ways=[AROUND])
    for seed in range(8):
        assert follow(BridgingPolicy(knowledge, 1, seed), 1, 4) == [1, 2, 4, 3, 5]


def test_after_a_failure_any_trajectory_will_do() -> None:
    """Having got to 5 instead of 3, it takes the expert's way from there, on whichever trajectory."""
    knowledge = knowing([1, 3, 9], [5, 6, 7], ways=[AROUND])
    policy = BridgingPolicy(knowledge, 1, seed=0)
    assert [act(policy, cell)[0] for cell in (1, 2, 4, 5, 6)] == [2, 1, 1, 1, 1]
    assert knowledge.bridges.failures[0] == 1


def test_a_bridge_to_the_last_observation() -> None:
    knowledge = knowing([1, 3], ways=[AROUND])
    policy = BridgingPolicy(knowledge, 1, seed=0)
    assert [act(policy, cell)[0] for cell in (1, 2, 4, 3, 3)] == [2, 1, 1, NO_ACTION, NO_ACTION]
    assert knowledge.bridges.failures[0] == -1


def test_what_is_not_known_yet_has_no_action() -> None:
    knowledge = knowledge_of(trajectories([1, 3]))
    observe(knowledge, AROUND)
    assert knowledge.feasibility.tolist() == [Feasibility.UNKNOWN]
    assert act(BridgingPolicy(knowledge, 1, seed=0), 1) == [NO_ACTION]


def test_environments_are_on_bridges_of_their_own() -> None:
    knowledge = knowing([1, 3, 5], [6, 8], ways=[AROUND, walk(6, [1, 1])])
    policy = BridgingPolicy(knowledge, 4, seed=0)
    assert act(policy, 1, 6, environments=[3, 0]) == [2, 1]
    assert act(policy, 7, 1, 2, environments=[0, 1, 3]) == [1, 2, 1]
    assert act(policy, 2, 4, environments=[1, 3]) == [1, 1]
    policy.release(np.array([False, True, False, False]))
    assert act(policy, 8, 1, 3, environments=[0, 1, 3]) == [NO_ACTION, 2, 2]
    assert knowledge.bridges.failures.tolist() == [-1, 0, -1]


def test_two_environments_that_finish_the_same_bridge_at_once() -> None:
    knowledge = knowing([1, 3, 5], ways=[AROUND])
    policy = BridgingPolicy(knowledge, 2, seed=0)
    for cell in (1, 2, 4):
        act(policy, cell, cell)
    assert act(policy, 3, 3) == [2, 2]
    assert knowledge.bridges.failures[0] == -1


BETTER = {"shorter": episode((5, STAY, 8, 0.0)), "nearer": episode(*[(cell, STAY, cell + 1, 0.0) for cell in (5, 6, 7)])}


@pytest.mark.parametrize("better", BETTER)
def test_a_bridge_replaced_by_a_better_one_is_gone_to_its_end_and_not_judged(better: str) -> None:
    """From 5 by 6 and 7 to 8."""
    knowledge = knowing([5, 9, 8], ways=[walk(5, [1, 1, 1])])
    knowledge.bridges.distance[0] = 0.5
    policy = BridgingPolicy(knowledge, 1, seed=0)
    assert act(policy, 5) == [1]
    observe(knowledge, BETTER[better])
    assert knowledge.bridges.actions[0, 0] == STAY
    assert [act(policy, cell)[0] for cell in (6, 7)] == [1, 1]
    act(policy, 8)
    assert knowledge.bridges.failures[0] == 0
    assert act(policy, 5) == [STAY]


def test_a_bridge_dropped_on_the_way_is_not_judged() -> None:
    knowledge = knowing([1, 3, 5], ways=[AROUND])
    policy = BridgingPolicy(knowledge, 1, seed=0)
    act(policy, 1)
    for _ in range(3):
        knowledge.judge_bridges(np.array([0]), np.array([False]))
    for cell in (2, 4, 3, 3):
        act(policy, cell)
    assert knowledge.bridges.failures[0] == 0
    assert not knowledge.bridged(np.array([0])).any()


def test_off_all_bridges_nothing_is_judged() -> None:
    """However long it goes on, and whatever bridge the last expert transition has."""
    knowledge = knowing([3, 5], [1, 3], ways=[AROUND])
    policy = BridgingPolicy(knowledge, 1, seed=0)
    follow(policy, 8, 10)
    assert act(policy, 3) == [2]
    assert knowledge.bridges.failures.tolist() == [0, 0]


# --- in a maze ----------------------------------------------------------------------------------------------------------------

OPEN = "\n".join(["#######", "#S....#", "#.....#", "#.....#", "#.....#", "#....G#", "#######"])


@pytest.mark.parametrize("seed", range(3))
def test_in_a_maze_it_walks_the_experts_way_to_the_goal(seed: int) -> None:
    """The king needs four moves along the diagonal, the agent two for each of them."""
    maze = Maze2D(OPEN, actions="NESW", max_episode_steps=200, random_start=True)
    king = Maze2D(OPEN, actions="king")
    path = king.shortest_path()
    expert = record_king(maze, seed, n_episodes=1, randomness=0.0)
    knowledge = knowledge_of(expert, maze.observation_space, n_actions=4, bridge_gain=1)
    observe(knowledge, wander(maze, 1500, np.random.default_rng(seed)))
    assert knowledge.bridged(np.arange(len(expert))).all()
    assert knowledge.bridges.length.tolist() == [2] * len(expert)

    policy = BridgingPolicy(knowledge, 1, seed)
    observation, _ = maze.reset(options={"start": maze.layout.start})
    cells, terminated = [maze.cell], False
    while not terminated:
        assert len(cells) <= 8
        action = policy.act(observation[None], np.array([0])).actions[0]
        observation, _, terminated, _, info = maze.step(action)
        cells.append(info["cell"])
    assert cells[::2] == path
    # the last one ended with the episode, before anybody looked
    assert knowledge.bridges.failures.tolist() == [-1, -1, -1, 0]


# --- with stretches -----------------------------------------------------------------------------------------------------------


def test_a_bridge_is_followed_beyond_the_end_of_a_stretch() -> None:
    """In stretches of one step on average, with a host that always stays."""
    knowledge = knowing([1, 3], ways=[AROUND])
    exploration = GuidedExploration(BridgingPolicy(knowledge, 1, seed=0), 1.0, N_ACTIONS, 1, seed=0)
    exploration.stretch_length = 1
    cell, begun, finished = 1, 0, 0
    for _ in range(300):
        action = int(exploration.override(np.array([STAY]), np.array([[cell]]), 0.3)[0])
        begun += (cell, action) == (1, 2)
        cell = after(cell, action)
        if cell == 3:
            finished += 1
            cell = 1
            exploration.note_step(np.zeros(1), np.array([True]))
    assert begun > 20
    assert finished >= begun - 1


# --- the shortest way ---------------------------------------------------------------------------------------------------------


def ending(*cells: list[int], ways: Sequence[list[AgentStep]] = ()) -> BridgingKnowledge:
    """Everything was tried, and the expert's trajectories end at a goal."""
    expert = ExpertObservations.from_trajectories([np.array(one)[:, None] for one in cells], terminated=True)
    knowledge = knowledge_of(expert)
    observe(knowledge, *everything_tried(), *ways)
    return knowledge


def test_bridges_count_with_their_own_steps_and_what_has_none_leads_nowhere() -> None:
    """To 3 in three steps over 2 and 4, to 5 in one, to 7 in two over 6, to 8 in one."""
    knowledge = ending([1, 3, 5, 7, 8], ways=[AROUND])
    assert knowledge.steps_left(np.arange(4)).tolist() == [np.inf, np.inf, np.inf, 1]
    observe(knowledge, walk(5, [1, 1]))
    assert knowledge.steps_left(np.arange(4)).tolist() == [7, 4, 3, 1]


def test_a_bridge_to_the_end_is_a_way_if_the_agent_ended_there_too() -> None:
    for terminal, expected in ((True, [2]), (False, [np.inf])):
        knowledge = ending([5, 7], ways=[episode((5, 1, 6, 0.0), (6, 1, 7, 0.0), terminal=terminal)])
        assert knowledge.bridged(np.arange(1)).all()
        assert knowledge.steps_left(np.arange(1)).tolist() == expected


def test_the_shortest_way_goes_over_a_bridge_and_not_where_nothing_leads_on() -> None:
    """The second expert goes from 3 to 9 and straight to the end, which the agent cannot."""
    knowledge = ending([1, 3, 5, 7, 8], [3, 9, 8], ways=[AROUND, walk(5, [1, 1])])
    policy = BridgingPolicy(knowledge, 1, seed=0, shortest=True)
    for _ in range(10):
        assert follow(policy, 1, 7) == [1, 2, 4, 3, 5, 6, 7, 8]
        policy.release(np.array([0]))


def test_on_the_shortest_way_what_was_tried_least_is_tried_where_the_action_is_not_known() -> None:
    knowledge = knowledge_of(trajectories([1, 3, 5]))
    observe(knowledge, walk(1, [STAY]), walk(1, [STAY]), walk(1, [2]), walk(3, [1]))
    policy = BridgingPolicy(knowledge, 3, seed=0, shortest=True)
    everywhere, drawn = np.arange(3), np.array([7, 8, 9])
    tried = set()
    for _ in range(40):
        assert act(policy, 1, 3, 9) == [NO_ACTION] * 3
        first, second, unmatched = policy.explore(everywhere, drawn).tolist()
        assert (first, unmatched) == (1, 9)
        tried.add(second)
    assert tried == {0, 2}
    assert BridgingPolicy(knowledge, 3, seed=0).explore(everywhere, drawn).tolist() == drawn.tolist()


def test_a_way_that_opens_is_known_at_once() -> None:
    """At first no action leads from 1 to 3."""
    knowledge = ending([1, 3, 5])
    assert knowledge.steps_left(np.arange(2)).tolist() == [np.inf, 1]
    observe(knowledge, episode((1, STAY, 3, 0.0)))
    assert knowledge.feasibility[0] == Feasibility.FEASIBLE
    assert knowledge.steps_left(np.arange(2)).tolist() == [2, 1]


def test_a_better_bridge_is_a_shorter_way() -> None:
    knowledge = ending([1, 3, 5], ways=[AROUND])
    assert knowledge.steps_left(np.arange(1)).tolist() == [4]
    observe(knowledge, episode((1, STAY, 4, 0.0), (4, 1, 3, 0.0)))
    assert knowledge.steps_left(np.arange(1)).tolist() == [3]


def test_on_the_shortest_way_nobody_stands_still() -> None:
    """The expert has come back to 5, and gone on where the agent cannot: staying is a bridge. At 7 it stays by itself."""
    knowledge = ending([5, 9, 5, 3], [1, 3, 8], [7, 7, 3], ways=[AROUND])
    assert knowledge.bridged(np.arange(7)).tolist() == [True, False, False, True, False, False, False]
    assert knowledge.leads_on(np.arange(7)).tolist() == [False, True, True, True, True, False, True]
    policy = BridgingPolicy(knowledge, 3, seed=0, shortest=True)
    assert act(policy, 5, 7, 1) == [NO_ACTION, NO_ACTION, 2]
    assert policy.act(np.array([[5], [7], [1]]), np.arange(3)).certain.tolist() == [False, False, True]
    assert act(BridgingPolicy(knowledge, 3, seed=0), 5, 7, 1) == [STAY, STAY, 2]


def test_an_agent_that_is_paid_for_every_step_does_not_look_for_the_end() -> None:
    knowledge = ending([1, 3, 5], ways=[AROUND])
    assert np.isfinite(knowledge.steps_left(np.arange(2))).all()
    observe(knowledge, episode((1, STAY, 1, 9.0)))
    assert np.isinf(knowledge.steps_left(np.arange(2))).all()
    # another metric: what was seen is looked at again, and is not to be counted twice
    knowledge.compare_by(knowledge.matcher.distance)
    assert knowledge.ends.are_goals()
    observe(knowledge, *everything_tried(), AROUND)
    assert np.isfinite(knowledge.steps_left(np.arange(2))).all()
