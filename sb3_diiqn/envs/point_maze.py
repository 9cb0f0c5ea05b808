"""A ball in a maze that is pushed by forces out of a discrete set."""

from __future__ import annotations

import math
import os
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sb3_diiqn.envs.arguments import check_action, check_choice, check_integer, check_number
from sb3_diiqn.envs.layouts import Layout, named_layout
from sb3_diiqn.envs.moves import ACTION_SETS, Cell, parse_move
from sb3_diiqn.envs.rendering import AGENT, GOAL, draw_disc, draw_maze
from sb3_diiqn.envs.solver import UNREACHABLE, distances_to
from sb3_diiqn.exceptions import ConfigurationError, MissingDependencyError

FORCE_SETS: dict[str, tuple[float, ...]] = {
    "axis": (0.0, 90.0, 180.0, 270.0),
    "diagonal": (45.0, 135.0, 225.0, 315.0),
    "all": (0.0, 45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0),
}
"""The named action sets: directions of the forces in degrees, 0 to the right, 90 upwards."""

CELL_MOVES = tuple(parse_move(name) for name in ACTION_SETS["NESW"])
"""The ball passes from cell to cell through the cells' edges."""

GOAL_RADIUS = 0.45
BALL_RADIUS = 0.2
"""As drawn. The ball that collides has half this radius."""

MAX_SPEED = 6.0
"""Bound of each velocity in the observation space: the simulation cuts at 5, before the force of the step acts."""

MAX_EPISODE_STEPS = 200

Vector = NDArray[np.float64]


