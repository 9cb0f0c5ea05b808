"""Imports point one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sb3_diiqn

ROOT = Path(sb3_diiqn.__file__).parent

#: What a package may import: itself, and what stands before it.
LAYERS = [
    "exceptions",
    "expert",
    "inference",
    "common",
    "networks",
    "guides",
    "losses",
    "imitation",
    "baselines",
    "diiqn",
    "ha_diiqn",
    "callbacks",
    "envs",
    "record",
    "datasets",
    "zoo",
    "info",
    "hub",
    "__main__",
]


def imported(path: Path) -> Iterator[str]:
    """The parts of this package that a module imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (module.split(".")[1] for module in modules if module.startswith("sb3_diiqn."))


def test_every_part_has_its_place() -> None:
    parts = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__"} == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_one_way(layer: str) -> None:
    files = list((ROOT / layer).rglob("*.py")) or [ROOT / f"{layer}.py"]
    allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    for path in files:
        assert set(imported(path)) <= allowed, path


def test_the_benchmark_is_not_part_of_the_package() -> None:
    """It imports the package, never the other way round, so that a wheel without it is complete."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(module.split(".")[0] in {"benchmarks", "tests"} for module in modules), path
