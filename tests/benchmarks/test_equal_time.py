"""What trainings take, and what is learned in the same time: measured in tiny trainings, and computed by hand."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks import cost
from benchmarks.__main__ import main
from benchmarks.analysis import find_baseline, load_groups
from benchmarks.equal_time import compare
from benchmarks.storage import ResultFolder, write_json
from benchmarks.suite import Cell, Suite, load_suite, parse_suite
from sb3_diiqn.exceptions import DIIQNError
from tests.benchmarks.test_report import fabricate, made_suite


@pytest.fixture
def pole(tmp_path: Path) -> Path:
    """A suite of tiny trainings."""
    path = tmp_path / "pole.yml"
    settings = {"policy": "MlpPolicy", "learning_starts": 50, "policy_kwargs": {"net_arch": [8]}}
    expert = {"kind": "random", "n_steps": 50}
    source = {
        "seeds": 1,
        "evaluation": {"every": 150, "episodes": 2, "max_steps": 50},
        "environments": {"pole": {"id": "CartPole-v1", "n_timesteps": 332, "settings": settings, "expert": expert}},
        "algorithms": {"base": {"class": "dqn"}, "diiqn": {}},
    }
    path.write_text(yaml.safe_dump(source), encoding="utf-8")
    return path


@pytest.mark.slow
def test_both_trainings_are_measured_stretch_by_stretch(pole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Here a variation, beside the first one of the baseline."""
    source = yaml.safe_load(pole.read_text(encoding="utf-8"))
    source["variations"] = {"default": {}, "fewer": {"algorithms": ["base", "diiqn"], "settings": {"train_freq": 8}}}
    pole.write_text(yaml.safe_dump(source), encoding="utf-8")
    command = ["cost", str(pole), "--out", str(pole.parent), "--algorithms", "diiqn", "--variation", "fewer"]
    assert main(command) == 0
    path = pole.parent / "pole" / "cost" / "pole" / "diiqn" / "fewer.json"
    measured = json.loads(path.read_text(encoding="utf-8"))
    steps, seconds = np.array(measured["steps"]), np.array(measured["seconds"])
    assert measured["baseline"] == "base"
    assert measured["machine"]["cores"] >= 1
    assert len(steps) == cost.N_STRETCHES
    # a stretch ends with the step with which its part of the training is full
    assert steps.tolist() == [int(np.ceil(332 * part / cost.N_STRETCHES)) for part in range(1, cost.N_STRETCHES + 1)]
    assert seconds.shape == (2, cost.N_STRETCHES)
    assert (np.diff(seconds) >= 0).all()
    assert (seconds[:, -1] > 0).all()
    suite = load_suite(str(pole))
    base, varied = suite.cell("pole", "base", "default", 0), suite.cell("pole", "diiqn", "fewer", 0)
    assert cost.load_cost(ResultFolder(pole.parent), base, varied) == measured
    capsys.readouterr()
    before = path.stat().st_mtime_ns
    assert main(command) == 0
    assert "1 pairs are measured already, 0 to do" in capsys.readouterr().out
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--algorithms", "dqn"], "--algorithms dqn: suite 'pole' has base, diiqn"),
        (["--algorithms", "diiqn", "--environments", "car"], "--environments car: suite 'pole' has pole"),
        (["--algorithms", "diiqn", "--variation", "slow"], "--variation slow: suite 'pole' has default"),
    ],
)
def test_what_does_not_exist_is_named(
    pole: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cost", str(pole), "--out", str(pole.parent), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_variation_that_an_algorithm_does_not_have(pole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = yaml.safe_load(pole.read_text(encoding="utf-8"))
    source["variations"] = {"default": {}, "other": {"algorithms": ["base"]}}
    pole.write_text(yaml.safe_dump(source), encoding="utf-8")
    command = ["cost", str(pole), "--out", str(pole.parent), "--algorithms", "diiqn", "--variation", "other"]
    assert main(command) == 2
    assert "suite 'pole' does not run 'diiqn', variation 'other', in 'pole'" in capsys.readouterr().err


def test_without_a_baseline_there_is_nothing_to_compare_with(pole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = yaml.safe_load(pole.read_text(encoding="utf-8"))
    source["algorithms"] = {"diiqn": {}}
    pole.write_text(yaml.safe_dump(source), encoding="utf-8")
    assert main(["cost", str(pole), "--out", str(pole.parent), "--algorithms", "diiqn"]) == 2
    assert "suite 'pole' does not run 'dqn' in 'pole'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_training_that_fails_is_no_result(pole: Path) -> None:
    suite = load_suite(str(pole))
    good = suite.cell("pole", "base", "default", 0)
    bad = Cell("pole", "pole", "base", "default", 0, {**good.settings, "id": "NoSuchEnvironment-v0"}, None)
    with pytest.raises(DIIQNError, match="pole base default seed 0: the training ended early"):
        cost.measure((good, bad), ResultFolder(pole.parent))


def _cost(folder: ResultFolder, suite: Suite, variation: str = "default", **changes: Any) -> None:
    """The baseline takes 10 seconds for 100 steps, the algorithm 10 for the first 60, and 6 for the rest."""
    pair = [suite.cell("env0", "dqn", "default", 0), suite.cell("env0", "diiqn", variation, 0)]
    measured = {
        "settings_hashes": [cell.settings_hash for cell in pair],
        "steps": [20, 60, 100],
        "seconds": [[2.0, 6.0, 10.0], [5.0, 10.0, 16.0]],
    }
    write_json(folder.cost(pair[1]), measured | changes)


@pytest.mark.slow
def test_numbers_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = made_suite()
    folder = fabricate(tmp_path, suite)
    _cost(folder, suite)
    groups = load_groups(suite, folder)
    (compared,) = compare(groups, suite, folder)
    timed = compared.timed
    assert timed.group.label == "diiqn"
    assert timed.speed == pytest.approx(10 / 16)
    # 4 steps in each of the first 5 seconds, then 8
    np.testing.assert_allclose(timed.steps_at_times[[9, 49, 59, 99]], [4, 20, 28, 60])
    np.testing.assert_allclose(compared.baseline.steps_at_times, np.arange(1, 101))
    # 2 until step 50, which is after 8.75 seconds, then a rise by a fifth per step: the window holds 20 episodes of a step each
    after = np.array([20 + 8 * (tenths / 10 - 5) for tenths in range(88, 101)])
    rise = 4 / 20 * np.floor(after - 50)
    area = 2 + rise.sum() / 100
    np.testing.assert_allclose(timed.own_areas, area)
    (dqn,) = {round(value, 6) for value in compared.baseline.own_areas}
    assert compared.relative("own_areas").value == pytest.approx(area / dqn)
    # from 0 to 6 and 4 at step 50, then on the way to 8 at step 100
    before = np.array([4 * tenths / 10 if tenths <= 50 else 20 + 8 * (tenths / 10 - 5) for tenths in range(1, 88)])
    greedy = [((level * before / 50).sum() + (level + (8 - level) * (after - 50) / 50).sum()) / 100 for level in (6, 4)]
    np.testing.assert_allclose(timed.greedy_areas, greedy)
    # the baseline rises from 0 to 2 and from there to 4, a step at a time
    base = (2 * np.arange(1, 51) / 50).sum() / 100 + (2 + 2 * np.arange(1, 51) / 50).sum() / 100
    assert compared.relative("greedy_areas").value == pytest.approx(np.mean(greedy) / base)
    # the last ten of a hundred points in time
    ends = [(level + (8 - level) * (after[-10:] - 50) / 50).mean() for level in (6, 4)]
    np.testing.assert_allclose(timed.greedy_ends, ends)

    assert main(["report", "--out", str(tmp_path)]) == 0
    text = (folder.report(suite) / "report.md").read_text(encoding="utf-8")
    lines = [line for line in text.split("## At equal processor time")[1].splitlines() if line.startswith("|")]
    cells = [[part.strip() for part in line.split("|")[1:-1]] for line in lines]
    assert [row[:4] for row in cells[2:]] == [["env0", "dqn", "1.00", "100"], ["env0", "diiqn", "0.625", "60.0"]]
    assert lines[3] in capsys.readouterr().out
    assert "(equal-time.png)" in text
    assert (folder.report(suite) / "equal-time.png").read_bytes().startswith(b"\x89PNG")
    with (folder.report(suite) / "equal_time.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["algorithm"], row["baseline"], float(row["speed"]), float(row["steps"])) == ("diiqn", "dqn", 0.625, 60)
    assert float(row["own_return"]) == pytest.approx(area)
    assert float(row["baseline_own_return"]) == pytest.approx(dqn)
    assert float(row["relative_greedy_area"]) == pytest.approx(np.mean(greedy) / base)
    table = [line for line in text.split("## env0")[1].split("##")[0].splitlines() if line.startswith("|")]
    cells = [[part.strip() for part in line.split("|")[1:-1]] for line in table]
    names, shares = cells[0], next(row for row in cells if row[0] == "diiqn")
    assert [name for name in names if "time" in name] == ["at dqn's time"] * 2
    assert shares[names.index("at dqn's time")].startswith(f"{np.mean(greedy) / base:#.3g}")


@pytest.mark.slow
def test_what_was_measured_with_other_settings_does_not_count(tmp_path: Path) -> None:
    suite = made_suite()
    folder = fabricate(tmp_path, suite)
    assert main(["report", "--out", str(tmp_path)]) == 0
    assert "At equal processor time" not in (folder.report(suite) / "report.md").read_text(encoding="utf-8")
    _cost(folder, suite, settings_hashes=["other", "settings"])
    assert compare(load_groups(suite, folder), suite, folder) == []


def test_every_variation_has_the_time_of_the_baselines_first_one(tmp_path: Path) -> None:
    source = made_suite().source
    source = {**source, "variations": {"default": {}, "wide": {"settings": {"learning_starts": 50}}}}
    suite, known = parse_suite("made", source), made_suite()
    folder = fabricate(tmp_path, known)
    folder.save_suite(suite)
    groups = load_groups(known, folder)
    dqn, wide = groups[0], next(group for group in groups if group.variation == "wide")
    _cost(folder, suite, "wide")
    own = dataclasses.replace(dqn, variation="wide")
    assert find_baseline(wide, [dqn, own, wide], suite) is own
    (compared,) = compare([dqn, own, wide], suite, folder)
    assert (compared.baseline.group, compared.timed.group, compared.timed.end) == (dqn, wide, 10)
