"""The runner: finished, interrupted, damaged, failing."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.__main__ import main
from benchmarks.algorithms import ALGORITHMS
from benchmarks.backends import local_backend
from benchmarks.jobs import Job, message, run_jobs
from benchmarks.storage import ResultFolder, write_json
from benchmarks.suite import Cell, load_suite
from sb3_diiqn.exceptions import ConfigurationError

REPOSITORY = Path(__file__).parents[2]


def _source() -> dict[str, Any]:
    return {
        "seeds": 2,
        "evaluation": {"every": 150, "episodes": 2, "max_steps": 50},
        "environments": {
            "pole": {
                "id": "CartPole-v1",
                "n_timesteps": 300,
                "settings": {"policy": "MlpPolicy", "learning_starts": 50, "policy_kwargs": {"net_arch": [8]}},
                "expert": {"kind": "random", "n_steps": 50},
            }
        },
        "algorithms": {"dqn": {}, "diiqn": {}},
    }


def _write(path: Path, source: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(source, sort_keys=False), encoding="utf-8")
    return path


def _files(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_text())
        for path in folder.glob("tiny/cells/**/*.json")
    }


def _curves(text: str) -> dict[str, Any]:
    result = json.loads(text)
    return {key: result[key] for key in ("training", "greedy", "expert_statistics")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished suite, run by two workers."""
    folder = tmp_path_factory.mktemp("finished")
    assert main(["run", str(_write(folder / "tiny.yml", _source())), "--out", str(folder), "--workers", "2"]) == 0
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Two processes may run parts of one suite into the same folder, and both write its suite.json."""
    path = tmp_path / "suite.json"
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda number: write_json(path, [number] * 1000), range(200)))
    assert len(written) == 200
    assert len(set(json.loads(path.read_text()))) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["suite.json"]


@pytest.mark.slow
def test_finished_suite(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = _files(finished)
    assert sorted(files) == [
        f"tiny/cells/pole/{name}/default/seed-{seed}.json" for name in ("diiqn", "dqn") for seed in (0, 1)
    ]
    for name, (_, text) in files.items():
        result = json.loads(text)
        assert result["status"] == "finished"
        assert result["greedy"]["step"] == [150, 300]
        assert bool(result["expert_statistics"]) == bool(result["expert"]) == ("diiqn" in name)
        assert [entry["step"] for entry in result["agreement"]] == ([150, 300] if "diiqn" in name else [])
    manifest = json.loads((finished / "experts" / "manifest.json").read_text())
    assert [entry["n_transitions"] for entry in manifest.values()] == [50]
    assert not list(finished.glob("**/*.tmp")) + list(finished.glob("**/*.running"))

    main(["status", str(finished / "tiny.yml"), "--out", str(finished)])
    rows = [line.replace(" ", "") for line in capsys.readouterr().out.splitlines()]
    assert "|environment|algorithm|finished|running|failed|outdated|broken|missing|" in rows
    assert {"|pole|dqn|2|0|0|0|0|0|", "|pole|diiqn|2|0|0|0|0|0|"} <= set(rows)

    assert main(["run", str(finished / "tiny.yml"), "--out", str(finished)]) == 0
    assert "4 cells are finished already, 0 to do" in capsys.readouterr().out
    assert _files(finished) == files, "nothing was done twice"


@pytest.mark.slow
def test_what_requires_another_package_is_left_out(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    source = _source()
    source["algorithms"]["gaifo"] = {"expert": {"n_steps": 60}}
    n_experts = len(list((tmp_path / "experts").glob("*.npz")))
    monkeypatch.setitem(ALGORITHMS, "gaifo", replace(ALGORITHMS["gaifo"], requires="no_such_package"))
    assert main(["run", str(_write(tmp_path / "tiny.yml", source)), "--out", str(tmp_path), "--workers", "2"]) == 0
    out = capsys.readouterr().out
    assert "4 cells are finished already, 0 to do" in out
    assert "cells that require no_such_package are left out" in out and "all other cells are finished" in out
    assert not (tmp_path / "tiny" / "cells" / "pole" / "gaifo").exists()
    assert len(list((tmp_path / "experts").glob("*.npz"))) == n_experts, "nor is its expert made"


@pytest.mark.slow
def test_damaged_failing_and_changed_cells(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _files(copied)
    cells = copied / "tiny" / "cells" / "pole"
    damaged = cells / "dqn" / "default" / "seed-0.json"
    damaged.write_text(damaged.read_text()[:200], encoding="utf-8")
    source = _source()
    absent = {"kind": "file", "path": str(copied / "absent.npz")}
    source["algorithms"]["no-data"] = {"class": "diiqn", "expert": absent}
    source["algorithms"]["broken"] = {"class": "dqn", "settings": {"policy": "NoSuchPolicy"}}
    source["algorithms"]["diiqn"] = {"settings": {"matching_kwargs": {"similarity_threshold": 0.9}}}
    source["seeds"] = [0]
    arguments = ["run", str(_write(copied / "tiny.yml", source)), "--out", str(copied), "--workers", "2"]
    assert main(arguments) == 1
    out, error = capsys.readouterr()
    assert "pole dqn default seed 0: done again, because its file is damaged" in out
    assert "pole diiqn default seed 0: done again, because its settings or its expert changed" in out
    assert "2 cells failed" in error and "pole broken default seed 0: ValueError: Policy NoSuchPolicy unknown" in error
    assert "pole no-data default seed 0: its expert could not be made: ExpertDataError" in error and "absent.npz" in error
    assert "NoSuchPolicy" in (cells / "broken" / "default" / "seed-0.error.txt").read_text()

    after = _files(copied)
    assert after.keys() == before.keys()
    redone = {name for name in after if after[name] != before[name]}
    assert redone == {f"tiny/cells/pole/{name}/default/seed-0.json" for name in ("dqn", "diiqn")}
    name = "tiny/cells/pole/dqn/default/seed-0.json"
    assert _curves(after[name][1]) == _curves(before[name][1]), "the same seed gives the same curves in any process"

    main(["status", "--out", str(copied)])
    rows = {line.replace(" ", "") for line in capsys.readouterr().out.splitlines()}
    assert {
        "|pole|dqn|1|0|0|0|0|0|",
        "|pole|diiqn|1|0|0|0|0|0|",
        "|pole|broken|0|0|1|0|0|0|",
        "|pole|no-data|0|0|0|0|0|1|",
    } <= rows


@pytest.mark.slow
def test_recordings_are_made_again_only_for_cells_that_need_them(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Finished results without recordings are how a repository keeps them."""
    (recordings,) = [path for path in copied.glob("experts/*.npz") if "-actions" not in path.name]
    recordings.unlink()
    arguments = ["run", str(copied / "tiny.yml"), "--out", str(copied), "--workers", "1"]
    assert main(arguments) == 0
    assert "4 cells are finished already, 0 to do" in capsys.readouterr().out
    assert not recordings.exists()
    (copied / "tiny/cells/pole/diiqn/default/seed-0.json").unlink()
    assert main(arguments) == 0
    assert "3 cells are finished already, 1 to do" in capsys.readouterr().out
    assert recordings.exists()


