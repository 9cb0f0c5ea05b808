"""Measuring speed and memory where other things run on the same machine."""

from __future__ import annotations

import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Times(NamedTuple):
    """What something took, in seconds."""

    wall: float
    cpu: float


def timed(work: Callable[[], Any]) -> Times:
    """
    Do something once and tell how long it took.

    :param work: what to do
    """
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Times(time.perf_counter() - wall, time.process_time() - cpu)


def in_turns(n_rounds: int, *works: Callable[[], Any]) -> list[list[Times]]:
    """
    Do several things in turns, the last one first in every other round, and tell how long each took in each round.

    :param n_rounds: how often
    :param works: what to do
    :return: for each of them, a list with an entry for each round
    """
    taken: list[list[Times]] = [[] for _ in works]
    for number in range(n_rounds):
        order = range(len(works)) if number % 2 == 0 else reversed(range(len(works)))
        for index in order:
            taken[index].append(timed(works[index]))
    return taken


def ratios(slow: list[Times], fast: list[Times]) -> dict[str, float]:
    """
    Compare what two things took, round by round: how many times faster is the second?

    :param slow: of what the ratio is relative to
    :param fast: of the other
    :return: ``ratio``, the median over rounds of the CPU time, with ``ratio_min`` and ``ratio_max``, and
        ``ratio_wall``, the median of the time that passed
    """
    cpu = [one.cpu / other.cpu for one, other in zip(slow, fast, strict=True)]
    wall = [one.wall / other.wall for one, other in zip(slow, fast, strict=True)]
    return {
        "ratio": round(statistics.median(cpu), 3),
        "ratio_min": round(min(cpu), 3),
        "ratio_max": round(max(cpu), 3),
        "ratio_wall": round(statistics.median(wall), 3),
    }


def median_rate(n: int, taken: list[Times]) -> float:
    """
    Compute how many times per second something was done, by the CPU time.

    :param n: how often it was done in each round
    :param taken: what each round took
    """
    return round(n / statistics.median(times.cpu for times in taken), 1)


def resident_megabytes() -> float:
    """Tell how much memory this process holds now; where the system does not say, how much it has held at most."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / 1e6
    except OSError:
        unit = 1 if platform.system() == "Darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def megabytes(arrays: Any) -> float:
    """
    Tell how large arrays are.

    :param arrays: an array, or a dictionary of arrays
    """
    every = arrays.values() if isinstance(arrays, dict) else [arrays]
    return float(sum(np.asarray(array).nbytes for array in every)) / 1e6
