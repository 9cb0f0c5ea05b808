"""The command line: ``sb3-diiqn COMMAND``, or ``python -m sb3_diiqn COMMAND``. Without a command it lists them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from sb3_diiqn.common.commands import Command, run
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.zoo.commands import COMMANDS as OF_ZOO


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    :param arguments: command line without the program's name; default: this process's
    :return: exit code, see :func:`~sb3_diiqn.common.commands.run`
    """
    return run(COMMANDS, "DQN that learns from observation-only demonstrations.", arguments)


def _record(arguments: list[str]) -> None:
    from sb3_diiqn.record import main as record  # noqa: PLC0415

    record(arguments)


def _info(arguments: list[str]) -> None:
    from sb3_diiqn.info import main as info  # noqa: PLC0415

    info(arguments)


def _benchmark(arguments: list[str]) -> int:
    if Path("benchmarks", "headline.py").is_file():  # a clone; a script does not look into the current folder by itself
        sys.path.insert(0, "")
    if not _has_benchmarks():
        raise ConfigurationError(
            f"The benchmark is not part of the installed package, and not in {Path.cwd()}: clone the repository, and run "
            "'sb3-diiqn benchmark', or 'python -m benchmarks', in its folder."
        )
    return int(importlib.import_module("benchmarks.__main__").main(arguments))


def _has_benchmarks() -> bool:
    try:
        return importlib.util.find_spec("benchmarks.headline") is not None
    except ModuleNotFoundError:
        return False


COMMANDS = {
    "record": Command(_record, "record the observations of a model, a function or a random policy"),
    **OF_ZOO,
    "benchmark": Command(_benchmark, "compare algorithms over environments and seeds (in a clone of the repository)"),
    "info": Command(_info, "show versions for a bug report, or what is in expert data or a saved model"),
}

if __name__ == "__main__":
    sys.exit(main())
