"""The folder in which ``imitation`` saves trajectories: a Hugging Face dataset, in Arrow files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert.joining import join_trajectories
from sb3_diiqn.expert.optional import load_package
from sb3_diiqn.expert.types import TrajectoryArrays

STATE = "state.json"
SEVERAL = "dataset_dict.json"
COLUMNS = ("obs", "terminal")


def read_hugging_face(folder: Path) -> TrajectoryArrays:
    """Read what ``imitation.data.serialize.save`` wrote, without the pickled infos and the actions.

    :param folder: the one with ``state.json``
    """
    arrow = load_package("pyarrow", "huggingface")
    stream = load_package("pyarrow.ipc", "huggingface")
    if (folder / SEVERAL).exists():
        parts = ", ".join(sorted(part.name for part in folder.iterdir() if part.is_dir()))
        raise ExpertDataError(f"{folder} holds several datasets: load the folder of one of them ({parts})")
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        tables = [_table(arrow, stream, folder / file["filename"]) for file in state["_data_files"]]
        rows = [row for table in tables for row in _rows(table)]
    except ExpertDataError as error:
        raise ExpertDataError(f"{folder}: {error}") from error
    except Exception as error:  # whatever json and pyarrow raise about damage
        raise ExpertDataError(
            f"{folder} is damaged or holds something other than imitation's trajectories ({type(error).__name__}: {error}): "
            "save it again"
        ) from error
    try:
        rewarded = all("rews" in row for row in rows)
        rewards = [row["rews"] for row in rows] if rewarded else None
        return join_trajectories([row["obs"] for row in rows], [row["terminal"] for row in rows], rewards)
    except ExpertDataError as error:
        raise ExpertDataError(f"{folder}: {error}") from error


def _table(arrow: Any, stream: Any, path: Path) -> Any:
    with arrow.memory_map(str(path)) as file:
        table = stream.open_stream(file).read_all()
    missing = [name for name in COLUMNS if name not in table.schema.names]
    if missing:
        raise ExpertDataError(
            f"no column '{missing[0]}' among {', '.join(table.schema.names)}: expected the trajectories of imitation, with "
            "'obs', 'terminal' and optionally 'rews'"
        )
    return table.select([name for name in (*COLUMNS, "rews") if name in table.schema.names])


def _rows(table: Any) -> list[dict[str, Any]]:
    columns = {name: table[name] for name in table.schema.names}
    return [
        {
            name: bool(column[number].as_py()) if name == "terminal" else _array(column[number].values, f"{name} of {number}")
            for name, column in columns.items()
        }
        for number in range(table.num_rows)
    ]


def _array(values: Any, name: str) -> np.ndarray:
    """Nested lists, as an array with one axis per level."""
    shape = [len(values)]
    while hasattr(values, "flatten") and hasattr(values.type, "value_type"):
        inner = values.flatten()
        width = len(inner) // max(len(values), 1)
        lengths = np.asarray(values.value_lengths()) if hasattr(values, "value_lengths") else np.full(len(values), width)
        if (lengths != width).any():
            raise ExpertDataError(f"{name} has rows of different lengths: expected observations of one shape")
        shape.append(width)
        values = inner
    array: np.ndarray = values.to_numpy(zero_copy_only=False)
    return array.reshape(shape)
