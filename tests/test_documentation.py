"""What README and docs show runs as it stands there, only shorter, and what they refer to is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3 import DQN

from benchmarks.headline import write_headline
from benchmarks.storage import ResultFolder
from sb3_diiqn import ExpertObservations
from sb3_diiqn.record import main as record
from sb3_diiqn.record import record_expert

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)")


def shorter(code: str) -> str:
    return (
        re.sub(r"\b(10|12|20)_000\b", "150", code)
        .replace("eval_freq=1000", "eval_freq=10")
        .replace("n_steps=5000", "n_steps=300")
    )


def execute(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    if not Path("expert.npz").exists():
        record_expert("CartPole-v1", n_steps=100, seed=0, output="expert.npz")
    names: dict[str, Any] = {}
    exec(shorter(code), names)
    return names


def test_try_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = PYTHON.findall(README)
    execute(code, tmp_path, monkeypatch)
    assert re.fullmatch(r"DQN: mean return \d+\nDIIQN: mean return \d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(("sign", "algorithm"), [("-", "DQN"), ("+", "DIIQN")])
def test_both_sides_of_the_difference(
    sign: str, algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (difference,) = re.findall(r"```diff\n(.*?)```", README, re.DOTALL)
    lines = [line[1:] for line in difference.splitlines() if line[:1] in {"", " ", sign}]
    names = execute("\n".join(lines), tmp_path, monkeypatch)
    assert type(names["model"]).__name__ == algorithm
    assert "Eval num_timesteps=" in capsys.readouterr().out


def test_the_command_that_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    DQN("MlpPolicy", "CartPole-v1", buffer_size=10).save("dqn.zip")
    (command,) = re.findall(r"sb3-diiqn record (.*)", README)
    record(shlex.split(command.replace("10000", "50")))
    assert len(ExpertObservations.load("mine.npz")) == 50


def test_the_example_for_the_package_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = PYTHON.findall((ROOT / "docs" / "pypi.md").read_text(encoding="utf-8"))
    assert type(execute(code, tmp_path, monkeypatch)["model"]).__name__ == "DIIQN"


@pytest.mark.parametrize("name", ["diiqn", "hadiiqn", "qrdiiqn"])
def test_the_example_of_each_algorithm(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "qrdiiqn":
        pytest.importorskip("sb3_contrib")
    (code,) = PYTHON.findall((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"))
    assert type(execute(code, tmp_path, monkeypatch)["model"]).__name__.lower() == name


def test_the_table_is_that_of_the_committed_results(tmp_path: Path) -> None:
    if not (ROOT / "results").is_dir():
        pytest.skip("the results are not here")
    table = write_headline(ResultFolder(ROOT / "results"), tmp_path / "figure.png")
    assert table.markdown() in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, heading in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        if path.is_relative_to(ROOT / "results") and not (ROOT / "results").is_dir():
            continue
        assert path.exists(), f"{page.name}: {target}"
        if heading:
            assert heading in anchors(path.read_text(encoding="utf-8")), f"{page.name}: {target}#{heading}"


def test_readme_is_short() -> None:
    lines = README.splitlines()
    assert len(lines) <= 140
    assert max(map(len, lines)) <= 140


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
