"""Stop a training whenever you like, even by `kill -9`, and go on from its last checkpoint.

Start it, press Ctrl-C, and start it again with the same folder:

    python examples/resume.py /tmp/maze

What was learned about the expert so far lies in the replay buffer, so a checkpoint is the model *and* the replay buffer. The
expert data itself is in neither: `load` is given it again.

A replay buffer that was just being written when the process was killed is damaged: delete that file, and start again.
"""

import argparse
from pathlib import Path

import gymnasium as gym
from stable_baselines3.common.callbacks import CheckpointCallback

from sb3_diiqn import DIIQN
from sb3_diiqn.envs import MazeExpert
from sb3_diiqn.record import record_expert


def newest_checkpoint(folder: Path) -> int | None:
    """Number of steps of the newest checkpoint. The replay buffer is written last: where it is, the model is, too."""
    buffers = folder.glob("diiqn_replay_buffer_*_steps.pkl")
    return max((int(path.stem.split("_")[-2]) for path in buffers), default=None)


def main(folder: Path, timesteps: int) -> None:
    env = gym.make("sb3_diiqn/Maze2D-v0")
    expert_file = folder / "expert.npz"
    if not expert_file.exists():
        record_expert(env, MazeExpert(env, randomness=0.3, seed=0), n_episodes=20, seed=0).expert_data.save(expert_file)

    steps = newest_checkpoint(folder)
    if steps is None:
        model = DIIQN(
            "MlpPolicy",
            env,
            expert_data=expert_file,
            buffer_size=10_000,  # each checkpoint writes all of it
            learning_rate=1e-3,
            gamma=0.95,
            train_freq=2,
            learning_starts=100,
            target_update_interval=50,
            exploration_fraction=0.5,
        )
    else:
        print(f"Going on from step {steps}")
        model = DIIQN.load(folder / f"diiqn_{steps}_steps", env=env, expert_data=expert_file)
        model.load_replay_buffer(folder / f"diiqn_replay_buffer_{steps}_steps")

    checkpoints = CheckpointCallback(save_freq=1000, save_path=folder, name_prefix="diiqn", save_replay_buffer=True, verbose=2)
    model.learn(timesteps - model.num_timesteps, callback=checkpoints, reset_num_timesteps=False)
    print(f"Trained for {model.num_timesteps} steps; actions inferred: {model.knowledge.statistics()['inferred']:.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--timesteps", type=int, default=10_000, help="all runs together")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.timesteps)
