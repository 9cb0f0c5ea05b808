"""HA-DIIQN: the expert moves like a king on a chessboard, the agent can only go north, east, south and west.

HADIIQN finds out which of the expert's moves are infeasible for the agent, and bridges them by paths of its own.

    python examples/different_actions.py --picture bridges.png
    python examples/different_actions.py --layout paper --timesteps 3000 --film docs/figures/bridges.gif
"""

import argparse
from pathlib import Path

import gymnasium as gym
import numpy as np
from stable_baselines3.common.evaluation import evaluate_policy

from sb3_diiqn import HADIIQN
from sb3_diiqn.envs import MazeExpert
from sb3_diiqn.inference import Feasibility
from sb3_diiqn.record import record_expert


def main(timesteps: int, layout: str, picture: Path | None, film: Path | None) -> None:
    experts_env = gym.make("sb3_diiqn/Maze2D-v0", layout=layout, actions="king")
    expert = MazeExpert(experts_env, randomness=0.2, seed=0)
    expert_data = record_expert(experts_env, expert, n_episodes=20, seed=0).expert_data

    env = gym.make("sb3_diiqn/Maze2D-v0", layout=layout, actions="NESW", max_episode_steps=100)
    model = HADIIQN(
        "MlpPolicy",
        env,
        expert_data=expert_data,
        learning_rate=1e-3,
        batch_size=64,
        gamma=0.98,
        train_freq=1,
        learning_starts=100,
        target_update_interval=100,
        exploration_fraction=0.5,
        seed=0,
    )
    callback = None
    if film is not None:
        from sb3_diiqn.envs.bridge_film import BridgeFilm  # noqa: PLC0415 - only films need Pillow

        filmed = gym.make("sb3_diiqn/Maze2D-v0", layout=layout, actions="NESW").unwrapped
        callback = BridgeFilm(filmed, at=[timesteps // 15, timesteps // 5, timesteps])
    model.learn(timesteps, callback=callback)
    if callback is not None:
        callback.save(film)
    mean_return, _ = evaluate_policy(model, model.get_env(), n_eval_episodes=5)
    print(f"Mean return of the agent: {mean_return:.2f}")

    found = model.inspect_expert()
    for feasibility in Feasibility:
        print(f"{feasibility.name.lower():>10}: {np.mean(found['feasibility'] == feasibility):.0%} of the expert's moves")
    print(f"{'bridged':>10}: {np.mean(found['bridged']):.0%}")

    print("The expert's first moves, from (row, column) to (row, column):")
    maze = env.unwrapped
    for move in range(10):
        cells = [maze.cell_of(observation) for observation in (expert_data.current(move), expert_data.next(move))]
        bridge = f", bridge length {found['bridge_length'][move]}" if found["bridged"][move] else ""
        print(f"  {cells[0]} -> {cells[1]}: {Feasibility(found['feasibility'][move]).name.lower()}{bridge}")

    if picture is not None:
        from sb3_diiqn.envs.bridge_figure import draw_bridges  # noqa: PLC0415 - only pictures need matplotlib

        draw_bridges(model, maze).savefig(picture, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timesteps", type=int, default=8000)
    parser.add_argument("--layout", default="small", help="name of a maze, see sb3_diiqn.envs.LAYOUTS")
    parser.add_argument("--picture", type=Path, help="draw the expert's first trajectory and the bridges into this file")
    parser.add_argument("--film", type=Path, help="film the greedy agent and the bridges at three steps of the training")
    arguments = parser.parse_args()
    main(arguments.timesteps, arguments.layout, arguments.picture, arguments.film)
