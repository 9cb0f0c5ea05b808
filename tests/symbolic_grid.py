"""A grid world whose observations are symbols: kind of object, colour and state of every cell, as small whole numbers."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from sb3_diiqn import ExpertObservations

UNSEEN, EMPTY, WALL, DOOR, GOAL, AGENT = 0, 1, 2, 4, 8, 10
GREY, GREEN, RED = 5, 1, 0
LEFT, RIGHT, FORWARD = 0, 1, 2
#: how row and column change with a step forward: to the right, down, left, up
HEADINGS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
VIEW = 7


class SymbolicGrid(gymnasium.Env[np.ndarray, int]):
    """
    Four rooms with gaps between them, and a goal in the last. The agent turns left or right, or goes forward.

    :param partial: whether the agent sees the 7 x 7 cells before it, or else the whole grid with itself in it
    :param size: width and height
    :param time_limit: steps after which an episode is cut
    """

    def __init__(self, partial: bool = True, size: int = 9, time_limit: int = 100) -> None:
        self.partial, self.size, self.time_limit = partial, size, time_limit
        shape = (VIEW, VIEW, 3) if partial else (size, size, 3)
        self.observation_space = spaces.Box(0, 255, shape, dtype=np.uint8)
        self.action_space = spaces.Discrete(3)
        self.grid = np.zeros((size, size, 3), dtype=np.uint8)
        self.grid[..., 0] = EMPTY
        middle = size // 2
        self.grid[[0, -1, middle]] = self.grid[:, [0, -1, middle]] = (WALL, GREY, 0)
        for gap in ((middle, 2), (middle, size - 3), (2, middle), (size - 3, middle)):
            self.grid[gap] = (EMPTY, 0, 0)
        self.goal = (size - 2, size - 2)
        self.grid[self.goal] = (GOAL, GREEN, 0)
        free = np.argwhere(self.grid[..., 0] == EMPTY)
        self.places = [(int(row), int(column)) for row, column in free]
        self.distance = self._distances()
        self.n_steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start in the first room, in any direction."""
        super().reset(seed=seed)
        self.place = (1, 1) if options is None else options["place"]
        self.heading = int(self.np_random.integers(4))
        self.n_steps = 0
        return self.observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Turn, or go forward where nothing is in the way."""
        self.n_steps += 1
        self.place, self.heading = self.after(self.place, self.heading, int(action))
        arrived = self.place == self.goal
        reward = 1 - 0.9 * self.n_steps / self.time_limit if arrived else 0.0
        return self.observe(), reward, arrived, self.n_steps >= self.time_limit, {}

    def after(self, place: tuple[int, int], heading: int, action: int) -> tuple[tuple[int, int], int]:
        """Where an action leads to."""
        if action != FORWARD:
            return place, (heading + (1 if action == RIGHT else -1)) % 4
        row, column = np.array(place) + HEADINGS[heading]
        return ((int(row), int(column)) if self.grid[row, column, 0] != WALL else place), heading

    def observe(self) -> np.ndarray:
        """What the agent sees."""
        if self.partial:
            margin = VIEW
            padded = np.pad(self.grid, ((margin, margin), (margin, margin), (0, 0)))
            # turned such that the agent looks up
            turned = np.rot90(padded, (self.heading + 1) % 4)
            row, column = self._turned(np.array(self.place) + margin, len(padded))
            return turned[row - VIEW + 1 : row + 1, column - VIEW // 2 : column + VIEW // 2 + 1].copy()
        seen = self.grid.copy()
        seen[self.place] = (AGENT, RED, self.heading)
        return seen

    def best_action(self) -> int:
        """First action of a shortest path to the goal."""
        ways = [self.distance[self.after(self.place, self.heading, action)] for action in range(3)]
        return int(np.argmin(ways))

    def _turned(self, place: np.ndarray, size: int) -> tuple[int, int]:
        row, column = int(place[0]), int(place[1])
        for _ in range((self.heading + 1) % 4):
            row, column = size - 1 - column, row
        return row, column

    def _distances(self) -> dict[tuple[tuple[int, int], int], int]:
        """Steps to the goal from every place and heading."""
        states = [(place, heading) for place in [*self.places, self.goal] for heading in range(4)]
        distance = {state: 0 if state[0] == self.goal else 10**6 for state in states}
        for _ in range(len(states)):
            changed = False
            for state in states:
                way = 1 + min(distance[self.after(*state, action)] for action in range(3))
                if way < distance[state]:
                    distance[state], changed = way, True
            if not changed:
                break
        return distance


def record_walks(env: SymbolicGrid, n: int, randomness: float = 0.2, seed: int = 0) -> ExpertObservations:
    """Recordings of an expert that walks to the goal, now and then with a random step."""
    generator, walks = np.random.default_rng(seed), []
    for number in range(n):
        walk, arrived, cut = [env.reset(seed=seed + number)[0]], False, False
        while not (arrived or cut):
            action = int(generator.integers(3)) if generator.random() < randomness else env.best_action()
            observation, _, arrived, cut, _ = env.step(action)
            walk.append(observation)
        walks.append(np.stack(walk))
    return ExpertObservations.from_trajectories(walks, terminated=True)
