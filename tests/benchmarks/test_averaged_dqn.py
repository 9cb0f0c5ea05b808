"""The control: DQN to the bit, but for what it predicts with."""

from __future__ import annotations

import torch as th
from stable_baselines3 import DQN

from benchmarks.averaged_dqn import AveragedDQN
from tests.helpers import TINY, LineEnv


def test_it_learns_as_dqn_does_and_predicts_with_the_mean() -> None:
    dqn, averaged = (algorithm("MlpPolicy", LineEnv(), **TINY).learn(300) for algorithm in (DQN, AveragedDQN))
    own = averaged.policy.q_net
    for one, other in zip(dqn.policy.q_net.parameters(), own.parameters(), strict=True):
        assert th.equal(one, other)
    seen = []
    averaged.policy.predict = lambda *args, **kwargs: (seen.append(averaged.policy.q_net), (args[0], None))[1]
    averaged.predict(averaged.env.reset(), deterministic=True)
    assert seen[0] is not own
    assert averaged.policy.q_net is own
