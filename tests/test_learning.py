"""Does it learn better with good data, and no worse with garbage? Statistics over seeds in a small grid."""

from __future__ import annotations

from functools import cache
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from scipy.stats import mannwhitneyu
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import DIIQN, PAPER, ExpertObservations
from sb3_diiqn.imitation.config import WHERE_STATES_REPEAT, WHERE_STATES_VARY
from tests.helpers import with_habits

pytestmark = pytest.mark.learning

MOVES = [(-1, 0), (1, 0), (0, -1), (0, 1)]

SHARED: dict[str, Any] = {
    "learning_rate": 5e-3,
    "buffer_size": 20_000,
    "learning_starts": 100,
    "batch_size": 32,
    "gamma": 0.95,
    "train_freq": 2,
    "target_update_interval": 50,
    "exploration_fraction": 0.7,
    "exploration_final_eps": 0.1,
    "policy_kwargs": {"net_arch": [32]},
    "device": "cpu",
}
#: The published method, and both defaults, whatever the expert data looks like.
METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "paper": (DIIQN, PAPER),
    "where states repeat": (with_habits(DIIQN, WHERE_STATES_REPEAT), {"inference": "nearest", "guide": "matching"}),
    "where states vary": (with_habits(DIIQN, WHERE_STATES_VARY), {"inference": "inverse_dynamics", "guide": "both"}),
}
IMITATION: dict[str, Any] = {"matching_kwargs": {"max_training_count": 50}}


class Stairs(gymnasium.Env[Any, Any]):
    """
    A grid in which only stairs along the diagonal are safe: whoever leaves them is out. The last cell pays 1, all else 0.

    :param size: rows and columns
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.path = [(i // 2, (i + 1) // 2) for i in range(2 * size - 1)]
        self.observation_space = spaces.Box(0, 1, (size * size,), dtype=np.bool_)
        self.action_space = spaces.Discrete(4)

    def show(self, cell: tuple[int, int]) -> np.ndarray:
        """One boolean per cell, true where the agent is."""
        return np.eye(self.size**2, dtype=bool)[cell[0] * self.size + cell[1]]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start at the top."""
        super().reset(seed=seed)
        self.cell, self.n_steps = (0, 0), 0
        return self.show(self.cell), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Move to a neighbouring cell, or stay where the grid ends."""
        self.n_steps += 1
        row, column = (min(max(place + move, 0), self.size - 1) for place, move in zip(self.cell, MOVES[action], strict=True))
        self.cell = (row, column)
        arrived, out = self.cell == self.path[-1], self.cell not in self.path
        return self.show(self.cell), float(arrived), arrived or out, self.n_steps >= 6 * self.size, {}


def expert_of(size: int) -> ExpertObservations:
    """Good data: down the stairs."""
    env = Stairs(size)
    return ExpertObservations.from_trajectories([np.array([env.show(cell) for cell in env.path])])


def garbage(size: int, seed: int) -> ExpertObservations:
    """An expert that jumps from any cell to any other: every state matches, and hardly anything can be reproduced."""
    jumps = np.random.default_rng(seed).integers(0, size**2, (5, 20))
    return ExpertObservations.from_trajectories(list(np.eye(size**2, dtype=bool)[jumps]))


def arrivals(algorithm: type[DQN], size: int, seed: int, n_steps: int, **arguments: Any) -> int:
    """How often the agent got to the end while it was trained."""
    env = DummyVecEnv([lambda: Stairs(size)])
    model = algorithm("MlpPolicy", env, seed=seed, **SHARED, **arguments).learn(n_steps)
    return int((model.replay_buffer.rewards[:n_steps] > 0).sum())


@cache
def arrivals_of_dqn(size: int, n_steps: int, n_seeds: int) -> list[int]:
    """The same for every method that is compared with it."""
    return [arrivals(DQN, size, seed, n_steps) for seed in range(n_seeds)]


@pytest.mark.parametrize("method", ["where states repeat", "where states vary"])
def test_with_good_data_it_gets_to_the_end_more_often_than_dqn(method: str) -> None:
    """One-sided Mann-Whitney test over five seeds each, p < 0.01; and at least three times as often on average."""
    size, n_steps = 5, 800
    algorithm, chosen = METHODS[method]
    arguments = {**chosen, **IMITATION, "expert_data": expert_of(size)}
    with_expert = [arrivals(algorithm, size, seed, n_steps, **arguments) for seed in range(5)]
    alone = arrivals_of_dqn(size, n_steps, 5)
    assert mannwhitneyu(with_expert, alone, alternative="greater").pvalue < 0.01, (with_expert, alone)
    assert np.mean(with_expert) > 3 * np.mean(alone), (with_expert, alone)


@pytest.mark.parametrize("method", ["paper", "where states vary"])
def test_with_garbage_it_is_not_worse_than_dqn(method: str) -> None:
    """
    Non-inferiority in a grid that DQN solves: over eight seeds, the 95 % bootstrap interval of the difference in arrivals lies
    above minus half of what DQN reaches.
    """
    size, n_steps = 3, 800
    alone = np.array(arrivals_of_dqn(size, n_steps, 8))
    algorithm, chosen = METHODS[method]
    misled = np.array(
        [arrivals(algorithm, size, seed, n_steps, expert_data=garbage(size, seed), **chosen, **IMITATION) for seed in range(8)]
    )
    assert np.median(alone) > 20, "DQN solves it, so there is something to lose"
    generator = np.random.default_rng(0)
    resampled = [generator.choice(misled, 8).mean() - generator.choice(alone, 8).mean() for _ in range(2000)]
    assert np.quantile(resampled, 0.025) > -alone.mean() / 2, (misled, alone)
