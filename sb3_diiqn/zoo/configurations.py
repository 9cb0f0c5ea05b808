"""The configurations that come with the package: which files there are, and where their expert data comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import yaml

from sb3_diiqn.exceptions import ConfigurationError

EXPERT_FOLDER = "expert_data"
"""Default folder of expert data, as the yml files have it: relative to where the command is run."""
ALGORITHMS_WITH_EXPERT = ("diiqn", "hadiiqn", "qrdiiqn")


def configuration_folder() -> Path:
    """Folder of the yml files: in an installed package inside of it, in a checkout ``zoo_configs/``."""
    installed = Path(__file__).parent / "configs"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "zoo_configs"


def shipped_configuration(algorithm: str, env_id: str) -> Path | None:
    """
    Find the package's configuration for an environment.

    :return: None if rl-zoo's own is to be used: the algorithm is not from here, or has no entry for the environment here
    :raises ConfigurationError: if the algorithm is from here and has no entry for the environment
    """
    path = configuration_folder() / f"{algorithm}.yml"
    entries = read_yml(path) if path.is_file() else {}
    if env_id in entries:
        return path
    if algorithm in ALGORITHMS_WITH_EXPERT:
        there = f"in {path}, which has {', '.join(entries)}" if entries else "in this package"
        raise ConfigurationError(
            f"There are no hyperparameters of {algorithm} for {env_id!r} {there}: "
            "write a yml file of your own and name it with --conf-file."
        )
    return None


def read_yml(path: Path) -> dict[str, Any]:
    """
    Read a yml file with one mapping per environment.

    :raises ConfigurationError: if it cannot be read or is something else
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"The file {str(path)!r} cannot be read: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise ConfigurationError(f"The file {str(path)!r} must hold one mapping per environment id.")
    return content


def file_name_of(env_id: str) -> str:
    """How an environment is called in file names."""
    return env_id.replace("/", "-").replace(":", "-")


@dataclass(frozen=True)
class ExpertFile:
    """
    A file of expert data that ``expert`` can make.

    :param env_id: environment of the expert, which may have other actions than the agent's
    :param quality: how good the expert is, in (0, 1]
    """

    env_id: str
    quality: float

    def path(self, folder: str | Path = EXPERT_FOLDER) -> Path:
        """Where it lies by default."""
        return Path(folder) / f"{file_name_of(self.env_id)}-{self.quality:g}.npz"


def expert_command(path: str, env_id: str) -> str:
    """
    The command that makes a file of expert data.

    :param path: the file as a configuration names it
    :param env_id: environment of the agent, for a file whose name does not say which environment and quality
    """
    file = _expert_file(Path(path))
    command = f"python -m sb3_diiqn expert --env {file.env_id if file else env_id}"
    if file is None:
        return f"{command} --output {path}"
    command += f" --quality {file.quality:g}"
    folder = Path(path).parent
    return command if folder == Path(EXPERT_FOLDER) else f"{command} --folder {folder}"


def _expert_file(path: Path) -> ExpertFile | None:
    """Read environment and quality from a file's name, None if it is not such a name."""
    name, _, quality = path.name.removesuffix(".npz").rpartition("-")
    for env_id in gymnasium.registry:
        if file_name_of(env_id) == name:
            try:
                file = ExpertFile(env_id, float(quality))
            except ValueError:
                return None
            return file if file.path(path.parent) == path else None
    return None
