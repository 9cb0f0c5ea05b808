"""The recordings that come with the package, by the names that stand for their files: ``"builtin:cartpole"``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sb3_diiqn.exceptions import ExpertDataError

PREFIX = "builtin:"
FOLDER = Path(__file__).parents[1] / "datasets"


def is_builtin(source: Any) -> bool:
    """Tell whether this is such a name, known or not, and no path."""
    return isinstance(source, str) and source.startswith(PREFIX)


def names() -> list[str]:
    """What may stand after ``builtin:``."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def builtin_path(source: str) -> Path:
    """
    Find the file of a recording that comes with the package.

    :param source: ``builtin:NAME``
    :raises ExpertDataError: if there is none of that name
    """
    name = source.removeprefix(PREFIX)
    if name not in names():
        raise ExpertDataError(
            f"{source!r} does not come with this package: expected one of {', '.join(PREFIX + known for known in names())}. "
            f"For a file of that name write './{source}'"
        )
    return FOLDER / f"{name}.npz"
