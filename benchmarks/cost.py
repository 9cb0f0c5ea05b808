"""What a training takes of the CPU time, beside one of the baseline: both in turns, a stretch each."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback

from benchmarks.algorithms import BASELINE, find_algorithm
from benchmarks.backends import local_backend
from benchmarks.cell import model_of
from benchmarks.progress import Progress
from benchmarks.provenance import describe_machine, git_revision
from benchmarks.runner import check_runnable, make_experts
from benchmarks.storage import ResultFolder
from benchmarks.suite import Cell, Suite, load_suite
from sb3_diiqn.exceptions import ConfigurationError, DIIQNError
from sb3_diiqn.expert.manifest import read_json, write_json

N_STRETCHES = 50
"""In so many parts each of the two trainings is cut."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's arguments.

    :param parser: of the command
    """
    parser.add_argument("suite", metavar="SUITE", help="name of a shipped suite, or path of a .yml file")
    parser.add_argument("--algorithms", nargs="+", required=True, metavar="NAME", help=f"those to compare with {BASELINE}")
    parser.add_argument("--environments", nargs="+", metavar="NAME", help="where (default: everywhere)")
    parser.add_argument("--variation", metavar="NAME", help=f"of these algorithms, not of {BASELINE} (default: the first)")


def run(options: argparse.Namespace) -> int:
    """
    Measure what has not been measured yet.

    :param options: parsed arguments
    :return: exit code
    """
    suite, folder = load_suite(options.suite), ResultFolder(options.out)
    _require_known(options.algorithms, "--algorithms", suite, suite.algorithms)
    _require_known(options.environments or (), "--environments", suite, suite.environments)
    _require_known([options.variation] if options.variation else (), "--variation", suite, suite.variations)
    check_runnable(suite)
    pairs = [
        _pair(suite, environment, algorithm, options.variation)
        for environment in options.environments or suite.environments
        for algorithm in options.algorithms
    ]
    todo = [pair for pair in pairs if load_cost(folder, *pair) is None]
    print(f"{len(pairs) - len(todo)} pairs are measured already, {len(todo)} to do", flush=True)
    folder.save_suite(suite)
    with local_backend(1) as backend:
        errors = make_experts([suite], [cell for pair in todo for cell in pair], folder, backend)
        if errors:
            raise DIIQNError(f"these experts could not be made: {', '.join(errors)}")
        for pair in todo:
            measured = measure(pair, folder)
            write_json(folder.cost(pair[1]), measured)
            before, after = (taken[-1] for taken in measured["seconds"])
            named = f"{pair[1].environment} {pair[1].algorithm} {pair[1].variation}"
            print(f"{named}: {before / after:.3g} times as fast as {BASELINE}", flush=True)
    return 0


def _require_known(names: Iterable[str], option: str, suite: Suite, known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigurationError(f"{option} {name}: suite {suite.name!r} has {', '.join(known)}.")


def _pair(suite: Suite, environment: str, algorithm: str, variation: str | None) -> tuple[Cell, Cell]:
    """Find the baseline's cell of its first variation, and the algorithm's."""
    required = find_algorithm(suite.algorithms[algorithm].algorithm_class)
    if not required.is_available:
        raise ConfigurationError(f"--algorithms {algorithm}: it requires {required.requires}, which is not installed.")
    pair = []
    for name, wanted in ((suite.baseline or BASELINE, None), (algorithm, variation)):
        found = [names for names in suite.combinations() if names[:2] == (environment, name) and wanted in (None, names[2])]
        if not found:
            of = "" if wanted is None else f", variation {wanted!r},"
            raise ConfigurationError(
                f"--algorithms {algorithm}: suite {suite.name!r} does not run {name!r}{of} in {environment!r}."
            )
        pair.append(suite.cell(*found[0], suite.seeds[0]))
    return pair[0], pair[1]


def load_cost(folder: ResultFolder, baseline: Cell, cell: Cell) -> dict[str, Any] | None:
    """
    Read what was measured.

    :param baseline: the baseline's cell, of any seed
    :param cell: the algorithm's
    :return: ``steps``, shape (n,), and the ``seconds`` of the baseline and of the algorithm until then, shape (2, n); None if
        that was not measured, or with other settings
    """
    measured = read_json(folder.cost(cell))
    if not isinstance(measured, dict) or measured.get("settings_hashes") != [baseline.settings_hash, cell.settings_hash]:
        return None
    return measured


def measure(pair: tuple[Cell, Cell], folder: ResultFolder) -> dict[str, Any]:
    """
    Train two cells in turns.

    :param pair: the baseline's, and another
    :param folder: has the experts
    :return: see :func:`load_cost`
    :raises DIIQNError: if a training ends early
    """
    n_steps = pair[1].settings["n_timesteps"]
    steps: list[int] = []
    seconds: list[list[float]] = [[], []]
    with Progress(2 * n_steps) as progress, _training(pair[0], folder) as first, _training(pair[1], folder) as second:
        trainings = [first, second]
        for number in range(N_STRETCHES):
            # what else the machine does hits both; who goes first takes turns, too
            for index in (0, 1) if number % 2 == 0 else (1, 0):
                step, taken = _train_stretch(trainings[index], pair[index])
                seconds[index].append(round(taken + sum(seconds[index][-1:]), 3))
            steps.append(step)
            progress.update(2 * step, f"{pair[1].environment} {pair[1].algorithm}")
    return {
        "settings_hashes": [cell.settings_hash for cell in pair],
        "baseline": pair[0].algorithm,
        "steps": steps,
        "seconds": seconds,
        "machine": describe_machine(),
        "git_revision": git_revision(),
    }


@contextmanager
def _training(cell: Cell, folder: ResultFolder) -> Iterator[Connection]:
    """Start a training in a process of its own, which waits to be told to go on."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    expert = folder.expert(cell.expert) if cell.expert else None
    process = context.Process(target=train_in_turns, args=(theirs, cell, expert), daemon=True)
    process.start()
    theirs.close()  # so that ours ends when the process does
    try:
        yield ours
    finally:
        ours.close()
        process.terminate()
        process.join()


