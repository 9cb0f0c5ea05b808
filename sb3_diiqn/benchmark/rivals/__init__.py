"""
Rivals: other ways to learn from the same recordings, for fair comparisons. ``docs/rivals.md`` has all choices in one place.

Each is an algorithm of its own, with the interface of Stable-Baselines3: ``BCO("MlpPolicy", env, expert_data=...).learn(n)``.
"""

from sb3_diiqn.benchmark.rivals.bco import BCO
from sb3_diiqn.benchmark.rivals.gaifo import GAIfO
from sb3_diiqn.benchmark.rivals.greedy_episodes import GreedyEpisodesDQN
from sb3_diiqn.benchmark.rivals.jsrl import JSRL
from sb3_diiqn.benchmark.rivals.labelled_replay import LabelledReplayDQN
from sb3_diiqn.benchmark.rivals.oril import ORIL

__all__ = ["BCO", "JSRL", "ORIL", "GAIfO", "GreedyEpisodesDQN", "LabelledReplayDQN"]
