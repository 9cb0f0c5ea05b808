"""Quickstart: Stable-Baselines3's DQN with one more argument, the recording of an expert.

Record one, a pole balancer of which every fifth action is random. Only its observations are kept, not its actions:

    sb3-diiqn record --env CartPole-v1 --policy examples.cart_pole_expert:act --epsilon 0.2 --n-steps 10000 -o expert

Then learn from it:

    python examples/quickstart.py
"""

from stable_baselines3.common.evaluation import evaluate_policy

from sb3_diiqn import DIIQN

settings = dict(learning_rate=1e-3, learning_starts=100, target_update_interval=500)
model = DIIQN("MlpPolicy", "CartPole-v1", expert_data="expert.npz", verbose=1, **settings)
model.learn(total_timesteps=20_000)
print("Mean return: {:.0f} +- {:.0f}".format(*evaluate_policy(model, model.get_env())))