class PointMaze(gymnasium.Env[Any, Any]):
    """Push a ball through a maze to the goal. Registered as ``sb3_diiqn/PointMaze-v0``; needs the extra ``mazes``.

    The physics is the PointMaze of gymnasium-robotics (MuJoCo): a ball of 4.2 kg in walls of 1 m cells, 0.01 s per simulation
    step, hardly any friction. An action is one of several forces of equal strength, held for ``frame_skip`` simulation steps;
    there is no braking other than by forces. Expert and agent may have different forces, even none in common (``"axis"`` and
    ``"diagonal"``): the observation space does not depend on them.

    An episode ends when the ball is within 0.45 m of the goal. ``info`` holds ``is_success``.

    :param layout: name of a shipped maze (``"point_u"``, ``"point_open"``, ``"point_medium"`` and ``"point_large"`` are those
        of gymnasium-robotics), a maze as text, or a :class:`~sb3_diiqn.envs.layouts.Layout`
    :param actions: ``"axis"`` (right, up, left, down), ``"diagonal"`` (the four directions between), ``"all"`` (both), or a
        number of evenly spaced forces, the first of them to the right
    :param angle_offset: turns all forces anticlockwise, degrees
    :param frame_skip: simulation steps per action, at least 1. Default 10, that is, ten actions per second: with shorter ones
        DQN learns far less reliably
    :param observation: ``"flat"``, (4,) float: x, y (m, from the centre of the maze, y upwards) and velocities (m/s); with
        ``random_goal`` (6,), the goal's x and y added. ``"dict"``: ``observation`` (4,), ``achieved_goal`` (2,) and
        ``desired_goal`` (2,), as gymnasium-robotics has it
    :param reward: ``"sparse"``, 1 at the goal, else 0; ``"dense"``, exp(-distance to the goal) - 1, so never positive: with
        gymnasium-robotics' exp(-distance) an agent would gain by waiting beside the goal
    :param random_start: start in a random free cell, not the goal's, instead of the maze's start
    :param random_goal: goal in a random free cell, not the maze's start, instead of the maze's goal. By default both are
        fixed, which a plain DQN can learn
    :param start_noise: the ball starts off the cell's centre by uniform noise of up to this many metres in x and y,
        at most 0.4
    :param max_episode_steps: cut the episode after so many actions; None: never. ``gymnasium.make`` takes the same keyword
        with the same default, 200
    :param render_mode: ``"rgb_array"`` or None. The picture is drawn without MuJoCo's renderer and needs no display
    :raises ConfigurationError: if an argument is out of range, or walls separate start and goal
    :raises MissingDependencyError: if gymnasium-robotics is not installed
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        layout: str | Layout = "point_u",
        *,
        actions: str | int = "axis",
        angle_offset: float = 0.0,
        frame_skip: int = 10,
        observation: str = "flat",
        reward: str = "sparse",
        random_start: bool = False,
        random_goal: bool = False,
        start_noise: float = 0.1,
        max_episode_steps: int | None = MAX_EPISODE_STEPS,
        render_mode: str | None = None,
    ) -> None:
        self.layout = layout if isinstance(layout, Layout) else named_layout(layout)
        self.forces = _forces(actions, check_number("angle_offset", angle_offset))
        self.frame_skip = check_integer("frame_skip", frame_skip, 1)
        self.observation = check_choice("observation", observation, ("flat", "dict"))
        self.reward = check_choice("reward", reward, ("sparse", "dense"))
        self.random_start = random_start
        self.random_goal = random_goal
        self.start_noise = check_number("start_noise", start_noise, 0.0, 0.4)
        self.max_episode_steps = None
        if max_episode_steps is not None:
            self.max_episode_steps = check_integer("max_episode_steps", max_episode_steps, 1)
        if render_mode is not None:
            check_choice("render_mode", render_mode, tuple(self.metadata["render_modes"]))
        self.render_mode = render_mode

        self._cells = _connected_cells(self.layout)
        self._ball = _make_ball(self.layout)
        self._goal = self.centre_of(self.layout.goal)
        self._n_steps = 0
        self.action_space: spaces.Discrete = spaces.Discrete(len(self.forces))
        self.observation_space: spaces.Space[Any] = self._make_observation_space()

    def _make_observation_space(self) -> spaces.Space[Any]:
        rows, columns = self.layout.walls.shape
        place = [columns / 2, rows / 2]
        state = [*place, MAX_SPEED, MAX_SPEED]
        if self.observation == "flat":
            return _symmetric_box(state + place if self.random_goal else state)
        bounds = {"observation": state, "achieved_goal": place, "desired_goal": place}
        return spaces.Dict({name: _symmetric_box(bound) for name, bound in bounds.items()})

    @property
    def speed_per_action(self) -> float:
        """Change of speed that one action makes in free space, m/s."""
        model = self._ball.model
        seconds = model.opt.timestep * self.frame_skip
        return float(model.actuator_gear[0, 0] * seconds / model.body_mass[-1])

    def centre_of(self, cell: Cell) -> Vector:
        """Position of a cell's centre.

        :param cell: (row, column)
        :return: x and y in metres from the maze's centre, y upwards
        """
        rows, columns = self.layout.walls.shape
        return np.array([cell[1] + 0.5 - columns / 2, rows / 2 - cell[0] - 0.5])

    def cell_at(self, position: Vector) -> Cell:
        """Cell in which a position lies: the inverse of :meth:`centre_of`.

        :param position: x and y in metres from the maze's centre, y upwards
        :return: (row, column)
        """
        rows, columns = self.layout.walls.shape
        return math.floor(rows / 2 - position[1]), math.floor(position[0] + columns / 2)

    def parts_of(self, observation: Any) -> tuple[Vector, Vector, Vector]:
        """Position, velocity and goal in an observation.

        :param observation: one observation of this environment, flat or a dict
        :return: three arrays (2,), in m and m/s; a goal that is not observed is the present episode's
        """
        if self.observation == "dict":
            state, goal = observation["observation"], observation["desired_goal"]
        else:
            state, goal = observation[:4], observation[4:] if self.random_goal else self._goal
        return np.asarray(state[:2], dtype=np.float64), np.asarray(state[2:], dtype=np.float64), np.asarray(goal, np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        :param seed: seeds the environment's random generator
        :param options: ignored
        """
        super().reset(seed=seed)
        self._n_steps = 0
        goal = self._random_cell(self.layout.start) if self.random_goal else self.layout.goal
        start = self._random_cell(goal) if self.random_start else self.layout.start
        self._goal = self.centre_of(goal)
        noise = self.np_random.uniform(-self.start_noise, self.start_noise, size=2)
        self._ball.init_qpos[:2] = self.centre_of(start) + noise
        state, _ = self._ball.reset(seed=seed)
        return self._observe(state), {"is_success": False}

    def _random_cell(self, excluded: Cell) -> Cell:
        cells = [cell for cell in self._cells if cell != excluded]
        return cells[self.np_random.integers(len(cells))]

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Apply one force for ``frame_skip`` simulation steps, or until the goal is reached.

        :param action: index into ``forces``
        :return: observation, reward, terminated (at the goal), truncated (``max_episode_steps`` reached), info
        """
        force = self.forces[check_action(action, len(self.forces))]
        for _ in range(self.frame_skip):
            state = self._ball.step(force)[0]
            distance = math.hypot(state[0] - self._goal[0], state[1] - self._goal[1])
            if terminated := distance <= GOAL_RADIUS:
                break
        self._n_steps += 1
        truncated = not terminated and self.max_episode_steps is not None and self._n_steps >= self.max_episode_steps
        reward = float(terminated) if self.reward == "sparse" else math.exp(-distance) - 1.0
        return self._observe(state), reward, terminated, truncated, {"is_success": terminated}

    def _observe(self, state: Vector) -> Any:
        if self.observation == "flat":
            values = np.concatenate([state, self._goal]) if self.random_goal else state
            return values.astype(np.float32)
        parts = {"observation": state, "achieved_goal": state[:2], "desired_goal": self._goal}
        return {name: part.astype(np.float32) for name, part in parts.items()}

    def render(self) -> Any:
        """The maze from above, (rows * 16, columns * 16, 3): the goal's disc is where the episode ends."""
        if self.render_mode is None:
            return None
        picture = draw_maze(self.layout)
        rows, columns = self.layout.walls.shape
        for (x, y), radius, colour in ((self._goal, GOAL_RADIUS, GOAL), (self._ball.data.qpos, BALL_RADIUS, AGENT)):
            draw_disc(picture, (rows / 2 - y, x + columns / 2), radius, colour)
        return picture

    def close(self) -> None:
        """Close the simulation."""
        self._ball.close()


