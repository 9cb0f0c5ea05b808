"""A sign of life for other processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.storage import HEARTBEAT_SECONDS


@contextmanager
def heartbeats(path: Path, step: Callable[[], int]) -> Iterator[None]:
    """
    Write the step into a file, again and again, while the body runs.

    :param path: the file; nothing is written where its folder does not exist, as on another machine
    """
    stopped = threading.Event()

    def beat() -> None:
        while path.parent.is_dir():
            path.write_text(str(step()), encoding="utf-8")
            if stopped.wait(HEARTBEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        path.unlink(missing_ok=True)
