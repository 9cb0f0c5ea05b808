"""Learn from trajectories of the `imitation` package. Their actions are dropped; DIIQN does without.

It needs that package:

    pip install 'sb3-diiqn[imitation]'
    python examples/imitation_trajectories.py
"""

import argparse
import sys

import numpy as np
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from sb3_diiqn import DIIQN, ExpertObservations

try:
    from imitation.data import rollout
    from imitation.data.wrappers import RolloutInfoWrapper
except ImportError:
    sys.exit("This example needs the package 'imitation': pip install 'sb3-diiqn[imitation]'")


def expert(observations, states, episode_starts):
    """Balances the poles; any policy that `imitation` can roll out would do."""
    return (observations[:, 2] + observations[:, 3] > 0).astype(int), None


def main(timesteps: int) -> None:
    # the wrapper keeps the environment's own observations, which is what DIIQN wants
    env = make_vec_env("CartPole-v1", n_envs=4, seed=0, wrapper_class=RolloutInfoWrapper)
    enough = rollout.make_sample_until(min_episodes=20)
    trajectories = rollout.rollout(expert, env, enough, rng=np.random.default_rng(0))

    expert_data = ExpertObservations.from_imitation(trajectories)
    print(expert_data)

    model = DIIQN(
        "MlpPolicy",
        "CartPole-v1",
        expert_data=expert_data,
        learning_rate=1e-3,
        learning_starts=100,
        target_update_interval=500,
        seed=0,
    )
    model.learn(timesteps)

    mean_return, _ = evaluate_policy(model, model.get_env(), n_eval_episodes=5)
    print(f"Mean return of the expert: {rollout.rollout_stats(trajectories)['return_mean']:.0f}")
    print(f"Mean return of the agent:  {mean_return:.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timesteps", type=int, default=20_000)
    main(parser.parse_args().timesteps)
