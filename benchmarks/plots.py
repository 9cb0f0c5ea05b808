"""Figures of a report. Drawn without a display."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.analysis import Group
from benchmarks.curves import curve_steps
from benchmarks.equal_time import Comparison
from benchmarks.statistics import aggregate, bands
from sb3_diiqn.exceptions import MissingDependencyError

try:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter
    from PIL import Image
except ImportError as missing:
    raise MissingDependencyError("matplotlib", "plots") from missing

# Okabe and Ito's colours, which colour-blind readers can tell apart, and some that go with them
_KNOWN_COLOURS = {
    "dqn": "#0072B2",
    "diiqn": "#D55E00",
    "hadiiqn": "#009E73",
    "diiqn-paper": "#E69F00",
    "hadiiqn-paper": "#56B4E9",
    "labelled-replay": "#CC79A7",
    "jsrl": "#8C6D31",
    "bco": "#7F7F7F",
    "bco-alpha": "#5E3C99",
    "hadiiqn-bridges": "#B2DF8A",
}
_OTHER_COLOURS = ("#CC79A7", "#8C6D31", "#7F7F7F", "#5E3C99", "#B2DF8A", "#000000")
_LINE_STYLES = ("-", "--", ":", "-.")
_EXPERT_COLOUR = "#333333"
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "savefig.dpi": 100,
}
MAX_LINES = 6
"""So many algorithms a figure has at most; more than that nobody can follow."""
SMOOTHED = 0.1
"""Curves are means over this fraction of the training around each step."""
_CONFIDENCE_PANELS = {
    "Confidence in expert samples": {
        "confidence": "confidence Φ",
        "usefulness": "usefulness",
        "training": "training",
        "inference": "inference",
    },
    "Use of the expert's data": {
        "matched": "agent's transitions matched",
        "inferred": "expert's: action inferred",
        "trained": "expert's: trained on",
    },
}


#: colours of a file
N_COLOURS = 128
#: height of a row of a legend, in inches, and how many rows fit into any figure
LEGEND_ROW = 0.2
FREE_LEGEND_ROWS = 4


def selected(groups: list[Group], first: Iterable[str] | None = None) -> list[Group]:
    """
    Choose what a figure of one environment shows: at most :data:`MAX_LINES` algorithms, in the first variation.

    Those with less than half of the runs of the others are left out: what one run says does not compare.

    :param groups: all groups of that environment
    :param first: algorithms that come before the others, and alone where there are so many
    """
    most = max(len(group.results) for group in groups)
    plain = [group for group in groups if group.variation == groups[0].variation and 2 * len(group.results) >= most]
    named = [group for group in plain if group.algorithm in set(first or ())]
    others = [group for group in plain if group not in named]
    chosen = [*named, *others][:MAX_LINES]
    return [group for group in plain if group in chosen]


def write_figures(groups: list[Group], folder: Path, first: Iterable[str] | None = None) -> list[str]:
    """
    Draw the figures of one environment.

    :param groups: all groups of that environment
    :param first: see :func:`selected`
    :return: names of the files
    """
    shown = selected(groups, first)
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Callable[[list[Group]], Figure | None]] = {
        "learning": learning_figure,
        "confidence": confidence_figure,
        "solved": solved_figure,
        "variations": variations_figure,
    }
    names = []
    with matplotlib.rc_context(STYLE):
        for kind, draw in figures.items():
            figure = draw(groups if kind == "variations" else shown)
            if figure is not None:
                names.append(f"{groups[0].environment}-{kind}.png")
                save(figure, folder / names[-1])
    return names


def write_overview(groups: list[Group], folder: Path, first: Iterable[str] | None = None) -> str:
    """
    Draw the learning curves of all environments in one figure.

    :param groups: of several environments
    :param first: algorithms that are shown, and no others; None for the first ones
    :return: name of the file
    """
    named = [group for group in groups if first is None or group.algorithm in first] or groups
    shown = []
    for environment in dict.fromkeys(group.environment for group in named):
        shown += selected([group for group in named if group.environment == environment])
    with matplotlib.rc_context(STYLE):
        save(overview_figure(shown), folder / "learning.png")
    return "learning.png"


def write_equal_time(compared: list[Comparison], folder: Path) -> str:
    """
    Draw the learning curves over the time that the baseline takes.

    :return: name of the file
    """
    with matplotlib.rc_context(STYLE):
        save(equal_time_figure(compared), folder / "equal-time.png")
    return "equal-time.png"


def save(figure: Figure, path: Path) -> None:
    """
    Write a figure as a PNG of few colours, which takes a quarter of the room.

    :param path: the file
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    with Image.open(drawn) as image:
        # by an octree, because the median cut gives a thin line the colour of the area beside it
        few = image.convert("RGB").quantize(N_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def equal_time_figure(compared: list[Comparison]) -> Figure:
    """Draw greedy and own return over the baseline's time, one column per environment."""
    environments = list(dict.fromkeys(one.timed.group.environment for one in compared))
    figure = Figure(figsize=(3.6 * len(environments), 6.4), layout="constrained")
    columns = figure.subplots(2, len(environments), squeeze=False).T
    for name, (greedy, own) in zip(environments, columns, strict=True):
        chosen = [one for one in compared if one.timed.group.environment == name]
        shown = [chosen[0].baseline, *(one.timed for one in chosen)]
        for timed, (_, style) in zip(shown, styles([timed.group for timed in shown]), strict=True):
            for axis, curves in ((own, timed.own_curves), (greedy, timed.greedy_curves)):
                curve(axis, timed.times / timed.end, smoothed(curves), style)
        for axis in (own, greedy):
            axis.set_xlabel(f"processor time, {shown[0].group.algorithm}'s whole training = 1")
            axis.set_xlim(0, 1)
            _expert_line(axis, [shown[0].group])
        greedy.set_title(name)
    _name_rows(columns[0])
    _legend(figure, columns.flat)
    return figure


def colour(algorithm: str) -> str:
    """
    Tell the colour of an algorithm, the same in all figures of all suites.

    :param algorithm: its name in a suite
    """
    return _KNOWN_COLOURS.get(algorithm) or _OTHER_COLOURS[zlib.crc32(algorithm.encode()) % len(_OTHER_COLOURS)]


def learning_figure(groups: list[Group]) -> Figure:
    """Draw greedy return and own return over steps, side by side, with the expert's line."""
    figure, axes = _panels(groups, 2)
    for axis, title in zip(axes, ("Greedy return", "Own return (episodes without a guide)"), strict=True):
        axis.set_title(title)
    _learning_curves(axes, styles(groups))
    _legend(figure, axes)
    return figure


def overview_figure(groups: list[Group]) -> Figure:
    """Draw greedy return (above) and own return (below) over steps, one column per environment."""
    environments = list(dict.fromkeys(group.environment for group in groups))
    figure = Figure(figsize=(3.6 * len(environments), 6.4), layout="constrained")
    columns = figure.subplots(2, len(environments), squeeze=False).T
    _name_rows(columns[0])
    styled = styles(groups)  # of all, so that an algorithm has one colour everywhere
    for environment, axes in zip(environments, columns, strict=True):
        shown = [(group, style) for group, style in styled if group.environment == environment]
        axes[0].set_title(environment)
        for axis in axes:
            step_axis(axis, shown[0][0].n_timesteps)
        _learning_curves(axes, shown)
    _legend(figure, columns.flat)
    return figure


def confidence_figure(groups: list[Group]) -> Figure | None:
    """Draw the confidence, its parts, and the use of the data over steps, one row per algorithm; None without such data."""
    shown = [group for group in groups if any(result["expert_statistics"] for result in group.results)]
    if not shown:
        return None
    figure = Figure(figsize=(11, 0.6 + 3.3 * len(shown)), layout="constrained")
    figure.suptitle(shown[0].environment)
    rows = figure.subplots(len(shown), 2, squeeze=False)
    for group, row in zip(shown, rows, strict=True):
        for axis, (title, names) in zip(row, _CONFIDENCE_PANELS.items(), strict=True):
            axis.set_title(title if len(shown) == 1 else f"{group.label}: {title[0].lower()}{title[1:]}")
            for hue, (name, label) in zip(_OTHER_COLOURS, names.items(), strict=False):
                emphasis = {"color": "black", "linewidth": 2.4} if name == "confidence" else {"color": hue}
                curve(axis, *_statistic(group, name), {"label": label, **emphasis})
            axis.set_ylim(-0.02, 1.02)
            step_axis(axis, group.n_timesteps)
            if axis.lines:  # nothing was logged of a training that is too short
                axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize=10)
    return figure


