"""The documentation site has all pages and all public names; ``make docs`` builds it, with warnings as errors."""

from __future__ import annotations

import re
from pathlib import Path

import sb3_diiqn
from sb3_diiqn import baselines, exceptions

DOCS = Path(__file__).parent.parent / "docs"
#: The start page, and the text for the package index.
NOT_IN_CONTENTS = {"index", "pypi"}


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
    pages = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    notebooks = {f"notebooks/{page.stem}" for page in DOCS.glob("notebooks/*.ipynb")}
    assert sorted(pages) == sorted(({page.stem for page in DOCS.glob("*.md")} - NOT_IN_CONTENTS) | notebooks)


def test_every_page_has_one_title() -> None:
    for page in DOCS.glob("*.md"):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert len(re.findall(r"^# ", text, re.MULTILINE)) == (page.stem != "changelog"), page


def test_every_public_name_is_in_the_reference() -> None:
    reference = (DOCS / "api.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"(?:autoclass|autofunction|py:data):: (\w+)", reference))
    wanted = {*sb3_diiqn.__all__, *baselines.__all__, "QRDIIQN", "ConfidenceCallback", "record_expert"} - {"__version__"}
    assert wanted <= documented
    assert f"automodule:: {exceptions.__name__}" in reference
