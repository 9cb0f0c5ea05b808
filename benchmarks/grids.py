"""Two grids with experts: MiniGrid's DoorKey, in boolean planes, and Gymnasium's FrozenLake.

Importing this registers ``benchmarks/DoorKey-v0`` (extra: grids). Mean returns of the experts: DoorKey 0.94, and 0.93 with a
fifth of the actions at random; FrozenLake8x8-v1 about 0.83, and about 0.49 with a tenth of them at random.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import MissingDependencyError

Cell = tuple[int, int]
"""Column and row, as MiniGrid has them."""
Table = dict[int, dict[int, list[tuple[float, int, float, bool]]]]
"""Gymnasium's: by state and action, the outcomes, each (probability, next state, reward, end)."""

SIZE, MAX_STEPS = 6, 200
ACTIONS = ("left", "right", "forward", "pickup", "drop", "toggle")
"""MiniGrid's actions, without ``done``, which does nothing."""
PLANES = ("agent", "low bit of its direction", "high bit of its direction", "wall", "door shut", "door open", "key", "goal")
"""The channels of an observation. A key that is carried is in no cell; a door that is shut may be locked or not."""

_LEFT, _RIGHT, _FORWARD, _PICKUP, _, _TOGGLE = range(len(ACTIONS))
_AHEAD = ((1, 0), (0, 1), (-1, 0), (0, -1))
_NOWHERE = (-1, -1)


class BooleanPlanes(gymnasium.ObservationWrapper[np.ndarray, Any, Any]):
    """
    The whole grid as the agent's observation, shape (rows, columns, 8) of booleans (:data:`PLANES`), and six actions.

    :param env: MiniGrid's DoorKey
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        grid: Any = env.unwrapped
        self.observation_space = spaces.Box(0, 1, (grid.height, grid.width, len(PLANES)), bool)
        self.action_space = spaces.Discrete(len(ACTIONS))

    def observation(self, observation: Any) -> np.ndarray:
        """Draw the state, whatever MiniGrid shows of it."""
        return planes(self)


def planes(env: Any) -> np.ndarray:
    """
    Draw the state of a DoorKey.

    :return: shape (rows, columns, 8), bool
    """
    world = env.unwrapped
    drawn = np.zeros((world.height, world.width, len(PLANES)), dtype=bool)
    for (column, row), thing in _things(world):
        channel = (
            PLANES.index("door open" if thing.is_open else "door shut") if thing.type == "door" else _CHANNELS[thing.type]
        )
        drawn[row, column, channel] = True
    column, row = world.agent_pos
    drawn[row, column, :3] = True, world.agent_dir & 1, world.agent_dir & 2
    return drawn


_CHANNELS = {name: PLANES.index(name) for name in ("wall", "key", "goal")}


def _things(world: Any) -> Iterator[tuple[Cell, Any]]:
    """All that is in MiniGrid's cells, and where."""
    for row in range(world.height):
        for column in range(world.width):
            thing = world.grid.get(column, row)
            if thing is not None:
                yield (column, row), thing


