"""The search for paths as the steps come in, against a search of the whole past; and what it costs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sb3_diiqn import ExpertObservations
from sb3_diiqn.inference import NO_ACTION
from sb3_diiqn.inference.bridges import BridgeCandidates
from sb3_diiqn.inference.index import Hits
from sb3_diiqn.inference.paths import Matches, PathSearch
from tests.inference.bridge_reference import AgentStep, Match, match_within, slow_paths

GAMMA = 0.5

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def cells_apart(one: Any, other: Any) -> float:
    return abs(int(np.ravel(one)[0]) - int(np.ravel(other)[0])) / 10


def random_expert(generator: np.random.Generator, n_cells: int) -> ExpertObservations:
    lengths = generator.integers(2, 8, generator.integers(1, 4))
    return ExpertObservations.from_trajectories([generator.integers(0, n_cells, (length, 1)) for length in lengths])


def random_streams(generator: np.random.Generator, n_steps: int, n_envs: int, n_cells: int) -> list[list[AgentStep]]:
    """Walks with few cells, in which every fifth step ends an episode, half of them for good; some go on as if it had not."""

    def stream() -> list[AgentStep]:
        steps: list[AgentStep] = []
        for _ in range(n_steps):
            goes_on = bool(steps) and generator.random() < 0.85
            cell = steps[-1].following[0] if goes_on else generator.integers(0, n_cells)
            action = int(generator.integers(0, 3))
            following = min(max(cell + action - 1, 0), n_cells - 1)
            ends = generator.random() < 0.2
            begins = not steps or steps[-1].ends or cell != steps[-1].following[0]
            terminal = bool(ends and generator.random() < 0.5)
            reward = float(np.float32(generator.normal()))
            steps.append(AgentStep([cell], action, reward, [following], terminal, bool(ends), begins))
        return steps

    return [stream() for _ in range(n_envs)]


def search_of(expert: ExpertObservations, k: int, n: int, n_envs: int) -> PathSearch:
    ends = np.repeat(expert.offsets[1:] - 1, np.diff(expert.offsets))
    return PathSearch(expert.transition_of_observation, ends, k, n, GAMMA, n_envs, lambda hits: Matches(*hits))


def matches_of(rows: list[tuple[int, Any]], expert: ExpertObservations, match: Match) -> Matches:
    """What agent observations match, each with its row."""
    found = [
        (row, index, d)
        for row, observation in rows
        for index, other in enumerate(expert.observations)
        if (d := match(observation, other)) is not None
    ]
    row, observation, distance = (np.array(column) for column in zip(*found, strict=True)) if found else np.zeros((3, 0))
    return Matches(row.astype(np.int64), observation.astype(np.int64), distance.astype(np.float32))


def feed(search: PathSearch, streams: list[list[AgentStep]], steps: slice, expert: ExpertObservations, match: Match) -> Any:
    """Let the search take in a batch of steps."""
    table = [[stream[index] for stream in streams] for index in range(*steps.indices(len(streams[0])))]
    flat = list(enumerate(step for row in table for step in row))

    def column(name: str) -> np.ndarray:
        return np.array([[getattr(step, name) for step in row] for row in table])

    matches = matches_of([(row, step.observation) for row, step in flat], expert, match)
    starting = expert.transition_of_observation[matches.observation] >= 0
    return search.search(
        column("action"),
        column("reward"),
        column("terminal").astype(float),
        column("begins"),
        Matches(*(column[starting] for column in matches)),
        Hits(*matches),
        Hits(*matches_of([(row, step.following) for row, step in flat if step.ends], expert, match)),
    )


def listed(found: BridgeCandidates) -> list[tuple[Any, ...]]:
    """Candidates as tuples, in the order in which they were found."""
    return [
        (transition, length, end, gain, float(distance), actions[:length], round(reward, 9), terminal)
        for transition, length, end, gain, distance, actions, reward, terminal in zip(
            *(column.tolist() for column in found), strict=True
        )
    ]


def slices(n_steps: int, cuts: list[int]) -> list[slice]:
    borders = sorted({0, n_steps, *(cut for cut in cuts if cut < n_steps)})
    return [slice(start, stop) for start, stop in itertools.pairwise(borders)]


@pytest.mark.slow
@settings(max_examples=100)
@given(
    generator=generators,
    cuts=st.one_of(st.lists(st.integers(1, 40), max_size=6), st.just(list(range(40)))),
    n_steps=st.integers(1, 40),
    n_envs=st.integers(1, 3),
    n_cells=st.integers(2, 6),
    k=st.integers(1, 5),
    n=st.integers(1, 6),
    radius=st.sampled_from([0.0, 0.1, 0.2]),
)
def test_all_paths_are_found_each_once_and_in_order(
    generator: np.random.Generator, cuts: list[int], n_steps: int, n_envs: int, n_cells: int, k: int, n: int, radius: float
) -> None:
    """Of several ends of a path on the trajectory, the one furthest ahead stands for all."""
    expert, match = random_expert(generator, n_cells), match_within(cells_apart, radius)
    streams = random_streams(generator, n_steps, n_envs, n_cells)
    search = search_of(expert, k, n, n_envs)

    found = [one for batch in slices(n_steps, cuts) for one in listed(feed(search, streams, batch, expert, match))]

    furthest: dict[Any, Any] = {}
    for path in slow_paths(streams, expert, match, k, n, GAMMA):
        key = (path.transition, path.seen)
        furthest[key] = max(furthest.get(key, path), path, key=lambda one: one.gain)
    # equally early ones are of the same length and environment, and differ by the transition
    expected = [(*path[:6], round(path.reward, 9), path.terminal) for path in furthest.values()]
    assert sorted(found) == sorted(expected)
    for transition in range(len(expert)):
        in_order = sorted((path for path in furthest.values() if path.transition == transition), key=lambda path: path.seen)
        assert [one[1:3] for one in found if one[0] == transition] == [(path.length, path.end) for path in in_order]


# --- by hand --------------------------------------------------------------------------------------------------------------


def walk(cells: list[int], **last: bool) -> list[AgentStep]:
    """An episode through cells; the action names the step, the reward is one power of two per step."""
    pairs = list(itertools.pairwise(cells))
    return [
        AgentStep([a], 10 + j, 2.0**j, [b], False, False, j == 0)._replace(**(last if j == len(pairs) - 1 else {}))
        for j, (a, b) in enumerate(pairs)
    ]


def found_in(*trajectories: list[int], agent: list[AgentStep], k: int = 4, n: int = 4) -> list[tuple[Any, ...]]:
    expert = ExpertObservations.from_trajectories([np.array(one)[:, None] for one in trajectories])
    match = match_within(cells_apart, 0.0)
    return listed(feed(search_of(expert, k, n, 1), [agent], slice(None), expert, match))


def test_a_path_by_hand() -> None:
    """From 1 by way of 7 and 8 to 3, which the expert reaches in two steps; seen there, the agent goes on."""
    assert found_in([1, 2, 3], agent=walk([1, 7, 8, 3, 9])) == [(0, 3, 2, 2, 0.0, [10, 11, 12], 1 + 0.5 * 2 + 0.25 * 4, 0.0)]


def test_the_actions_are_padded() -> None:
    expert = ExpertObservations.from_trajectories([np.array([[1], [2]])])
    agent = [walk([1, 7, 2, 2])]
    found = feed(search_of(expert, 4, 1, 1), agent, slice(None), expert, match_within(cells_apart, 0.0))
    assert found.actions.tolist() == [[10, 11, NO_ACTION, NO_ACTION]]


@pytest.mark.parametrize(("terminal", "expected"), [(True, 1.0), (False, 0.0)])
def test_a_path_to_the_end_of_an_episode(terminal: bool, expected: float) -> None:
    """The last observation is no later step's state; a cut is no end for good."""
    found = found_in([1, 2, 3], agent=walk([1, 7, 3], terminal=terminal, ends=True))
    assert found == [(0, 2, 2, 2, 0.0, [10, 11], 2.0, expected)]


