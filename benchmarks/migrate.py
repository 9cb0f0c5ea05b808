# ruff: noqa: S101
"""Once: committed results under the names that algorithms and modules have now, their cells packed. Nothing is run again."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.algorithms import BASELINE
from benchmarks.archive import write_archive
from benchmarks.storage import ResultFolder
from benchmarks.suite import parse_suite
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.manifest import read_json, settings_hash, write_json
from sb3_diiqn.expert.storage import replacing

KIN = ("diiqn", "hadiiqn", "qrdiiqn")
BRIDGING = {"hadiiqn": "hadiiqn-paper", "hadiiqn-bridging": "hadiiqn"}
RENAMED: dict[str, dict[str, str]] = {
    "demo": {"diiqn": "diiqn-paper", "diiqn-guided": "diiqn-bridging"},  # its preset is not DIIQN's default
    "distractors": {"hadiiqn-bridging": "hadiiqn"},
    "mazes": {"diiqn": "diiqn-paper", **BRIDGING},
    "point_maze": {"diiqn": "diiqn-paper", "diiqn-guided": "diiqn", **BRIDGING},
    "tuning": {"diiqn": "diiqn-paper"},
    "minatar_parts": {
        "diiqn": "diiqn-paper",
        "diiqn-learned-metric": "diiqn-paper-learned-metric",
        "guided": "diiqn",
        "qrdiiqn-guided": "qrdiiqn",
    },
}
"""New names by suite and old name; where nothing is said, see :func:`new_name`."""


def new_name(suite: str, name: str) -> str:
    """Give an algorithm of a suite its present name."""
    known = RENAMED.get(suite, {})
    if name in known or suite in {"demo", "distractors", "mazes", "point_maze", "tuning", "bco", "mazes_long"}:
        return known.get(name, name)
    if name == "diiqn":
        return "diiqn-paper"
    return re.sub(r"^(diiqn-guided|guided)(?=-|$)", "diiqn", name)


def new_class(name: str, settings: dict[str, Any]) -> str:
    """Give a class its present name: without a preset it was the published method."""
    return f"{name}-paper" if name in KIN and "preset" not in settings else name


def moved(value: Any) -> Any:
    """Replace module paths, at any depth."""
    if isinstance(value, dict):
        return {key: moved(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [moved(entry) for entry in value]
    return value.replace("sb3_diiqn.benchmark.", "benchmarks.") if isinstance(value, str) else value


def new_entry(name: str, entry: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Give an expert's entry of the manifest its present name."""
    entry = moved(entry)
    if entry["kind"] != "file":
        name = f"{entry['environment']}-{entry['kind']}-{settings_hash(entry['settings'])[:10]}"
        entry["file"] = f"{name}.npz"
    return name, entry


def new_source(suite: str, source: dict[str, Any]) -> dict[str, Any]:
    """Rename the algorithms of a suite."""
    source, algorithms = moved(source), {}
    for name, given in source["algorithms"].items():
        entry, renamed = dict(given or {}), new_name(suite, name)
        present = new_class(entry.pop("class", name), entry.get("settings", {}))
        algorithms[renamed] = entry if present == renamed else {"class": present, **entry}
    source["algorithms"] = algorithms
    for layer in [source, *source.get("variations", {}).values()]:
        for key in ("overview", "algorithms"):
            if isinstance(layer.get(key), list):
                layer[key] = [new_name(suite, name) for name in layer[key]]
    return source


def migrate_suite(folder: ResultFolder, name: str) -> None:
    """Rename and pack the cells of a suite."""
    root = folder.suite(name)
    source = new_source(name, read_json(root / "suite.json"))
    suite = parse_suite(name, source)
    present = {cell.path.as_posix(): cell for cell in suite.cells()}
    hashes: dict[str, str] = {}
    packed = {}
    for path in sorted((root / "cells").rglob("seed-*.json")):
        environment, algorithm, variation, seed = path.relative_to(root / "cells").parts
        content = read_json(path)
        cell = present[f"{environment}/{new_name(name, algorithm)}/{variation}/{seed}"]
        settings = moved(content["settings"])
        settings["class"] = new_class(settings["class"], settings["settings"])
        assert settings == json.loads(json.dumps(cell.settings)), path
        hashes[content["settings_hash"]] = cell.settings_hash
        content |= {"algorithm": cell.algorithm, "settings": settings, "settings_hash": cell.settings_hash}
        if content["expert"]:
            content["expert"] = new_entry("", content["expert"])[1]
        packed[cell.path.as_posix()] = (json.dumps(content, separators=(",", ":")) + "\n").encode()
        path.unlink()
    write_archive(folder.archive(name), packed)
    write_json(root / "suite.json", source, indent=1)
    for path in sorted((root / "cost").rglob("*.json")):
        environment, algorithm, variation = path.relative_to(root / "cost").parts
        content = read_json(path)
        assert content["baseline"] == BASELINE
        content["settings_hashes"] = [hashes[old] for old in content["settings_hashes"]]
        path.unlink()
        write_json(root / "cost" / environment / new_name(name, algorithm) / variation, content)
    for empty in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        if not any(empty.iterdir()):
            empty.rmdir()
    print(f"{name}: {len(packed)} cells")


def recompress(path: Path) -> None:
    """Write a file of arrays again with a compression that takes half of the room, and that NumPy reads as well."""
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_LZMA) as target:
        for name, content in members.items():
            target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_LZMA)


def main(root: Path) -> None:
    """Migrate a folder of results."""
    folder = ResultFolder(root)
    manifest = {}
    for name, entry in folder.manifest().items():
        renamed, present = new_entry(name, entry)
        manifest[renamed] = present
        for old in folder.experts.glob(f"{name}*.npz"):
            recompress(old)
            old.rename(old.with_name(old.name.replace(name, renamed)))
        path = folder.experts / f"{renamed}.npz"
        assert not path.exists() or ExpertObservations.load(path).content_hash == present["content_hash"], path
    write_json(folder.experts / "manifest.json", manifest, indent=1)
    for path in sorted(root.glob("*/suite.json")):
        migrate_suite(folder, path.parent.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
