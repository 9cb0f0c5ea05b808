"""A grid maze in which expert and agent can have different moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sb3_diiqn.envs.arguments import check_action, check_choice, check_integer, check_number
from sb3_diiqn.envs.generation import generate_layout
from sb3_diiqn.envs.layouts import Layout, named_layout
from sb3_diiqn.envs.moves import Cell, action_names, parse_move
from sb3_diiqn.envs.rendering import AGENT, GOAL, draw_disc, draw_maze
from sb3_diiqn.envs.solver import UNREACHABLE, best_actions, distances_to, shortest_path
from sb3_diiqn.exceptions import ConfigurationError

DEFAULT_LAYOUT = "paper"
MAX_EPISODE_STEPS = 400

AnyArray = NDArray[Any]


class Maze2D(gymnasium.Env[AnyArray, Any]):
    r"""Find the goal of a grid maze. Registered as ``sb3_diiqn/Maze2D-v0``.

    The observation space depends on the maze and on ``observation`` only, never on ``actions``: recordings of an expert with
    one action set fit an agent with another (HA-DIIQN, arXiv 2511.03616).

    A move into a wall or out of the grid leaves the agent where it is. Only the target cell counts: a diagonal move is allowed
    if its target is free, even between two walls, and a jump passes over walls.

    Every action costs ``step_penalty``, one that does not move the agent costs ``wall_penalty`` more, and the one that reaches
    the goal earns ``goal_reward`` and ends the episode. ``info`` holds the agent's ``cell`` (row, column) and ``is_success``.

    :param layout: name of a shipped maze (:data:`sb3_diiqn.envs.layouts.LAYOUTS`), a maze as text such as
        ``"#####\n#S.G#\n#####"``, or a :class:`~sb3_diiqn.envs.layouts.Layout`. Default: ``"paper"``, 14x14
    :param size: rows and columns of a generated maze, border included, at least 5; not together with ``layout``.
        Every named action set can solve a generated maze
    :param layout_seed: which of the generated mazes of this size
    :param actions: name of an action set, ``"NESW"``, ``"diagonal"``, ``"king"`` (all eight neighbours), ``"skew"`` (N, S, NE,
        SW) or ``"knight"``, or a list of moves such as ``["N", "NE", "E2N1"]`` (:mod:`sb3_diiqn.envs.moves`)
    :param slip: probability that a random own action, uniform over all, takes the place of the chosen one
    :param step_penalty: cost of every action, at least 0
    :param goal_reward: reward at the goal
    :param wall_penalty: further cost of an action that does not move the agent, at least 0
    :param observation: ``"one_hot"``, one boolean per cell, row by row, True where the agent is: the default, since DQN learns
        stably from it; ``"coordinates"``, float (row, column) in cells, from which DQN learns unstably; ``"image"``, boolean
        planes (rows, columns, 3) of walls, agent and goal, for ``MlpPolicy`` or an own extractor. Most active cells of an
        image are walls, so any two images look alike to a similarity that compares cells
    :param distractors: so many booleans that say nothing follow the cells of a ``"one_hot"`` observation, each drawn anew in
        every step. Any two observations look different then to a similarity that compares what it is given
    :param random_start: start in a random free cell from which the goal can be reached, uniform over all
    :param max_episode_steps: cut the episode after so many actions; None: never. ``gymnasium.make`` takes the same keyword
        with the same default, 400
    :param render_mode: ``"rgb_array"``, ``"ansi"`` or None
    :raises ConfigurationError: if an argument is out of range, or no path leads to the goal with this action set
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - as Gymnasium declares it
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 10,
    }

    def __init__(
        self,
        layout: str | Layout | None = None,
        *,
        size: int | None = None,
        layout_seed: int = 0,
        actions: str | Sequence[str] = "NESW",
        slip: float = 0.0,
        step_penalty: float = 0.01,
        goal_reward: float = 1.0,
        wall_penalty: float = 0.0,
        observation: str = "one_hot",
        distractors: int = 0,
        random_start: bool = False,
        max_episode_steps: int | None = MAX_EPISODE_STEPS,
        render_mode: str | None = None,
    ) -> None:
        self.layout = _make_layout(layout, size, layout_seed)
        self.action_names = action_names(actions)
        self.moves = tuple(parse_move(name) for name in self.action_names)
        self.slip = check_number("slip", slip, 0.0, 1.0)
        self.step_penalty = check_number("step_penalty", step_penalty, 0.0)
        self.goal_reward = check_number("goal_reward", goal_reward)
        self.wall_penalty = check_number("wall_penalty", wall_penalty, 0.0)
        self.observation = check_choice("observation", observation, ("one_hot", "coordinates", "image"))
        self.distractors = check_integer("distractors", distractors, 0)
        if self.distractors and self.observation != "one_hot":
            raise ConfigurationError(
                f"distractors={distractors} with observation={observation!r}: only 'one_hot' observations have them."
            )
        self.random_start = random_start
        self.max_episode_steps = None
        if max_episode_steps is not None:
            self.max_episode_steps = check_integer("max_episode_steps", max_episode_steps, 1)
        if render_mode is not None:
            check_choice("render_mode", render_mode, tuple(self.metadata["render_modes"]))
        self.render_mode = render_mode

        self.distances = distances_to(self.layout, self.layout.goal, self.moves)
        if self.distances[self.layout.start] == UNREACHABLE:
            raise ConfigurationError(
                f"No path leads from the start {self.layout.start} to the goal {self.layout.goal} with actions={actions!r}; "
                "choose another action set or maze."
            )
        self.action_space: spaces.Discrete = spaces.Discrete(len(self.moves))
        self.observation_space: spaces.Box = self._make_observation_space()
        self._starts = [(int(row), int(column)) for row, column in np.argwhere(self.distances > 0)]
        self._targets = {cell: [self.layout.after(cell, move) for move in self.moves] for cell in self.layout.free_cells()}
        self._cell = self.layout.start
        self._n_steps = 0

    def _make_observation_space(self) -> spaces.Box:
        rows, columns = self.layout.walls.shape
        boolean: Any = np.bool_  # Gymnasium's annotation knows numbers only
        if self.observation == "one_hot":
            return spaces.Box(0, 1, (rows * columns + self.distractors,), dtype=boolean)
        if self.observation == "image":
            self._planes = np.zeros((rows, columns, 3), dtype=bool)
            self._planes[..., 0] = self.layout.walls
            self._planes[self.layout.goal[0], self.layout.goal[1], 2] = True
            return spaces.Box(0, 1, (rows, columns, 3), dtype=boolean)
        last = np.array([rows - 1, columns - 1], dtype=np.float32)
        return spaces.Box(np.zeros_like(last), last, dtype=np.float32)

    @property
    def cell(self) -> Cell:
        """Where the agent is: (row, column)."""
        return self._cell

    def observation_of(self, cell: Cell) -> AnyArray:
        """Observation of an agent in a cell. Distractors, if there are any, are drawn.

        :param cell: (row, column)
        :return: a new array out of the observation space
        """
        if self.observation == "one_hot":
            one_hot = np.zeros(self.layout.walls.size, dtype=bool)
            one_hot[cell[0] * self.layout.walls.shape[1] + cell[1]] = True
            return np.concatenate([one_hot, self.np_random.random(self.distractors) < 0.5]) if self.distractors else one_hot
        if self.observation == "image":
            planes: AnyArray = self._planes.copy()
            planes[cell[0], cell[1], 1] = True
            return planes
        return np.array(cell, dtype=np.float32)

    def cell_of(self, observation: AnyArray) -> Cell:
        """Cell of the agent in an observation: the inverse of :meth:`observation_of`.

        :param observation: (``*observation_space.shape``), one observation
        :return: (row, column)
        :raises ConfigurationError: if the shape is not the observation space's
        """
        observation = np.asarray(observation)
        if observation.shape != self.observation_space.shape:
            raise ConfigurationError(
                f"The observation has shape {observation.shape}, this maze's are {self.observation_space.shape}; "
                "give one observation of a maze of the same size and kind."
            )
        if self.observation == "coordinates":
            return round(float(observation[0])), round(float(observation[1]))
        agent = observation[: self.layout.walls.size] if self.observation == "one_hot" else observation[..., 1]
        row, column = divmod(int(agent.argmax()), self.layout.walls.shape[1])
        return row, column

    def target_of(self, cell: Cell, action: int) -> Cell:
        """Cell that an action leads to if it works as intended; the same one where a wall is in the way.

        :param cell: (row, column)
        :param action: index into ``moves``
        """
        return self._targets[cell][action]

    def best_actions(self, cell: Cell) -> list[int]:
        """Actions that are the first of a shortest path to the goal, slips and penalties aside.

        :param cell: (row, column)
        :return: ascending; empty at the goal and where no path exists
        """
        return best_actions(self.layout, self.distances, cell, self.moves)

    def shortest_path(self, start: Cell | None = None) -> list[Cell]:
        """Cells of a shortest path to the goal with this action set, both ends included.

        :param start: (row, column); default: the maze's start
        :return: empty if no path exists from there
        """
        return shortest_path(self.layout, self.distances, self.layout.start if start is None else start, self.moves)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[AnyArray, dict[str, Any]]:
        """Begin an episode.

        :param seed: seeds the environment's random generator
        :param options: ``{"start": (row, column)}`` begins in this free cell
        :raises ConfigurationError: if that cell is a wall or outside
        """
        super().reset(seed=seed)
        self._n_steps = 0
        self._cell = self.layout.start
        if options is not None and "start" in options:
            self._cell = self._checked_start(options["start"])
        elif self.random_start:
            self._cell = self._starts[self.np_random.integers(len(self._starts))]
        return self.observation_of(self._cell), self._info()

    def _checked_start(self, start: Sequence[int]) -> Cell:
        row, column = (int(index) for index in start)
        if not self.layout.is_free((row, column)):
            raise ConfigurationError(f"The start {(row, column)} lies inside a wall or outside the maze; choose a free cell.")
        return row, column

    def step(self, action: int) -> tuple[AnyArray, float, bool, bool, dict[str, Any]]:
        """Take one action.

        :param action: index into ``moves``
        :return: observation, reward, terminated (at the goal), truncated (``max_episode_steps`` reached), info
        """
        action = check_action(action, len(self.moves))
        if self.slip > 0.0 and self.np_random.random() < self.slip:
            action = int(self.np_random.integers(len(self.moves)))
        target = self._targets[self._cell][action]
        reward = -self.step_penalty
        if target == self._cell:
            reward -= self.wall_penalty
        self._cell = target
        self._n_steps += 1
        terminated = target == self.layout.goal
        if terminated:
            reward += self.goal_reward
        truncated = not terminated and self.max_episode_steps is not None and self._n_steps >= self.max_episode_steps
        return self.observation_of(target), reward, terminated, truncated, self._info()

    def _info(self) -> dict[str, Any]:
        return {"cell": self._cell, "is_success": self._cell == self.layout.goal}

    def render(self) -> Any:
        """The maze as text with the agent as ``A`` ("ansi"), or as a picture (rows * 16, columns * 16, 3) ("rgb_array")."""
        if self.render_mode == "ansi":
            return self.layout.text(agent=self._cell)
        if self.render_mode == "rgb_array":
            picture = draw_maze(self.layout)
            for cell, radius, colour in ((self.layout.goal, 0.45, GOAL), (self._cell, 0.3, AGENT)):
                draw_disc(picture, (cell[0] + 0.5, cell[1] + 0.5), radius, colour)
            return picture
        return None


def _make_layout(layout: str | Layout | None, size: int | None, layout_seed: int) -> Layout:
    if size is not None:
        if layout is not None:
            raise ConfigurationError(f"Both layout={layout!r} and size={size!r} are given; choose one of them.")
        return generate_layout(size, layout_seed)
    if layout_seed != 0:
        raise ConfigurationError(f"layout_seed={layout_seed!r} needs size, which is not given; give both, or leave it out.")
    if isinstance(layout, Layout):
        return layout
    return named_layout(DEFAULT_LAYOUT if layout is None else layout)
