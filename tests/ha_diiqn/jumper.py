"""An expert that jumps two states of the line at a time, for an agent that can only walk."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import HADIIQN, ExpertObservations
from sb3_diiqn.inference import BridgingKnowledge
from tests.helpers import TINY, LineEnv, walk
from tests.inference.bridge_reference import AgentStep

#: Enough chance for the agent to try everything in a few hundred steps, until the end.
CURIOUS: dict[str, Any] = {
    **TINY,
    "buffer_size": 1000,
    "exploration_fraction": 1.0,
    "exploration_initial_eps": 1.0,
    "exploration_final_eps": 0.7,
}


def jumps(look: str = "vector", n: int = 2) -> ExpertObservations:
    """Recordings: 0 to 2 and 2 to 4 are out of the agent's reach, 4 to 5 is not."""
    return ExpertObservations.from_trajectories([walk([0, 2, 4, 5], look)] * n, terminated=True)


def line_env(look: str = "vector", n_envs: int = 1, time_limit: int = 20) -> DummyVecEnv:
    return DummyVecEnv([lambda: LineEnv(look, time_limit)] * n_envs)


#: What HADIIQN does where states repeat, in recordings that are too short to say so.
BRIDGING: dict[str, Any] = {"inference": "nearest", "guide": "matching"}


def make(look: str = "vector", n_envs: int = 1, time_limit: int = 20, algorithm: Any = HADIIQN, **arguments: Any) -> HADIIQN:
    policy = "MultiInputPolicy" if look.startswith("dict") else "MlpPolicy"
    env = line_env(look, n_envs, time_limit)
    model: HADIIQN = algorithm(policy, env, **{**CURIOUS, **BRIDGING, "expert_data": jumps(look), **arguments})
    return model


def knowledge_of(model: HADIIQN) -> BridgingKnowledge:
    knowledge = model.knowledge
    assert isinstance(knowledge, BridgingKnowledge)
    return knowledge


def streams_of(model: HADIIQN) -> list[list[AgentStep]]:
    """Everything that a replay buffer, not yet full, has stored, by environment."""
    buffer = model.replay_buffer
    assert not buffer.full
    streams = []
    for env in range(buffer.n_envs):
        stream: list[AgentStep] = []
        for number in range(buffer.pos):
            observation, following = buffer.observations[number, env], buffer.next_observations[number, env]
            ends = bool(buffer.dones[number, env])
            begins = not stream or stream[-1].ends or not np.array_equal(stream[-1].following, observation)
            action, reward = int(buffer.actions[number, env, 0]), float(buffer.rewards[number, env])
            terminal = ends and not buffer.timeouts[number, env]
            stream.append(AgentStep(observation, action, reward, following, terminal, ends, begins))
        streams.append(stream)
    return streams
