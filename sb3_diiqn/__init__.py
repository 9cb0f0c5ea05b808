"""Deep implicit imitation Q-networks (DIIQN) for Stable-Baselines3."""

from sb3_diiqn.diiqn import DIIQN
from sb3_diiqn.expert import ExpertObservations

__version__ = "0.1.0"

__all__ = ["DIIQN", "ExpertObservations", "__version__"]