@pytest.mark.slow
def test_changed_expert_makes_its_cells_outdated(copied: Path) -> None:
    path = copied / "experts" / "manifest.json"
    folder, suite = ResultFolder(copied), load_suite(str(copied / "tiny.yml"))
    manifest = json.loads(path.read_text())
    for entry in manifest.values():
        entry["content_hash"] = "another"
    states = {(cell.algorithm, cell.seed): folder.state(cell, manifest) for cell in suite.cells()}
    assert {states["dqn", seed] for seed in (0, 1)} == {"finished"}
    assert {states["diiqn", seed] for seed in (0, 1)} == {"outdated"}


def _age(path: Path) -> None:
    os.utime(path, (0, 0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_text(""), "broken"),
        (lambda path: path.write_text("[]"), "broken"),
        (lambda path: path.write_text(path.read_text().replace('"format":1', '"format":0')), "broken"),
        (lambda path: path.write_text(path.read_text().replace('"finished"', '"started"')), "broken"),
        (lambda path: path.write_text(path.read_text().replace('"seed":0', '"seed":1')), "broken"),
        (
            lambda path: path.write_text(re.sub(r'"greedy":{"step":\[[^]]*\]', '"greedy":{"step":[]', path.read_text())),
            "broken",
        ),
        (
            lambda path: path.write_text(path.read_text().replace('"length":', '"return":').replace('"return":', '"x":')),
            "broken",
        ),
        (lambda path: path.write_text(path.read_text().replace('"settings_hash":"', '"settings_hash":"0')), "outdated"),
        (lambda path: (path.unlink(), path.with_suffix(".running").write_text("7")), "running"),
        (
            lambda path: (path.unlink(), path.with_suffix(".running").write_text("7"), _age(path.with_suffix(".running"))),
            "missing",
        ),
        (lambda path: (path.unlink(), path.with_suffix(".error.txt").write_text("why")), "failed"),
    ],
)
def test_states(copied: Path, change: Callable[[Path], Any], expected: str) -> None:
    folder = ResultFolder(copied)
    cell = load_suite(str(copied / "tiny.yml")).cells()[0]
    assert folder.state(cell, {}) == "finished"
    change(folder.cell(cell))
    assert folder.state(cell, {}) == expected


