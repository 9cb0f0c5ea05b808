"""A command line of several commands, each of which reads its own options."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import sb3_diiqn
from sb3_diiqn.exceptions import DIIQNError

PROGRAM = "sb3-diiqn"


class Command(NamedTuple):
    """
    One of the commands.

    :param function: gets the arguments after the command's name, and returns an exit code, or None if all is well
    :param summary: what it does, in a line
    """

    function: Callable[[list[str]], int | None]
    summary: str


def run(commands: Mapping[str, Command], description: str, arguments: Sequence[str] | None = None) -> int:
    """
    Run the command that the first argument names.

    :param commands: by name; an underscore in place of a hyphen is understood
    :param description: what they have in common
    :param arguments: command line without the program's name; default: this process's
    :return: exit code: that of the command; 2 if what was asked for cannot be done, 130 after Ctrl-C, 141 where nobody
        reads its output any more
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = _chosen(commands, description, given[:1])
    try:
        code = command.function(given[1:]) or 0
        sys.stdout.flush()
        return code
    except DIIQNError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # who reads has seen enough; Python would complain once more when it closes its output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _chosen(commands: Mapping[str, Command], description: str, first: list[str]) -> Command:
    width = max(map(len, commands))
    listed = "\n".join(f"  {name:{width}}  {command.summary}" for name, command in commands.items())
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} COMMAND ...",
        description=f"{description}\n\n{listed}\n\n{PROGRAM} COMMAND --help lists the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sb3_diiqn {sb3_diiqn.__version__}")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    name = parser.parse_args(first).command
    if name is None:
        parser.print_help(sys.stderr)
        parser.exit(2)
    if name.replace("_", "-") not in commands:
        parser.exit(2, f"{PROGRAM}: error: {name!r} is no command: expected one of {', '.join(commands)}\n")
    return commands[name.replace("_", "-")]
