"""``python -m sb3_diiqn.zoo``: those commands of ``sb3-diiqn`` that are rl-zoo's, and the two that go with them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sb3_diiqn.common.commands import run
from sb3_diiqn.zoo.commands import COMMANDS


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    :param arguments: command line without the program's name; default: this process's
    :return: exit code, see :func:`~sb3_diiqn.common.commands.run`
    """
    return run(COMMANDS, "rl-zoo with DIIQN and HADIIQN.", arguments)


if __name__ == "__main__":
    sys.exit(main())
