"""Files on the Hugging Face Hub, by the names that stand for them: ``"hub:user/repository"``. Nothing in them is executed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from sb3_diiqn.exceptions import ConfigurationError, DIIQNError, ExpertDataError
from sb3_diiqn.expert.optional import load_package

PREFIX = "hub:"
RECORDING = "expert.npz"
"""The file that ``hub:user/repository`` alone stands for."""
REPOSITORY = r"\w[\w.-]*/\w[\w.-]*"
NAME = re.compile(rf"(?P<repository>{REPOSITORY})(?:/(?P<file>[^@]+))?(?:@(?P<revision>\S+))?")


class Kind(NamedTuple):
    """What repositories hold: their type as the Hub calls it, the suffix of its files, and the error if one is not there."""

    repo_type: str
    suffix: str
    error: type[DIIQNError]


RECORDINGS = Kind("dataset", ".npz", ExpertDataError)
MODELS = Kind("model", ".zip", ConfigurationError)


def is_hub(source: Any) -> bool:
    """Tell whether this is such a name, well formed or not, and no path."""
    return isinstance(source, str) and source.startswith(PREFIX)


def download(name: str, kind: Kind) -> Path:
    """
    Bring a file of the Hub here, or find it where it was brought to earlier.

    :param name: ``user/repository``, ``user/repository/file``, either with ``@revision``, which may be a branch, a tag or a
        commit, and with or without ``hub:``. Without a file: ``expert.npz``, or a model that is named as its repository
    :param kind: what it is
    :raises DIIQNError: of the kind's type, if the name is malformed, or there is no such file
    :raises MissingDependencyError: ``huggingface_hub`` is not installed
    """
    match = NAME.fullmatch(name.removeprefix(PREFIX))
    if match is None:
        path = f". For a file of that name write './{name}'" if kind is RECORDINGS else ""
        raise kind.error(
            f"{name!r} is no name on the Hub: expected {PREFIX}user/repository or {PREFIX}user/repository/file{kind.suffix}, "
            f"optionally with @revision at its end{path}"
        )
    repository, revision = match["repository"], match["revision"]
    file = match["file"] or (RECORDING if kind is RECORDINGS else f"{repository.partition('/')[2]}{kind.suffix}")
    hub = load_package("huggingface_hub", "huggingface")
    try:
        return Path(hub.hf_hub_download(repository, file, repo_type=kind.repo_type, revision=revision))
    except Exception as error:  # also whatever the package that it reaches the Hub with raises
        raise kind.error(f"{name!r}: {_reason(error, repository, file, revision, kind)}") from error


def upload(folder: str, repository: str, kind: Kind, private: bool) -> None:
    """
    Upload all files in a folder, in one commit.

    :param folder: what is in it
    :param repository: ``user/repository``; it is made if it is not there
    :param kind: what it holds
    :param private: whether one that is made is shown to its owner only
    :raises ConfigurationError: malformed name, or the Hub refuses
    :raises MissingDependencyError: ``huggingface_hub`` is not installed
    """
    if re.fullmatch(REPOSITORY, repository) is None:
        raise ConfigurationError(f"{repository!r} is no repository on the Hub: expected user/repository, as 'me/cartpole'")
    api = load_package("huggingface_hub", "huggingface").HfApi()
    about = {"repo_id": repository, "repo_type": kind.repo_type}
    try:
        api.create_repo(**about, private=private, exist_ok=True)
        api.upload_folder(**about, folder_path=folder, commit_message="Upload with sb3_diiqn")
    except Exception as error:  # also whatever the package that it reaches the Hub with raises
        raise ConfigurationError(
            f"the Hub does not take what was to be pushed to {repository!r} ({_in_short(error)}): log in with 'hf auth login' "
            "and a token that may write there, or name a repository of your own"
        ) from error


def _reason(error: Exception, repository: str, file: str, revision: str | None, kind: Kind) -> str:
    errors = load_package("huggingface_hub.errors", "huggingface")
    what = f"{kind.repo_type} repository {repository!r}"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return f"the Hub cannot be reached, and {file!r} of the {what} is not in the cache: try again, or name a file"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the Hub has no {what}, or shows it to others only: check the name, or log in with 'hf auth login'"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the {what} has no revision {revision!r}: name a branch, a tag or a commit of it, or leave the revision out"
    if isinstance(error, errors.EntryNotFoundError):
        return f"the {what} has no file {file!r}: {_instead(repository, revision, kind)}"
    return f"{file!r} of the {what} cannot be loaded ({_in_short(error)})"


def _instead(repository: str, revision: str | None, kind: Kind) -> str:
    """What the repository has of this kind."""
    api = load_package("huggingface_hub", "huggingface").HfApi()
    try:
        files = api.list_repo_files(repository, repo_type=kind.repo_type, revision=revision)
    except Exception:  # the error that is told of is another one
        return "check the name"
    at = f"@{revision}" if revision else ""
    names = [f"{PREFIX}{repository}/{name}{at}" for name in sorted(files) if name.endswith(kind.suffix)]
    return f"name {' or '.join(names)}" if names else f"it has no {kind.suffix} at all, name another repository"


def _in_short(error: Exception) -> str:
    """The errors of others have several lines."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
