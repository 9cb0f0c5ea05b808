"""The results in the repository: they belong to the suites that are in it, and can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.algorithms import RETIRED, find_algorithm
from benchmarks.archive import read_archive
from benchmarks.storage import ResultFolder
from benchmarks.suite import load_suite
from sb3_diiqn.exceptions import ConfigurationError

ROOT = Path(__file__).parents[2]
RESULTS = ResultFolder(ROOT / "results")
SHIPPED = {path.stem for path in (ROOT / "benchmarks" / "suites").glob("*.yml")}
#: of an argument's value that is gone
RETIRED_VARIATIONS = {"expert_rewards=agent"}
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
    """But for rows that left it, whose results are kept, and for those that were added and not run yet."""
    committed, present = ({str(cell): cell for cell in suite.cells()} for suite in (SUITES[name], load_suite(name)))
    for path, cell in committed.items():
        if path in present:
            assert cell.settings_hash == present[path].settings_hash, path
        else:
            assert cell.settings["class"] in RETIRED or cell.variation in RETIRED_VARIATIONS, path


@pytest.mark.parametrize("name", RETIRED)
def test_what_is_gone_is_read_and_not_run(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be imported"):
        find_algorithm(name).load()
