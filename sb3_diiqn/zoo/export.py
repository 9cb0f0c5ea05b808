"""Making a model of Stable-Baselines3 of one of this package: ``sb3-diiqn export-dqn MODEL.zip -o dqn.zip``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file

from sb3_diiqn import DIIQN, HADIIQN
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert.storage import replacing

NO_BUFFER: dict[str, Any] = {"buffer_size": 1, "replay_buffer_class": None, "replay_buffer_kwargs": {}}
"""A model that is only to be exported needs no room for transitions."""


def export_dqn(model_path: Path, output: Path, overwrite: bool = False) -> OffPolicyAlgorithm:
    """
    Save a model of DIIQN or HADIIQN as DQN, one of QRDIIQN as QRDQN. Expert data are not needed.

    :param model_path: file of the model; only use one that you trust, Stable-Baselines3 executes code in it
    :param output: the ``.zip`` to write
    :param overwrite: whether it may replace a file
    :return: the model
    :raises ConfigurationError: if the file exists, or the other is no model of this package
    """
    if not (model_path.is_file() or model_path.with_name(f"{model_path.name}.zip").is_file()):
        raise ConfigurationError(f"'{model_path}' cannot be loaded: there is no such file")
    target = output if output.suffix == ".zip" else output.with_name(output.name + ".zip")
    if target.exists() and not overwrite:
        raise ConfigurationError(f"{target} exists: name another file, or replace it: --overwrite")
    try:
        attributes, _, _ = load_from_zip_file(model_path, device="cpu")
    except Exception as error:  # unpickling a foreign file can fail in any way
        raise ConfigurationError(f"'{model_path}' cannot be loaded: {error}") from error
    if attributes is None or "expert_rewards" not in attributes:
        raise ConfigurationError(f"'{model_path}' is no model of DIIQN, HADIIQN or QRDIIQN: others need no export")
    exported = _exported(model_path, attributes)
    for name in NO_BUFFER:
        setattr(exported, name, attributes[name])
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        exported.save(temporary)
    return exported


def _exported(path: Path, attributes: dict[str, Any]) -> OffPolicyAlgorithm:
    arguments: dict[str, Any] = {"device": "cpu", "custom_objects": NO_BUFFER, "expert_data": None}
    if "bridge_kwargs" in attributes:
        return HADIIQN.load(path, **arguments).to_dqn()
    if _has_quantiles(attributes["policy_class"]):
        from sb3_diiqn import QRDIIQN  # noqa: PLC0415 - says what to install if sb3-contrib is not there

        return QRDIIQN.load(path, **arguments).to_qrdqn()
    return DIIQN.load(path, **arguments).to_dqn()


def _has_quantiles(policy_class: type) -> bool:
    return any(base.__name__ == "QRDQNPolicy" for base in policy_class.__mro__)


def main(arguments: Sequence[str]) -> None:
    """
    The command line.

    :param arguments: without the program's and the command's name
    """
    parser = argparse.ArgumentParser(
        prog="sb3-diiqn export-dqn",
        description="Save a model of DIIQN or HADIIQN as Stable-Baselines3's DQN, one of QRDIIQN as sb3-contrib's QRDQN.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL.zip", help="the model; only use one that you trust")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DQN.zip", help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    options = parser.parse_args(arguments)
    exported = export_dqn(options.model, options.output, options.overwrite)
    print(f"Saved to {options.output}: {type(exported).__name__}.load loads it, without sb3-diiqn")