@pytest.mark.parametrize("ends", [True, False])
def test_no_path_crosses_the_border_of_an_episode(ends: bool) -> None:
    """Also where the next episode happens to begin where the last one ended, or the environment was reset unseen."""
    first = walk([1, 7], ends=ends)
    assert found_in([1, 2], agent=[*first, *walk([7, 2, 2])]) == []
    assert len(found_in([1, 2], agent=[*first, *(step._replace(begins=False) for step in walk([7, 2, 2]))])) == 1


def test_no_path_crosses_the_border_of_a_trajectory() -> None:
    assert found_in([1, 2], [3, 4], agent=walk([1, 3, 3])) == []
    assert found_in([1, 2, 3, 4], agent=walk([1, 3, 3])) != []


def test_no_path_leads_backwards_or_nowhere() -> None:
    assert found_in([1, 2, 3], agent=walk([3, 1, 1, 7, 1, 7])) == []


def test_none_is_longer_than_k_or_gains_more_than_n() -> None:
    trajectory, agent = [1, 2, 3, 4, 5, 6], walk([1, 7, 7, 4, 7])
    assert len(found_in(trajectory, agent=agent, k=3, n=3)) == 1
    assert found_in(trajectory, agent=agent, k=2, n=3) == []
    assert found_in(trajectory, agent=agent, k=3, n=2) == []


def test_where_the_trajectory_comes_again_to_a_state_the_path_ends_as_late_as_n_allows() -> None:
    trajectory, agent = [1, 2, 1, 2, 1, 2], walk([1, 2, 9])
    for n, gains in ((1, [1, 1, 1]), (2, [1, 1, 1]), (3, [3, 3, 1]), (4, [3, 3, 1]), (5, [5, 3, 1])):
        assert [one[3] for one in found_in(trajectory, agent=agent, n=n)] == gains


# --- what it costs --------------------------------------------------------------------------------------------------------


class CountingSearch(PathSearch):
    """Notes how many beginnings of paths are looked at, and how many steps are kept."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.looked_at: list[int] = []
        self.kept: list[int] = []

    def _path_keys(self, window: Any, step: np.ndarray, env: np.ndarray, length: np.ndarray) -> np.ndarray:
        self.looked_at.append(len(step))
        self.kept.append(len(window.actions) + len(window.starts.row))
        return super()._path_keys(window, step, env, length)


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("batch", [1, 7])
def test_the_work_per_step_does_not_grow(n_envs: int, batch: int) -> None:
    """An agent that goes to and fro between the two cells of a trajectory: everything matches, always."""
    expert, match = ExpertObservations.from_trajectories([np.array([[0], [1]])]), match_within(cells_apart, 0.0)
    ends = np.array([1, 1])
    k, n_steps = 4, 140
    search = CountingSearch(expert.transition_of_observation, ends, k, 4, GAMMA, n_envs, lambda hits: Matches(*hits))
    streams = [walk([step % 2 for step in range(n_steps + 1)])] * n_envs
    for start in range(0, n_steps, batch):
        feed(search, streams, slice(start, start + batch), expert, match)
    settled = k // batch + 1
    assert max(search.kept[settled:]) == max(search.kept[settled : settled + 2])
    assert max(search.kept[settled:]) <= 2 * (batch + k) * n_envs
    # half of the steps begin at the transition's state
    assert max(search.looked_at[settled:]) <= ((batch + k) // 2 + 1) * k * n_envs
