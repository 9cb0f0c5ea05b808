"""Showing how far a run is: a bar with the time left in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any


class Progress:
    """
    Progress over environment steps.

    :param total: environment steps of all cells
    """

    def __init__(self, total: int) -> None:
        self._total, self._done, self._started = total, 0, time.monotonic()
        self._bar: Any = _make_bar() if sys.stdout.isatty() else None

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=self._total)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, text: str) -> None:
        """
        Say how many steps are done.

        :param done: environment steps so far, those of running cells included
        :param text: what stands before the bar
        """
        self._done = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=text)

    def line(self, text: str) -> None:
        """Print a line that stays."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, flush=True)

    def time_left(self) -> str:
        """Estimate the time left, for a plain line; empty in a terminal, where the bar shows it."""
        if self._bar is not None or self._done == 0 or self._done >= self._total:
            return ""
        seconds = (time.monotonic() - self._started) * (self._total - self._done) / self._done
        return f", about {duration(seconds)} left"


def _make_bar() -> Any:
    try:
        from rich import progress  # noqa: PLC0415
    except ImportError:
        return None
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left:"),
        progress.TimeRemainingColumn(elapsed_when_finished=False),
    )
    return progress.Progress(*columns, speed_estimate_period=120)


def duration(seconds: float) -> str:
    """Write a duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
