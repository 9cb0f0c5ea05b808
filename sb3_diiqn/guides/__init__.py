"""
How the agent behaves while it collects: a guide plays some episodes, and part of the exploration.

``base`` says what a guide is; ``matching`` and ``clone`` are guides. ``guided`` draws the steps that are the guide's, and
``selection`` decides, by what their episodes return, how many of them it plays.
"""

from sb3_diiqn.guides.base import FirstCertain, Guide, GuideActions
from sb3_diiqn.guides.clone import CloneGuide
from sb3_diiqn.guides.guided import GuidedExploration
from sb3_diiqn.guides.matching import MatchingGuide
from sb3_diiqn.guides.selection import ComparedReturns, GuideEpisodes

__all__ = [
    "CloneGuide",
    "ComparedReturns",
    "FirstCertain",
    "Guide",
    "GuideActions",
    "GuideEpisodes",
    "GuidedExploration",
    "MatchingGuide",
]
