"""
Baselines: other ways to learn from observation-only demonstrations. ``docs/baselines.md`` has all choices in one place.

Each is an algorithm of its own, with the interface of Stable-Baselines3: ``BCO("MlpPolicy", env, expert_data=...).learn(n)``.
"""

from sb3_diiqn.baselines.bco import BCO
from sb3_diiqn.baselines.gaifo import GAIfO
from sb3_diiqn.baselines.jsrl import JSRL
from sb3_diiqn.baselines.labelled_replay import LabelledReplayDQN
from sb3_diiqn.baselines.oril import ORIL

__all__ = ["BCO", "JSRL", "ORIL", "GAIfO", "LabelledReplayDQN"]
