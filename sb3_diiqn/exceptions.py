"""The errors and warnings of the package. Each message names the value, what was expected, and what to do."""

from __future__ import annotations


class DIIQNError(Exception):
    """Base class of every error that this package raises on purpose."""


class ExpertDataError(DIIQNError, ValueError):
    """Expert data that is damaged, inconsistent, or does not fit the environment."""


class ConfigurationError(DIIQNError, ValueError):
    """An argument that is out of range, or a combination of arguments that cannot work."""


class MissingExpertDataError(DIIQNError, RuntimeError):
    """Expert data is needed and absent, for instance to go on learning with a loaded model."""


class NonFiniteError(DIIQNError, ValueError):
    """The environment emitted NaN or infinity while an agent was learning from expert data."""


class MissingDependencyError(DIIQNError, ImportError):
    """An optional package is not installed. The message names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"The package '{package}' is needed for this and is not installed: pip install 'sb3-diiqn[{extra}]', "
            f"or '.[{extra}]' in a clone"
        )


class ExpertDataWarning(UserWarning):
    """Expert data, or what is compared with them, that may be right and is probably wrong."""
