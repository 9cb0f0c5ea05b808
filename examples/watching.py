"""Watch a training: what the guide and the agent return, and how much the expert is imitated, from the log that is written.

python examples/watching.py --picture docs/figures/watching.png
"""

import argparse
import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl

mpl.use("agg")

from matplotlib import pyplot as plt
from stable_baselines3.common.logger import configure

from sb3_diiqn import DIIQN, datasets

STEPS = "time/total_timesteps"
#: What is drawn, and in which colour.
RETURNS = {"expert/guide_return": "#009E73", "expert/own_return": "#D55E00"}
WEIGHT = "expert/imitation_weight"


def main(timesteps: int, picture: Path | None) -> None:
    with TemporaryDirectory() as folder:
        model = DIIQN(
            "MlpPolicy",
            "CartPole-v1",
            expert_data="builtin:cartpole",
            learning_rate=1e-3,
            learning_starts=100,
            target_update_interval=500,
            seed=0,
        )
        model.set_logger(configure(folder, ["csv"]))
        model.learn(timesteps, log_interval=1)
        logged = read_log(Path(folder) / "progress.csv")
    for name, (steps, values) in logged.items():
        print(f"{name}: {values[-1]:.4g} at step {steps[-1]:.0f}" if steps else f"{name}: not yet")
    if picture is not None:
        draw(logged, picture)


def read_log(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {}
    for name in (*RETURNS, WEIGHT):
        # most lines are of the end of an episode, and say nothing about the expert
        said = [row for row in rows if row.get(name)]
        columns[name] = [float(row[STEPS]) for row in said], [float(row[name]) for row in said]
    return columns


def draw(logged: dict[str, tuple[list[float], list[float]]], picture: Path) -> None:
    figure, (returns, weight) = plt.subplots(2, sharex=True, figsize=(8, 5), height_ratios=(2, 1), layout="constrained")
    for name, colour in RETURNS.items():
        returns.plot(*logged[name], color=colour, label=name)
    recorded = datasets.describe("cartpole")["mean_return"]
    returns.axhline(recorded, color="#333333", linestyle="--", linewidth=1.2, label="the expert's recording")
    weight.plot(*logged[WEIGHT], color="#0072B2", label=WEIGHT)
    returns.set_ylabel("return of an episode")
    weight.set_ylabel("weight")
    weight.set_xlabel("step")
    for axes in (returns, weight):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(picture, dpi=90)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timesteps", type=int, default=20_000)
    parser.add_argument("--picture", type=Path, help="draw the log into this file")
    arguments = parser.parse_args()
    main(arguments.timesteps, arguments.picture)
