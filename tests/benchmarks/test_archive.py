"""Cells in one file: what was packed is read, reported and unpacked as before."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.__main__ import main
from benchmarks.archive import read_archive, unpack, write_archive
from benchmarks.storage import ResultFolder
from benchmarks.suite import Suite
from sb3_diiqn.exceptions import ConfigurationError
from tests.benchmarks.test_report import fabricate, made_suite

names = st.from_regex(r"[A-Za-z][A-Za-z0-9=.-]{0,8}/dqn/default/seed-\d{1,2}\.json", fullmatch=True)


@settings(max_examples=8)  # each compression takes 64 MiB, and a twentieth of a second
@given(cells=st.dictionaries(names, st.binary(max_size=50), max_size=5))
def test_the_same_cells_give_the_same_bytes(cells: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("archives")
    write_archive(folder / "first", cells)
    write_archive(folder / "second", dict(reversed(cells.items())))
    assert (folder / "first").read_bytes() == (folder / "second").read_bytes()
    assert read_archive(folder / "first") == cells


def _packed(tmp_path: Path) -> tuple[ResultFolder, Suite]:
    suite = made_suite()
    folder = fabricate(tmp_path, suite)
    folder.save_suite(suite)
    return folder, suite


@pytest.mark.slow
def test_report_is_the_same_after_packing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, suite = _packed(tmp_path)
    assert main(["report", "--out", str(tmp_path)]) == 0
    loose = {path.name: path.read_bytes() for path in folder.report(suite).iterdir()}
    cells = {path: path.read_bytes() for path in (folder.suite(suite.name) / "cells").rglob("*.json")}
    assert main(["pack", "--out", str(tmp_path)]) == 0
    assert f"{len(cells)} cells packed" in capsys.readouterr().out
    assert not any(path.exists() for path in cells)
    assert main(["report", "--out", str(tmp_path)]) == 0
    assert {path.name: path.read_bytes() for path in folder.report(suite).iterdir()} == loose
    assert {folder.state(cell, folder.manifest()) for cell in suite.cells()} == {"finished"}
    assert main(["unpack", "--out", str(tmp_path)]) == 0
    assert {path: path.read_bytes() for path in cells} == cells
    assert not folder.archive(suite.name).exists()


def test_a_loose_cell_counts_before_the_packed_one(tmp_path: Path) -> None:
    folder, suite = _packed(tmp_path)
    first, second = suite.cells()[:2]
    newer = folder.stored(first)
    folder.pack(suite)
    newer["wall_time"] = 12345.0
    folder.cell(first).parent.mkdir(parents=True, exist_ok=True)
    folder.cell(first).write_text(json.dumps(newer))
    assert folder.stored(first) == newer and folder.stored(second)["wall_time"] != 12345.0
    assert folder.pack(suite) == 1
    assert folder.stored(first) == newer, "it replaces the one that was packed before"
    folder.cell(second).parent.mkdir(parents=True, exist_ok=True)
    folder.cell(second).write_text("{")
    assert folder.state(second, folder.manifest()) == "broken"
    assert folder.pack(suite) == 0 and folder.cell(second).exists(), "a damaged one is left where it is"


def test_nothing_else_is_read_from_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "cells.tar.xz"
    strange = ["../../a/b/seed-0.json", "a/../b/seed-0.json", "/a/b/c/seed-0.json", "a/b/c/other.json", "a/b/c/d/seed-0.json"]
    with tarfile.open(path, "w:xz") as archive:
        for name in [*strange, "a/b/c/seed-0.json"]:
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, io.BytesIO(b"{}"))
    assert read_archive(path) == {"a/b/c/seed-0.json": b"{}"}
    assert unpack(path, tmp_path / "cells") == 1
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.json")] == ["cells/a/b/c/seed-0.json"]


def test_damaged_archive(tmp_path: Path) -> None:
    folder, suite = _packed(tmp_path)
    folder.pack(suite)
    path = folder.archive(suite.name)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ConfigurationError, match=r"cells\.tar\.xz' is damaged"):
        read_archive(path)
    assert main(["status", "--out", str(tmp_path)]) == 2
