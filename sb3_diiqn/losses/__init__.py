"""
What is added to the host's temporal-difference loss because of the expert.

``confidence_weighted`` is the loss of the paper. ``large_margin`` imitates the actions that the expert, or the guide, seems to
have taken, as long as ``fading`` says so. ``expert_td`` learns values from recorded or inferred rewards.
"""

from sb3_diiqn.losses.base import ExpertLoss
from sb3_diiqn.losses.confidence_weighted import ConfidenceWeighted
from sb3_diiqn.losses.expert_td import ExpertTD
from sb3_diiqn.losses.fading import FadingWeight
from sb3_diiqn.losses.large_margin import ImitateExpert, ImitateGuide, ScaledMargin, make_margin, margin_losses

__all__ = [
    "ConfidenceWeighted",
    "ExpertLoss",
    "ExpertTD",
    "FadingWeight",
    "ImitateExpert",
    "ImitateGuide",
    "ScaledMargin",
    "make_margin",
    "margin_losses",
]
