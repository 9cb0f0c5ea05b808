"""Running suites: experts first, then the cells that are not finished yet."""

from __future__ import annotations

import fnmatch
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.algorithms import constructor_arguments, find_algorithm
from benchmarks.backends import Backend, local_backend
from benchmarks.cell import run_cell
from benchmarks.experts import make_recordings, plain_recording, policy_path, train_policy, true_actions
from benchmarks.jobs import Job, message, run_jobs
from benchmarks.progress import duration
from benchmarks.recipes import ExpertRecipe
from benchmarks.storage import ResultFolder
from benchmarks.suite import Cell, Suite
from benchmarks.training import resolve_settings
from sb3_diiqn.exceptions import ConfigurationError, DIIQNError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.manifest import write_json, write_text
from sb3_diiqn.expert.training import final_return
from sb3_diiqn.record import make_environment


@dataclass
class Outcome:
    """
    What a run came to.

    :param finished: number of cells finished by this run
    :param skipped: number of cells that were finished before
    :param left_out: cells whose algorithm requires what is not installed here
    :param failed: error of every cell that failed
    """

    finished: int = 0
    skipped: int = 0
    left_out: list[Cell] = field(default_factory=list)
    failed: dict[Cell, str] = field(default_factory=dict)


def run_suites(
    suites: list[Suite],
    folder: ResultFolder,
    workers: int,
    backend: AbstractContextManager[Backend] | None = None,
    only: Sequence[str] = ("*",),
) -> Outcome:
    """
    Run all cells that are not finished yet.

    :param workers: number of processes on this machine
    :param backend: where cells run instead, for instance a Ray cluster; experts are always made on this machine
    :param only: patterns of the cells to be run, as ``Breakout/dqn/*``, see :attr:`Cell.path`
    :raises ConfigurationError: before anything starts, if a suite asks for something that does not exist
    """
    for suite in suites:
        check_runnable(suite)
    cells = [cell for suite in suites for cell in suite.cells() if _matches(cell, only)]
    if not cells:
        raise ConfigurationError(
            f"--only {' '.join(only)}: no cell is called like that; they are called as {_name(suites[0].cells()[0])}."
        )
    for suite in suites:
        folder.save_suite(suite)
    # a cluster that cannot be reached is noticed before experts are made
    with local_backend(workers) as local, backend or nullcontext(local) as opened:
        errors = make_experts(suites, cells, folder, local)
        outcome, manifest = Outcome(), folder.manifest()
        todo = _todo(cells, folder, manifest, errors, outcome)
        print(f"{outcome.skipped} cells are finished already, {len(todo)} to do", flush=True)
        if todo:
            _run_cells(todo, folder, manifest, opened, outcome)
    return outcome


def check_runnable(suite: Suite) -> None:
    """
    Check what can be checked without training: algorithms, environments, names of settings.

    :raises ConfigurationError: naming suite, environment, algorithm and what is wrong
    """
    for environment in suite.environments.values():
        try:
            make_environment(environment.id, **environment.env_kwargs).close()
        except DIIQNError as error:
            raise ConfigurationError(
                f"Suite {suite.name!r}, key 'environments.{environment.name}', env_kwargs {environment.env_kwargs}: {error}"
            ) from error
    for names in suite.combinations():
        cell = suite.cell(*names, seed=0)
        if not _is_available(cell):
            continue
        settings = cell.settings
        where = f"Suite {suite.name!r}, {', '.join(names)}"
        try:
            algorithm = find_algorithm(settings["class"]).load()
            resolve_settings(settings["settings"])
        except DIIQNError as error:
            raise ConfigurationError(f"{where}: {error}") from error
        known = constructor_arguments(algorithm)
        for key, value in settings["settings"].items():
            if key not in known:
                raise ConfigurationError(
                    f"{where}: {algorithm.__name__} has no argument {key!r} (value {value!r}); known: {', '.join(known)}."
                )


def make_experts(suites: list[Suite], cells: list[Cell], folder: ResultFolder, backend: Backend) -> dict[str, str]:
    """
    Make all experts that are not there yet and that unfinished cells need, or the suites' plots of what these cells are of.

    :param cells: those that are to be run
    :return: error by name of the expert, for those that could not be made
    """
    manifest = folder.manifest()
    missing = {
        recipe.name: recipe for recipe in _needed(suites, cells, folder, manifest) if not _is_made(recipe, folder, manifest)
    }
    if not missing:
        return {}
    errors = _train_policies(list(missing.values()), folder, backend)
    jobs = {
        name: Job(make_recordings, (recipe, folder.experts), recipe.settings.get("n_steps", 0))
        for name, recipe in missing.items()
        if name not in errors
    }
    for name, result, say in run_jobs(jobs, backend, "experts"):
        if isinstance(result, BaseException):
            errors[name] = message(result)
            continue
        folder.add_to_manifest(name, result)
        returns = "no rewards recorded" if result["mean_return"] is None else f"mean return {result['mean_return']:.4g}"
        say(f"expert {name}: {result['n_transitions']} transitions, {returns}")
    for name, error in errors.items():
        print(f"expert {name}: failed: {error}", flush=True)
    return errors


