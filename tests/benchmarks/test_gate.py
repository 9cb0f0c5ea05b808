"""The page that says whether a default may replace the one before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import gate
from benchmarks.statistics import Estimate
from benchmarks.storage import ResultFolder
from benchmarks.suite import load_suite
from sb3_diiqn.expert.manifest import write_json
from tests.benchmarks.test_report import fabricate, made_suite


def test_verdicts() -> None:
    low, high = Estimate(1.0, 0.5, 1.5), Estimate(2.0, 1.0, 2.4)
    assert gate.verdict(low, high) == gate.verdict(high, low) == "yes", "at the lower end it still holds"
    assert gate.verdict(Estimate(2.0, 1.1, 2.4), low) == "**no**"
    assert gate.verdict(None, low) == gate.verdict(low, None) == "-"


def test_it_names_rows_that_there_are() -> None:
    for task in gate.TASKS:
        rows = {(environment, algorithm) for environment, algorithm, _ in load_suite(task.suite).combinations()}
        assert (task.environment, task.algorithm) in rows


def test_a_page_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Before, the greedy area of the two runs was 7 and 6; now it is the same, but that of the first run, which is 1."""
    suite = made_suite()
    before, now = fabricate(tmp_path / gate.EARLIER, suite), fabricate(tmp_path, suite)
    monkeypatch.setattr(gate, "TASKS", (gate.Task("made", "env0"), gate.Task("made", "elsewhere")))
    gate.main(tmp_path)
    lines = [line.replace(" ", "") for line in (tmp_path / "gate.md").read_text(encoding="utf-8").splitlines()]
    assert "|made|env0|diiqn|3.00[3.00,3.00](2)|6.50[6.00,7.00](2)|6.50[6.00,7.00](2)|yes|" in lines
    assert "|made|elsewhere|diiqn|-|-|-|-|" in lines
    cell = suite.cell("env0", "diiqn", "default", 0)
    write_json(now.cell(cell), _lowered(now, suite.cell("env0", "diiqn", "default", 0)))
    gate.main(tmp_path)
    assert "**no**" in (tmp_path / "gate.md").read_text(encoding="utf-8")
    assert before.cell(cell).exists() and "**no**" in capsys.readouterr().out


def _lowered(folder: ResultFolder, cell: object) -> dict[str, object]:
    result = folder.stored(cell)  # type: ignore[arg-type]
    return {**result, "greedy": {**result["greedy"], "mean": [1.0, 1.0]}}
