"""Record a mediocre expert, learn from its observations, and do better: all in one file.

The expert walks through a maze on a shortest path, except that three actions of ten are random.

    python examples/record_and_train.py
    python examples/record_and_train.py --timesteps 20000
"""

import argparse

import gymnasium as gym
from stable_baselines3.common.evaluation import evaluate_policy

from sb3_diiqn import DIIQN
from sb3_diiqn.envs import MazeExpert
from sb3_diiqn.record import record_expert


def main(timesteps: int) -> None:
    env = gym.make("sb3_diiqn/Maze2D-v0")

    # recording.expert_data.save("expert.npz") would keep it
    recording = record_expert(env, MazeExpert(env, randomness=0.3, seed=0), n_episodes=20, seed=0)
    print(recording.expert_data)

    model = DIIQN(
        "MlpPolicy",
        env,
        expert_data=recording.expert_data,
        learning_rate=1e-3,
        gamma=0.95,
        train_freq=2,
        learning_starts=100,
        target_update_interval=50,
        exploration_fraction=0.5,
        seed=0,
    )
    model.learn(timesteps)

    mean_return, _ = evaluate_policy(model, model.get_env(), n_eval_episodes=5)
    print(f"Mean return of the expert: {recording.episode_returns.mean():.2f}")
    print(f"Mean return of the agent:  {mean_return:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timesteps", type=int, default=8000)
    main(parser.parse_args().timesteps)