def _train_policies(recipes: list[ExpertRecipe], folder: ResultFolder, backend: Backend) -> dict[str, str]:
    """Train the policies of experts, each policy once; return the errors by name of the expert."""
    by_path: dict[Path, list[ExpertRecipe]] = defaultdict(list)
    for recipe in recipes:
        if recipe.kind == "train" and plain_recording(recipe, folder.experts) is None:
            by_path[policy_path(recipe, folder.experts)].append(recipe)
    jobs = {}
    for path, (recipe, *_) in by_path.items():
        steps = recipe.settings["training"]["n_timesteps"]
        jobs[path] = Job(train_policy, (recipe, folder.experts), steps, heartbeat=path.with_suffix(".running"))
    errors: dict[str, str] = {}
    for path, result, say in run_jobs(jobs, backend, "expert policies"):
        if isinstance(result, BaseException):
            errors |= {recipe.name: message(result) for recipe in by_path[path]}
        else:
            say(f"policy {path.stem}: greedy return {result['greedy_return']:.4g} after {result['steps']} steps")
    return errors


def _needed(
    suites: list[Suite], cells: list[Cell], folder: ResultFolder, manifest: dict[str, dict[str, Any]]
) -> Iterator[ExpertRecipe]:
    available = [cell for cell in cells if _is_available(cell)]
    shown = {(cell.suite, cell.environment) for cell in available}
    for suite in suites:
        lines = [suite.expert(name) for name in suite.environments if (suite.name, name) in shown]
        # in the plots, even if nobody learns from it
        yield from (recipe for recipe in lines if recipe is not None and recipe.name not in manifest)
    for cell in available:
        if cell.expert and folder.state(cell, manifest) != "finished":
            yield cell.expert


def _matches(cell: Cell, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(_name(cell), pattern) for pattern in patterns)


def _name(cell: Cell) -> str:
    """Name a cell as patterns do."""
    return cell.path.with_suffix("").as_posix()


def _is_available(cell: Cell) -> bool:
    return find_algorithm(cell.settings["class"]).is_available


def _is_made(recipe: ExpertRecipe, folder: ResultFolder, manifest: dict[str, dict[str, Any]]) -> bool:
    try:
        path = folder.expert(recipe)
        return recipe.name in manifest and ExpertObservations.load(path).content_hash == manifest[recipe.name]["content_hash"]
    except DIIQNError:
        return False


def _todo(
    cells: list[Cell], folder: ResultFolder, manifest: dict[str, dict[str, Any]], errors: dict[str, str], outcome: Outcome
) -> list[Cell]:
    """Find the cells to be run; note those that are finished, cannot be run here, or have no expert."""
    todo = []
    for cell in cells:
        state = folder.state(cell, manifest)
        if state == "finished":
            outcome.skipped += 1
        elif not _is_available(cell):
            outcome.left_out.append(cell)
        elif cell.expert and cell.expert.name in errors:
            outcome.failed[cell] = f"its expert could not be made: {errors[cell.expert.name]}"
        else:
            todo.append(cell)
            if state in {"outdated", "broken"}:
                reason = "its settings or its expert changed" if state == "outdated" else "its file is damaged"
                print(f"{cell}: done again, because {reason}", flush=True)
    return todo


def _run_cells(
    cells: list[Cell], folder: ResultFolder, manifest: dict[str, dict[str, Any]], backend: Backend, outcome: Outcome
) -> None:
    shared = {cell.expert.name: cell.expert for cell in cells if cell.expert}
    data = {name: backend.share(folder.expert(recipe)) for name, recipe in shared.items()}
    jobs = {}
    for cell in cells:
        folder.error(cell).unlink(missing_ok=True)
        expert = (data[cell.expert.name], manifest[cell.expert.name]) if cell.expert else (None, {})
        actions = true_actions(cell, folder.experts, expert[1].get("content_hash", ""))
        heartbeat = folder.heartbeat(cell).absolute()
        heartbeat.parent.mkdir(parents=True, exist_ok=True)
        heartbeat.unlink(missing_ok=True)  # left over from a run that was killed
        jobs[cell] = Job(run_cell, (cell, *expert, heartbeat, actions), cell.settings["n_timesteps"], heartbeat)
    for cell, result, say in run_jobs(jobs, backend, "cells"):
        if isinstance(result, BaseException):
            outcome.failed[cell] = message(result)
            write_text(folder.error(cell), "".join(traceback.format_exception(result)))
            say(f"{cell}: failed: {outcome.failed[cell]}")
        else:
            write_json(folder.cell(cell), result)
            outcome.finished += 1
            final = final_return(result["greedy"]["step"], result["greedy"]["mean"], cell.settings["n_timesteps"])
            say(f"{cell}: greedy return {final:.4g} in {duration(result['wall_time'])}")
