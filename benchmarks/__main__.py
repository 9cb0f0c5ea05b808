"""Command line of the benchmark: run, report, headline, zoo, kinds, status, pack, unpack, cost, throughput."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import cost
from benchmarks.algorithms import find_algorithm
from benchmarks.storage import STATES, ResultFolder
from benchmarks.suite import describe_suites, load_suite
from benchmarks.tables import Table
from benchmarks.throughput import command as throughput
from sb3_diiqn.exceptions import ConfigurationError, DIIQNError


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    :param arguments: command line without the program's name; default: this process's
    :return: exit code: 0 if all is well, 1 if a cell failed, 2 if what was asked for cannot be done, 130 after Ctrl-C
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (DIIQNError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; finished cells are kept, the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Compare algorithms over environments and seeds."
    )
    commands = parser.add_subparsers(required=True, metavar="run|report|headline|zoo|kinds|status|pack|unpack|cost|throughput")
    run = commands.add_parser(
        "run",
        help="run the cells of suites that are not finished yet",
        epilog=f"The suites here:\n\n{describe_suites()}\n\nAn own environment or algorithm: docs/benchmarks.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("suites", nargs="+", metavar="SUITE", help="name of a suite, see below, or path of a .yml file")
    run.add_argument(
        "--workers", type=_positive, default=os.cpu_count() or 1, help="processes on this machine (default: its cores)"
    )
    run.add_argument(
        "--only",
        nargs="+",
        default=["*"],
        metavar="PATTERN",
        help="run a part: cells as Breakout/dqn/default/seed-0, with the wildcards of a shell (default: all)",
    )
    run.add_argument("--backend", choices=["local", "ray"], default="local", help="where cells run (default: on this machine)")
    run.add_argument("--address", help="address of the Ray cluster, or 'auto' (default: start one on this machine)")
    run.set_defaults(command=_run)
    report = commands.add_parser("report", help="make tables and figures from the finished cells")
    report.set_defaults(command=_report)
    headline = commands.add_parser("headline", help="draw the README's figure, and print its table")
    headline.add_argument(
        "--figure", type=Path, default=Path("docs/figures/greedy.png"), help="the figure (default: %(default)s)"
    )
    headline.set_defaults(command=_headline)
    zoo = commands.add_parser("zoo", help="print what the entries of zoo_configs return")
    zoo.set_defaults(command=_zoo)
    kinds = commands.add_parser("kinds", help="print how the default does with experts that are no help")
    kinds.set_defaults(command=_kinds)
    status = commands.add_parser("status", help="count finished, running, missing and broken cells")
    status.set_defaults(command=_status)
    pack = commands.add_parser("pack", help="move finished cells into one compressed file per suite")
    pack.set_defaults(command=_pack)
    unpack = commands.add_parser("unpack", help="write packed cells as one file each again")
    unpack.set_defaults(command=_unpack)
    costs = commands.add_parser("cost", help="measure what algorithms take of the CPU time, beside DQN")
    cost.add_arguments(costs)
    costs.set_defaults(command=cost.run)
    speed = commands.add_parser("throughput", help="measure steps per second, and what matching costs")
    throughput.add_arguments(speed)
    speed.set_defaults(command=throughput.run)
    for command in (report, status, pack, unpack):
        command.add_argument("suites", nargs="*", metavar="SUITE", help="name of a suite (default: all that were run)")
    for command in (run, report, headline, zoo, kinds, status, pack, unpack, costs):
        command.add_argument(
            "--out", type=Path, default=Path("benchmark_results"), help="folder of the results (default: %(default)s)"
        )
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} given, expected at least 1")
    return value


def _run(options: argparse.Namespace) -> int:
    from benchmarks.backends import ray_backend  # noqa: PLC0415
    from benchmarks.runner import run_suites  # noqa: PLC0415

    if options.address and options.backend != "ray":
        raise ConfigurationError(f"--address {options.address}: it is of a Ray cluster, and needs --backend ray.")
    suites = [load_suite(name) for name in options.suites]
    backend = ray_backend(options.address) if options.backend == "ray" else None
    outcome = run_suites(suites, ResultFolder(options.out), options.workers, backend, options.only)
    for required in sorted({find_algorithm(cell.settings["class"]).requires for cell in outcome.left_out}):
        print(f"cells that require {required} are left out: the same command runs them where it is installed")
    if not outcome.failed:
        done = "all other cells are" if outcome.left_out else "all cells are" if options.only == ["*"] else "these cells are"
        print(f"{done} finished; see them with: python -m benchmarks report --out {shlex.quote(str(options.out))}")
        return 0
    print(f"{len(outcome.failed)} cells failed:", file=sys.stderr)
    for cell, error in outcome.failed.items():
        print(f"  {cell}: {error}", file=sys.stderr)
    print(
        "the full errors are in the .error.txt files beside the cells; the same command tries these cells again",
        file=sys.stderr,
    )
    return 1


def _report(options: argparse.Namespace) -> int:
    from benchmarks.report import write_report  # noqa: PLC0415

    folder = ResultFolder(options.out)
    for suite in folder.suites(options.suites):
        write_report(suite, folder)
    return 0


def _headline(options: argparse.Namespace) -> int:
    from benchmarks.headline import write_headline  # noqa: PLC0415

    print(write_headline(ResultFolder(options.out), options.figure).markdown())
    return 0


def _zoo(options: argparse.Namespace) -> int:
    from benchmarks.zoo import zoo_table  # noqa: PLC0415

    print(zoo_table(ResultFolder(options.out)).markdown())
    return 0


def _kinds(options: argparse.Namespace) -> int:
    from benchmarks.kinds import kinds_table  # noqa: PLC0415

    print(kinds_table(ResultFolder(options.out)).markdown())
    return 0


def _pack(options: argparse.Namespace) -> int:
    folder = ResultFolder(options.out)
    for suite in folder.suites(options.suites):
        print(f"{suite.name}: {folder.pack(suite)} cells packed")
    return 0


def _unpack(options: argparse.Namespace) -> int:
    folder = ResultFolder(options.out)
    for suite in folder.suites(options.suites):
        print(f"{suite.name}: {folder.unpack(suite)} cells unpacked")
    return 0


def _status(options: argparse.Namespace) -> int:
    folder = ResultFolder(options.out)
    manifest = folder.manifest()
    for suite in folder.suites(options.suites):
        counts: dict[tuple[str, str], dict[str, int]] = {}
        for cell in suite.cells():
            row = counts.setdefault((cell.environment, cell.algorithm), dict.fromkeys(STATES, 0))
            row[folder.state(cell, manifest)] += 1
        rows = [[*names, *map(str, row.values())] for names, row in counts.items()]
        print(f"{suite.name}\n\n{Table(['environment', 'algorithm', *STATES], rows).markdown()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
