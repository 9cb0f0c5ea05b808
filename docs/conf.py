"""How Sphinx makes the documentation site of these pages: ``make docs``.

Nothing is fetched. With ``DOCS_INTERSPHINX=1`` names of Stable-Baselines3, Gymnasium and PyTorch become links to their
documentation, and with ``DOCS_REPOSITORY_URL=...`` files of the repository become links to it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1]))

import sb3_diiqn

project = "sb3_diiqn"
author = "The sb3_diiqn contributors"
project_copyright = author
release = version = sb3_diiqn.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx_copybutton"]
exclude_patterns = ["_build", "pypi.md"]
# notebooks are shown with the outputs that they have in the repository (make notebooks), and not run
nb_execution_mode = "off"

# headings get the anchors that GitHub gives them
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
add_module_names = False

# no prompts or output in what is copied
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_title = f"sb3_diiqn {release}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

if os.environ.get("DOCS_INTERSPHINX") == "1":
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "stable_baselines3": ("https://stable-baselines3.readthedocs.io/en/master/", None),
        "gymnasium": ("https://gymnasium.farama.org/", None),
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
        "python": ("https://docs.python.org/3/", None),
    }

REPOSITORY_URL = os.environ.get("DOCS_REPOSITORY_URL", "").rstrip("/")
#: The files beside ``docs/`` that are pages of the site.
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
LINK_OUTWARDS = re.compile(r"(?<!!)\[([^\]]*)\]\(\.\./([^)#]*)(#[^)]*)?\)")


def _without_links_outwards(match: re.Match[str]) -> str:
    """A link to a file of the repository, which the site does not have, as its path, or as a link to where it is hosted."""
    text, path, anchor = match[1], match[2], match[3] or ""
    if path in PAGES:
        return f"[{text}]({PAGES[path]}{anchor})"
    if REPOSITORY_URL:
        return f"[{text}]({REPOSITORY_URL}/blob/main/{path}{anchor})"
    return f"`{path}`" if path.rstrip("/").endswith(text.replace("\\", "").strip("/`")) else f"{text} (`{path}`)"


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    folder, _, name = page.rpartition("/")
    if folder == "notebooks":
        notebook = json.loads(source[0])
        download = f"This page is a notebook: {{nb-download}}`{name}.ipynb`."
        notebook["cells"].insert(1, {"cell_type": "markdown", "id": "download", "metadata": {}, "source": [download]})
        source[0] = json.dumps(notebook)
    else:
        source[0] = LINK_OUTWARDS.sub(_without_links_outwards, source[0])


#: ``(n, *observation)`` in a docstring, whose star reStructuredText would take for emphasis.
STAR = re.compile(r"(?<=[ (])\*(?=\w+\))")


def _with_literal_stars(app: Sphinx, what: str, name: str, subject: object, options: object, lines: list[str]) -> None:
    lines[:] = [STAR.sub(r"\\*", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _with_literal_stars)