def _train_stretch(connection: Connection, cell: Cell) -> tuple[int, float]:
    """Let a training go on, and tell the step at which it waits again, and the seconds of the CPU time until then."""
    try:
        connection.send("go on")
        step, taken = connection.recv()
    except (EOFError, OSError) as error:
        raise DIIQNError(f"{cell}: the training ended early; its own error is above.") from error
    return step, taken


def train_in_turns(connection: Connection, cell: Cell, expert_data: Path | None) -> None:
    """
    Train a cell, a stretch each time that something is received, and send the step and the seconds that it took.

    :param connection: to who tells when to go on
    :param cell: what to train
    :param expert_data: recordings, None if it uses none
    """
    torch.set_num_threads(1)
    n_timesteps = cell.settings["n_timesteps"]
    model_of(cell, expert_data).learn(n_timesteps, callback=Turns(connection, n_timesteps))


class Turns(BaseCallback):
    """
    Lets a training wait for its turn after each stretch. Only the CPU time of the training itself counts.

    :param connection: see :func:`train_in_turns`
    :param n_timesteps: length of the training
    """

    def __init__(self, connection: Connection, n_timesteps: int) -> None:
        super().__init__()
        self._connection, self._n_timesteps = connection, n_timesteps
        self._n_done, self._started = 0, 0.0

    def _on_training_start(self) -> None:
        self._wait()

    def _on_step(self) -> bool:
        # the last stretch ends with the training, after its last update
        while self._n_done < N_STRETCHES - 1 and self.num_timesteps * N_STRETCHES >= (self._n_done + 1) * self._n_timesteps:
            self._tell()
            self._wait()
        return True

    def _on_training_end(self) -> None:
        self._tell()

    def _tell(self) -> None:
        self._n_done += 1
        self._connection.send((self.num_timesteps, time.process_time() - self._started))

    def _wait(self) -> None:
        self._connection.recv()
        self._started = time.process_time()
