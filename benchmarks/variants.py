"""The default with one thing done otherwise, for suites: ``benchmarks.variants:CLASS``."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from sb3_diiqn import DIIQN
from sb3_diiqn.imitation.config import WHERE_STATES_REPEAT, WHERE_STATES_VARY


class Repeating(DIIQN):
    """Trusts in matches everywhere, also where the expert's states vary."""

    where_states_vary = WHERE_STATES_REPEAT


class Varying(DIIQN):
    """Trusts in networks everywhere, also where the expert's states repeat."""

    where_states_repeat = WHERE_STATES_VARY


class LastNetwork(DIIQN):
    """Predicts with the Q-network as its last update has left it, and learns the same to the bit."""

    def _averaging(self) -> AbstractContextManager[None]:
        return nullcontext()
