"""rl-zoo's command line with DIIQN and HADIIQN: ``python -m sb3_diiqn.zoo train|enjoy|record_video|plot|expert|export-dqn``.

All options but those of ``expert`` and ``export-dqn`` are rl-zoo's own and are handed through. Two things differ in ``train``:
without ``--conf-file`` the package's configuration is used where it has an entry, and ``--search-space own`` tunes only what
DQN does not have.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Callable, Sequence
from functools import partial

from sb3_diiqn.exceptions import DIIQNError


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    :param arguments: command line without the program's name; default: this process's
    :return: exit code: 0 if all is well, 2 if what was asked for cannot be done, 130 after Ctrl-C
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="sb3-diiqn", description="rl-zoo with DIIQN and HADIIQN. COMMAND --help lists the options of a command."
    )
    parser.add_argument("command", choices=COMMANDS, metavar="|".join(COMMANDS))
    command = parser.parse_args(given[:1]).command
    try:
        COMMANDS[command](given[1:])
    except DIIQNError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def _train(arguments: list[str]) -> None:
    from sb3_diiqn.zoo.register import register  # noqa: PLC0415, I001 - says what to install if rl-zoo is not there
    from sb3_diiqn.zoo.experiment import KNOWS_STUDIES  # noqa: PLC0415
    from rl_zoo3.train import train  # noqa: PLC0415

    own, others = _own_options(arguments)
    if "-h" in arguments or "--help" in arguments:
        print("Beside rl-zoo's options: --search-space own tunes only what DQN does not have.\n")
    else:
        others += _default_configuration(own)
    if own.trial_id is not None and KNOWS_STUDIES:
        others += ["--trial-id", str(own.trial_id)]
    register(own_arguments_only=own.search_space == "own", trial_id=None if KNOWS_STUDIES else own.trial_id)
    _call(train, "train", others)


def _own_options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Split the options into those that are looked at here, and the command line for rl-zoo."""
    looked_at = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    looked_at.add_argument("--algo", default="ppo")
    looked_at.add_argument("--env", default="CartPole-v1")
    looked_at.add_argument("-conf", "--conf-file")
    taken = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    taken.add_argument("--search-space", choices=["all", "own"], default="all")
    taken.add_argument("--trial-id", type=int)
    own, others = taken.parse_known_args(arguments)
    return looked_at.parse_known_args(others, own)[0], others


def _default_configuration(options: argparse.Namespace) -> list[str]:
    from sb3_diiqn.zoo.configurations import shipped_configuration  # noqa: PLC0415
    from sb3_diiqn.zoo.environments import check_environment  # noqa: PLC0415

    check_environment(options.env)
    if options.conf_file is not None:
        return []
    path = shipped_configuration(options.algo, options.env)
    return [] if path is None else ["--conf-file", str(path)]


def _enjoy(arguments: list[str]) -> None:
    from sb3_diiqn.zoo import register  # noqa: F401, PLC0415, I001 - before rl-zoo reads its list of algorithms
    from rl_zoo3.enjoy import enjoy  # noqa: PLC0415

    _call(enjoy, "enjoy", arguments)


def _record_video(arguments: list[str]) -> None:
    from sb3_diiqn.zoo import register  # noqa: F401, PLC0415

    # rl-zoo has no function for it
    _call(partial(runpy.run_module, "rl_zoo3.record_video", run_name="__main__"), "record_video", arguments)


def _plot(arguments: list[str]) -> None:
    from sb3_diiqn.zoo import register  # noqa: F401, PLC0415, I001 - says what to install if rl-zoo is not there
    from rl_zoo3.plots import plot_train  # noqa: PLC0415

    _call(plot_train, "plot", arguments)


def _expert(arguments: list[str]) -> None:
    from sb3_diiqn.zoo.expert import main as expert  # noqa: PLC0415

    expert(arguments)


def _export_dqn(arguments: list[str]) -> None:
    from sb3_diiqn.zoo.export import main as export  # noqa: PLC0415

    export(arguments)


def _call(function: Callable[[], object], command: str, arguments: list[str]) -> None:
    """Call a function of rl-zoo, which reads the command line of the process."""
    sys.argv = [f"sb3-diiqn {command}", *arguments]
    function()


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "train": _train,
    "enjoy": _enjoy,
    "record_video": _record_video,
    "plot": _plot,
    "expert": _expert,
    "export-dqn": _export_dqn,
}

if __name__ == "__main__":
    sys.exit(main())
