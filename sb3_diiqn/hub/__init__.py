"""
Recordings and models on the Hugging Face Hub (extra ``huggingface``).

A recording there may stand wherever a path of expert data may: ``expert_data="hub:user/repository"``, which is its
``expert.npz``, or ``"hub:user/repository/file.npz@revision"``. It is read as files are, and nothing in it is executed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_diiqn.datasets import MANIFEST
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.builtin import builtin_path, is_builtin
from sb3_diiqn.expert.given import Recording
from sb3_diiqn.expert.hub import MODELS, PREFIX, RECORDING, RECORDINGS, download, upload
from sb3_diiqn.expert.manifest import describe_recording, read_json, write_text
from sb3_diiqn.expert.storage import npz_path
from sb3_diiqn.hub.cards import ACTIONS, model_card, recording_card
from sb3_diiqn.info import model_rows
from sb3_diiqn.record import read_actions, write_actions

__all__ = ["load_model", "load_recording", "push_model", "push_recording"]

Algorithm = TypeVar("Algorithm", bound=BaseAlgorithm)

CARD = "README.md"


def load_recording(name: str) -> ExpertObservations:
    """
    Load a recording. Nothing in it is executed.

    :param name: ``"user/repository"`` or ``"user/repository/file.npz"``, either with ``"@revision"``; ``"hub:"`` may
        stand before it
    :raises ExpertDataError: the name is malformed, there is no such file, or it is damaged
    :raises MissingDependencyError: ``huggingface_hub`` is not installed
    """
    return ExpertObservations.load(PREFIX + name.removeprefix(PREFIX))


def push_recording(
    recording: Recording,
    repository: str,
    *,
    license: str | None = None,
    facts: Mapping[str, Any] | None = None,
    actions: str | os.PathLike[str] | None = None,
    private: bool = False,
) -> str:
    """
    Upload observations, rewards and a card, as ``expert.npz`` and ``README.md`` of a dataset repository.

    What else is in the file stays here. The card says what the manifest beside the recording says: ``expert.json`` beside
    ``expert.npz``, or its entry in ``manifest.json``.

    :param recording: expert data, or the path of a file or folder of them
    :param repository: ``"user/repository"``, which is made if it is not there
    :param license: by the Hub's names, such as ``"mit"``; None (default): the manifest's, if it has one
    :param facts: what the card is to say beside or instead of the manifest: ``env_id``, ``env_kwargs``, ``wrappers``,
        ``expert``, ``epsilon``, ``seed``, ``made_by``, ``made_with``, ``mean_return``, ``std_return``, ``n_episodes``
    :param actions: a file of the true actions, as ``sb3-diiqn record --keep-actions`` writes it; None (default): no actions
    :param private: whether a repository that is made is shown to its owner only
    :return: the name to load it by, ``"hub:user/repository"``
    :raises ConfigurationError: malformed name, manifest or actions of other data, or the Hub refuses
    :raises MissingDependencyError: ``huggingface_hub`` is not installed
    """
    data = recording if isinstance(recording, ExpertObservations) else ExpertObservations.load(recording)
    known = {**describe_recording(data, None), **_manifest(recording), **(facts or {})}
    if known["content_hash"] != data.content_hash:
        raise ConfigurationError(f"the manifest beside {recording} is of other data: correct or remove it")
    name = PREFIX + repository
    with TemporaryDirectory() as folder:
        data.save(Path(folder) / RECORDING)
        if actions is not None:
            write_actions(Path(folder) / ACTIONS, _actions_of(data, actions), data)
        card = recording_card(name, data, known, license or known.get("license"), actions is not None)
        write_text(Path(folder) / CARD, card)
        upload(folder, repository, RECORDINGS, private)
    return name


def load_model(algorithm: type[Algorithm], name: str, **arguments: Any) -> Algorithm:
    """
    Load a model. This unpickles parts of it, which can execute code: load only those that you trust.

    :param algorithm: the class that the card names, such as :class:`~sb3_diiqn.DIIQN`
    :param name: ``"user/repository/diiqn-CartPole-v1.zip"``; without a file the one that is named as its repository is; either
        with ``"@revision"``
    :param arguments: of the algorithm's ``load``, such as ``env`` and ``expert_data``
    :raises ConfigurationError: the name is malformed, or there is no such file
    :raises MissingDependencyError: ``huggingface_hub`` is not installed
    """
    return algorithm.load(download(name, MODELS), **arguments)


def push_model(
    path: str | os.PathLike[str],
    repository: str,
    *,
    env_id: str,
    mean_return: float | None = None,
    std_return: float | None = None,
    license: str | None = None,
    private: bool = False,
) -> str:
    """
    Upload a saved model and a card. Its file is named as ``huggingface_sb3`` names them, such as ``diiqn-CartPole-v1.zip``.

    The zip names the path of the expert data, if one was given. The statistics of a ``VecNormalize`` are not in it.

    :param path: the zip of a :class:`~sb3_diiqn.DIIQN`, :class:`~sb3_diiqn.HADIIQN` or :class:`~sb3_diiqn.QRDIIQN`
    :param repository: ``"user/repository"``, which is made if it is not there; rl-zoo names it ``user/diiqn-CartPole-v1``
    :param env_id: environment of the model
    :param mean_return: that of the greedy agent, as ``evaluate_policy`` finds it; None (default): the card does not say
    :param std_return: its standard deviation
    :param license: by the Hub's names, such as ``"mit"``
    :param private: whether a repository that is made is shown to its owner only
    :return: the name to load it by
    :raises ConfigurationError: malformed name, no saved model of this package, or the Hub refuses
    :raises MissingDependencyError: ``huggingface_hub`` is not installed
    """
    source = Path(path) if Path(path).is_file() else Path(f"{os.fspath(path)}.zip")
    rows = dict(model_rows(source))
    algorithm: str = rows["algorithm"]
    if not algorithm.isidentifier():
        raise ConfigurationError(f"'{source}' is {algorithm}: expected DIIQN, HADIIQN or QRDIIQN, others have huggingface_sb3")
    file = f"{algorithm.lower()}-{env_id.rpartition(':')[2].replace('/', '-')}.zip"
    returns = None if mean_return is None else f"{mean_return:.2f}" + ("" if std_return is None else f" +/- {std_return:.2f}")
    with TemporaryDirectory() as folder:
        shutil.copyfile(source, Path(folder) / file)
        write_text(Path(folder) / CARD, model_card(f"{repository}/{file}", algorithm, env_id, rows, returns, license))
        upload(folder, repository, MODELS, private)
    return f"{repository}/{file}"


def _manifest(recording: Recording) -> dict[str, Any]:
    if isinstance(recording, ExpertObservations):
        return {}
    path = builtin_path(str(recording)) if is_builtin(recording) else npz_path(recording)
    own, shared = read_json(path.with_suffix(".json")), read_json(path.parent / MANIFEST)
    entry = own or (shared.get(path.stem) if isinstance(shared, dict) else None)
    if not isinstance(entry, dict):
        return {}
    # the commands for rl-zoo keep apart what a recording is to be, and what it became
    settings = entry.get("settings")
    return {**(settings if isinstance(settings, dict) else {}), **entry}


def _actions_of(data: ExpertObservations, path: str | os.PathLike[str]) -> Any:
    try:
        actions, belongs_to = read_actions(path)
    except Exception as error:  # a damaged file makes zipfile, zlib and numpy fail in a dozen different ways
        raise ConfigurationError(f"{path} cannot be read as actions, of sb3-diiqn record --keep-actions: {error}") from error
    if belongs_to != data.content_hash:
        raise ConfigurationError(f"the actions in {path} are of other data: record both together")
    return actions
