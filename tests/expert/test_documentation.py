"""The examples of docs/expert-data.md run as they stand there, one after the other."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

import sb3_diiqn
from sb3_diiqn import ExpertObservations
from sb3_diiqn.expert import collecting, files, resets

PAGE = Path(sb3_diiqn.__file__).parents[1] / "docs" / "expert-data.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- needs ([\w ]+) -->\n)?```python\n(.*?)```", re.DOTALL)


def examples() -> list[tuple[str, str]]:
    """What each one needs, and its code."""
    return [(needs, code) for needs, code in BLOCK.findall(TEXT) if "not here" not in needs]


def is_there(package: str) -> bool:
    return not package or importlib.util.find_spec(package) is not None


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    names: dict[str, Any] = {}
    # what reads a dataset stands before what makes one
    blocks = sorted(examples(), key=lambda example: "from_minari(" in example[1])
    assert len(blocks) == 13
    for needs, code in blocks:
        if is_there(needs):
            exec(code, names)
    output = capsys.readouterr().out
    assert re.search(r"^ExpertObservations\(\d+ trajectories, 20\d\d transitions, observations float32 \(4,\), ", output, re.M)
    assert "; returns of 7 complete episodes, 40.57 on average; actions)" in output
    assert "After 1 of 1 episodes (the first ends with transition 1) next_observations holds the first" in output
    assert len(ExpertObservations.load("arrays.npz")) == 6
    assert len(names["model"].expert) == 2 * len(ExpertObservations.load("expert.npz")) >= 4000


def test_the_docstring_of_the_recorder_is_the_documented_loop() -> None:
    loop = ["while len(recorder) <", "step = env.step(expert(observations))", "recorder.add(*step)", "observations = step[0]"]
    for text in (TEXT, collecting.ExpertRecorder.__doc__ or ""):
        places = [text.find(line) for line in loop]
        assert min(places) >= 0 and places == sorted(places)


def test_links_lead_somewhere() -> None:
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.*)$", TEXT, re.M)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= headings


def test_every_choice_is_documented() -> None:
    for choice in ("drop_last", "drop_first", "keep"):
        assert f'across_resets="{choice}"' in TEXT
        assert f"across_resets='{choice}'" in resets.SAME_STEP + resets.NEXT_STEP + resets.KEEP
    assert "from_trajectories" in files.MAKERS