def _connected_cells(layout: Layout) -> list[Cell]:
    """Cells from which the ball can get to the goal; checks that it can from the start, and that it cannot get out."""
    walls = layout.walls
    if not np.concatenate([walls[0], walls[-1], walls[:, 0], walls[:, -1]]).all():
        raise ConfigurationError("The maze has free cells at its border, where the ball rolls out; surround it with walls.")
    distances = distances_to(layout, layout.goal, CELL_MOVES)
    if distances[layout.start] == UNREACHABLE:
        raise ConfigurationError(f"Walls separate the start {layout.start} from the goal {layout.goal}; choose another maze.")
    return [(int(row), int(column)) for row, column in np.argwhere(distances != UNREACHABLE)]


def _forces(actions: str | int, angle_offset: float) -> Vector:
    """Unit forces (n, 2) of a named or evenly spaced action set."""
    if isinstance(actions, str):
        degrees = np.array(FORCE_SETS[check_choice("actions", actions, tuple(FORCE_SETS))])
    else:
        degrees = np.arange(check_integer("actions", actions, 1)) * (360.0 / actions)
    radians = np.deg2rad(degrees + angle_offset)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def _symmetric_box(bounds: list[float]) -> spaces.Box:
    high = np.array(bounds, dtype=np.float32)
    return spaces.Box(-high, high, dtype=np.float32)


def _make_ball(layout: Layout) -> Any:
    """The simulated ball of gymnasium-robotics within these walls."""
    try:
        from gymnasium_robotics.envs.maze.point_maze import PointMazeEnv  # noqa: PLC0415 - optional package
    except ImportError as error:
        raise MissingDependencyError("gymnasium-robotics", "mazes") from error
    maze = PointMazeEnv(maze_map=layout.walls.astype(int).tolist())
    os.remove(maze.tmp_xml_file_path)  # it is left behind otherwise
    return maze.point_env
