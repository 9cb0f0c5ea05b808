"""The report of a suite: tables and figures, from the JSON files alone."""

from __future__ import annotations

import math
from pathlib import Path

from benchmarks import plots
from benchmarks.algorithms import BASELINE
from benchmarks.analysis import KNOWN, Group, Overall, Summary, load_groups, overall, summarise
from benchmarks.curves import N_POINTS, WINDOW
from benchmarks.equal_time import Comparison, Timed, compare
from benchmarks.plots import MAX_LINES, SMOOTHED
from benchmarks.statistics import Estimate, aggregate
from benchmarks.storage import ResultFolder
from benchmarks.suite import Suite
from benchmarks.tables import Table
from sb3_diiqn.expert.manifest import write_text

NOTHING = "-"
DEFINITIONS = f"""\
- Values are interquartile means over runs (seeds), with 95 % stratified bootstrap confidence intervals.
- Greedy area: mean greedy return over all evaluations of the training. Greedy end: over those in its last tenth. That is the \
policy that a user is left with; neither exploration nor a guide has a part in it.
- Relative to {BASELINE}: each run as a share of {BASELINE}'s interquartile mean, both measured from the environment's lowest \
return; nothing where {BASELINE} does not exceed that. In the same variation, if {BASELINE} was run in it. At {BASELINE}'s \
time: when as much of the processor's time has passed as {BASELINE}, in its first variation, takes for its whole training.
- Better than {BASELINE}: probability that a run's greedy area exceeds that of a run of {BASELINE}.
- Expert passed: the interval of the greedy end lies above the expert's mean return.
- Own return: at a step, the mean return of the latest episodes that the agent alone played, with its exploration: {WINDOW}, \
or 15 of an agent that a guide leads. Episodes with a guided step are not among them; long ones have one more often. \
The mean over {N_POINTS} evenly spaced steps. Nothing where a cell does not know which episodes were the guide's.
- Figures show at most {MAX_LINES} algorithms: first those that the suite names, and none with less than half of the runs of \
the others. Curves are means over {SMOOTHED:.0%} of the training around each step. Of all others there are the tables.
- What is known of the expert. Agreement with its true actions, which no algorithm is given, in the mean of the runs at \
their ends: of the actions inferred from the nearest transition; share of transitions where the true action is among the \
plausible ones of the estimate; the share that the estimates expect, which is the same if they are calibrated; and where it \
is the clone's likeliest. In the mean over runs and training: share of the agent's transitions that are matched, the three \
factors of the confidence in the expert samples, and the confidence, Phi, which is 0 for transitions of the agent without \
one.
- Solved: the greedy return reaches the stated return (without one: the expert's mean return) at an evaluation and at the \
next. Runs that never do count with the whole training in "steps until solved".
"""

EQUAL_TIME = f"""\
Whole trainings of one seed, in turns on one machine, tell what they take of the CPU time (`benchmarks cost`). Here \
each algorithm has the time that {BASELINE}, in its first variation, takes for all of its steps; what is done before stays \
at its last return. Speed: of the whole training, relative to {BASELINE}. Returns are means over that time, the greedy ones \
linear from the lowest return to each evaluation in turn; the end is its last tenth.
"""
OWN = "own return"
SCORES = {"greedy_areas": "greedy_area", "greedy_ends": "greedy_end", "own_areas": "own_return"}
"""Scores of a run at equal time, and their columns."""


def write_report(suite: Suite, folder: ResultFolder) -> Path:
    """
    Write the report of a suite and print its tables.

    :return: path of the Markdown file; CSV files and figures are beside it
    """
    target = folder.report(suite)
    groups = load_groups(suite, folder)
    summaries = [summarise(group, groups, suite) for group in groups]
    n_runs, n_cells = sum(len(group.results) for group in groups), len(suite.cells())
    parts = [f"# {suite.name}", f"{n_runs} of {n_cells} runs are finished."]
    print("\n\n".join(parts))
    compared = compare(groups, suite, folder)
    for environment in dict.fromkeys(group.environment for group in groups):
        rows = [summary for summary in summaries if summary.group.environment == environment]
        section = [f"## {environment}", environment_table(rows, compared).markdown()]
        expert = expert_table(rows)
        if expert.rows:
            section.append(expert.markdown())
        print("\n" + "\n\n".join(section))
        figures = plots.write_figures([summary.group for summary in rows], target, suite.overview)
        parts += [*section, *(f"![{name.removesuffix('.png')}]({name})" for name in figures)]
    across = overall(summaries, groups, suite)
    if len({group.environment for group in groups}) > 1 and across:
        section = ["## All environments", comparison_table(summaries).markdown(), overall_table(across).markdown()]
        print("\n" + "\n\n".join(section))
        parts += [*section, f"![learning]({plots.write_overview(groups, target, suite.overview)})"]
        write_text(target / "overall.csv", overall_csv(across).csv())
    if compared:
        section = ["## At equal processor time", equal_time_table(compared).markdown()]
        print("\n" + "\n\n".join(section))
        parts += [*section, f"![at equal processor time]({plots.write_equal_time(compared, target)})", EQUAL_TIME]
        write_text(target / "equal_time.csv", equal_time_csv(compared).csv())
    write_text(target / "summary.csv", summary_csv(summaries).csv())
    write_text(target / "runs.csv", runs_csv(groups).csv())
    write_text(target / "report.md", "\n\n".join([*parts, "## How to read this", DEFINITIONS]))
    print(f"\nwritten: {target / 'report.md'}", flush=True)
    return target / "report.md"


