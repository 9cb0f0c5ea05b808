"""
What is concluded about the expert: read it next to the paper (arXiv 2511.03616).

``distances``, ``embedding`` and ``matching`` compare states, ``nearest`` infers what the expert did, ``confidence`` judges
how far to trust it, ``intentions`` finds out what it means to do where outcomes are chance, ``estimates`` puts what is
believed about actions into probabilities, and ``knowledge`` holds it all together. For an expert with other actions
(HA-DIIQN), ``feasibility`` finds what cannot be reproduced, ``paths`` and ``bridges`` find ways around, and ``bridging``
holds that together. Arrays only: nothing here knows a network or an algorithm.
"""

from sb3_diiqn.inference.bridging import BridgingKnowledge
from sb3_diiqn.inference.confidence import Confidence, ConfidenceStatistics
from sb3_diiqn.inference.distances import Distance, DistanceFunction
from sb3_diiqn.inference.estimates import ActionEstimates, draw_actions, estimate
from sb3_diiqn.inference.feasibility import Feasibility
from sb3_diiqn.inference.knowledge import NO_MATCH, ExpertKnowledge
from sb3_diiqn.inference.nearest import NO_ACTION
from sb3_diiqn.inference.settings import BridgingSettings, InferenceSettings
from sb3_diiqn.inference.transitions import AgentTransitions, ExpertTransitions

__all__ = [
    "NO_ACTION",
    "NO_MATCH",
    "ActionEstimates",
    "AgentTransitions",
    "BridgingKnowledge",
    "BridgingSettings",
    "Confidence",
    "ConfidenceStatistics",
    "Distance",
    "DistanceFunction",
    "ExpertKnowledge",
    "ExpertTransitions",
    "Feasibility",
    "InferenceSettings",
    "draw_actions",
    "estimate",
]
