"""What a user may give an algorithm as expert data: recordings, paths to them, or several of both."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert.builtin import is_builtin
from sb3_diiqn.expert.files import MAKERS, in_words
from sb3_diiqn.expert.hub import is_hub
from sb3_diiqn.expert.observations import ExpertObservations
from sb3_diiqn.expert.storage import npz_path

Recording: TypeAlias = ExpertObservations | str | os.PathLike[str]
"""A recording, or what :meth:`ExpertObservations.load` reads: a path, ``"builtin:NAME"``, or ``"hub:NAME"``."""
ExpertData: TypeAlias = Recording | Sequence[Recording] | None


def load_expert(data: Any) -> ExpertObservations:
    """
    Load expert data, as far as they are in files, and join them.

    :param data: expert data, the path of a file or folder, or a list of both
    :raises ExpertDataError: if they are of another type, damaged, or do not fit each other
    """
    parts = list(data) if isinstance(data, list | tuple) else [data]
    for number, part in enumerate(parts):
        if not isinstance(part, ExpertObservations | str | os.PathLike):
            name = "expert_data" if part is data else f"expert_data[{number}]"
            maker = "Give its expert_data." if isinstance(getattr(part, "expert_data", None), ExpertObservations) else MAKERS
            raise ExpertDataError(
                f"{name} is {in_words(part)}: expected an ExpertObservations, the path of a file, or a list of these. {maker}"
            )
    loaded = [part if isinstance(part, ExpertObservations) else ExpertObservations.load(part) for part in parts]
    return ExpertObservations.concatenate(loaded)


def paths_of(data: Any) -> list[str]:
    """The paths of all recordings; none if any of them is not in a file."""
    parts = list(data) if isinstance(data, list | tuple) else [data]
    are_paths = all(isinstance(part, str | os.PathLike) for part in parts)
    return [os.fspath(part) for part in parts] if are_paths else []


def index_path(data: Any, content_hash: str) -> Path | None:
    """
    The file beside the expert data that keeps what is computed of them; None if they are not in files of the user's.

    :param data: what the user gave
    :param content_hash: of the recordings together
    """
    paths = paths_of(data)
    if not paths or any(is_builtin(path) or is_hub(path) for path in paths):
        return None
    path = npz_path(paths[0])
    several = "" if len(paths) == 1 else f"-and-{len(paths) - 1}-more-{content_hash[:8]}"
    return path.with_name(f"{path.stem}{several}.index.npz")
