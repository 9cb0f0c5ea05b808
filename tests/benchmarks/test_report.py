"""The report on fabricated cells: numbers computed by hand, files that exist."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import plots
from benchmarks.__main__ import main
from benchmarks.analysis import find_baseline, load_groups, overall, summarise
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
            # led by nobody, so that all episodes are its own
            "algorithms": {"dqn": {}, "diiqn": {"settings": {"guide": "none"}}},
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
            "suite": suite.name,
            "status": "finished",
            "seed": cell.seed,
            "settings": cell.settings,
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
        for key in ("own_return", "own_return_low", "own_return_high"):
            assert float(row[key]) == pytest.approx(area)
    assert {dqn[key] for key in ("relative_area", "relative_end", "relative_own_return", "improvement")} == {""}
    # of greedy returns 3 over the training and 4 at its end
    assert [float(row["relative_area"]) for row in (diiqn, wide)] == pytest.approx([6.5 / 3, 1])
    assert [float(row["relative_end"]) for row in (diiqn, wide)] == pytest.approx([2, 5 / 4])
    assert [float(row["relative_own_return"]) for row in (diiqn, wide)] == pytest.approx([2, 1])
    # the runs of the other one have 1 and 5, those of the baseline 3
    assert [float(row["improvement"]) for row in (diiqn, wide)] == [1, 0.5]
    assert [float(row["greedy_area"]) for row in (dqn, diiqn, wide)] == [3, 6.5, 3]
    assert [float(diiqn[f"greedy_area_{end}"]) for end in ("low", "high")] == [6, 7]
    assert [float(row["greedy_end"]) for row in (dqn, diiqn, wide)] == [4, 8, 5]
    assert [float(wide[f"greedy_end_{end}"]) for end in ("low", "high")] == [1, 9]
    assert [float(row["final_own_return"]) for row in (dqn, diiqn, wide)] == [3, 6, 3]
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
    assert cells[2] == ["expert", "-", "-", "-", "5.00 ± 1.50", *["-"] * 7]
    assert cells[4] == [
        "diiqn",
        "2",
        "6.50 [6.00, 7.00]",
        "2.17 [2.00, 2.33]",
        "8.00 [8.00, 8.00]",
        "2.00 [2.00, 2.00]",
        "1.00 [1.00, 1.00]",
        "yes",
        "75.0 [50.0, 100]",
        "100%",
        "3.62 [3.62, 3.62]",
        "2.00 [2.00, 2.00]",
    ]
    assert cells[0][-2] == "own return", "behind what counts"
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
    compared = [[*row[:4], *(value.split(" ")[0] for value in row[4:8]), row[8]] for row in cells[2:8]]
    assert compared == [
        [name, "5.00", *row]
        for name in ("env0", "env1")
        for row in (
            ["dqn", "2", "3.00", "-", "4.00", "-", "no"],
            ["diiqn", "2", "6.50", "2.17", "8.00", "2.00", "yes"],
            ["diiqn, wide", "2", "3.00", "1.00", "5.00", "1.25", "no"],
        )
    ]
    assert cells[10:] == [
        ["diiqn", "2", "4", "2.17 [2.00, 2.33]", "2.00 [2.00, 2.00]", "1.00 [1.00, 1.00]", "2 of 2", "2.00 [2.00, 2.00]"],
        ["diiqn, wide", "2", "4", *cells[11][3:6], "0 of 2", "1.00 [1.00, 1.00]"],
    ]
    # the middle half of runs of 1/3, 1/3, 5/3 and 5/3
    assert cells[11][3].startswith("1.00 [0.333, 1.67") and cells[11][5].startswith("0.500 [")
    rows = _csv(folder.report(suite) / "overall.csv")
    assert [row["label"] for row in rows] == ["diiqn", "diiqn, wide"]
    assert [float(row["relative_area"]) for row in rows] == pytest.approx([6.5 / 3, 1])
    assert [float(row["relative_end"]) for row in rows] == pytest.approx([2, 5 / 4])
    assert [float(row["relative_own_return"]) for row in rows] == pytest.approx([2, 1])
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
    other = [dataclasses.replace(groups[0], algorithm=name, label=name) for name in ("mine", "yours")]
    for shown in (groups, groups[::-1], [*other, *groups]):
        assert {style["color"] for group, style in plots.styles(shown) if group.algorithm == "diiqn"} == {"#D55E00"}
    assert plots.styles([*groups, *other])[-1][1]["color"] == plots.colour("yours") == plots.styles(other)[-1][1]["color"]


def test_a_figure_has_few_lines_and_no_single_run_beside_many(tmp_path: Path) -> None:
    suite = made_suite()
    dqn, diiqn, wide = load_groups(suite, fabricate(tmp_path, suite))
    many = [dataclasses.replace(dqn, algorithm=name, label=name) for name in "abcdefgh"]
    assert plots.selected([dqn, diiqn, wide]) == [dqn, diiqn], "variations have a figure of their own"
    assert plots.selected([dqn, *many]) == [dqn, *many[:5]]
    assert plots.selected([dqn, *many], ["h", "dqn"]) == [dqn, *many[:4], many[7]]
    more = dataclasses.replace(diiqn, results=diiqn.results * 2)
    one = dataclasses.replace(diiqn, algorithm="one", results=diiqn.results[:1])
    assert plots.selected([dqn, more, one]) == [dqn, more], "one of four is less than half"


def test_a_file_keeps_the_colours_of_lines(tmp_path: Path) -> None:
    suite = made_suite()
    dqn, *_ = load_groups(suite, fabricate(tmp_path, suite))
    names = list(plots._KNOWN_COLOURS)[: plots.MAX_LINES]
    rising = [result | {"greedy": {"step": [50, 100], "mean": [1.0, 2.0]}} for result in dqn.results]
    groups = [
        dataclasses.replace(dqn, algorithm=name, label=name, results=[*rising, *(_shifted(one, level) for one in rising)])
        for level, name in enumerate(names)
    ]
    plots.save(plots.learning_figure(groups), tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        drawn = np.asarray(image.convert("RGB"), dtype=int).reshape(-1, 3)
    for name in names:
        colour = [int(plots.colour(name)[start : start + 2], 16) for start in (1, 3, 5)]
        assert np.abs(drawn - colour).max(axis=1).min() <= 3, name


def _shifted(result: dict[str, Any], level: float) -> dict[str, Any]:
    """Raise greedy returns, so that there is an interval to be drawn."""
    return result | {"greedy": result["greedy"] | {"mean": [mean + level for mean in result["greedy"]["mean"]]}}


def test_curves_are_smoothed_over_a_tenth() -> None:
    curves = np.array([np.arange(40.0), np.full(40, 7.0)])
    smooth = plots.smoothed(curves)
    np.testing.assert_allclose(smooth[0, 2:-2], curves[0, 2:-2])
    np.testing.assert_allclose(smooth[0, [0, 1, -1]], [1, 1.5, 38])
    np.testing.assert_allclose(smooth[1], 7)
    np.testing.assert_allclose(plots.smoothed(curves[:, :4]), curves[:, :4]), "too few to take means"


def test_many_algorithms_look_different_and_the_overview_leaves_variations_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = made_suite()
    groups = load_groups(suite, fabricate(tmp_path, suite))
    plain = [group for group in groups if group.variation == "default"]
    many = [dataclasses.replace(plain[0], algorithm=name, label=name) for name in ("dqn", "diiqn", *"abcdefghij")]
    looks = {(style["color"], style["linestyle"]) for _, style in plots.styles(many)}
    assert len(looks) == len(many)
    shown: list[Any] = []
    monkeypatch.setattr(plots, "save", lambda figure, path: shown.append(figure))
    plots.write_overview(groups, tmp_path)
    lines = shown[0].axes[0].get_lines()
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
    assert shown == ["diiqn"] * 2
    unfinished = {"algorithms": source["algorithms"] | {"other": {"class": "diiqn"}}, "overview": ["other"]}
    folder.save_suite(parse_suite("made", source | unfinished))
    shown.clear()
    main(["report", "--out", str(tmp_path)])
    assert shown == ["dqn", "diiqn"] * 2, "rather than nothing"
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
    assert (row["runs"], row["greedy_end_low"], row["expert_passed"]) == ("1", "", ""), "one run has no interval"
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
    assert [summary.greedy_end.value for summary in summaries] == [4, 8, 5]
    assert all(math.isnan(summary.own.value) and math.isnan(summary.own.low) for summary in summaries)
    across = overall(summaries, groups, suite)
    assert [row.relative_area.value for row in across] == pytest.approx([6.5 / 3, 1])
    assert all(math.isnan(row.relative_own.value) for row in across)


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