def _wait(condition: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait for up to five minutes, or until a process that should go on has ended."""
    for _ in range(3000):
        if condition():
            return
        assert process is None or process.poll() is None, "the runner has ended"
        time.sleep(0.1)
    raise AssertionError("it did not come")


def _group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
def test_killed_runner_goes_on(tmp_path: Path) -> None:
    source = _source()
    source["seeds"], source["algorithms"] = 1, {"dqn": {}}
    del source["environments"]["pole"]["expert"]
    source["environments"]["endless"] = source["environments"]["pole"] | {"n_timesteps": 10**9}
    suite_path = _write(tmp_path / "tiny.yml", source)
    folder = ResultFolder(tmp_path)
    quick, endless = load_suite(str(suite_path)).cells()
    command = [sys.executable, "-m", "benchmarks", "run", str(suite_path), "--out", str(tmp_path), "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            _wait(lambda: folder.state(quick, {}) == "finished" and _steps(folder, endless) > 0, process)
            process.send_signal(signal.SIGKILL)  # the runner alone: its workers must not live on
            process.wait()
            _wait(lambda: _group_is_gone(process.pid))
        finally:
            if not _group_is_gone(process.pid):
                os.killpg(process.pid, signal.SIGKILL)
    before = folder.cell(quick).stat().st_mtime_ns
    assert not folder.cell(endless).exists()
    _age(folder.heartbeat(endless))
    assert folder.state(endless, {}) == "missing"

    source["environments"]["endless"]["n_timesteps"] = 300
    assert main(["run", str(_write(suite_path, source)), "--out", str(tmp_path), "--workers", "1"]) == 0
    assert folder.cell(quick).stat().st_mtime_ns == before
    assert [folder.state(cell, {}) for cell in load_suite(str(suite_path)).cells()] == ["finished", "finished"]


def _steps(folder: ResultFolder, cell: Cell) -> int:
    try:
        return int(folder.heartbeat(cell).read_text())
    except (OSError, ValueError):
        return 0


@pytest.mark.slow
def test_dying_worker_takes_nothing_with_it() -> None:
    jobs = {"first": Job(math.sqrt, (4,), 1), "dies": Job(os._exit, (1,), 1), "raises": Job(math.sqrt, (-1,), 1)}
    jobs["last"] = Job(math.sqrt, (9,), 1)
    with local_backend(1) as backend:
        results = {key: result for key, result, _ in run_jobs(jobs, backend, "jobs")}
    assert (results["first"], results["last"]) == (2, 3)
    assert message(results["dies"]) == "its process died: killed, or out of memory"
    assert message(results["raises"]).startswith("ValueError: ")


@pytest.mark.parametrize(
    ("change", "fragments"),
    [
        ({"id": "NoSuch-v0"}, ("'environments.pole'", "NoSuch")),
        ({"env_kwargs": {"gravity": -1}}, ("'environments.pole'", "gravity")),
        (
            {"settings": {"policy": "MlpPolicy", "gama": 0.9}},
            ("pole, dqn, default", "DQN has no argument 'gama'", "0.9", "gamma"),
        ),
        (
            {"settings": {"policy": "MlpPolicy", "policy_kwargs": {"activation_fn": "torch.nn:Rulu"}}},
            ("pole, dqn, default", "'torch.nn:Rulu' cannot be imported"),
        ),
    ],
)
def test_mistakes_are_found_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], fragments: tuple[str, ...]
) -> None:
    source = _source()
    source["environments"]["pole"] |= change
    assert main(["run", str(_write(tmp_path / "tiny.yml", source)), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    for fragment in ("error: Suite 'tiny'", *fragments):
        assert fragment in error
    assert not (tmp_path / "out").exists()


def test_where_no_folder_can_be_nothing_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _write(tmp_path / "tiny.yml", _source())
    assert main(["run", str(path), "--out", str(path)]) == 2
    assert "error: " in (error := capsys.readouterr().err)
    assert str(path) in error


def test_an_address_is_of_a_ray_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _write(tmp_path / "tiny.yml", _source())
    assert main(["run", str(path), "--out", str(tmp_path / "out"), "--address", "head:6379"]) == 2
    assert "--address head:6379: it is of a Ray cluster, and needs --backend ray" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_ray_nothing_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    path = _write(tmp_path / "tiny.yml", _source())
    assert main(["run", str(path), "--out", str(tmp_path / "out"), "--backend", "ray"]) == 2
    assert "sb3-diiqn[ray]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_damaged_manifest_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path)
    folder.add_to_manifest("first", {"n_transitions": 1})
    path = folder.experts / "manifest.json"
    damaged = path.read_text()[:-5]
    path.write_text(damaged)
    with pytest.raises(ConfigurationError, match=r"manifest\.json' is damaged: delete it"):
        folder.add_to_manifest("second", {"n_transitions": 2})
    assert path.read_text() == damaged


def test_nothing_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, fragment in ((["report"], "There are no results in"), (["status", "tiny"], "no results of suite 'tiny'")):
        assert main([*arguments, "--out", str(tmp_path)]) == 2
        assert fragment in capsys.readouterr().err


@pytest.mark.slow
def test_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    source = _source()
    source["seeds"] = 1
    try:
        path = _write(tmp_path / "tiny.yml", source)
        assert main(["run", str(path), "--out", str(tmp_path), "--workers", "1", "--backend", "ray"]) == 0
    finally:
        ray.shutdown()
    folder = ResultFolder(tmp_path)
    assert [folder.state(cell, folder.manifest()) for cell in load_suite(str(path)).cells()] == ["finished", "finished"]


def test_two_runners_keep_each_others_experts(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path)

    def add(runner: int) -> None:
        for expert in range(20):
            folder.add_to_manifest(f"{runner}-{expert}", {"n_transitions": expert})

    with ThreadPoolExecutor() as runners:
        list(runners.map(add, range(4)))
    assert folder.manifest() == {f"{runner}-{i}": {"n_transitions": i} for runner in range(4) for i in range(20)}
