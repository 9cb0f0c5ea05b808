"""The results in the repository: they belong to the suites that are in it, and can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.algorithms import RETIRED, find_algorithm
from benchmarks.analysis import load_groups
from benchmarks.archive import read_archive
from benchmarks.storage import ResultFolder
from benchmarks.suite import load_suite
from sb3_diiqn.exceptions import ConfigurationError

ROOT = Path(__file__).parents[2]
RESULTS, EARLIER = ResultFolder(ROOT / "results"), ResultFolder(ROOT / "results" / "earlier")
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
    """But for rows that were added and not run yet."""
    committed, present = ({str(cell): cell for cell in suite.cells()} for suite in (SUITES[name], load_suite(name)))
    for path, cell in committed.items():
        assert cell.settings_hash == present[path].settings_hash, path


@pytest.mark.slow
def test_those_of_the_default_before_can_be_read() -> None:
    """They are evidence, and nothing is added to them."""
    suites = EARLIER.suites()
    assert {"minatar", "minatar_parts", "classic_control"} <= {suite.name for suite in suites}
    for suite in suites:
        groups = load_groups(suite, EARLIER)
        assert sum(len(group.results) for group in groups) == len(read_archive(EARLIER.archive(suite.name)))
        assert all(np.isfinite(group.greedy_areas).all() for group in groups)


@pytest.mark.parametrize("name", RETIRED)
def test_what_is_gone_is_read_and_not_run(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be imported"):
        find_algorithm(name).load()
