"""The notebooks are complete, with what they show, and run; here without a kernel, and with a small budget."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "docs" / "notebooks").glob("*.ipynb"))


def cells(path: Path) -> list[dict[str, Any]]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    return list(notebook["cells"])


def code_of(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code"]


def test_there_are_some() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["first_diiqn", "other_actions"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_cell_has_been_run_and_shows_what_came_of_it(path: Path) -> None:
    """By ``make notebooks``, from the first cell to the last."""
    found = cells(path)
    assert len({cell["id"] for cell in found}) == len(found)
    code = [cell for cell in found if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output.get("name", output["output_type"]) for output in outputs} == {"stdout", "display_data"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    for cell in found:
        assert cell["cell_type"] in {"code", "markdown"}
        assert cell["metadata"] == {}
        if cell["cell_type"] == "markdown":
            for target in re.findall(r"\]\(([^)#:]+)\)", "".join(cell["source"])):
                assert (path.parent / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("PIL")
    if path.stem == "first_diiqn":
        pytest.importorskip("pygame")
        pytest.importorskip("IPython")
    pyplot.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    budgets = 0
    for code in code_of(path):
        shorter, n = re.subn(r"^STEPS = \d+_000$", "STEPS = 2_000", code, flags=re.MULTILINE)
        budgets += n
        exec(compile(shorter, str(path), "exec"), names)
    assert budgets == 1
    output = capsys.readouterr().out
    if path.stem == "first_diiqn":
        assert re.search(r"^DIIQN: greedy return \d+ on average, \d+ at the end$", output, re.MULTILINE)
        assert names["watched"].series("guide_is_better")[-1] >= 0
        assert names["watched_paper"].series("confidence")[-1] > 0
        assert (tmp_path / "agent.gif").read_bytes().startswith(b"GIF89a")
    else:
        assert re.search(r"^HADIIQN: greedy return -?\d\.\d\d$", output, re.MULTILINE)
        assert names["found"]["bridged"].any()
        assert (tmp_path / "bridges.gif").read_bytes().startswith(b"GIF89a")
    pyplot.close("all")
