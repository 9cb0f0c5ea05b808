"""Deep implicit imitation Q-networks (DIIQN, HA-DIIQN) for Stable-Baselines3."""

from typing import TYPE_CHECKING, Any

from sb3_diiqn.diiqn import DIIQN
from sb3_diiqn.expert import ExpertObservations, ExpertRecorder
from sb3_diiqn.ha_diiqn import HADIIQN
from sb3_diiqn.imitation.config import PAPER

__version__ = "0.1.0"

__all__ = ["DIIQN", "HADIIQN", "PAPER", "ExpertObservations", "ExpertRecorder", "__version__"]

if TYPE_CHECKING:
    from sb3_diiqn.diiqn.qrdiiqn import QRDIIQN as QRDIIQN


def __getattr__(name: str) -> Any:
    # only this one needs sb3-contrib, for which reason it is not in __all__
    if name == "QRDIIQN":
        from sb3_diiqn.diiqn.qrdiiqn import QRDIIQN  # noqa: PLC0415

        return QRDIIQN
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
