"""A callback of one's own: watch what is known about the expert, and stop once the agent is better than it.

Start it, and see the shares grow:

    python examples/own_callback.py
"""

import argparse

import gymnasium as gym
import numpy as np
from stable_baselines3.common.callbacks import BaseCallback, EveryNTimesteps

from sb3_diiqn import DIIQN
from sb3_diiqn.envs import MazeExpert
from sb3_diiqn.record import record_expert


class StopWhenBetter(BaseCallback):
    def __init__(self, expert_return: float) -> None:
        super().__init__()
        self.expert_return = expert_return

    def _on_step(self) -> bool:
        knowledge = self.model.knowledge.statistics()
        returns = [episode["r"] for episode in self.model.ep_info_buffer]
        mean_return = np.mean(returns) if returns else -np.inf
        print(
            f"Step {self.num_timesteps}: of the expert's transitions, {knowledge['inferred']:.0%} have an inferred action "
            f"and {knowledge['trained']:.0%} were trained on; mean return {mean_return:.2f}, expert {self.expert_return:.2f}"
        )
        if mean_return > self.expert_return:
            print("The agent is better than the expert: training stops")
            return False
        return True


def main(timesteps: int) -> None:
    env = gym.make("sb3_diiqn/Maze2D-v0")
    recording = record_expert(env, MazeExpert(env, randomness=0.3, seed=0), n_episodes=20, seed=0)
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
        stats_window_size=20,  # episodes over which the mean return is taken
        seed=0,
    )
    callback = StopWhenBetter(recording.episode_returns.mean())
    model.learn(timesteps, callback=EveryNTimesteps(n_steps=500, callback=callback))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timesteps", type=int, default=10_000)
    main(parser.parse_args().timesteps)
