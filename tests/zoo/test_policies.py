"""The policy with the published network of MinAtar's DQN."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.envs import FakeImageEnv

from sb3_diiqn import DIIQN, ExpertObservations
from sb3_diiqn.zoo.policies import MinAtarPolicy


class FakeMinAtar(FakeImageEnv):
    """Boolean planes."""

    def __init__(self) -> None:
        super().__init__(action_dim=3)
        self.observation_space = spaces.Box(0, 1, (10, 10, 4), dtype=bool)


def test_published_network(tmp_path: Path) -> None:
    model = DQN(MinAtarPolicy, FakeMinAtar(), learning_rate=2.5e-4, buffer_size=10)
    # convolution of 3x3 cells and 4 planes to 16, 8x8 positions to 128 features, 3 values
    assert [p.shape for p in model.q_net.parameters()] == [(16, 4, 3, 3), (16,), (128, 1024), (128,), (3, 128), (3,)]
    optimizer = model.policy.optimizer
    assert type(optimizer) is th.optim.Adam and optimizer.defaults["fused"] and optimizer.defaults["lr"] == 2.5e-4
    model.save(tmp_path / "model.zip")
    assert isinstance(DQN.load(tmp_path / "model.zip").policy, MinAtarPolicy)


def test_other_choices_and_diiqn() -> None:
    data = ExpertObservations.from_trajectories([np.zeros((4, 10, 10, 4), dtype=bool)])
    chosen = {"net_arch": [32], "optimizer_class": th.optim.RMSprop, "optimizer_kwargs": {"alpha": 0.95}}
    model = DIIQN(MinAtarPolicy, FakeMinAtar(), buffer_size=10, expert_data=data, policy_kwargs=chosen)
    assert type(model.policy.optimizer) is th.optim.RMSprop and model.policy.optimizer.defaults["alpha"] == 0.95
    assert list(model.q_net.parameters())[-2].shape == (3, 32)
    default = DIIQN(MinAtarPolicy, FakeMinAtar(), buffer_size=10, expert_data=data)
    assert type(default.policy.optimizer) is th.optim.Adam
