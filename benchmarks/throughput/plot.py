"""The figure of speed over the size of the expert data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sb3_diiqn.exceptions import MissingDependencyError

try:
    from matplotlib.figure import Figure
except ImportError as missing:
    raise MissingDependencyError("matplotlib", "plots") from missing

COLOURS = {"breakout": "#0072B2", "seaquest": "#D55E00", "lander": "#009E73", "images": "#CC79A7"}


def write_plot(rows: list[dict[str, Any]], path: Path) -> None:
    """
    Draw what matching costs, and what is left of DQN's speed, over the size of the expert data.

    :param rows: rows of results
    :param path: file of the figure
    """
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    cost, speed = figure.subplots(1, 2)
    for task, colour in COLOURS.items():
        _line(cost, [row for row in rows if row["part"] == "matching" and row["env"] == task], "us", task, {"color": colour})
        for n_envs, style in ((1, "-"), (8, "--")):
            trained = [row for row in rows if row["part"] == "training" and (row["env"], row["n_envs"]) == (task, n_envs)]
            with_data = [row for row in trained if row["expert_transitions"]]
            _line(speed, with_data, "ratio", f"{task}, n_envs={n_envs}", {"color": colour, "linestyle": style})
    cost.set_title("Matching: microseconds per agent transition")
    cost.set_yscale("log")
    cost.yaxis.set_major_formatter("{x:.0f}")
    cost.yaxis.set_minor_formatter("{x:.0f}")
    speed.set_title("Environment steps per second, DIIQN / DQN")
    speed.axhline(1.0, color="#333333", linewidth=1)
    speed.set_ylim(0, 1.3)
    for axis in (cost, speed):
        axis.set_xscale("log")
        axis.set_xlabel("expert transitions")
        axis.grid(alpha=0.25)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _line(axis: Any, rows: list[dict[str, Any]], name: str, label: str, style: dict[str, str]) -> None:
    if not rows:
        return
    rows = sorted(rows, key=lambda row: int(row["expert_transitions"]))
    sizes = [row["expert_transitions"] for row in rows]
    middle = "us_per_transition" if name == "us" else name
    axis.plot(sizes, [row[middle] for row in rows], "o", label=label, **{"linestyle": "-", **style})
    axis.fill_between(
        sizes, [row[f"{name}_min"] for row in rows], [row[f"{name}_max"] for row in rows], alpha=0.15, color=style["color"]
    )
