"""Mazes as text, and the ones that are shipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_diiqn.envs.moves import Cell, Move
from sb3_diiqn.exceptions import ConfigurationError

WALL, FREE, START, GOAL = "#", ".", "S", "G"


@dataclass(frozen=True, eq=False)
class Layout:
    """Walls, start and goal of a maze. What lies outside the grid is a wall.

    :param walls: (rows, columns) bool, True where there is a wall
    :param start: (row, column) where an episode starts
    :param goal: (row, column) where it ends
    :raises ConfigurationError: if start or goal lie in a wall or outside, or on the same cell
    """

    walls: NDArray[np.bool_]
    start: Cell
    goal: Cell

    def __post_init__(self) -> None:
        walls = np.array(self.walls, dtype=bool)
        if walls.ndim != 2:
            raise ConfigurationError(f"walls has shape {walls.shape}; a maze needs two dimensions, (rows, columns).")
        walls.setflags(write=False)
        object.__setattr__(self, "walls", walls)
        for name, (row, column) in (("start", self.start), ("goal", self.goal)):
            cell = (int(row), int(column))
            object.__setattr__(self, name, cell)
            if not self.is_free(cell):
                raise ConfigurationError(
                    f"The {name} {cell} lies inside a wall or outside the maze of {walls.shape[0]} rows and "
                    f"{walls.shape[1]} columns; choose a free cell."
                )
        if self.start == self.goal:
            raise ConfigurationError(f"Start and goal are both {self.start}; choose two different cells.")

    @classmethod
    def from_text(cls, text: str) -> Layout:
        """Read a maze from text: ``#`` wall, ``.`` free, ``S`` start, ``G`` goal, one line per row.

        :param text: the maze; empty lines and spaces around it are ignored
        :raises ConfigurationError: if the lines differ in length, a character is unknown, or there is not exactly one
            start and one goal
        """
        lines = [line.strip() for line in text.strip().splitlines()]
        for number, line in enumerate(lines):
            if len(line) != len(lines[0]):
                raise ConfigurationError(
                    f"Line {number} of the layout, {line!r}, has {len(line)} characters and line 0 has {len(lines[0])}; "
                    "make all lines equally long."
                )
            if unknown := set(line) - {WALL, FREE, START, GOAL}:
                raise ConfigurationError(
                    f"Line {number} of the layout, {line!r}, has the unknown characters {sorted(unknown)}; use '{WALL}' for "
                    f"a wall, '{FREE}' for a free cell, '{START}' for the start and '{GOAL}' for the goal."
                )
        grid = np.array([list(line) for line in lines])
        return cls(grid == WALL, _only_cell(grid, START), _only_cell(grid, GOAL))

    def is_free(self, cell: Cell) -> bool:
        """Whether a cell is inside the grid and not a wall.

        :param cell: (row, column)
        """
        row, column = cell
        rows, columns = self.walls.shape
        return 0 <= row < rows and 0 <= column < columns and not self.walls[row, column]

    def after(self, cell: Cell, move: Move) -> Cell:
        """Cell that a move leads to: the target if that is free, else the cell itself.

        Only the target counts. A diagonal move may pass between two walls, and a jump passes over them.

        :param cell: (row, column)
        :param move: (rows downwards, columns to the right)
        """
        target = (cell[0] + move[0], cell[1] + move[1])
        return target if self.is_free(target) else cell

    def free_cells(self) -> list[Cell]:
        """All cells that are not walls, row by row."""
        return [(int(row), int(column)) for row, column in np.argwhere(~self.walls)]

    def text(self, agent: Cell | None = None) -> str:
        """The maze as text, as :meth:`from_text` reads it.

        :param agent: if given, this cell is marked with ``A``
        """
        characters = np.where(self.walls, WALL, FREE)
        characters[self.start] = START
        characters[self.goal] = GOAL
        if agent is not None:
            characters[agent] = "A"
        return "\n".join("".join(row) for row in characters)


def _only_cell(grid: NDArray[np.str_], mark: str) -> Cell:
    cells = np.argwhere(grid == mark)
    if len(cells) != 1:
        name = {START: "start", GOAL: "goal"}[mark]
        raise ConfigurationError(f"The layout has {len(cells)} cells '{mark}'; mark exactly one {name} with '{mark}'.")
    return int(cells[0, 0]), int(cells[0, 1])


def named_layout(layout: Any) -> Layout:
    """A shipped maze by its name, or a maze from its text.

    :param layout: a name out of :data:`LAYOUTS`, or a text as :meth:`Layout.from_text` reads it
    :raises ConfigurationError: if it is neither
    """
    if isinstance(layout, str):
        if layout in LAYOUTS:
            return Layout.from_text(LAYOUTS[layout])
        if set(layout) & {WALL, FREE, "\n"}:
            return Layout.from_text(layout)
    raise ConfigurationError(
        f"layout={layout!r} is unknown; choose one of {', '.join(LAYOUTS)}, or give the maze as text, "
        r"for instance '#####\n#S.G#\n#####'."
    )


LAYOUTS: dict[str, str] = {
    # 7x7, one room
    "open_5": """
        #######
        #S....#
        #.....#
        #.....#
        #.....#
        #....G#
        #######
    """,
    # 8x8
    "small": """
        ########
        #S.#...#
        #....#.#
        #....#.#
        #.##...#
        #......#
        #.#...G#
        ########
    """,
    # 14x14, six rooms with doors
    "rooms": """
        ##############
        #S...#...#...#
        #....#...#...#
        #........#...#
        #....#.......#
        #....#...#...#
        ##.#####.##.##
        #....#...#...#
        #....#...#...#
        #............#
        #....#.......#
        #....#...#...#
        #....#...#..G#
        ##############
    """,
    # 20x20
    "large": """
        ####################
        #S....#......#.....#
        #.....#......#.....#
        #............#.....#
        #.....#............#
        #.....#......#.....#
        #.....#......#.....#
        ###.####.#######.###
        #..................#
        #.......#..........#
        #...#...#....##....#
        #...#........##....#
        #...#...#..........#
        #.......#..........#
        ##.######.######.###
        #......#.....#.....#
        #......#.....#.....#
        #............#.....#
        #......#..........G#
        ####################
    """,
    # 14x14, the size of the paper's setting; experts move like a king, agents NESW
    "paper": """
        ##############
        #S.....#.....#
        #......#.....#
        #..#......#..#
        #..#......#..#
        #..#####..#..#
        #............#
        ####..####...#
        #............#
        #..#..#..##..#
        #..#..#......#
        #..#..####...#
        #.....#.....G#
        ##############
    """,
    # The mazes of gymnasium-robotics' PointMaze with a start and a goal
    "point_open": """
        #######
        #S....#
        #.....#
        #....G#
        #######
    """,
    "point_u": """
        #####
        #S..#
        ###.#
        #G..#
        #####
    """,
    "point_medium": """
        ########
        #S.##..#
        #..#...#
        ##...###
        #..#...#
        #.#..#.#
        #...#.G#
        ########
    """,
    "point_large": """
        ############
        #S...#.....#
        #.##.#.#.#.#
        #......#...#
        #.####.###.#
        #..#.#.....#
        ##.#.#.#.###
        #..#...#..G#
        ############
    """,
}
"""The shipped mazes by name. Every named action set solves the first five; the others are for :class:`PointMaze`."""
