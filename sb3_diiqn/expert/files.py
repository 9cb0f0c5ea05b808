"""Expert data on disk, whoever wrote them: what kind of file or folder it is, and who reads it. Nothing in it is executed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError
from sb3_diiqn.expert.builtin import builtin_path, is_builtin
from sb3_diiqn.expert.hdf5 import read_hdf5
from sb3_diiqn.expert.hub import RECORDINGS, download, is_hub
from sb3_diiqn.expert.hugging_face import SEVERAL, STATE, read_hugging_face
from sb3_diiqn.expert.minari_datasets import METADATA, read_minari_folder
from sb3_diiqn.expert.resets import AcrossResets
from sb3_diiqn.expert.storage import LAYOUTS, npz_path, read_npz
from sb3_diiqn.expert.types import TrajectoryArrays
from sb3_diiqn.expert.validation import chosen_keys

ZIP, HDF5, NPY, PICKLE = b"PK", b"\x89HDF\r\n", b"\x93NUMPY", b"\x80"

MAKERS = (
    "ExpertObservations.from_trajectories makes them of arrays, from_imitation, from_minari and from_replay_buffer of others"
)
UNTRUSTED = (
    "is a pickle, and reading one executes what is in it. If you trust it, read it with the package that wrote it, as with "
    "imitation.data.serialize.load(path) or stable_baselines3.common.save_util.load_from_pkl(path), and pass the result to "
    "ExpertObservations.from_imitation or from_replay_buffer, and save() that"
)
UNTRUSTED_TEXT = (
    "is JSON text; that of jsonpickle executes what is in it when it is read. If you trust it, read it with the package that "
    "wrote it, pass the arrays to ExpertObservations.from_trajectories, and save() that"
)


def read(
    path: str | os.PathLike[str],
    keys: str | Iterable[str] | None = None,
    drop_damaged: bool = False,
    across_resets: AcrossResets = "error",
) -> TrajectoryArrays:
    """Read expert data. See :meth:`ExpertObservations.load`."""
    source = _existing(path)
    folder = _minari_folder(source)
    if across_resets != "error" and source.is_dir():
        raise ConfigurationError(f"across_resets={across_resets!r}: {source} has no 'next_observations', leave it out")
    if folder is not None:
        return read_minari_folder(folder, keys, drop_damaged)
    if drop_damaged:
        raise ConfigurationError(f"drop_damaged=True is for Minari's datasets, and {source} is none: leave it out")
    arrays = _read_file(source, across_resets) if source.is_file() else _read_folder(source)
    try:
        return arrays._replace(observations=chosen_keys(arrays.observations, keys))
    except ExpertDataError as error:
        raise ExpertDataError(f"{source}: {error}") from error


def _existing(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise ExpertDataError(f"expert data is {in_words(path)}, which is not a path: expected the name of a file. {MAKERS}")
    if isinstance(path, str) and is_builtin(path):
        return builtin_path(path)
    if isinstance(path, str) and is_hub(path):
        return download(path, RECORDINGS)
    try:
        source = Path(path)
        source = source if source.exists() else npz_path(source)
        exists = source.exists()
    except (TypeError, ValueError, OSError) as error:
        shown = repr(path) if len(repr(path)) < 200 else f"{repr(path)[:200]}..."
        raise ExpertDataError(f"{shown} is not a path that can be read ({type(error).__name__}): expected a file") from error
    if not exists:
        raise ExpertDataError(f"There is no file {source.absolute()}: record one with python -m sb3_diiqn record")
    return source


def in_words(value: Any) -> str:
    """A few words about something that is not expert data, however large it is."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"an array, {value.dtype} of shape {tuple(value.shape)}"
    return f"of type {type(value).__name__}"


def _minari_folder(source: Path) -> Path | None:
    """The folder with Minari's metadata, if the path is that of a dataset, of the folder in it, or of its file."""
    candidates = [source / "data", source] if source.is_dir() else [source.parent]
    # an .npz beside such a file is no part of the dataset
    if source.is_file() and source.name != "main_data.hdf5":
        return None
    return next((folder for folder in candidates if (folder / METADATA).is_file()), None)


def _read_folder(source: Path) -> TrajectoryArrays:
    if (source / STATE).exists() or (source / SEVERAL).exists():
        return read_hugging_face(source)
    raise ExpertDataError(
        f"{source} is a folder, and neither a dataset of Minari (with data/{METADATA}) nor trajectories saved by imitation "
        f"(with {STATE}): expected one of these, or a file"
    )


def _read_file(source: Path, across_resets: AcrossResets) -> TrajectoryArrays:
    try:
        with source.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise ExpertDataError(f"{source} cannot be read: {error}") from error
    if start.startswith(ZIP):
        return read_npz(source, across_resets)
    if start.startswith(HDF5):
        return read_hdf5(source, across_resets)
    if start.startswith(PICKLE):
        raise ExpertDataError(f"{source} {UNTRUSTED}")
    if start.lstrip()[:1] in (b"{", b"["):
        raise ExpertDataError(f"{source} {UNTRUSTED_TEXT}")
    if source.suffix == ".arrow":
        raise ExpertDataError(f"{source} is a part of a saved dataset: load the folder {source.parent}")
    kind = "is empty" if not start else "is a single .npy array" if start.startswith(NPY) else "is not an .npz file"
    raise ExpertDataError(f"{source} {kind}: expected an .npz with {LAYOUTS}, or an .hdf5 as D4RL has them")
