"""Packages that are needed for some of the data only."""

from __future__ import annotations

import importlib
from typing import Any

from sb3_diiqn.exceptions import MissingDependencyError


def load_package(name: str, extra: str) -> Any:
    """Import a package, or a module of it.

    :param name: of the package or module
    :param extra: the extra of this package that brings it
    :raises MissingDependencyError: it is not installed
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(name.partition(".")[0], extra) from error
