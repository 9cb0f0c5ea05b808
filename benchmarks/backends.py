"""Where cells run: in processes on this machine, or on a Ray cluster."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from sb3_diiqn.exceptions import ConfigurationError, MissingDependencyError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Backend(Protocol):
    """Runs functions elsewhere."""

    def has_room(self) -> bool:
        """Tell whether to submit more."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a function."""

    def finished(self, future: Future[Any]) -> None:
        """Note that a future is done."""

    def share(self, path: Path) -> Any:
        """Turn an expert's file into what is passed to :meth:`submit` as expert data."""


class LocalBackend:
    """
    Processes on this machine, started by spawning, with one thread each.

    Each slot is a pool of its own: a worker that dies takes no other cell with it.

    :param workers: number of processes
    """

    def __init__(self, workers: int) -> None:
        self._idle = [self._slot() for _ in range(workers)]
        self._busy: dict[Future[Any], ProcessPoolExecutor] = {}
        self._others = set(multiprocessing.active_children())

    @staticmethod
    def _slot() -> ProcessPoolExecutor:
        # its process starts when it gets something to do
        return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)

    def has_room(self) -> bool:
        """Tell whether a process is idle."""
        return bool(self._idle)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a function in an idle process."""
        slot = self._idle.pop()  # the last one used, whose process runs already
        try:
            future = slot.submit(function, *arguments)
        except BrokenProcessPool:  # killed while it had nothing to do
            slot.shutdown()
            slot = self._slot()
            future = slot.submit(function, *arguments)
        self._busy[future] = slot
        return future

    def finished(self, future: Future[Any]) -> None:
        """Take the process back, or start another one if it died."""
        slot = self._busy.pop(future)
        if isinstance(future.exception(), BrokenProcessPool):
            slot.shutdown()
            slot = self._slot()
        self._idle.append(slot)

    def share(self, path: Path) -> Path:
        """Processes read the file themselves."""
        return path

    def stop(self) -> None:
        """End all processes, also those that are at work."""
        if self._busy:
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
        for slot in (*self._idle, *self._busy.values()):
            slot.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the runner, and end when the runner ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runner = multiprocessing.parent_process()

    def follow() -> None:
        if runner is not None:
            runner.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def local_backend(workers: int) -> Iterator[LocalBackend]:
    """Run on this machine for the time of the body."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))  # read when the workers import torch and numpy
    backend = LocalBackend(workers)
    try:
        yield backend
    finally:
        backend.stop()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class RayBackend:
    """A Ray cluster: one CPU per cell, and Ray decides where and when."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def has_room(self) -> bool:
        """Ray keeps the queue."""
        return True

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a function on the cluster."""
        future: Future[Any] = self._ray.remote(num_cpus=1)(function).remote(*arguments).future()
        return future

    def finished(self, future: Future[Any]) -> None:
        """Nothing to take back."""

    def share(self, path: Path) -> Any:
        """Send the data to the cluster once; its machines need no common folder."""
        from sb3_diiqn.expert import ExpertObservations  # noqa: PLC0415

        return self._ray.put(ExpertObservations.load(path))


def ray_backend(address: str | None) -> AbstractContextManager[RayBackend]:
    """
    Run on a Ray cluster for the time of the body.

    :param address: the cluster's address, ``auto`` for the one that this machine belongs to, None to start one on this machine
    :raises MissingDependencyError: if Ray is not installed
    :raises ConfigurationError: when the context is entered, if there is no cluster
    """
    try:
        import ray  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError("ray", "ray") from error
    return _ray_cluster(ray, address)


@contextmanager
def _ray_cluster(ray: Any, address: str | None) -> Iterator[RayBackend]:
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.WARNING)
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigurationError(f"There is no Ray cluster at the address {address!r}: {error}") from error
    try:
        yield RayBackend(ray)
    finally:
        ray.shutdown()
