"""DIIQN on a line, the published method and what is added to it, whatever the expert data would choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import DIIQN, PAPER
from sb3_diiqn.guides import GuidedExploration
from sb3_diiqn.imitation.learner import Learner
from tests.helpers import TINY, LineEnv, right_walks, with_habits

#: Guided in half of the exploration, step by step.
PLAIN: Any = with_habits(DIIQN, exploration_fraction=0.5)
#: The published method, unless something is added.
BASE: dict[str, Any] = {**TINY, "buffer_size": 1000, **PAPER, "guide_fraction": 0.0, "margin": 0.8}

INVERSE: dict[str, Any] = {"inference": "inverse_dynamics", "imitation_coef": 1.0}
CLONE: dict[str, Any] = {
    "guide": "clone",
    "gradient_steps": 4,
    "exploration_fraction": 1.0,
    "exploration_final_eps": 1.0,
}
#: For each auxiliary network, arguments that bring it about.
NETWORKS: dict[str, dict[str, Any]] = {
    "action_inference": INVERSE,
    "cloned_policy": CLONE,
    "reward_model": {"expert_rewards": "inferred"},
    "state_embedding": {"matching_kwargs": {"similarity_metric": "learned"}},
}


def make(look: str = "vector", n_envs: int = 1, algorithm: Any = PLAIN, **arguments: Any) -> Any:
    env = DummyVecEnv([lambda: LineEnv(look)] * n_envs)
    policy = "MultiInputPolicy" if look.startswith("dict") else "MlpPolicy"
    return algorithm(policy, env, **{**BASE, "expert_data": right_walks(look), **arguments})


def learner_of(model: DIIQN) -> Learner:
    assert model.learner is not None
    return model.learner


def exploration_of(model: DIIQN) -> GuidedExploration:
    exploration = learner_of(model).exploration
    assert exploration is not None
    return exploration


def parameters_of(network: th.nn.Module) -> list[np.ndarray]:
    return [value.detach().numpy().copy() for value in network.state_dict().values()]
