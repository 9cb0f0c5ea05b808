"""Pictures of mazes as arrays, without a display and without a plotting package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sb3_diiqn.envs.layouts import Layout

Colour = tuple[int, int, int]

FLOOR: Colour = (245, 245, 240)
WALL: Colour = (60, 60, 70)
START: Colour = (225, 215, 190)
GOAL: Colour = (80, 170, 90)
AGENT: Colour = (40, 90, 200)

PIXELS_PER_CELL = 16


def draw_maze(layout: Layout, pixels_per_cell: int = PIXELS_PER_CELL) -> NDArray[np.uint8]:
    """Walls, floor and start of a maze, seen from above.

    :param layout: the maze
    :param pixels_per_cell: width and height of one cell
    :return: (rows * pixels_per_cell, columns * pixels_per_cell, 3)
    """
    colours = np.array([FLOOR, WALL], dtype=np.uint8)
    cells: NDArray[np.uint8] = colours[layout.walls.astype(int)]
    cells[layout.start] = START
    return cells.repeat(pixels_per_cell, axis=0).repeat(pixels_per_cell, axis=1)


def draw_disc(
    picture: NDArray[np.uint8],
    centre: tuple[float, float],
    radius: float,
    colour: Colour,
    pixels_per_cell: int = PIXELS_PER_CELL,
) -> None:
    """Draw a filled disc into a picture that :func:`draw_maze` made.

    :param picture: changed in place
    :param centre: (row, column) in cells; the centre of the top left cell is (0.5, 0.5)
    :param radius: in cells
    :param colour: red, green, blue
    :param pixels_per_cell: as the picture was made with
    """
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    row_distance = (rows + 0.5) / pixels_per_cell - centre[0]
    column_distance = (columns + 0.5) / pixels_per_cell - centre[1]
    picture[row_distance**2 + column_distance**2 <= radius**2] = colour
