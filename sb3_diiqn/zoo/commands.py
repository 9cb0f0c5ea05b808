"""The commands of ``sb3-diiqn`` that are rl-zoo's, with DIIQN and HADIIQN, and the two that go with them.

All options but those of ``expert`` and ``export-dqn`` are rl-zoo's own and are handed through. Two things differ in ``train``:
without ``--conf-file`` the package's configuration is used where it has an entry, and ``--search-space own`` tunes only what
DQN does not have.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Callable
from functools import partial

from sb3_diiqn.common.commands import Command


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
    looked_at = _beside_zoo()
    looked_at.add_argument("--algo", default="ppo")
    looked_at.add_argument("--env", default="CartPole-v1")
    looked_at.add_argument("-conf", "--conf-file")
    taken = _beside_zoo()
    taken.add_argument("--search-space", choices=["all", "own"], default="all")
    taken.add_argument("--trial-id", type=int)
    own, others = taken.parse_known_args(arguments)
    return looked_at.parse_known_args(others, own)[0], others


def _beside_zoo() -> argparse.ArgumentParser:
    """Make a parser that reads some options, and leaves all others, ``--help`` among them, to rl-zoo."""
    return argparse.ArgumentParser(add_help=False, allow_abbrev=False)


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
    from sb3_diiqn.expert.policies import import_module  # noqa: PLC0415
    from sb3_diiqn.zoo import register  # noqa: F401, PLC0415

    # rl-zoo's other commands have this option
    taken = _beside_zoo()
    taken.add_argument("--gym-packages", nargs="+", default=[])
    own, others = taken.parse_known_args(arguments)
    for package in own.gym_packages:
        import_module(package)
    # rl-zoo has no function for it
    _call(partial(runpy.run_module, "rl_zoo3.record_video", run_name="__main__"), "record-video", others)


def _plot(arguments: list[str]) -> None:
    from sb3_diiqn.zoo import register  # noqa: F401, PLC0415, I001 - says what to install if rl-zoo is not there
    from rl_zoo3.plots import plot_train  # noqa: PLC0415
    import matplotlib  # noqa: PLC0415
    from matplotlib import pyplot  # noqa: PLC0415

    taken = _beside_zoo()
    taken.add_argument("-o", "--output")
    own, others = taken.parse_known_args(arguments)
    if "-h" in arguments or "--help" in arguments:
        print("Beside rl-zoo's options: -o FILE writes the picture (default without a screen: plot.png).\n")
    without_screen = matplotlib.get_backend().lower() == "agg"
    _call(plot_train, "plot", others)
    output = own.output or ("plot.png" if without_screen else None)
    if output is not None:
        pyplot.savefig(output)
        print(f"Saved to {output}")


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


COMMANDS = {
    "train": Command(_train, "train an agent, or tune one with --optimize (rl-zoo)"),
    "enjoy": Command(_enjoy, "let a trained agent play (rl-zoo)"),
    "record-video": Command(_record_video, "film a trained agent (rl-zoo)"),
    "plot": Command(_plot, "plot the returns of trainings (rl-zoo)"),
    "expert": Command(_expert, "make expert data of a chosen quality: train a DQN and record it"),
    "export-dqn": Command(_export_dqn, "save a model as plain DQN, which needs no sb3_diiqn"),
}
