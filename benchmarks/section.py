"""Reading one mapping of a suite key by key, with errors that name suite, key and value."""

from __future__ import annotations

import difflib
import re
from typing import Any

from sb3_diiqn.exceptions import ConfigurationError

_REQUIRED: Any = object()
_TYPE_NAMES = {dict: "a mapping", list: "a list", str: "a string", int: "a whole number"}


class Section:
    """
    One mapping of a suite.

    :param suite: name of the suite
    :param path: where in the suite the mapping is, for messages
    :param mapping: what was read
    """

    def __init__(self, suite: str, path: str, mapping: Any) -> None:
        self._suite, self._path = suite, path
        self._taken: set[str] = set()
        if not isinstance(mapping, dict) or not all(isinstance(key, str) for key in mapping):
            raise self.error("", mapping, "a mapping with strings as keys")
        self._mapping = mapping

    def take(self, key: str, kind: Any, default: Any = _REQUIRED) -> Any:
        """
        Read a value.

        :param kind: type that it must have, or a tuple of types
        :param default: value if the key is absent; without it the key is required
        """
        self._taken.add(key)
        if key not in self._mapping:
            if default is _REQUIRED:
                raise ConfigurationError(f"Suite {self._suite!r}, {self._place(key)}: it is missing, and it is needed.")
            return default
        value = self._mapping[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            raise self.error(key, value, " or ".join(_TYPE_NAMES.get(entry, "a number") for entry in kinds))
        return value

    def integer(self, key: str, default: Any = _REQUIRED, minimum: int = 1) -> int:
        """Read a whole number."""
        value: int = self.take(key, int, default)
        if value < minimum:
            raise self.error(key, value, f"a whole number of at least {minimum}")
        return value

    def number(self, key: str, default: float | None) -> float | None:
        """Read a number."""
        value = self.take(key, (float, int), default)
        return None if value is None else float(value)

    def fraction(self, key: str, default: float | None) -> float | None:
        """Read a number in [0, 1]."""
        value = self.number(key, default)
        if value is not None and not 0 <= value <= 1:
            raise self.error(key, value, "a number in [0, 1]")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Read true or false."""
        self._taken.add(key)
        value = self._mapping.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, value, "true or false")
        return value

    def section(self, key: str, default: Any = _REQUIRED) -> Section:
        """Read a mapping that is a section itself; nothing after the colon is the default too."""
        empty = default is not _REQUIRED and self._mapping.get(key, default) is None
        value = default if empty else self.take(key, dict, default)
        return Section(self._suite, f"{self._path}.{key}".lstrip("."), value)

    def names(self) -> list[str]:
        """Read all keys as names of files and table rows."""
        if not self._mapping:
            raise ConfigurationError(f"Suite {self._suite!r}, {self._place('')}: it is empty, at least one entry is needed.")
        return [self.check_name(key, key) for key in self._mapping]

    def check_name(self, name: str, key: str) -> str:
        """Check that a name can be part of a path."""
        if not re.fullmatch(r"\w[\w.+=-]*", name):
            expected = "a name made of letters, digits and . _ + = - (an environment's Gymnasium id goes under 'id')"
            raise self.error(key, name, expected)
        return name

    def finish(self) -> None:
        """Refuse keys that nobody took."""
        for key in self._mapping:
            if key not in self._taken:
                near = difflib.get_close_matches(key, self._taken, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(self._taken))}."
                where = f"Suite {self._suite!r}, {self._place(key)}"
                raise ConfigurationError(f"{where}: unknown key with value {self._mapping[key]!r}; {hint}")

    def error(self, key: str, value: object, expected: str) -> ConfigurationError:
        """Make the error for a value."""
        return ConfigurationError(f"Suite {self._suite!r}, {self._place(key)}: {value!r} given, expected {expected}.")

    def _place(self, key: str) -> str:
        path = f"{self._path}.{key}".strip(".")
        return f"key {path!r}" if path else "top level"
