"""Variants of the algorithms that only suites compare, named there as ``benchmarks.variants:CLASS``."""

from __future__ import annotations

from dataclasses import replace

from sb3_diiqn import DIIQN
from sb3_diiqn.imitation.config import WHERE_STATES_REPEAT, WHERE_STATES_VARY


class Exploring(DIIQN):
    """DIIQN that explores in all of its own episodes: those in which it does not return more by themselves."""

    where_states_vary = replace(WHERE_STATES_VARY, greedy_fraction=0.0)


class Matching(DIIQN):
    """DIIQN that trusts in matches everywhere, also where the expert's states do not repeat."""

    where_states_vary = WHERE_STATES_REPEAT
