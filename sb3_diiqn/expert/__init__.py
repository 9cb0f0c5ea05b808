"""What the expert showed: trajectories of observations, read, checked, and written."""

from sb3_diiqn.expert.collecting import ExpertRecorder
from sb3_diiqn.expert.observations import ExpertObservations
from sb3_diiqn.expert.types import Observations

__all__ = ["ExpertObservations", "ExpertRecorder", "Observations"]
