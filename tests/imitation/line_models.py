"""DIIQN on a line, with the networks beside the Q-network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import DIIQN
from tests.helpers import TINY, LineEnv, right_walks

INVERSE: dict[str, Any] = {"inference": "inverse_dynamics", "margin_weight": 1.0}
CLONE: dict[str, Any] = {
    "guide": "clone",
    "guidance_share": 0.5,
    "gradient_steps": 4,
    "exploration_fraction": 1.0,
    "exploration_final_eps": 1.0,
}
#: For each network beside the Q-network, arguments that bring it about.
NETWORKS: dict[str, dict[str, Any]] = {"inverse_dynamics": INVERSE, "cloned_policy": CLONE}


def make(look: str = "vector", n_envs: int = 1, **arguments: Any) -> DIIQN:
    env = DummyVecEnv([lambda: LineEnv(look)] * n_envs)
    policy = "MultiInputPolicy" if look.startswith("dict") else "MlpPolicy"
    fixed = {**TINY, "buffer_size": 1000, "expert_data": right_walks(look), "preset": "paper"}
    return DIIQN(policy, env, **{**fixed, **arguments})


def parameters_of(network: th.nn.Module) -> list[np.ndarray]:
    return [value.detach().numpy().copy() for value in network.state_dict().values()]