def environment_table(summaries: list[Summary], compared: list[Comparison]) -> Table:
    """
    Make the table of one environment: its experts, then one row per algorithm and variation.

    :param compared: those of which there is a comparison at equal time, of all environments
    """
    at_time = {id(one.timed.group): one for one in compared}
    is_timed = any(id(summary.group) in at_time for summary in summaries)
    own_time = [f"at {BASELINE}'s time"] if is_timed else []
    header = [
        "", "runs", "greedy area", f"relative to {BASELINE}", *own_time, "greedy end", f"relative to {BASELINE}", *own_time,
        f"better than {BASELINE}", "expert passed", "steps until solved", "solved", OWN, f"relative to {BASELINE}",
    ]  # fmt: skip
    rows = []
    for label, (mean, deviation) in _experts([summary.group for summary in summaries]).items():
        before, after = [NOTHING] * (3 + is_timed), [NOTHING] * (7 + is_timed)
        rows.append([label, *before, f"{number(mean)} ± {number(deviation)}", *after])
    return Table(header, rows + [_row(summary, at_time.get(id(summary.group)), is_timed) for summary in summaries])


def _row(summary: Summary, timed: Comparison | None, is_timed: bool) -> list[str]:
    """Write the row of an algorithm and variation in the table of its environment."""
    group = summary.group

    def at_time(scores: str) -> list[str]:
        return [estimate(None if timed is None else timed.relative(scores))] if is_timed else []

    return [
        group.label,
        _runs(group),
        estimate(summary.greedy_area),
        estimate(summary.relative_area),
        *at_time("greedy_areas"),
        estimate(summary.greedy_end),
        estimate(summary.relative_end),
        *at_time("greedy_ends"),
        estimate(summary.improvement),
        _passed(summary),
        estimate(summary.steps) if summary.solved > 0 else NOTHING,
        NOTHING if math.isnan(summary.solved) else f"{summary.solved:.0%}",
        estimate(summary.own),
        estimate(summary.relative_own),
    ]


def _runs(group: Group) -> str:
    return str(len(group.results)) if len(group.results) == group.n_cells else f"{len(group.results)} of {group.n_cells}"


def _passed(summary: Summary) -> str:
    return NOTHING if summary.expert_passed is None else ("yes" if summary.expert_passed else "no")


def expert_table(summaries: list[Summary]) -> Table:
    """Make the table of how well the expert's actions are known in one environment, and how much its transitions count."""
    known = {summary.group.label: summary.group.known for summary in summaries}
    rows = [[label, *(number(values.get(name, math.nan)) for name in KNOWN)] for label, values in known.items() if values]
    return Table(["what is known of the expert", *KNOWN], rows)


def comparison_table(summaries: list[Summary]) -> Table:
    """Make the table of all environments: what matters most, one row per environment, algorithm and variation."""
    header = ["", "expert", "", "runs", "greedy area", f"relative to {BASELINE}", "greedy end", f"relative to {BASELINE}"]
    rows = [
        [
            summary.group.environment,
            number(summary.group.expert_return[0]),
            summary.group.label,
            _runs(summary.group),
            *map(estimate, (summary.greedy_area, summary.relative_area, summary.greedy_end, summary.relative_end)),
            _passed(summary),
        ]
        for summary in summaries
    ]
    return Table([*header, "expert passed"], rows)


def _experts(groups: list[Group]) -> dict[str, tuple[float, float]]:
    """Name the experts of an environment: its own one, and those that only some learned from."""
    experts: dict[tuple[float, float], list[str]] = {}
    for group in groups:
        if not math.isnan(group.expert_return[0]):
            experts.setdefault(group.expert_return, []).append(group.label)
    reference = groups[0].reference_return
    return {
        "expert" if values[0] == reference else f"expert of {', '.join(labels)}": values for values, labels in experts.items()
    }


def overall_table(rows: list[Overall]) -> Table:
    """Make the table over all environments."""
    header = ["", "environments", "runs", f"greedy area relative to {BASELINE}", f"greedy end relative to {BASELINE}"]
    header += [f"better than {BASELINE}", "expert passed", f"{OWN} relative to {BASELINE}"]
    return Table(
        header,
        [
            [
                row.label,
                str(row.n_environments),
                str(row.n_runs),
                *map(estimate, (row.relative_area, row.relative_end, row.improvement)),
                f"{row.n_passed} of {row.n_environments}",
                estimate(row.relative_own),
            ]
            for row in rows
        ],
    )


