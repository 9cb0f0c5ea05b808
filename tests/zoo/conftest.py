"""A folder to work in as a user would, with the expert data that the configurations name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sb3_diiqn.record import make_environment, record_expert

pytest.importorskip("rl_zoo3", reason="the extra 'zoo' is not installed")

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


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(workplace: Path) -> Start:
    """Start a script or module in the folder: ``start("-m", "sb3_diiqn.zoo", "train", ...)``."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "SDL_VIDEODRIVER": "dummy",
    }

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "ignore", *map(str, arguments)]
        return subprocess.Popen(
            command,
            cwd=workplace,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    return start


def output_of(process: subprocess.Popen[str]) -> str:
    """What a process prints; it must succeed."""
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, f"{output[-2000:]}\n{errors}"
    return output
