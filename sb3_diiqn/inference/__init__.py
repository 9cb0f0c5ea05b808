"""
What is concluded about the expert: read it next to the paper (arXiv 2511.03616).

``distances`` and ``matching`` compare states, ``actions`` infers what the expert did, ``confidence`` judges how far to trust
it, and ``knowledge`` holds it all together. Arrays only: nothing here knows a network or an algorithm.
"""

from sb3_diiqn.inference.confidence import Confidence, ConfidenceStatistics
from sb3_diiqn.inference.distances import Distance, DistanceFunction
from sb3_diiqn.inference.knowledge import NO_MATCH, AgentTransitions, ExpertKnowledge, ExpertTransitions
from sb3_diiqn.inference.settings import InferenceSettings

__all__ = [
    "NO_MATCH",
    "AgentTransitions",
    "Confidence",
    "ConfidenceStatistics",
    "Distance",
    "DistanceFunction",
    "ExpertKnowledge",
    "ExpertTransitions",
    "InferenceSettings",
]
