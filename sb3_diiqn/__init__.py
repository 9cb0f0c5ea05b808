"""Deep implicit imitation Q-networks (DIIQN, HA-DIIQN) for Stable-Baselines3."""

from sb3_diiqn.diiqn import DIIQN
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.ha_diiqn import HADIIQN

__version__ = "0.1.0"

__all__ = ["DIIQN", "HADIIQN", "ExpertObservations", "__version__"]
