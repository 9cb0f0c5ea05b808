"""
Small recordings that come with the package: ``DIIQN("MlpPolicy", "CartPole-v1", expert_data="builtin:cartpole")``.

They are read as files are, wherever a path of expert data may stand. ``manifest.json`` says what each one is of, and how it
was made: by :mod:`sb3_diiqn.datasets.make`.
"""

from __future__ import annotations

from typing import Any

from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.builtin import FOLDER, PREFIX, builtin_path, names
from sb3_diiqn.expert.manifest import read_json

MANIFEST = "manifest.json"

__all__ = ["describe", "load", "names"]


def load(name: str) -> ExpertObservations:
    """
    Load one of the recordings.

    :param name: one of :func:`names`
    :raises ExpertDataError: if there is none of that name
    """
    return ExpertObservations.load(PREFIX + name)


def describe(name: str) -> dict[str, Any]:
    """
    Say what one of the recordings is: environment and its arguments, wrappers, expert, return, and how it was made.

    :param name: one of :func:`names`
    :raises ExpertDataError: if there is none of that name
    """
    builtin_path(PREFIX + name)
    description: dict[str, Any] = read_json(FOLDER / MANIFEST)[name]
    return description