def solved_figure(groups: list[Group]) -> Figure | None:
    """Draw the share of runs that have solved the environment over steps; None if no run has."""
    if not any(np.isfinite(group.steps_until_solved).any() for group in groups):
        return None
    figure, (axis,) = _panels(groups, 1)
    axis.set_title(f"Share of runs that have solved it (return {groups[0].solved:.4g})")
    for group, style in styles(groups):
        steps = np.sort(group.steps_until_solved[np.isfinite(group.steps_until_solved)])
        x = np.concatenate([[0], steps, [group.n_timesteps]])
        share = np.concatenate([np.arange(len(steps) + 1), [len(steps)]]) / len(group.results)
        axis.step(x, share, where="post", **style)
    axis.set_ylim(-0.02, 1.05)
    _legend(figure, [axis])
    return figure


def variations_figure(groups: list[Group]) -> Figure | None:
    """Draw greedy area and end of every variation with their intervals; None without variations of several runs."""
    groups = [group for group in groups if len(group.results) > 1]
    if len({group.variation for group in groups}) < 2:
        return None
    figure = Figure(figsize=(11, 1.4 + 0.4 * len(groups)), layout="constrained")
    figure.suptitle(groups[0].environment)
    axes = figure.subplots(1, 2, sharey=True)
    for axis, title in zip(axes, ("Greedy area", "Greedy end"), strict=True):
        axis.set_title(title)
    for position, group in enumerate(groups):
        for axis, scores in zip(axes, (group.greedy_areas, group.greedy_ends), strict=True):
            value, low, high = aggregate([scores])
            hue = colour(group.algorithm)
            axis.plot([low, high], [position, position], color=hue, linewidth=5, alpha=0.35, solid_capstyle="butt")
            axis.plot([value], [position], "o", color=hue)
    axes[0].set_yticks(range(len(groups)), [group.label for group in groups])
    axes[0].set_ylim(len(groups) - 0.5, -0.5)
    mean = groups[0].reference_return
    if np.isfinite(mean):
        axes[1].axvline(mean, color=_EXPERT_COLOUR, linestyle=(0, (4, 3)), linewidth=1.2)
        place = {"xycoords": ("data", "axes fraction"), "xytext": (4, 4), "textcoords": "offset points"}
        axes[1].annotate(f"expert {mean:.4g}", (mean, 0), **place, color=_EXPERT_COLOUR, fontsize=10)
    return figure


