"""The actor: in which mode its network is when it learns, and when it acts."""

from __future__ import annotations

import torch as th
from gymnasium import spaces
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn.baselines.actor import Actor
from tests.helpers import LOOKS, RIGHT, walk


def test_learns_in_training_mode_and_acts_in_evaluation_mode() -> None:
    policy = DQNPolicy(LOOKS["vector"].space, spaces.Discrete(2), lambda _: 1e-3, net_arch=[8])
    actor = Actor.beside(policy, learning_rate=1e-3, max_grad_norm=10.0)
    modes: list[bool] = []
    actor.network.features_extractor.register_forward_hook(lambda module, *_: modes.append(module.training))
    observations = walk([0, 1])
    for _ in range(2):
        actor.act(observations, deterministic=True)
        actor.learn(th.as_tensor(observations), th.tensor([RIGHT, RIGHT]))
    assert modes == [False, True, False, True]
