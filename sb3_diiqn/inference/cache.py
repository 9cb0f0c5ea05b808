"""What is computed from expert data once, kept in a file beside the data."""

from __future__ import annotations

import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from sb3_diiqn.expert.storage import replacing

#: Changes with what is stored and with how it is computed.
VERSION = 1


class IndexCache:
    """
    Keeps arrays in a file, if computing them took a while.

    A file that is damaged, or was made of other data, counts as none. One that cannot be written is left out: it only saves
    time.

    :param path: the file; None: keep nothing
    :param key: says what the arrays are made of; arrays with another key are not used
    """

    #: Files are written, and progress is shown, only where it takes so many seconds.
    slow = 2.0

    def __init__(self, path: Path | None, key: str) -> None:
        self.path = path
        self.key = f"{VERSION}|{key}"
        self._arrays = self._read()
        self._seconds = 0.0

    def get(self, name: str, compute: Callable[[], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        """
        Return arrays, from the file if they are there.

        :param name: of the arrays
        :param compute: makes them
        """
        stored: list[np.ndarray] = []
        while f"{name}/{len(stored)}" in self._arrays:
            stored.append(self._arrays[f"{name}/{len(stored)}"])
        if stored:
            return tuple(stored)
        start = time.perf_counter()
        made = compute()
        self._seconds += time.perf_counter() - start
        self._arrays.update({f"{name}/{number}": array for number, array in enumerate(made)})
        if self._seconds > self.slow:
            print(f"sb3_diiqn: preparing the search in the expert data, {self._seconds:.0f} s so far", file=sys.stderr)
        return made

    def save(self) -> None:
        """Write the file, if that is worth it, and let go of the arrays."""
        if self.path is not None and self._seconds > self.slow:
            self._write(self.path)
        self._arrays = {}

    def _read(self) -> dict[str, np.ndarray]:
        if self.path is None or not self.path.is_file():
            return {}
        try:
            with zipfile.ZipFile(self.path) as archive:
                # numpy alone does not compare the checksums
                if archive.testzip() is not None:
                    return {}
            with np.load(self.path, allow_pickle=False) as stored:
                if str(stored["key"]) != self.key:
                    return {}
                return {name: stored[name] for name in stored.files if name != "key"}
        except Exception:  # a damaged file makes zipfile, zlib and numpy fail in a dozen different ways
            return {}

    def _write(self, path: Path) -> None:
        with suppress(OSError), replacing(path) as temporary, temporary.open("xb") as file:
            np.savez(file, key=np.array(self.key), **self._arrays)  # type: ignore[arg-type]
