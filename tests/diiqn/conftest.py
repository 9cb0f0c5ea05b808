"""What the tests of saving and of loading share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import right_walks


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    return right_walks().save(tmp_path / "expert.npz")
