"""A film of what HADIIQN finds out about an expert in a maze while it learns. Needs Pillow, the extra ``video``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import cast

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from sb3_diiqn.envs.maze2d import Maze2D
from sb3_diiqn.envs.moves import Cell
from sb3_diiqn.envs.rendering import AGENT, Colour, draw_disc
from sb3_diiqn.envs.shown_bridges import BRIDGE, COLOURS, draw_background, expert_of, expert_steps
from sb3_diiqn.exceptions import ConfigurationError, MissingDependencyError
from sb3_diiqn.ha_diiqn import HADIIQN
from sb3_diiqn.inference import Feasibility

try:
    from PIL import Image, ImageDraw
except ImportError as missing:
    raise MissingDependencyError("Pillow", "video") from missing

PIXELS_PER_CELL = 20
#: Height of a line of the legend.
LINE_HEIGHT = 14
LEGEND = [
    ("expert's step, not yet known", COLOURS[Feasibility.UNKNOWN]),
    ("expert's step, the agent can do it", COLOURS[Feasibility.FEASIBLE]),
    ("expert's step, the agent cannot", COLOURS[Feasibility.INFEASIBLE]),
    ("bridge of the agent's own steps", BRIDGE),
    ("the greedy agent", AGENT),
]


class BridgeFilm(BaseCallback):
    """
    Films the greedy agent at some steps of a training, over one of the expert's trajectories with the bridges around it.

    :param maze: one of its own, with the agent's moves
    :param at: steps of the training, positive
    :param trajectory: which of the expert's trajectories
    :param max_steps: a longer episode is cut
    :raises ConfigurationError: if there is no such trajectory, when the training begins
    """

    def __init__(self, maze: Maze2D, at: Sequence[int], trajectory: int = 0, max_steps: int = 40) -> None:
        super().__init__()
        self.maze = maze
        self.at = frozenset(at)
        self.trajectory = trajectory
        self.max_steps = max_steps
        #: pictures, and for how many milliseconds each is shown
        self.frames: list[tuple[Image.Image, int]] = []

    def _on_training_start(self) -> None:
        expert_of(cast("HADIIQN", self.model), self.trajectory)

    def _on_step(self) -> bool:
        if self.num_timesteps in self.at:
            self.film(f"after {self.num_timesteps} steps")
        return True

    def film(self, title: str) -> None:
        """
        Add an episode of the greedy agent, with what is known now.

        :param title: stands above it
        """
        background = self._draw_known(title)
        cells = self._greedy_cells()
        for number, cell in enumerate(cells):
            picture = np.asarray(background).copy()
            place = (cell[0] + 0.5 + LINE_HEIGHT / PIXELS_PER_CELL, cell[1] + 0.5)
            draw_disc(picture, place, 0.3, AGENT, PIXELS_PER_CELL)
            self.frames.append((Image.fromarray(picture), 150 if 0 < number < len(cells) - 1 else 1200))

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write a GIF that repeats for ever.

        :param path: file to write
        :raises ConfigurationError: if nothing was filmed
        """
        if not self.frames:
            raise ConfigurationError(f"at={sorted(self.at)!r}: nothing was filmed; train for longer, or film earlier")
        # with the same colours in all of them, only what changes is stored
        colours = self.frames[0][0].quantize(32)
        pictures = [picture.quantize(palette=colours, dither=Image.Dither.NONE) for picture, _ in self.frames]
        durations = [duration for _, duration in self.frames]
        pictures[0].save(path, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True)

    def _greedy_cells(self) -> list[Cell]:
        observation, _ = self.maze.reset()
        cells, is_over = [self.maze.cell], False
        while not is_over and len(cells) <= self.max_steps:
            action = self.model.predict(observation, deterministic=True)[0]
            observation, _, terminated, truncated, _ = self.maze.step(int(action))
            cells.append(self.maze.cell)
            is_over = terminated or truncated
            if cells[-1] in cells[:-1]:  # the same observation has the same action: it goes in circles
                break
        return cells

    def _draw_known(self, title: str) -> Image.Image:
        picture = draw_background(self.maze, PIXELS_PER_CELL)
        height, width = picture.shape[:2]
        canvas = Image.new("RGB", (width, height + (len(LEGEND) + 1) * LINE_HEIGHT + 4), (255, 255, 255))
        canvas.paste(Image.fromarray(picture), (0, LINE_HEIGHT))
        draw = ImageDraw.Draw(canvas)
        draw.text((4, 1), title, fill=(0, 0, 0))
        for line, (label, colour) in enumerate(LEGEND):
            top = height + (line + 1) * LINE_HEIGHT + 2
            if colour == AGENT:
                draw.ellipse((7, top + 1, 17, top + 11), fill=colour)
            else:
                draw.rectangle((4, top + 5, 20, top + 7), fill=colour)
            draw.text((26, top), label, fill=(0, 0, 0))
        for step in expert_steps(cast("HADIIQN", self.model), self.maze, self.trajectory):
            _draw_path(draw, step.cells, COLOURS[step.feasibility], 0.0)
            if step.bridge is not None:
                _draw_path(draw, step.bridge, BRIDGE, 0.15)
        return canvas


def _draw_path(draw: ImageDraw.ImageDraw, cells: list[Cell], colour: Colour, offset: float) -> None:
    """Draw lines with a dot at their end, moved aside so that they do not cover others."""
    points = [
        ((column + 0.5 + offset) * PIXELS_PER_CELL, (row + 0.5 + offset) * PIXELS_PER_CELL + LINE_HEIGHT)
        for row, column in cells
    ]
    draw.line(points, fill=colour, width=3, joint="curve")
    x, y = points[-1]
    draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
