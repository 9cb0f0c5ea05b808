"""DQN with greedy episodes: in which it acts greedily, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch as th
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env

from benchmarks.greedy_episodes import GreedyEpisodesDQN
from sb3_diiqn.exceptions import ConfigurationError
from tests.helpers import TINY, LineEnv

N_ENVS = 400


def test_without_greedy_episodes_it_is_dqn_to_the_bit() -> None:
    models = [
        DQN("MlpPolicy", LineEnv(), **TINY).learn(300),
        GreedyEpisodesDQN("MlpPolicy", LineEnv(), **TINY, greedy_episodes=0.0).learn(300),
    ]
    first, second = (model.policy.state_dict() for model in models)
    for name, weights in first.items():
        th.testing.assert_close(weights, second[name], rtol=0, atol=0)


def test_half_of_the_episodes_are_greedy_from_beginning_to_end() -> None:
    env = make_vec_env(lambda: LineEnv(time_limit=8), N_ENVS)
    settings = {"learning_starts": 0, "exploration_initial_eps": 1.0, "exploration_final_eps": 1.0, "device": "cpu", "seed": 0}
    model = GreedyEpisodesDQN("MlpPolicy", env, **settings)
    model._setup_learn(1000)
    with th.no_grad():
        model.q_net.q_net[-1].weight.zero_()
        model.q_net.q_net[-1].bias.copy_(th.tensor([0.0, 1.0]))
    model.exploration_rate = 0.0
    assert (model._sample_action(0, n_envs=N_ENVS)[0] == 1).all()
    model.exploration_rate = 1.0
    model._starts[:] = False
    greedy = model._episodes.greedy.copy()
    assert greedy.mean() == pytest.approx(0.5, abs=0.1)
    dones = np.arange(N_ENVS) < N_ENVS // 2
    for _ in range(3):
        actions, stored = model._sample_action(0, n_envs=N_ENVS)
        np.testing.assert_array_equal(actions, stored)
        assert (actions[greedy] == 1).all() and len(set(actions[~greedy])) == 2
        np.testing.assert_array_equal(model._episodes.greedy, greedy)
    assert len(set(model._sample_action(10_000, n_envs=N_ENVS)[0])) == 2, "while warming up, all explore"
    model._starts = dones
    model._sample_action(0, n_envs=N_ENVS)
    assert (model._episodes.greedy != greedy)[dones].mean() == pytest.approx(0.5, abs=0.15)
    assert not (model._episodes.greedy != greedy)[~dones].any()


def test_learning_draws_anew_where_an_episode_ends() -> None:
    model = GreedyEpisodesDQN("MlpPolicy", make_vec_env(lambda: LineEnv(time_limit=3), 2), **TINY)
    seen = set()
    model.learn(200, callback=lambda *_: seen.add(tuple(model._episodes.greedy)) is None)
    assert len(seen) == 4


def test_a_second_training_draws_for_its_first_episodes() -> None:
    model = GreedyEpisodesDQN("MlpPolicy", make_vec_env(lambda: LineEnv(time_limit=1000), 2), **TINY).learn(20)
    assert not model._starts.any(), "all are in the middle of an episode"
    drawn: list[bool] = []
    begin = model._episodes.begin
    model._episodes.begin = lambda starts, remaining: (drawn.append(bool(starts.all())), begin(starts, remaining))
    model.learn(4)
    assert drawn[0] and not any(drawn[1:])


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_bad_share(share: float) -> None:
    with pytest.raises(ConfigurationError, match=f"greedy_episodes={share}"):
        GreedyEpisodesDQN("MlpPolicy", LineEnv(), greedy_episodes=share)
