"""Where results lie on disk, and in which state they are. Results are plain JSON files, loose or in
one archive per suite; everything else is made from them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from benchmarks.archive import pack, read_archive, unpack
from benchmarks.recipes import ExpertRecipe
from benchmarks.suite import SUFFIXES, Cell, Suite, parse_suite
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert.manifest import read_json, write_json

FORMAT = 1
"""Version of the cell files; files of another version count as broken."""
HEARTBEAT_SECONDS = 1.0
"""How often a running cell says so."""
_CURVES = {"training": {"step", "return"}, "greedy": {"step", "mean"}}
"""What a finished cell has of its curves."""

State = Literal["finished", "running", "failed", "outdated", "broken", "missing"]
STATES: tuple[State, ...] = ("finished", "running", "failed", "outdated", "broken", "missing")


@dataclass(frozen=True)
class ResultFolder:
    """
    A folder of results: ``experts/`` for all suites, and for each suite ``suite.json``, ``cells/``, ``cost/`` and ``report/``.

    Finished cells may also lie in ``cells.tar.xz``, see :mod:`~benchmarks.archive`. A loose one counts before it.

    :param root: the folder that the user named
    """

    root: Path

    @property
    def experts(self) -> Path:
        """Folder of the recorded experts."""
        return self.root / "experts"

    def suite(self, name: str) -> Path:
        """Folder of a suite."""
        return self.root / name

    def report(self, suite: Suite) -> Path:
        """Folder of a suite's report."""
        return self.suite(suite.name) / "report"

    def cell(self, cell: Cell) -> Path:
        """File of a cell."""
        return self.suite(cell.suite) / "cells" / cell.path

    def archive(self, suite: str) -> Path:
        """File with the packed cells of a suite."""
        return self.suite(suite) / "cells.tar.xz"

    def stored(self, cell: Cell) -> Any:
        """Read a cell's file, loose or packed; None if it is absent or damaged."""
        packed = None if self.cell(cell).exists() else read_archive(self.archive(cell.suite)).get(cell.path.as_posix())
        return read_json(self.cell(cell)) if packed is None else json.loads(packed)

    def pack(self, suite: Suite) -> int:
        """
        Move the loose cells that are finished into the suite's archive.

        :return: how many there were
        """
        manifest = self.manifest()
        loose = [cell for cell in suite.cells() if self.cell(cell).exists() and self.state(cell, manifest) == "finished"]
        if loose:
            pack(self.archive(suite.name), {cell.path.as_posix(): self.cell(cell) for cell in loose})
        return len(loose)

    def unpack(self, suite: Suite) -> int:
        """
        Write the packed cells of a suite as loose ones, and remove the archive.

        :return: how many were written
        """
        return unpack(self.archive(suite.name), self.suite(suite.name) / "cells")

    def error(self, cell: Cell) -> Path:
        """File with the error of a cell that failed."""
        return self.cell(cell).with_suffix(".error.txt")

    def heartbeat(self, cell: Cell) -> Path:
        """File into which a running cell writes the number of its steps."""
        return self.cell(cell).with_suffix(".running")

    def cost(self, cell: Cell) -> Path:
        """File of what the cell's algorithm takes of the CPU time, see :mod:`~benchmarks.cost`."""
        return self.suite(cell.suite) / "cost" / cell.environment / cell.algorithm / f"{cell.variation}.json"

    def save_suite(self, suite: Suite) -> None:
        """Keep the suite, so that status and report need only the folder."""
        write_json(self.suite(suite.name) / "suite.json", suite.source, indent=1)

    def suites(self, names: Iterable[str] = ()) -> list[Suite]:
        """
        Read the suites that were run into this folder.

        :param names: read these only; default: all
        :raises ConfigurationError: if one of them, or any at all, is not there
        """
        # named by the path of its file, too, as for a run
        named = [Path(name).stem if name.endswith(SUFFIXES) else name for name in names]
        chosen = named or sorted(path.parent.name for path in self.root.glob("*/suite.json"))
        if not chosen:
            raise ConfigurationError(
                f"There are no results in {str(self.root)!r}: run a suite first, or name another folder with --out."
            )
        suites = []
        for name in chosen:
            source = read_json(self.suite(name) / "suite.json")
            if source is None:
                raise ConfigurationError(f"There are no results of suite {name!r} in {str(self.root)!r}: run it first.")
            suites.append(parse_suite(name, source))
        return suites

    def manifest(self) -> dict[str, dict[str, Any]]:
        """
        Read what is known about the recorded experts, by :attr:`ExpertRecipe.name`.

        :raises ConfigurationError: if the file is damaged; taken for empty, it would be written anew, and lose the rest
        """
        path = self.experts / "manifest.json"
        if not path.exists():
            return {}
        manifest = read_json(path)
        if not isinstance(manifest, dict):
            raise ConfigurationError(f"The file {str(path)!r} is damaged: delete it, and the experts are recorded again.")
        return manifest

    def add_to_manifest(self, name: str, entry: dict[str, Any]) -> None:
        """
        Say that an expert is recorded; entries that other runners on the same folder make meanwhile are kept.

        :param name: :attr:`ExpertRecipe.name`
        :param entry: what is known about it
        """
        self.experts.mkdir(parents=True, exist_ok=True)
        with FileLock(self.experts / "manifest.lock"):
            write_json(self.experts / "manifest.json", self.manifest() | {name: entry}, indent=1)

    def expert(self, recipe: ExpertRecipe) -> Path:
        """File of an expert."""
        if recipe.kind == "file":
            return Path(recipe.settings["path"])
        return self.experts / f"{recipe.name}.npz"

    def state(self, cell: Cell, manifest: dict[str, dict[str, Any]]) -> State:
        """Tell in which state a cell is. See :meth:`result`."""
        return self.result(cell, manifest)[0]

    def result(self, cell: Cell, manifest: dict[str, dict[str, Any]]) -> tuple[State, dict[str, Any] | None]:
        """
        Read a cell's result.

        :param manifest: from :meth:`manifest`; a cell that learned from other recordings than the present ones is outdated
        :return: its state, and its result if that is ``finished``
        """
        result = self.stored(cell)
        if result is None:
            return self._state_without_result(cell), None
        if not _is_complete(result, cell):
            return "broken", None
        if result["settings_hash"] != cell.settings_hash:
            return "outdated", None
        present = manifest.get(cell.expert.name) if cell.expert else None
        if present is not None and result["expert"].get("content_hash") != present["content_hash"]:
            return "outdated", None
        return "finished", result

    def _state_without_result(self, cell: Cell) -> State:
        try:
            age = time.time() - self.heartbeat(cell).stat().st_mtime
        except OSError:
            age = float("inf")
        if age < 10 * HEARTBEAT_SECONDS:
            return "running"
        if self.cell(cell).exists():
            return "broken"
        return "failed" if self.error(cell).exists() else "missing"


def _is_complete(result: Any, cell: Cell) -> bool:
    return (
        isinstance(result, dict)
        and result.get("format") == FORMAT
        and result.get("status") == "finished"
        and result.get("seed") == cell.seed
        and isinstance(result.get("settings_hash"), str)
        and isinstance(result.get("expert"), dict)
        and all(isinstance(result.get(key), dict) and keys <= result[key].keys() for key, keys in _CURVES.items())
        and len(result["greedy"]["step"]) > 0
    )
