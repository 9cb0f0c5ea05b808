"""Runs the notebooks, and keeps what they show in them: make notebooks."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from sb3_diiqn.expert.storage import replacing

FOLDER = Path(__file__).parent


def run(path: Path) -> None:
    """
    Run a notebook, and replace its outputs.

    :param path: the notebook
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, record_timing=False, resources={"metadata": {"path": folder}}).execute()
    with replacing(path) as temporary:
        nbformat.write(notebook, temporary)


if __name__ == "__main__":
    # pygame asks for it, and says so in the outputs
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    for notebook in sorted(FOLDER.glob("*.ipynb")):
        print(notebook.name, flush=True)
        run(notebook)
