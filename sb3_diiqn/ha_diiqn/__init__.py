"""HA-DIIQN: DIIQN for expert and agent with different actions."""

from sb3_diiqn.ha_diiqn.bridging_policy import BridgingPolicy
from sb3_diiqn.ha_diiqn.ha_diiqn import HADIIQN

__all__ = ["HADIIQN", "BridgingPolicy"]
