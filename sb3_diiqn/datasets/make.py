"""Makes the recordings that come with the package, and their manifest: ``python -m sb3_diiqn.datasets.make``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sb3_diiqn.datasets import MANIFEST
from sb3_diiqn.envs import MazeExpert
from sb3_diiqn.expert.builtin import FOLDER
from sb3_diiqn.expert.manifest import describe_recording, versions, write_json
from sb3_diiqn.expert.policies import Environment, Policy
from sb3_diiqn.record import make_environment, record_expert

LICENSE = "MIT"
#: actions of MinAtar's Breakout
STAY, LEFT, RIGHT = 0, 1, 3


@dataclass(frozen=True)
class Recipe:
    """
    How a recording is made.

    :param env_id: environment of the expert
    :param policy: makes the expert for an environment
    :param expert: what it is, in words
    :param n_steps: number of transitions
    :param epsilon: fraction of actions that are random instead
    :param env_kwargs: arguments of the environment
    :param seed: of environment and random actions
    """

    env_id: str
    policy: Callable[[Environment], Policy]
    expert: str
    n_steps: int
    epsilon: float = 0.0
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


def balance(observation: Any) -> int:
    """
    Push a pole's cart to where the pole falls.

    :param observation: position, velocity, angle and angular velocity
    """
    return int(observation[2] + observation[3] > 0)


def catch(observation: Any) -> int:
    """
    Move the paddle of MinAtar's Breakout to where the ball will come down.

    :param observation: planes of paddle, ball, trail and bricks, shape (10, 10, 4)
    """
    paddle, ball, trail = (np.argwhere(observation[..., plane])[0] for plane in range(3))
    target = _landing(ball, trail, observation[..., 3].copy())
    return LEFT if target < paddle[1] else RIGHT if target > paddle[1] else STAY


def _landing(ball: np.ndarray, trail: np.ndarray, bricks: np.ndarray) -> int:
    """The column in which the ball is when it has come down to the row above the paddle. Breaks the bricks on the way."""
    (row, column), bottom, last = ball, len(bricks) - 2, bricks.shape[1] - 1
    # in the step in which it is thrown back it stays in its column, at a wall, or in its row
    right = column > trail[1] or (column == trail[1] and column == 0)
    down = row > trail[0] or (row == trail[0] and row < bottom)
    while row < bottom or not down:
        ahead = column + (1 if right else -1)
        if not 0 <= ahead <= last:
            ahead, right = column, not right
        next_row = row + (1 if down else -1)
        hits_brick = next_row >= 0 and bricks[next_row, ahead]
        if hits_brick:
            bricks[next_row, ahead] = False
        if hits_brick or next_row < 0:
            next_row, down = row, not down
        row, column = next_row, ahead
    return int(column)


def _maze(actions: str, randomness: float, expert: str) -> Recipe:
    return Recipe(
        "sb3_diiqn/Maze2D-v0",
        lambda env: MazeExpert(env, randomness=randomness, seed=0),
        f"MazeExpert{expert}",
        n_steps=2000,
        env_kwargs={"layout": "paper", "actions": actions, "max_episode_steps": 100},
    )


RECIPES = {
    "breakout": Recipe(
        "MinAtar/Breakout-v0",
        lambda _: catch,
        "moves the paddle to where the ball will come down; a fifth of its actions is random, and the game repeats a tenth",
        n_steps=5000,
        epsilon=0.2,
    ),
    "cartpole": Recipe(
        "CartPole-v1",
        lambda _: balance,
        "pushes to where the pole falls, by angle + angular velocity > 0; a fifth of its actions is random",
        n_steps=5000,
        epsilon=0.2,
    ),
    "maze": _maze("NESW", 0.5, ": a shortest path to the goal; half of its moves are random"),
    "maze-king": _maze("king", 0.2, " that moves as a king: a shortest path to the goal; a fifth of its moves is random"),
}


def make(folder: Path) -> dict[str, Any]:
    """
    Record everything anew, which takes some seconds.

    :param folder: where files and manifest are written
    :return: the manifest
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {name: _record(recipe, folder / f"{name}.npz") for name, recipe in RECIPES.items()}
    write_json(folder / MANIFEST, manifest, indent=2)
    return manifest


def _record(recipe: Recipe, path: Path) -> dict[str, Any]:
    with make_environment(recipe.env_id, **recipe.env_kwargs) as env:
        recording = record_expert(
            env,
            recipe.policy(env),
            n_steps=recipe.n_steps,
            epsilon=recipe.epsilon,
            seed=recipe.seed,
            output=path,
            overwrite=True,
        )
    return {
        "env_id": recipe.env_id,
        "env_kwargs": dict(recipe.env_kwargs),
        "wrappers": "none but those of gymnasium.make; single observations as the environment shows them",
        "expert": recipe.expert,
        "epsilon": recipe.epsilon,
        "seed": recipe.seed,
        **describe_recording(recording.expert_data, recording.episode_returns),
        "made_by": "python -m sb3_diiqn.datasets.make",
        "made_with": versions(),
        "license": LICENSE,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """
    The command line.

    :param arguments: those of the process by default
    """
    parser = argparse.ArgumentParser(
        prog="python -m sb3_diiqn.datasets.make", description="Make the recordings that come with the package."
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to (default: into the package)")
    for name, entry in make(parser.parse_args(arguments).folder).items():
        print(f"{name}: {entry['n_transitions']} transitions, mean return {entry['mean_return']:.4g}, {entry['content_hash']}")


if __name__ == "__main__":
    main()
