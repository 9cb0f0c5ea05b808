"""Where cells run: a worker that died, a cluster that is not there, packages that are not installed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.__main__ import main
from benchmarks.algorithms import ALGORITHMS
from benchmarks.backends import local_backend
from benchmarks.storage import ResultFolder

SUITE: dict[str, Any] = {
    "seeds": 1,
    "evaluation": {"every": 100, "episodes": 1, "max_steps": 10},
    "environments": {"pole": {"id": "CartPole-v1", "n_timesteps": 100, "settings": {"policy": "MlpPolicy"}}},
    "algorithms": {"dqn": {}},
}


@pytest.mark.slow
def test_a_worker_that_died_idle_is_replaced() -> None:
    others = set(multiprocessing.active_children())
    with local_backend(1) as backend:
        first = backend.submit(os.getpid)
        assert first.result() != os.getpid()
        backend.finished(first)
        (process,) = set(multiprocessing.active_children()) - others
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        while not backend._idle[0]._broken:  # type: ignore[attr-defined]
            time.sleep(0.01)
        second = backend.submit(os.getpid)
        assert second.result() not in {os.getpid(), process.pid}


def test_a_cluster_that_is_not_there_is_noticed_before_experts_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")

    def unreachable(**arguments: Any) -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(ray, "init", unreachable)
    source = SUITE | {"algorithms": {"diiqn": {}}}
    source["environments"] = {"pole": SUITE["environments"]["pole"] | {"expert": {"kind": "random", "n_steps": 50}}}
    path = tmp_path / "tiny.yml"
    path.write_text(yaml.safe_dump(source))
    assert main(["run", str(path), "--out", str(tmp_path), "--backend", "ray", "--address", "head:6379"]) == 2
    assert "no Ray cluster at the address 'head:6379': nobody answers" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.slow
def test_a_class_that_is_not_installed_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = replace(ALGORITHMS["qrdqn"], path="no_such_package:QRDQN", requires="no_such_package")
    monkeypatch.setitem(ALGORITHMS, "qrdqn", absent)
    path = tmp_path / "tiny.yml"
    path.write_text(yaml.safe_dump(SUITE | {"algorithms": {"qrdqn": {}}}))
    assert main(["run", str(path), "--out", str(tmp_path), "--workers", "1"]) == 0
    assert "cells that require no_such_package are left out" in capsys.readouterr().out


@pytest.mark.slow
def test_a_part_of_a_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = SUITE | {"seeds": 2, "algorithms": {"dqn": {}, "diiqn": {}}}
    expert = {"expert": {"kind": "random", "n_steps": 50}}
    environments = dict.fromkeys(("pole", "other"), SUITE["environments"]["pole"] | expert)
    path = tmp_path / "tiny.yml"
    path.write_text(yaml.safe_dump(source | {"environments": environments}))
    run = ["run", str(path), "--out", str(tmp_path), "--workers", "1", "--only"]
    assert main([*run, "pole/dqn/*/seed-1", "pole/diiqn/default/seed-0"]) == 0
    assert "0 cells are finished already, 2 to do" in capsys.readouterr().out
    folder = ResultFolder(tmp_path)
    (suite,) = folder.suites()
    finished = [str(cell.path) for cell in suite.cells() if folder.state(cell, folder.manifest()) == "finished"]
    assert sorted(finished) == ["pole/diiqn/default/seed-0.json", "pole/dqn/default/seed-1.json"]
    assert len(suite.cells()) == 8, "the whole suite is kept for the report"
    assert {path.name.split("-")[0] for path in folder.experts.glob("*.npz")} == {"pole"}
    assert main([*run, "poles/*"]) == 2
    assert (
        "--only poles/*: no cell is called like that; they are called as other/diiqn/default/seed-0."
        in capsys.readouterr().err
    )
