"""The results in the repository: they belong to the suites that are in it, and can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.archive import read_archive
from benchmarks.storage import ResultFolder
from benchmarks.suite import load_suite

ROOT = Path(__file__).parents[2]
RESULTS = ResultFolder(ROOT / "results")
SHIPPED = {path.stem for path in (ROOT / "benchmarks" / "suites").glob("*.yml")}
SUITES = {suite.name: suite for suite in RESULTS.suites()} if RESULTS.root.exists() else {}


def test_there_are_some() -> None:
    assert {"demo", "mazes", "point_maze"} <= SUITES.keys() & SHIPPED


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_every_cell_is_of_the_present_suite_and_expert(name: str) -> None:
    """None is outdated, so that running a suite with ``--out results`` adds what is missing and repeats nothing."""
    suite, manifest = SUITES[name], RESULTS.manifest()
    assert all(cell.expert is None or cell.expert.name in manifest for cell in suite.cells() if RESULTS.stored(cell))
    states = [RESULTS.state(cell, manifest) for cell in suite.cells()]
    assert set(states) <= {"finished", "missing"}
    assert len(read_archive(RESULTS.archive(name))) == states.count("finished") > 0
    assert not list((RESULTS.suite(name) / "cells").rglob("seed-*.json")), "packed: python -m benchmarks pack"


@pytest.mark.parametrize("name", sorted(SUITES.keys() & SHIPPED))
def test_the_suite_is_the_one_in_the_package(name: str) -> None:
    hashes = [[(str(cell), cell.settings_hash) for cell in suite.cells()] for suite in (SUITES[name], load_suite(name))]
    assert hashes[0] == hashes[1]
