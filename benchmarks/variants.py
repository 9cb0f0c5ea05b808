"""Variants of the algorithms that only suites compare, named there as ``benchmarks.variants:CLASS``."""

from __future__ import annotations

from sb3_diiqn import DIIQN
from sb3_diiqn.imitation.config import WHERE_STATES_REPEAT


class Matching(DIIQN):
    """DIIQN that trusts in matches everywhere, also where the expert's states do not repeat."""

    where_states_vary = WHERE_STATES_REPEAT