def make_door_key(size: int = SIZE, max_steps: int = MAX_STEPS, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """
    Make MiniGrid's DoorKey, with observations of :class:`BooleanPlanes`.

    :param size: rows and columns, walls included
    :param max_steps: an episode is truncated after so many
    :param kwargs: further arguments of MiniGrid's environment
    :raises MissingDependencyError: if MiniGrid is not installed
    """
    try:
        from minigrid.envs.doorkey import DoorKeyEnv  # noqa: PLC0415 - optional package
    except ImportError as error:
        raise MissingDependencyError("minigrid", "grids") from error
    return BooleanPlanes(DoorKeyEnv(size=size, max_steps=max_steps, **kwargs))


if "benchmarks/DoorKey-v0" not in gymnasium.registry:
    gymnasium.register("benchmarks/DoorKey-v0", "benchmarks.grids:make_door_key")


class Layout(NamedTuple):
    """What stays as it is in an episode."""

    walls: frozenset[Cell]
    door: Cell
    goal: Cell


class State(NamedTuple):
    """What actions change."""

    position: Cell
    direction: int
    key: Cell | None
    """None while it is carried."""
    is_locked: bool
    is_open: bool

    @property
    def ahead(self) -> Cell:
        """The cell that the agent looks at."""
        (column, row), (right, down) = self.position, _AHEAD[self.direction]
        return column + right, row + down


def door_key(env: Any) -> Callable[[Any], int]:
    """
    Take the first action of a shortest way to the goal, found by breadth-first search.

    :param env: DoorKey, or a grid of MiniGrid without a door; its state is read, which tells more than an observation
    """
    return lambda _: first_action(*read_state(env))


def read_state(env: Any) -> tuple[Layout, State]:
    """Read where everything is in a grid with walls and a goal, and perhaps a key and a door."""
    world, walls = env.unwrapped, set()
    found: dict[str, tuple[Cell, Any]] = {}
    for cell, thing in _things(world):
        if thing.type == "wall":
            walls.add(cell)
        else:
            found[thing.type] = cell, thing
    (door_cell, door), (key, _) = found.get("door", (_NOWHERE, None)), found.get("key", (None, None))
    column, row = (int(index) for index in world.agent_pos)
    is_locked, is_open = (False, True) if door is None else (door.is_locked, door.is_open)
    state = State((column, row), int(world.agent_dir), key, is_locked, is_open)
    return Layout(frozenset(walls), door_cell, found["goal"][0]), state


@lru_cache(maxsize=1 << 16)
def first_action(layout: Layout, start: State) -> int:
    """Find the first action of a shortest way to the goal; with the key in hand nothing is ever to be dropped."""
    seen, queue = {start}, deque([(start, -1)])
    while queue:
        state, first = queue.popleft()
        if state.position == layout.goal:
            return first
        for action in (_FORWARD, _LEFT, _RIGHT, _PICKUP, _TOGGLE):
            following = successor(layout, state, action)
            if following not in seen:
                seen.add(following)
                queue.append((following, action if first < 0 else first))
    raise ValueError(f"No way leads to the goal from {start} in {layout}.")


def successor(layout: Layout, state: State, action: int) -> State:
    """Tell where an action leads, as MiniGrid would have it; ``drop`` is not known here."""
    ahead = state.ahead
    if action in (_LEFT, _RIGHT):
        return state._replace(direction=(state.direction + (1 if action == _RIGHT else -1)) % 4)
    if action == _FORWARD:
        is_free = ahead not in layout.walls and ahead != state.key and (ahead != layout.door or state.is_open)
        return state._replace(position=ahead) if is_free else state
    if action == _PICKUP:
        return state._replace(key=None) if ahead == state.key else state
    if ahead != layout.door or (state.is_locked and state.key is not None):
        return state
    return state._replace(is_locked=False, is_open=not state.is_open)


def frozen_lake(env: Any, gamma: float = 0.99) -> Callable[[Any], int]:
    """
    Take the actions that value iteration finds best.

    :param env: FrozenLake, or another of Gymnasium's tables
    :param gamma: discount
    """
    return best_in_table(env.unwrapped.P, gamma)


def best_in_table(table: Table, gamma: float = 0.99) -> Callable[[Any], int]:
    """
    Take the actions that value iteration finds best.

    :param table: for each state and action, what can come of it
    :param gamma: discount
    """
    best = _action_values(table, gamma).argmax(axis=1)
    return lambda observation: int(best[observation])


def _action_values(table: Table, gamma: float) -> np.ndarray:
    """Value iteration, shape (states, actions)."""
    n_states, n_actions = len(table), len(table[0])
    leads = np.zeros((n_states, n_actions, n_states))
    rewards = np.zeros((n_states, n_actions))
    for state, actions in table.items():
        for action, outcomes in actions.items():
            for probability, following, reward, ended in outcomes:
                rewards[state, action] += probability * float(reward)
                leads[state, action, following] += 0.0 if ended else probability
    values = np.zeros((n_states, n_actions))
    for _ in range(2000):
        values = rewards + gamma * leads @ values.max(axis=1)
    return values
