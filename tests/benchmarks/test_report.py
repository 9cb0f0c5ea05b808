"""The report on fabricated cells: numbers computed by hand, files that exist."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks import plots
from benchmarks.__main__ import main
from benchmarks.analysis import find_baseline, load_groups, overall, summarise
from benchmarks.plots import colours
from benchmarks.report import number
from benchmarks.storage import FORMAT, ResultFolder, write_json
from benchmarks.suite import Suite, parse_suite
from sb3_diiqn.exceptions import ConfigurationError

EXPERT_RETURN = 5.0
LEVELS = {
    # training return of the first and the second half, and greedy return at 50 and at 100, for each seed
    ("dqn", "default"): [(1.0, 3.0, 2.0, 4.0), (1.0, 3.0, 2.0, 4.0)],
    ("diiqn", "default"): [(2.0, 6.0, 6.0, 8.0), (2.0, 6.0, 4.0, 8.0)],
    ("diiqn", "wide"): [(1.0, 3.0, 1.0, 1.0), (1.0, 3.0, 1.0, 9.0)],
}


def made_suite(environments: int = 1) -> Suite:
    environment = {
        "n_timesteps": 100,
        "settings": {"policy": "MlpPolicy"},
        "expert": {"kind": "random", "n_steps": 10},
    }
    return parse_suite(
        "made",
        {
            "seeds": 2,
            "evaluation": {"every": 50},
            "environments": {f"env{index}": environment for index in range(environments)},
            "algorithms": {"dqn": {}, "diiqn": {}},
            "variations": {
                "default": {},
                "wide": {"algorithms": ["diiqn"], "settings": {"matching_kwargs": {"similarity_threshold": 0.5}}},
            },
        },
    )


def fabricate(root: Path, suite: Suite) -> ResultFolder:
    folder = ResultFolder(root)
    folder.save_suite(suite)
    manifest = {}
    for name in suite.environments:
        recipe = suite.expert(name)
        assert recipe is not None
        manifest[recipe.name] = {"mean_return": EXPERT_RETURN, "std_return": 1.5, "content_hash": "data"}
    write_json(folder.experts / "manifest.json", manifest)
    for cell in suite.cells():
        first, second, early, late = LEVELS[cell.algorithm, cell.variation][cell.seed]
        # one finished episode per step, and long enough before the second half for the window to have moved on
        returns = [first] * 50 + [second] * 50
        statistics = [{"step": step, "confidence": step / 100, "matched": 0.5} for step in range(0, 101, 10)]
        result: dict[str, Any] = {
            "format": FORMAT,
            "status": "finished",
            "seed": cell.seed,
            "settings_hash": cell.settings_hash,
            "expert": {"content_hash": "data"} if cell.expert else {},
            "wall_time": 2.0,
            "steps_per_second": 50.0,
            "training": {"step": list(range(1, 101)), "return": returns, "length": [1] * 100},
            "greedy": {"step": [50, 100], "mean": [early, late], "returns": [[early], [late]]},
            "expert_statistics": statistics if cell.expert else [],
        }
        write_json(folder.cell(cell), result)
    return folder


def test_only_the_first_of_the_baselines_class_is_what_others_are_compared_with(tmp_path: Path) -> None:
    suite = made_suite()
    dqn, diiqn, _ = load_groups(suite, fabricate(tmp_path, suite))
    suite = parse_suite("made", {**suite.source, "algorithms": {"dqn": {}, "diiqn": {}, "more": {"class": "dqn"}}})
    more = dataclasses.replace(dqn, algorithm="more")
    assert [find_baseline(group, [more, dqn, diiqn], suite) for group in (dqn, more, diiqn)] == [dqn] * 3
    assert find_baseline(diiqn, [more, diiqn], suite) is None, "it has no runs yet, and no other takes its place"


@pytest.mark.slow
def test_agreement_is_that_at_the_end_in_the_mean_of_the_runs(tmp_path: Path) -> None:
    suite = made_suite()
    folder = fabricate(tmp_path, suite)
    for seed, (plausible, cloned) in enumerate([(0.5, {}), (0.75, {"cloned": 0.25})]):
        path = folder.cell(suite.cell("env0", "diiqn", "default", seed))
        first = {"step": 50, "plausible": 0.0, "cloned": 0.0}
        write_json(
            path, json.loads(path.read_text()) | {"agreement": [first, {"step": 100, "plausible": plausible, **cloned}]}
        )
    groups = {group.label: group for group in load_groups(suite, folder)}
    assert groups["diiqn"].agreement == {"plausible": 0.625, "cloned": 0.25}
    assert groups["dqn"].agreement == {}
    assert main(["report", "--out", str(tmp_path)]) == 0
    lines = [line.replace(" ", "") for line in (folder.report(suite) / "report.md").read_text().splitlines()]
    assert (
        "|whatisknownoftheexpert|inferred|plausible|expected|cloned|matched|usefulness|training|inference|confidence|" in lines
    )
    # the confidence rises from 0 to 1 in even steps
    assert "|diiqn|-|0.625|-|0.250|0.500|-|-|-|0.500|" in lines


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_numbers_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = made_suite()
    folder = fabricate(tmp_path, suite)
    assert main(["report", "--out", str(tmp_path)]) == 0
    rows = {(row["algorithm"], row["variation"]): row for row in _csv(folder.report(suite) / "summary.csv")}
    assert rows.keys() == LEVELS.keys()

    # with a window of 20 episodes, the 19 steps after the 50th lack 19/20, 18/20, ..., 1/20 of the rise
    ramp = sum(range(1, 20)) / 20
    dqn_area = (50 * 1 + 50 * 3 - (3 - 1) * ramp) / 100
    diiqn_area = (50 * 2 + 50 * 6 - (6 - 2) * ramp) / 100
    dqn, diiqn, wide = rows["dqn", "default"], rows["diiqn", "default"], rows["diiqn", "wide"]
    for row, area in ((dqn, dqn_area), (diiqn, diiqn_area), (wide, dqn_area)):
        for key in ("area", "area_low", "area_high"):
            assert float(row[key]) == pytest.approx(area)
    assert dqn["relative_area"] == dqn["improvement"] == ""
    assert float(diiqn["relative_area"]) == pytest.approx(2)
    assert float(wide["relative_area"]) == pytest.approx(1)
    assert [float(row["improvement"]) for row in (diiqn, wide)] == [1, 0.5]
    assert [float(row["mean_greedy_return"]) for row in (dqn, diiqn, wide)] == [3, 6.5, 3]
    assert [float(diiqn[f"mean_greedy_return_{end}"]) for end in ("low", "high")] == [6, 7]
    assert [float(row["final_greedy_return"]) for row in (dqn, diiqn, wide)] == [4, 8, 5]
    assert [float(wide[f"final_greedy_return_{end}"]) for end in ("low", "high")] == [1, 9]
    assert [float(row["final_training_return"]) for row in (dqn, diiqn, wide)] == [3, 6, 3]
    assert [row["expert_passed"] for row in (dqn, diiqn, wide)] == ["False", "True", "False"]
    # the expert's return of 5 is reached: never; at 50 and at 100; by one of two at 100, the other counts with all 100
    assert [row["steps_until_solved"] for row in (dqn, diiqn, wide)] == ["100.0", "75.0", "100.0"]
    assert [row["solved"] for row in (dqn, diiqn, wide)] == ["0.0", "1.0", "0.5"]

    runs = _csv(folder.report(suite) / "runs.csv")
    assert [(row["algorithm"], row["seed"], row["steps_until_solved"]) for row in runs] == [
        ("dqn", "0", ""),
        ("dqn", "1", ""),
        ("diiqn", "0", "50.0"),
        ("diiqn", "1", "100.0"),
        ("diiqn", "0", ""),
        ("diiqn", "1", "100.0"),
    ]

    text = (folder.report(suite) / "report.md").read_text(encoding="utf-8")
    cells = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert cells[2] == ["expert", "-", "-", "-", "-", "-", "5.00 ± 1.50", "-", "-", "-"]
    assert cells[4] == [
        "diiqn",
        "2",
        "3.62 [3.62, 3.62]",
        "2.00 [2.00, 2.00]",
        "1.00 [1.00, 1.00]",
        "6.50 [6.00, 7.00]",
        "8.00 [8.00, 8.00]",
        "yes",
        "75.0 [50.0, 100]",
        "100%",
    ]
    printed = capsys.readouterr().out
    assert "6 of 6 runs are finished." in printed
    assert all(line in printed for line in text.splitlines() if line.startswith("|")), "the terminal shows the same table"


@pytest.mark.slow
def test_two_environments_and_figures(tmp_path: Path) -> None:
    suite = made_suite(environments=2)
    folder = fabricate(tmp_path, suite)
    main(["report", "made", "--out", str(tmp_path)])
    text = (folder.report(suite) / "report.md").read_text(encoding="utf-8")
    table = text.split("## All environments")[1]
    cells = [[part.strip() for part in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    compared = [[*row[:4], row[5].split(" ")[0], *(value.split(" ")[0] for value in row[6:8]), row[8]] for row in cells[2:8]]
    assert compared == [
        [name, "5.00", *row]
        for name in ("env0", "env1")
        for row in (
            ["dqn", "2", "-", "3.00", "4.00", "no"],
            ["diiqn", "2", "2.00", "6.50", "8.00", "yes"],
            ["diiqn, wide", "2", "1.00", "3.00", "5.00", "no"],
        )
    ]
    assert cells[10:] == [
        ["diiqn", "2", "4", "2.00 [2.00, 2.00]", "1.00 [1.00, 1.00]", "2 of 2"],
        ["diiqn, wide", "2", "4", "1.00 [1.00, 1.00]", "0.500 [0.500, 0.500]", "0 of 2"],
    ]
    assert [list(row.values()) for row in _csv(folder.report(suite) / "overall.csv")] == [
        ["diiqn", "2", "4", "2.0", "2.0", "2.0", "1.0", "1.0", "1.0", "2"],
        ["diiqn, wide", "2", "4", "1.0", "1.0", "1.0", "0.5", "0.5", "0.5", "0"],
    ]
    known = [row["expert_matched"] for row in _csv(folder.report(suite) / "summary.csv")]
    assert known == ["", "0.5", "0.5"] * 2, "DQN has no expert"
    assert "(learning.png)" in table
    assert (folder.report(suite) / "learning.png").read_bytes().startswith(b"\x89PNG")
    for index in range(2):
        section = text.split(f"## env{index}")[1].split("##")[0]
        for kind in ("learning", "confidence", "solved", "variations"):
            name = f"env{index}-{kind}.png"
            assert f"({name})" in section
            assert (folder.report(suite) / name).read_bytes().startswith(b"\x89PNG")


def test_same_colour_everywhere(tmp_path: Path) -> None:
    suite = made_suite(environments=2)
    groups = load_groups(suite, fabricate(tmp_path, suite))
    palette = colours(groups)
    assert palette == colours([group for group in groups if group.environment == "env1"]) == colours(groups[::-1])
    assert len(set(palette.values())) == 2


def test_many_algorithms_look_different_and_the_overview_leaves_variations_out(tmp_path: Path) -> None:
    suite = made_suite()
    groups = load_groups(suite, fabricate(tmp_path, suite))
    plain = [group for group in groups if group.variation == "default"]
    many = [dataclasses.replace(plain[0], algorithm=name) for name in ("dqn", "diiqn", *"abcdefghij")]
    looks = {(style["color"], style["linestyle"]) for _, style in plots.styles(many)}
    assert len(looks) == len(many)
    lines = plots.overview_figure(groups).axes[0].get_lines()
    assert [line.get_label() for line in lines if not line.get_label().startswith("_")] == [group.label for group in plain]


@pytest.mark.slow
def test_the_overview_shows_what_the_suite_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made_suite(environments=2).source | {"overview": ["diiqn"]}
    folder = fabricate(tmp_path, parse_suite("made", source))
    shown: list[str] = []
    drawn = plots.overview_figure
    monkeypatch.setattr(
        plots, "overview_figure", lambda groups: shown.extend(group.label for group in groups) or drawn(groups)
    )
    main(["report", "--out", str(tmp_path)])
    assert shown == ["diiqn", "diiqn, wide"] * 2
    unfinished = {"algorithms": source["algorithms"] | {"other": {"class": "diiqn"}}, "overview": ["other"]}
    folder.save_suite(parse_suite("made", source | unfinished))
    shown.clear()
    main(["report", "--out", str(tmp_path)])
    assert shown == ["dqn", "diiqn", "diiqn, wide"] * 2, "rather than nothing"
    folder.save_suite(parse_suite("made", source))
    with pytest.raises(ConfigurationError, match=r"key 'overview': 'sarsa' given, expected names out of dqn, diiqn"):
        parse_suite("made", source | {"overview": ["sarsa"]})
    assert folder.suites()[0].overview == ("diiqn",)


def test_unfinished_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = made_suite()
    folder = fabricate(tmp_path, suite)
    dqn_first, *_ = suite.cells()
    folder.cell(dqn_first).write_text("{", encoding="utf-8")
    for cell in suite.cells():
        if cell.algorithm == "diiqn":
            folder.cell(cell).unlink()
    assert main(["report", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "1 of 6 runs are finished." in out
    (row,) = _csv(folder.report(suite) / "summary.csv")
    assert (row["runs"], row["final_greedy_return_low"], row["expert_passed"]) == ("1", "", ""), "one run has no interval"
    for cell in suite.cells():
        folder.cell(cell).unlink(missing_ok=True)
    assert main(["report", "--out", str(tmp_path)]) == 0
    assert "0 of 6 runs are finished." in capsys.readouterr().out


def test_training_without_a_finished_episode(tmp_path: Path) -> None:
    suite = made_suite()
    folder = fabricate(tmp_path, suite)
    for cell in suite.cells():
        result = json.loads(folder.cell(cell).read_text())
        result["training"] = {"step": [], "return": [], "length": []}
        write_json(folder.cell(cell), result)
    groups = load_groups(suite, folder)
    summaries = [summarise(group, groups, suite) for group in groups]
    assert [summary.final.value for summary in summaries] == [4, 8, 5]
    assert all(math.isnan(summary.area.value) and math.isnan(summary.area.low) for summary in summaries)
    assert overall(summaries, groups, suite) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (1.0, "1.00"),
        (-0.5, "-0.500"),
        (0.9996, "1.00"),
        (12.34, "12.3"),
        (123.4, "123"),
        (-199.9, "-200"),
        (999.7, "1000"),
        (123456.7, "123457"),
        (float("nan"), "-"),
    ],
)
def test_number(value: float, expected: str) -> None:
    assert number(value) == expected
