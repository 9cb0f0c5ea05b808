"""The film of a greedy agent, and of the bridges that are known meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sb3_diiqn import DIIQN, HADIIQN, ExpertObservations
from sb3_diiqn.envs import Maze2D
from sb3_diiqn.envs.rendering import AGENT
from sb3_diiqn.exceptions import ConfigurationError

Image = pytest.importorskip("PIL.Image")
bridge_film = pytest.importorskip("sb3_diiqn.envs.bridge_film")

SQUARE = "####\n#S.#\n#.G#\n####"


def learned(film: Any, maze: Maze2D) -> HADIIQN:
    """The expert goes from the start to the goal at once."""
    expert = ExpertObservations.from_trajectories([np.array([maze.observation_of(cell) for cell in [(1, 1), (2, 2)]])])
    model = HADIIQN("MlpPolicy", maze, expert_data=expert, learning_starts=400, exploration_initial_eps=1.0, seed=0)
    return model.learn(300, callback=film)


def colours(picture: Any) -> set[tuple[int, int, int]]:
    return {colour for _, colour in picture.getcolors(10_000)}


def test_bridges_are_seen_when_they_are_known(tmp_path: Path) -> None:
    film = bridge_film.BridgeFilm(Maze2D(SQUARE, max_episode_steps=10), at=[1, 300])
    learned(film, Maze2D(SQUARE, max_episode_steps=10))
    without_legend = (0, 0, 80, 80 + bridge_film.LINE_HEIGHT)
    first, last = (film.frames[number][0].crop(without_legend) for number in (0, -1))
    assert bridge_film.BRIDGE not in colours(first)
    assert bridge_film.BRIDGE in colours(last)
    assert AGENT in colours(first) & colours(last)
    film.save(tmp_path / "bridges.gif")
    with Image.open(tmp_path / "bridges.gif") as saved:
        assert (saved.format, saved.n_frames, saved.info["loop"]) == ("GIF", len(film.frames), 0)
        assert saved.size == film.frames[0][0].size


def test_the_agent_moves_until_it_goes_in_circles() -> None:
    film = bridge_film.BridgeFilm(Maze2D(SQUARE), at=[300])
    film.model = learned(film, Maze2D(SQUARE))
    cells = film._greedy_cells()
    assert cells[0] == (1, 1)
    assert len(set(cells[:-1])) == len(cells) - 1
    assert len(film.frames) == len(cells)


def test_what_cannot_be_filmed(tmp_path: Path) -> None:
    maze = Maze2D(SQUARE)
    with pytest.raises(ConfigurationError, match="nothing was filmed"):
        bridge_film.BridgeFilm(maze, at=[5]).save(tmp_path / "nothing.gif")
    with pytest.raises(ConfigurationError, match="trajectory=1"):
        learned(bridge_film.BridgeFilm(maze, at=[5], trajectory=1), maze)
    with pytest.raises(ConfigurationError, match="trajectory=0"):
        DIIQN("MlpPolicy", maze).learn(5, callback=bridge_film.BridgeFilm(maze, at=[5]))
