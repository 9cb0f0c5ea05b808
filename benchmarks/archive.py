"""The cells of a suite in one compressed file, which a repository keeps better than hundreds. Equal cells give equal bytes."""

from __future__ import annotations

import io
import lzma
import re
import tarfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert.manifest import write_text
from sb3_diiqn.expert.storage import replacing

_CELL = re.compile(r"(?!\.)[^/\\]+/(?!\.)[^/\\]+/(?!\.)[^/\\]+/seed-\d+\.json")
"""The name of a cell in an archive: environment, algorithm, variation, seed. Nothing else is read or unpacked."""


def read_archive(path: Path) -> Mapping[str, bytes]:
    """
    Read an archive.

    :param path: the file
    :return: the content of each cell by its name, see :attr:`~benchmarks.suite.Cell.path`; nothing if there is no file
    :raises ConfigurationError: if it is damaged
    """
    try:
        return _read(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        return {}


@lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> Mapping[str, bytes]:
    """Read an archive; the time at which it changed tells whether it is the same as before."""
    try:
        # as a whole, because tarfile takes the end of a cut file for the end of the archive
        content = io.BytesIO(lzma.decompress(path.read_bytes()))
        with tarfile.open(fileobj=content, mode="r:") as archive:
            files = ((member.name, archive.extractfile(member)) for member in archive)
            return {name: file.read() for name, file in files if file is not None and _CELL.fullmatch(name)}
    except (tarfile.TarError, lzma.LZMAError, ValueError) as error:
        raise ConfigurationError(
            f"The archive {str(path)!r} is damaged: {error}. Take it from the repository again."
        ) from error


def write_archive(path: Path, cells: Mapping[str, bytes]) -> None:
    """
    Write an archive: sorted, and without times and owners, so that it changes only with what is in it.

    :param path: the file
    :param cells: content by name
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, tarfile.open(temporary, "w:xz", format=tarfile.USTAR_FORMAT, preset=9) as archive:
        for name in sorted(cells):
            member = tarfile.TarInfo(name)
            member.size = len(cells[name])
            archive.addfile(member, io.BytesIO(cells[name]))


def pack(archive: Path, cells: Mapping[str, Path]) -> None:
    """
    Move cells into an archive; those that it has already stay in it, unless they are among these.

    :param archive: the file
    :param cells: files by name
    """
    write_archive(archive, {**read_archive(archive), **{name: path.read_bytes() for name, path in cells.items()}})
    for path in cells.values():
        path.unlink()


def unpack(archive: Path, folder: Path) -> int:
    """
    Write the cells of an archive into a folder, and remove the archive. Cells that are there are newer, and stay.

    :param archive: the file
    :param folder: of the cells
    :return: how many were written
    """
    cells = {folder / name: content for name, content in read_archive(archive).items()}
    missing = {path: content for path, content in cells.items() if not path.exists()}
    for path, content in missing.items():
        write_text(path, content.decode())
    archive.unlink(missing_ok=True)
    return len(missing)
