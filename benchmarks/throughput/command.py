"""The command ``throughput``: what to measure, each row in a process of its own, and what to show of it."""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.provenance import describe_machine
from benchmarks.tables import Table
from benchmarks.throughput.networks import measure_networks
from benchmarks.throughput.parts import measure_matching, measure_update
from benchmarks.throughput.tasks import TASKS, record
from benchmarks.throughput.training import compare_trainings
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.manifest import write_text

PARTS = ("training", "default", "bridging", "matching", "update", "networks")

#: Size of the expert data of those parts that are not about size.
USUAL_SIZE = 100_000

#: HADIIQN is compared with a small and with a large replay buffer.
BUFFER_SIZES = (10_000, 1_000_000)

_SHOWN = {
    "default": (
        *("env", "n_envs", "expert_transitions", "dqn_steps_per_s", "default_steps_per_s", "ratio", "ratio_min", "ratio_max"),
        *("recall", "matched", "usable"),
    ),
    "training": (
        *("env", "n_envs", "expert_transitions", "dqn_steps_per_s", "diiqn_steps_per_s", "ratio", "ratio_min", "ratio_max"),
        *("ratio_wall", "recall", "matched", "usable", "index_build_s", "rss_mb"),
    ),
    "bridging": (
        *("env", "expert_transitions", "buffer_size", "diiqn_steps_per_s", "hadiiqn_steps_per_s"),
        *("ratio", "ratio_min", "ratio_max", "ratio_wall"),
    ),
    "matching": (
        *("env", "expert_transitions", "states", "us_per_transition", "us_min", "us_max", "recall"),
        *("index_build_s", "expert_mb", "index_rss_mb"),
    ),
    "update": ("env", "batch", "expert_rows", "dqn_ms", "diiqn_ms", "floor_ms", "ratio", "ratio_min", "ratio_max"),
    "networks": ("env", "expert_transitions", "steps", "steps_per_s", "share", "learning_share", "asking_share"),
}


@dataclass(frozen=True)
class Job:
    """A row of results that is still to be measured."""

    part: str
    task: str
    size: int
    measure: Callable[..., dict[str, Any]]
    arguments: dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's arguments.

    :param parser: of the command
    """
    parser.add_argument("--env", nargs="+", choices=list(TASKS), default=["breakout", "seaquest", "lander"])
    parser.add_argument(
        "--expert-size",
        nargs="+",
        type=int,
        default=[0, 30_000, 100_000, 1_000_000],
        help="expert transitions (default: %(default)s)",
    )
    parser.add_argument("--n-envs", nargs="+", type=int, default=[1, 8], help="parallel environments (default: %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure (default: all)")
    parser.add_argument("--pairs", type=int, default=5, help="measured in turns so many times (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=2000, help="environment steps in each turn (default: %(default)s)")
    parser.add_argument(
        "--training-steps",
        nargs="+",
        type=int,
        default=[200_000],
        help="environment steps of a whole training, for the part networks (default: %(default)s)",
    )
    parser.add_argument("--device", default="cpu", help="where the networks are (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, one JSON object per line")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw speed over the size of the expert data there")
    parser.add_argument("--experts", type=Path, metavar="FOLDER", help="keep recordings there (default: do not keep them)")


def run(options: argparse.Namespace) -> int:
    """
    Measure everything that was asked for.

    :param options: parsed arguments
    :return: exit code
    """
    for name in ("pairs", "steps"):
        if getattr(options, name) < 1:
            raise ConfigurationError(f"--{name} {getattr(options, name)}: it must be at least 1")
    if min(options.expert_size) < 0 or min(options.n_envs) < 1 or min(options.training_steps) < 1:
        raise ConfigurationError("--expert-size must be at least 0, --n-envs and --training-steps at least 1")
    rows = [{"part": "machine", **describe_machine()}]
    print(json.dumps(rows[0]))
    with tempfile.TemporaryDirectory() as temporary:
        for job in plan(options):
            path = (options.experts or Path(temporary)) / f"{job.task}-{job.size}.npz"
            if job.size and not path.exists():
                in_own_process(_record, job.task, job.size, path)
            row = {"part": job.part, **in_own_process(_measure, job, path)}
            rows.append(row)
            print(json.dumps(row), flush=True)
            if options.json:
                write_text(options.json, "".join(json.dumps(one) + "\n" for one in rows))
    for part in options.parts:
        print(f"\n{part}\n\n{table(part, rows).markdown()}")
    if options.plot:
        from benchmarks.throughput.plot import write_plot  # noqa: PLC0415 - needs an extra

        write_plot(rows, options.plot)
    return 0


def plan(options: argparse.Namespace) -> Iterator[Job]:
    """
    List what is to be measured.

    :param options: parsed arguments
    """
    for task in options.env:
        sizes = sorted({min(size, TASKS[task].max_transitions) for size in options.expert_size})
        filled = [size for size in sizes if size]
        if "training" in options.parts:
            yield from (_training(options, task, size, n_envs) for size in sizes for n_envs in options.n_envs)
        if "default" in options.parts:
            yield from (
                replace(_training(options, task, size, n_envs, ("dqn", "default")), part="default")
                for size in filled
                for n_envs in options.n_envs
            )
        if "matching" in options.parts:
            yield from (Job("matching", task, size, measure_matching, {"n_rounds": options.pairs}) for size in filled)
        if filled:
            yield from _plan_of_usual_size(options, task, min(filled, key=lambda size: abs(math.log(size / USUAL_SIZE))))


def _plan_of_usual_size(options: argparse.Namespace, task: str, size: int) -> Iterator[Job]:
    if "bridging" in options.parts:
        for buffer_size in BUFFER_SIZES:
            job = _training(options, task, size, n_envs=1, names=("diiqn", "hadiiqn"), buffer_size=buffer_size)
            yield replace(job, part="bridging")
    if "update" in options.parts:
        n_updates = max(1, options.steps // 20)
        arguments = {"n_rounds": options.pairs, "n_updates": n_updates, "device": options.device}
        yield Job("update", task, size, measure_update, arguments)
    if "networks" in options.parts:
        for n_steps in options.training_steps:
            yield Job("networks", task, size, measure_networks, {"n_steps": n_steps, "device": options.device})


def _training(
    options: argparse.Namespace, task: str, size: int, n_envs: int, names: tuple[str, str] = ("dqn", "diiqn"), **more: Any
) -> Job:
    arguments = {"n_pairs": options.pairs, "n_steps": options.steps, "device": options.device}
    return Job("training", task, size, compare_trainings, {"names": names, "n_envs": n_envs, **arguments, **more})


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """
    Call a function in a fresh process, whose memory is then its own.

    :param function: a function of a module
    :param arguments: its arguments
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _record(task: str, size: int, path: Path) -> None:
    record(TASKS[task], size).save(path)


def _measure(job: Job, path: Path) -> dict[str, Any]:
    expert = ExpertObservations.load(path) if job.size else None
    return job.measure(task=job.task, expert=expert, **job.arguments)


def table(part: str, rows: list[dict[str, Any]]) -> Table:
    """
    Make the table of a part.

    :param part: one of :data:`PARTS`
    :param rows: rows of results, also of other parts
    """
    chosen = [row for row in rows if row["part"] == part]
    header = [name for name in _SHOWN[part] if any(name in row for row in chosen)]
    return Table(header, [[str(row.get(name, "")) for name in header] for row in chosen])
