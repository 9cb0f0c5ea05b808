"""What a bug report needs: versions, or what is in expert data or a saved model. Nothing in a file is executed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch as th

import sb3_diiqn
from sb3_diiqn import datasets
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.builtin import PREFIX, is_builtin
from sb3_diiqn.expert.given import load_expert
from sb3_diiqn.expert.manifest import installed_versions, recorded_returns

NEEDED = ("stable_baselines3", "gymnasium", "torch", "numpy", "scipy", "cloudpickle", "PyYAML", "filelock")
OPTIONAL = (
    *("sb3_contrib", "rl_zoo3", "optuna", "tensorboard", "moviepy", "matplotlib", "ray", "imitation", "minari", "pyarrow"),
    *("huggingface_hub", "MinAtar", "ale_py", "minigrid", "gymnasium_robotics", "mujoco", "box2d", "highway_env"),
)
#: The file of a saved model that has its settings, and what only those of this package have among them.
SETTINGS, OWN_SETTINGS = "data", "_imitation_arguments"

Rows = list[tuple[str, Any]]


def environment_rows() -> Rows:
    """Versions of the packages, and what they run on."""
    versions = {**installed_versions(NEEDED), **installed_versions(OPTIONAL)}
    gpu = th.cuda.get_device_name() if th.cuda.is_available() else "none"
    return [
        ("sb3_diiqn", sb3_diiqn.__version__),
        *versions.items(),
        ("not installed", ", ".join(name for name in OPTIONAL if name not in versions) or "-"),
        ("Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("platform", platform.platform()),
        ("processors", f"{os.cpu_count()}, of which PyTorch uses {th.get_num_threads()}"),
        ("GPU", gpu),
    ]


def expert_rows(data: ExpertObservations) -> Rows:
    """
    Summarise expert data.

    :param data: recordings
    """
    lengths = [len(data[number]) for number in range(data.n_trajectories)]
    returns = recorded_returns(data)
    return [
        ("expert data", repr(data)),
        ("transitions", f"{len(data)}, of {min(lengths)} to {max(lengths)} in each trajectory"),
        ("return", "unknown, without rewards" if returns is None else f"{returns.mean():.4g} +- {returns.std():.4g}"),
        ("content hash", data.content_hash),
    ]


def model_rows(path: Path) -> Rows:
    """
    Read the settings of a saved model.

    :param path: the ``.zip`` that an algorithm of Stable-Baselines3 or this package has saved
    :raises ConfigurationError: if it is none
    """
    try:
        with zipfile.ZipFile(path) as file:
            settings = json.loads(file.read(SETTINGS))
            system = file.read("system_info.txt").decode() if "system_info.txt" in file.namelist() else ""
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"'{path}' cannot be read as a saved model: {error}") from error
    plain = {name: _in_words(value) for name, value in settings.items()}
    own = settings.get(OWN_SETTINGS, [])
    shared = [name for name in plain if not name.startswith("_") and name not in {*own, *UNTOLD}]
    return [
        ("algorithm", _algorithm(settings)),
        ("trained for", f"{settings.get('num_timesteps')} steps, {settings.get('_n_updates')} updates"),
        *((name, plain[name]) for name in [*own, *sorted(shared)]),
        ("saved with", "; ".join(line.removeprefix("- ") for line in system.splitlines()) or "unknown versions"),
    ]


#: What a model has beside its settings.
UNTOLD = {
    *("num_timesteps", "start_time", "ep_info_buffer", "ep_success_buffer", "action_noise", "policy_class", "lr_schedule"),
    *("exploration_schedule", "exploration_rate", "batch_norm_stats", "batch_norm_stats_target", "verbose", "use_sde"),
    *("sde_sample_freq", "use_sde_at_warmup"),
}


def _algorithm(settings: dict[str, Any]) -> str:
    module = str(settings.get("policy_class", {}).get("__module__", "unknown"))
    if OWN_SETTINGS not in settings:
        return f"of another package, or a baseline; its policy is of {module}"
    if "bridge_kwargs" in settings:
        return "HADIIQN"
    return "QRDIIQN" if "qrdqn" in module else "DIIQN"


def _in_words(value: Any) -> str:
    """A setting in a line. Others than numbers and texts are pickled: only what Stable-Baselines3 wrote beside is read."""
    if not isinstance(value, dict) or ":type:" not in value:
        return repr(value)
    kind = str(value[":type:"]).removeprefix("<class '").removesuffix("'>").rpartition(".")[2]
    parts = {name.strip("_"): value[name] for name in ("n", "nvec", "dtype", "_shape", "spaces") if name in value}
    return kind + (f"({', '.join(f'{name}={part}' for name, part in parts.items())})" if parts else "")


def _is_model(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        return SETTINGS in file.namelist()


def described(source: str) -> Rows:
    """
    Say what is in a file or folder.

    :param source: expert data, by everything that :meth:`~sb3_diiqn.ExpertObservations.load` reads, or a saved model
    :raises DIIQNError: if it is neither
    """
    model = Path(source) if Path(source).is_file() else Path(f"{source}.zip")
    if model.is_file() and _is_model(model):
        return [("model", str(model)), *model_rows(model)]
    rows = expert_rows(load_expert(source))
    if not is_builtin(source):
        return rows
    made = datasets.describe(source.removeprefix(PREFIX))
    return [*rows, *((name, made[name]) for name in ("env_id", "env_kwargs", "expert", "made_by", "license"))]


def table(rows: Iterable[tuple[str, Any]]) -> str:
    """
    Align names and values.

    :param rows: of both
    """
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows)


def main(arguments: Sequence[str]) -> None:
    """
    The command line.

    :param arguments: without the program's and the command's name
    """
    parser = argparse.ArgumentParser(
        prog="sb3-diiqn info", description="Show versions and platform, or what is in expert data or a saved model."
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="expert data or saved models; nothing in them is executed")
    options = parser.parse_args(arguments)
    parts = [described(path) for path in options.paths] or [environment_rows()]
    print("\n\n".join(map(table, parts)))