def equal_time_table(compared: list[Comparison]) -> Table:
    """Make the table of what is learned in the time that the baseline takes."""
    header = ["", "", f"speed relative to {BASELINE}", "steps"]
    for name in ("greedy area", "greedy end", OWN):
        header += [name, f"relative to {BASELINE}"]
    rows = []
    for environment in dict.fromkeys(one.timed.group.environment for one in compared):
        chosen = [one for one in compared if one.timed.group.environment == environment]
        rows.append(_timed_row(chosen[0].baseline, None))
        rows += [_timed_row(one.timed, one) for one in chosen]
    return Table(header, rows)


def _timed_row(timed: Timed, compared: Comparison | None) -> list[str]:
    row = [timed.group.environment, timed.group.label, number(timed.speed), number(timed.steps_at_times[-1])]
    for scores in SCORES:
        share = None if compared is None else compared.relative(scores)
        row += [estimate(aggregate([getattr(timed, scores)])), estimate(share)]
    return row


def equal_time_csv(compared: list[Comparison]) -> Table:
    """Make the same table with the baseline beside each algorithm, at full precision."""
    header = ["environment", "algorithm", "variation", "runs", "baseline", "speed", "steps"]
    for name in SCORES.values():
        header += _with_intervals(name, f"relative_{name}", f"baseline_{name}")
    rows = []
    for one in compared:
        group, timed = one.timed.group, one.timed
        row = [group.environment, group.algorithm, group.variation, len(group.results), one.baseline.group.algorithm]
        row += [timed.speed, float(timed.steps_at_times[-1])]
        for scores in SCORES:
            own, other = (aggregate([getattr(side, scores)]) for side in (timed, one.baseline))
            row += [*own, *one.relative(scores), *other]
        rows.append([_plain(entry) for entry in row])
    return Table(header, rows)


def summary_csv(summaries: list[Summary]) -> Table:
    """Make the tables of all environments in one, at full precision."""
    names = (
        "greedy_area", "relative_area", "greedy_end", "relative_end", "improvement", "steps_until_solved", "own_return",
        "relative_own_return", "final_own_return",
    )  # fmt: skip
    header = ["environment", "algorithm", "variation", "runs", "expert_return"]
    header += [*_with_intervals(*names), "expert_passed", "solved", *(f"expert_{name}" for name in KNOWN)]
    rows = []
    for summary in summaries:
        group = summary.group
        row = [group.environment, group.algorithm, group.variation, len(group.results), group.expert_return[0]]
        estimates = (
            summary.greedy_area, summary.relative_area, summary.greedy_end, summary.relative_end, summary.improvement,
            summary.steps, summary.own, summary.relative_own, summary.final_own,
        )  # fmt: skip
        for value in estimates:
            row += list(value) if value else [math.nan] * 3
        known = group.known
        row += [summary.expert_passed, summary.solved, *(known.get(name) for name in KNOWN)]
        rows.append([_plain(entry) for entry in row])
    return Table(header, rows)


def overall_csv(rows: list[Overall]) -> Table:
    """Make the table over all environments, at full precision."""
    header = ["label", "environments", "runs", *_with_intervals("relative_area", "relative_end", "improvement")]
    header += ["expert_passed", *_with_intervals("relative_own_return")]
    values = [
        [
            row.label, row.n_environments, row.n_runs, *row.relative_area, *row.relative_end, *row.improvement, row.n_passed,
            *row.relative_own,
        ]
        for row in rows
    ]  # fmt: skip
    return Table(header, [[_plain(value) for value in row] for row in values])


def runs_csv(groups: list[Group]) -> Table:
    """Make the table of all runs, at full precision."""
    header = ["environment", "algorithm", "variation", "seed", "greedy_area", "greedy_end", "steps_until_solved"]
    header += ["own_return", "final_own_return", "episodes", "wall_time", "steps_per_second"]
    rows = []
    for group in groups:
        scores = (group.greedy_areas, group.greedy_ends, group.steps_until_solved, group.own_areas, group.own_finals)
        for result, *values in zip(group.results, *scores, strict=True):
            row = [group.environment, group.algorithm, group.variation, result["seed"], *values]
            row += [len(result["training"]["step"]), result["wall_time"], result["steps_per_second"]]
            rows.append([_plain(entry) for entry in row])
    return Table(header, rows)


def _with_intervals(*names: str) -> list[str]:
    """Name the columns of estimates in a CSV file."""
    return [f"{name}{part}" for name in names for part in ("", "_low", "_high")]


def _plain(value: object) -> str:
    """Write a value for a CSV file; what does not exist is an empty cell."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return str(float(value)) if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """Write a number with three significant digits, and whole from 1000 on."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else NOTHING
    return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:#.3g}".rstrip(".")


def estimate(value: Estimate | None) -> str:
    """Write a value with its interval."""
    if value is None or math.isnan(value.value):
        return NOTHING
    interval = "" if math.isnan(value.low) else f" [{number(value.low)}, {number(value.high)}]"
    return number(value.value) + interval