def _learning_curves(axes: Any, styled: list[tuple[Group, dict[str, Any]]]) -> None:
    """Draw the greedy returns of one environment into the first axis, the own returns into the second."""
    for group, style in styled:
        steps, curves = group.greedy_curves
        curve(axes[0], steps, smoothed(curves), style)
        curve(axes[1], curve_steps(group.n_timesteps), smoothed(group.own_curves), style)
    for axis in axes:
        _expert_line(axis, [group for group, _ in styled])


def _panels(groups: list[Group], n_columns: int) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(11 if n_columns > 1 else 6, 4.4), layout="constrained")
    figure.suptitle(groups[0].environment)
    axes = list(figure.subplots(1, n_columns, squeeze=False)[0])
    for axis in axes:
        step_axis(axis, groups[0].n_timesteps)
    return figure, axes


def step_axis(axis: Any, n_timesteps: int) -> None:
    """Label the axis of environment steps."""
    axis.set_xlabel("environment steps")
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.set_xlim(0, n_timesteps)


def styles(groups: list[Group]) -> list[tuple[Group, dict[str, Any]]]:
    """Colour tells the algorithm; line style what has the same colour: its variations, and another algorithm."""
    known: dict[str, dict[str, Any]] = {}
    for group in groups:
        if group.label not in known:
            hue = colour(group.algorithm)
            again = sum(style["color"] == hue for style in known.values())
            known[group.label] = {"label": group.label, "color": hue, "linestyle": _LINE_STYLES[again % len(_LINE_STYLES)]}
    return [(group, known[group.label]) for group in groups]


def smoothed(curves: np.ndarray) -> np.ndarray:
    """
    Take means over :data:`SMOOTHED` of the points, around each of them, over fewer at the ends.

    :param curves: shape (n_runs, n_points)
    :return: of the same shape
    """
    n_points = curves.shape[-1]
    side = round(SMOOTHED * n_points / 2)
    around = [slice(max(0, point - side), point + side + 1) for point in range(n_points)]
    return np.stack([curves[..., part].mean(axis=-1) for part in around], axis=-1)


def _name_rows(column: Any) -> None:
    for axis, name in zip(column, ("greedy return", "own return\n(episodes without a guide)"), strict=True):
        axis.set_ylabel(name)


def curve(axis: Any, steps: np.ndarray, curves: np.ndarray, style: dict[str, Any]) -> None:
    """Draw the interquartile mean of several runs and its interval."""
    if len(curves) == 0 or np.isnan(curves).all():
        return
    value, low, high = bands(curves)
    axis.plot(steps, value, **style)
    axis.fill_between(steps, low, high, color=style["color"], alpha=0.15, linewidth=0)


def _statistic(group: Group, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a logged statistic of all runs at common steps; no runs if nobody logged it."""
    steps, curves = curve_steps(group.n_timesteps), []
    for result in group.results:
        points = [(sample["step"], sample[name]) for sample in result["expert_statistics"] if name in sample]
        if points:
            known_steps, values = zip(*points, strict=True)
            curves.append(np.interp(steps, known_steps, values))
    return steps, np.asarray(curves)


def _expert_line(axis: Any, groups: list[Group]) -> None:
    mean = groups[0].reference_return
    if np.isfinite(mean):
        axis.axhline(mean, color=_EXPERT_COLOUR, linestyle=(0, (4, 3)), linewidth=1.2)
        place = {"xy": (1, mean), "xycoords": ("axes fraction", "data"), "xytext": (4, 0), "textcoords": "offset points"}
        axis.annotate(f"expert\n{mean:.4g}", **place, va="center", color=_EXPERT_COLOUR, fontsize=10)


def _legend(figure: Figure, axes: Iterable[Any]) -> None:
    """Name every line once, whichever of the axes it is in."""
    known: dict[str, Any] = {}
    for axis in axes:
        known |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    columns = max(2, int(figure.get_figwidth() // 3))
    rows = math.ceil(len(known) / columns)
    # a long legend has room of its own, or it would take the axes'
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * max(0, rows - FREE_LEGEND_ROWS))
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=min(len(known), columns))
