"""What the expert means where outcomes are chance: by hand, against loops, and where they are not."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn import ExpertObservations
from sb3_diiqn.inference import NO_MATCH, AgentTransitions, ExpertKnowledge, InferenceSettings, estimate
from sb3_diiqn.inference.intentions import mixture_weights

N_ACTIONS = 4
RING = spaces.Discrete(8)
STEPS = {0: (-1, 0), 1: (0, 1), 2: (1, 2), 3: (-1, -2)}
"""On a ring of eight cells, an action goes by one of two steps, as chance will have it."""

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def step(cells: np.ndarray, actions: np.ndarray, generator: np.random.Generator, slippery: bool) -> np.ndarray:
    chosen = generator.integers(2, size=len(cells)) if slippery else np.zeros(len(cells), dtype=int)
    return np.asarray((cells + np.array([STEPS[action] for action in range(N_ACTIONS)])[actions, chosen]) % RING.n)


def agent_of(generator: np.random.Generator, n: int, slippery: bool = True, n_cells: int = 8) -> AgentTransitions:
    cells, actions, nothing = generator.integers(n_cells, size=n), generator.integers(N_ACTIONS, size=n), np.zeros(n)
    following = step(cells, actions, generator, slippery)
    return AgentTransitions(cells[:, np.newaxis], following[:, np.newaxis], actions, nothing, nothing, nothing)


def knowledge_of(action: int, generator: np.random.Generator, n: int, slippery: bool = True) -> ExpertKnowledge:
    """An expert that always takes the same action, n times."""
    cells = generator.integers(RING.n, size=n)
    following = step(cells, np.full(n, action), generator, slippery)
    pairs = [np.array(pair) for pair in zip(cells, following, strict=True)]
    expert = ExpertObservations.from_trajectories(pairs).adapted_to(RING)
    return ExpertKnowledge(expert, RING, InferenceSettings(similarity_threshold=1.0), seed=0)


def part(agent: AgentTransitions, rows: np.ndarray) -> AgentTransitions:
    return AgentTransitions(*(np.asarray(field)[rows] for field in agent))


def test_one_iteration_by_hand() -> None:
    """Six visits to the one, two to the other; as many own tries, so that a visit is worth a half."""
    weights = mixture_weights(
        np.array([0, 0]), np.array([6, 2]), np.array([[3, 1], [1, 3]]), np.array([[4, 4]]), 0.0, 0.5, n_iterations=1
    )
    # 0.5 + 3 * 0.75 + 1 * 0.25, and 0.5 + 3 * 0.25 + 1 * 0.75
    assert weights == pytest.approx(np.array([[3 / 5, 2 / 5]]))


def test_what_no_own_action_leads_to_speaks_for_none() -> None:
    """As if the expert could jump: half of its visits are explained by the first action, and the others by nothing."""
    arguments = np.array([0, 0]), np.array([500, 500]), np.array([[500, 0], [0, 0]]), np.array([[500, 500]])
    assert mixture_weights(*arguments) == pytest.approx(np.array([[0.75, 0.25]]), abs=0.01)


def test_what_cannot_be_told_apart_shares() -> None:
    """The first two actions do the same."""
    counts, tries = np.array([[90, 90, 0], [10, 10, 100]]), np.array([[100, 100, 100]])
    weights = mixture_weights(np.zeros(2, dtype=int), np.array([900, 100]), counts, tries)[0]
    assert weights[0] == pytest.approx(weights[1]) and weights[0] > 0.4
    estimates = estimate(weights[np.newaxis])
    assert estimates.plausible.tolist() == [[True, True, False]] and estimates.certainty[0] > 0.5


def slow_probabilities(knowledge: ExpertKnowledge, agent: AgentTransitions, cell: int) -> list[float]:
    expert = knowledge.expert
    visits = Counter(
        int(end) for (start,), (end,) in zip(expert.current(np.arange(len(expert))), expert.next(np.arange(len(expert))), strict=True)
        if start == cell
    )  # fmt: skip
    rows = range(len(agent.actions))
    own = [Counter(int(agent.next_observations[i][0]) for i in rows if agent.observations[i][0] == cell and agent.actions[i] == a)
           for a in range(N_ACTIONS)]  # fmt: skip
    n_own, n_visits = sum(sum(one.values()) for one in own), sum(visits.values())
    weights = [1 / N_ACTIONS] * N_ACTIONS
    for _ in range(100):
        total = [0.5] * N_ACTIONS
        for end, count in visits.items():
            worth = count * n_own / (n_own + n_visits)
            shares = [
                w * (one[end] + 0.5) / (sum(one.values()) + 0.5 * (len(visits) + 1))
                for w, one in zip(weights, own, strict=True)
            ]
            if not any(one[end] for one in own):
                shares = [1.0] * N_ACTIONS
            total = [t + worth * share / sum(shares) for t, share in zip(total, shares, strict=True)]
        weights = [t / sum(total) for t in total]
    return weights


@given(generators, st.integers(1, 60), st.integers(1, 60))
def test_estimates_are_those_of_loops(generator: np.random.Generator, n_expert: int, n_agent: int) -> None:
    knowledge = knowledge_of(1, generator, n_expert)
    knowledge.learn_intentions(N_ACTIONS)
    agent = agent_of(generator, n_agent)
    knowledge.observe(agent)
    every = np.arange(n_expert)
    slow = [slow_probabilities(knowledge, agent, int(cell)) for (cell,) in knowledge.expert.current(every)]
    assert knowledge.intended_probabilities(every) == pytest.approx(np.array(slow))


@pytest.mark.parametrize("action", range(N_ACTIONS))
def test_the_experts_actions_are_found(action: int) -> None:
    generator = np.random.default_rng(0)
    knowledge = knowledge_of(action, generator, 2000)
    knowledge.learn_intentions(N_ACTIONS)
    knowledge.observe(agent_of(generator, 3000))
    every = np.arange(2000)
    assert knowledge.at_chance(every).all() and not knowledge.usable(every).any()
    estimates = estimate(knowledge.voted_probabilities(every, N_ACTIONS))
    assert (estimates.plausible == (np.arange(N_ACTIONS) == action)).all()
    assert estimates.certainty.min() > 0.5


def test_little_is_known_from_a_few_tries_or_visits() -> None:
    generator = np.random.default_rng(0)
    for n_expert, n_agent in ((2000, 16), (8, 3000)):
        knowledge = knowledge_of(2, generator, n_expert)
        knowledge.learn_intentions(N_ACTIONS)
        nothing = estimate(knowledge.intended_probabilities(np.arange(8))).certainty
        knowledge.observe(agent_of(generator, n_agent))
        little = estimate(knowledge.intended_probabilities(np.arange(8))).certainty
        assert (nothing == 0).all() and little.mean() < 0.5


@given(generators, st.integers(1, 60), st.integers(1, 100))
def test_where_nothing_is_chance_nothing_changes(generator: np.random.Generator, n_expert: int, n_agent: int) -> None:
    with_them = knowledge_of(1, generator, n_expert, slippery=False)
    without = pickle.loads(pickle.dumps(with_them))
    with_them.learn_intentions(N_ACTIONS)
    agent = agent_of(generator, n_agent, slippery=False)
    assert with_them.observe(agent).tolist() == without.observe(agent).tolist()
    every = np.arange(n_expert)
    assert not with_them.at_chance(every).any()
    assert with_them.usable(every).tolist() == without.usable(every).tolist()
    assert with_them.voted_probabilities(every, N_ACTIONS).tolist() == without.voted_probabilities(every, N_ACTIONS).tolist()


def test_only_states_at_chance_are_judged_otherwise() -> None:
    """The ring is slippery in its first half only."""
    generator = np.random.default_rng(0)
    knowledge = knowledge_of(1, generator, 500)
    knowledge.learn_intentions(N_ACTIONS)
    knowledge.observe(agent_of(generator, 400, n_cells=4))
    every = np.arange(500)
    assert knowledge.at_chance(every).tolist() == (knowledge.expert.current(every)[:, 0] < 4).tolist()
    assert knowledge.at_chance(np.array([NO_MATCH])).tolist() == [False]


@given(generators, st.integers(1, 60), st.lists(st.integers(0, 60), max_size=4))
def test_counts_do_not_depend_on_how_transitions_come(generator: np.random.Generator, n_agent: int, cuts: list[int]) -> None:
    at_once = knowledge_of(0, generator, 40)
    at_once.learn_intentions(N_ACTIONS)
    bit_by_bit = pickle.loads(pickle.dumps(at_once))
    agent = agent_of(generator, n_agent)
    at_once.observe(agent)
    for rows in np.split(np.arange(n_agent), sorted(cut for cut in cuts if cut < n_agent)):
        if len(rows):
            bit_by_bit.observe(part(agent, rows))
    assert at_once.intentions is not None and bit_by_bit.intentions is not None
    for name in ("counts", "tries", "is_chance"):
        assert getattr(at_once.intentions, name).tolist() == getattr(bit_by_bit.intentions, name).tolist()


def test_what_was_counted_goes_on_in_restored_knowledge() -> None:
    generator = np.random.default_rng(0)
    knowledge, resumed = (knowledge_of(3, np.random.default_rng(1), 300) for _ in range(2))
    agent, more = agent_of(generator, 200), agent_of(generator, 200)
    every = np.arange(300)
    for one in (knowledge, resumed):
        one.learn_intentions(N_ACTIONS)
    knowledge.observe(agent)
    knowledge.intended_probabilities(every)
    resumed.adopt(pickle.loads(pickle.dumps(knowledge.for_file())))
    for one in (knowledge, resumed):
        one.observe(more)
    assert resumed.intended_probabilities(every).tolist() == knowledge.intended_probabilities(every).tolist()


def test_who_does_not_ask_takes_over_none_and_who_does_starts_anew() -> None:
    asking, silent = (knowledge_of(3, np.random.default_rng(1), 300) for _ in range(2))
    asking.learn_intentions(N_ACTIONS)
    files = [pickle.loads(pickle.dumps(one.for_file())) for one in (silent, asking)]
    asking.adopt(files[0])
    silent.adopt(files[1])
    assert asking.intentions is not None and not asking.intentions.tries.any()
    assert silent.intentions is None
