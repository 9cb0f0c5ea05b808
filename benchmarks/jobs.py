"""Running jobs on a backend, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.backends import Backend
from benchmarks.progress import Progress
from benchmarks.storage import HEARTBEAT_SECONDS

Key = TypeVar("Key")


@dataclass(frozen=True)
class Job:
    """
    A function to be called elsewhere.

    :param steps: environment steps that it takes, for the progress
    :param heartbeat: file into which it writes how many it has taken, if it does
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    steps: int
    heartbeat: Path | None = None

    def steps_so_far(self) -> int:
        """Read the heartbeat."""
        if self.heartbeat is None:
            return 0
        try:
            return int(self.heartbeat.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0


def run_jobs(jobs: dict[Key, Job], backend: Backend, noun: str) -> Iterator[tuple[Key, Any, Callable[[str], None]]]:
    """
    Run jobs.

    :param noun: what they are, for the progress
    :return: for each job its key, its result or the exception that it raised, and a function that prints a line about it
    """
    waiting = list(jobs)[::-1]
    running: dict[Future[Any], Key] = {}
    n_done = steps_done = 0
    with Progress(sum(job.steps for job in jobs.values())) as progress:

        def say(text: str) -> None:
            progress.line(f"[{n_done}/{len(jobs)}] {text}{progress.time_left()}")

        while waiting or running:
            while waiting and backend.has_room():
                key = waiting.pop()
                running[backend.submit(jobs[key].function, *jobs[key].arguments)] = key
            done, _ = wait(running, timeout=HEARTBEAT_SECONDS, return_when=FIRST_COMPLETED)
            finished = [(running.pop(future), future) for future in done]
            n_done += len(finished)
            steps_done += sum(jobs[key].steps for key, _ in finished)
            progress.update(
                steps_done + sum(jobs[key].steps_so_far() for key in running.values()), f"{n_done} of {len(jobs)} {noun}"
            )
            for key, future in finished:
                backend.finished(future)
                yield key, future.exception() or future.result(), say


def message(error: BaseException) -> str:
    """Describe an error in one line."""
    if isinstance(error, BrokenProcessPool):
        return "its process died: killed, or out of memory"
    return f"{type(error).__name__}: {error}"
