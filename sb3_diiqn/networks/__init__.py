"""
The auxiliary networks, which learn alongside the Q-network.

``inverse_dynamics`` infers the expert's actions from the agent's own transitions, and ``reward_model`` what they would have
paid the agent. ``cloned_policy`` learns to act as the expert does, and ``state_embedding`` which states are near each other.
``base`` has what they share.
"""

from sb3_diiqn.networks.base import ObservationNetwork
from sb3_diiqn.networks.cloned_policy import ClonedPolicy
from sb3_diiqn.networks.inverse_dynamics import InverseDynamics
from sb3_diiqn.networks.reward_model import RewardModel
from sb3_diiqn.networks.state_embedding import StateEmbedding

__all__ = ["ClonedPolicy", "InverseDynamics", "ObservationNetwork", "RewardModel", "StateEmbedding"]
