"""The table of kinds of experts: its tasks are run with all of them, and the documentation shows what came of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kinds import ALGORITHM, KINDS, TASKS, Task, kinds_table
from benchmarks.storage import ResultFolder
from benchmarks.suite import load_suite

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_each_kind_is_another_recording(task: Task) -> None:
    suite, wanted = load_suite(task.suite), (task.environment, ALGORITHM)
    assert KINDS.keys() <= {variation for *one, variation in suite.combinations() if tuple(one) == wanted}
    recipes = [suite.expert(*wanted, variation) for variation in KINDS]
    assert len({recipe.name for recipe in recipes if recipe}) == len(KINDS)


def test_what_was_not_run_is_left_out(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path)
    for task in TASKS:
        folder.save_suite(load_suite(task.suite))
    assert kinds_table(folder).rows == []


def test_the_table_is_that_of_the_committed_results() -> None:
    if not (ROOT / "results").is_dir():
        pytest.skip("the results are not here")
    page = (ROOT / "docs" / "no-help.md").read_text(encoding="utf-8")
    assert kinds_table(ResultFolder(ROOT / "results")).markdown() in page
