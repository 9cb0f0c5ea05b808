"""What would be uploaded is complete, and what describes it agrees with the package."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import sb3_diiqn
from tests.test_documentation import PYTHON, shorter

ROOT = Path(__file__).parent.parent
PACKAGED = ["sb3_diiqn", "benchmarks", "tests", "docs", "constraints", "zoo_configs", "examples", ".ci"]
LEFT_OUT = shutil.ignore_patterns("__pycache__", "_build", "*.egg-info")

IMPORTING = """
import sb3_diiqn, sb3_diiqn.record
from sb3_diiqn.datasets import describe, load, names
from sb3_diiqn.zoo.configurations import configuration_folder
assert (configuration_folder() / "dqn.yml").is_file()
assert len(names()) == 4 and all(len(load(name)) == describe(name)["n_transitions"] for name in names())
print(sb3_diiqn.__version__, sb3_diiqn.__file__)
"""


def run(*arguments: object, folder: Path, path: Path | None = None) -> str:
    """Run Python as a user's would, who has no clone on the path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source distribution, and the wheel made of it; without network."""
    if importlib.util.find_spec("build") is None or importlib.util.find_spec("twine") is None:
        pytest.skip("the extra 'dev' is not installed")
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGED:
        shutil.copytree(ROOT / name, source / name, ignore=LEFT_OUT)
    for file in ROOT.iterdir():
        if file.is_file() and file.name != ".git":
            shutil.copy(file, source)
    folder = tmp_path_factory.mktemp("distributions")
    run("-m", "build", "--no-isolation", "--outdir", folder, source, folder=folder)
    return folder


@pytest.mark.slow
def test_what_would_be_uploaded_is_accepted(distributions: Path) -> None:
    files = sorted(distributions.iterdir())
    assert [file.name.endswith((".whl", ".tar.gz")) for file in files] == [True, True]
    assert run("-m", "twine", "check", "--strict", *files, folder=distributions).count("PASSED") == 2


@pytest.mark.slow
def test_the_source_distribution_has_what_the_tests_need(distributions: Path) -> None:
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        names = {name.partition("/")[2] for name in content.getnames()}
    wanted = {"CHANGELOG.md", "CITATION.cff", "README.md", "LICENSE", "Makefile", "docs/index.md", "docs/figures/greedy.png"}
    wanted |= {"tests/conftest.py", "benchmarks/suites/demo.yml", "constraints/current.txt", "zoo_configs/dqn.yml"}
    assert wanted <= names
    assert not [name for name in names if name.startswith("results/") or "__pycache__" in name]


@pytest.mark.slow
def test_the_wheel_works_where_there_is_no_clone(distributions: Path, tmp_path: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        assert not [name for name in content.namelist() if name.startswith(("tests", "benchmarks"))]
    target = tmp_path / "installed"
    run("-m", "pip", "install", "--no-deps", "--no-index", "--target", target, wheel, folder=tmp_path)
    version, file = run("-c", IMPORTING, folder=tmp_path, path=target).split()
    assert version == sb3_diiqn.__version__
    assert Path(file).is_relative_to(target)
    assert run("-m", "sb3_diiqn", "--version", folder=tmp_path, path=target) == f"sb3_diiqn {version}\n"
    for page in (ROOT / "README.md", ROOT / "docs" / "expert-data.md"):
        code = next(code for code in PYTHON.findall(page.read_text(encoding="utf-8")) if "DIIQN(" in code)
        run("-c", shorter(code), folder=tmp_path, path=target)


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == sb3_diiqn.__version__
    assert citation["preferred-citation"]["url"] == "https://arxiv.org/abs/2511.03616"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(.*)\]", changelog, re.MULTILINE)[:2] == ["Unreleased", sb3_diiqn.__version__]


def test_the_text_for_the_index_has_no_relative_links() -> None:
    text = (ROOT / "docs" / "pypi.md").read_text(encoding="utf-8")
    assert all(target.startswith("https://") for target in re.findall(r"\]\((.*?)\)", text))


def test_bug_reports_ask_for_the_versions() -> None:
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    if not folder.is_dir():
        pytest.skip("a source distribution has none")
    forms = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in folder.glob("*.yml") if file.stem != "config"]
    assert len(forms) == 2
    assert all("sb3-diiqn info" in str(form["body"]) for form in forms)
