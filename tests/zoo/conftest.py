"""A folder to work in as a user would, with the expert data that the configurations name."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sb3_diiqn.record import make_environment, record_expert

pytest.importorskip("rl_zoo3", reason="the extra 'zoo' is not installed")

from sb3_diiqn.zoo.__main__ import main
from sb3_diiqn.zoo.configurations import ExpertFile
from sb3_diiqn.zoo.environments import register_environments
from sb3_diiqn.zoo.expert import within_bounds

ROOT = Path(__file__).parents[2]
register_environments()


def record_random(file: ExpertFile, folder: Path, n_steps: int = 300) -> None:
    """Make a file of expert data quickly: what a random policy goes through."""
    if file.path(folder).exists():
        return
    env = make_environment(file.env_id)
    data = record_expert(env, n_steps=n_steps, seed=0).expert_data
    within_bounds(data, env.observation_space).save(file.path(folder))
    env.close()


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one; rl-zoo finds its command line where a process has it, so that is put back as well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    return tmp_path


Start = Callable[..., Callable[[], str]]
"""Starts a command in a process of its own, and returns a function that waits for it and returns what it printed."""

ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SDL_VIDEODRIVER": "dummy", "PYTHONWARNINGS": "ignore"}


@pytest.fixture
def start_python(workplace: Path) -> Start:
    """Start a script or module in the folder: ``start_python("-m", "sb3_diiqn.zoo", "train", ...)``."""

    def start(*arguments: object) -> Callable[[], str]:
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=workplace,
            env={**os.environ, **ENVIRONMENT},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

        def output() -> str:
            printed, _ = process.communicate(timeout=300)
            assert process.returncode == 0, printed
            return printed

        return output

    return start


@pytest.fixture
def start_zoo(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """
    Start the zoo's command line in the folder: ``start_zoo("train", ...)``.

    The processes are forked from one that has imported everything, because importing takes longer than all the rest.
    """
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.zoo.conftest", "torch._dynamo"])

    def start(*arguments: object) -> Callable[[], str]:
        path = workplace / f"output-{len(list(workplace.glob('output-*')))}"
        path.touch()
        process = context.Process(target=_run_zoo, args=(list(map(str, arguments)), workplace, path))
        process.start()

        def output() -> str:
            process.join(timeout=300)
            assert process.exitcode == 0, path.read_text(encoding="utf-8")
            return path.read_text(encoding="utf-8")

        return output

    return start


def _run_zoo(arguments: list[str], folder: Path, output: Path) -> None:
    os.chdir(folder)
    np.random.seed()  # noqa: NPY002 - what is forked would else go on with the same random numbers
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(main(arguments))
