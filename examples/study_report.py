"""What a study found: a table of its trials, Optuna's plots, and the best trial's settings for a comparison on fresh seeds.

python examples/study_report.py STORAGE NAME FOLDER
python examples/study_report.py results/tuning/cartpole.log cartpole results/tuning
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import optuna
import yaml
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.visualization.matplotlib import plot_param_importances, plot_slice

from sb3_diiqn.zoo.experiment import open_storage
from sb3_diiqn.zoo.search_spaces import convert

N_SLICES = 5
"""How many parameters the slice plot shows, the most important ones."""


def main() -> None:
    storage, name, folder = sys.argv[1:]
    study = optuna.load_study(study_name=name, storage=open_storage(storage))
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_table(study, Path(folder) / "trials.csv")
    importances = optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    draw(study, list(importances), Path(folder))
    best, states = study.best_trial, [trial.state.name for trial in study.trials]
    print(f"{len(states)} trials: {', '.join(f'{states.count(state)} {state.lower()}' for state in sorted(set(states)))}")
    print("Importance: " + ", ".join(f"{parameter} {share:.2f}" for parameter, share in importances.items()))
    print(f"Settings of trial {best.number}, whose value is {best.value:g}:")
    settings = {key: round(value, 4) if isinstance(value, float) else value for key, value in convert(best.params).items()}
    print(yaml.safe_dump(settings, sort_keys=False), end="")


def write_table(study: optuna.Study, path: Path) -> None:
    parameters = sorted({parameter for trial in study.trials for parameter in trial.params})
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["trial", "state", "value", *parameters])
        for trial in study.trials:
            suggested = (trial.params.get(parameter, "") for parameter in parameters)
            numbers = (f"{value:.6g}" if isinstance(value, float) else value for value in suggested)
            table.writerow([trial.number, trial.state.name, trial.value, *numbers])


def draw(study: optuna.Study, parameters: list[str], folder: Path) -> None:
    importance = plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator()).figure
    importance.set_size_inches(8, 4)
    importance.savefig(folder / "importance.png", dpi=100, bbox_inches="tight")
    slices = plot_slice(study, params=parameters[:N_SLICES])
    figure = slices[0].figure
    figure.set_size_inches(4 * N_SLICES, 4)
    figure.savefig(folder / "slice.png", dpi=70, bbox_inches="tight")


if __name__ == "__main__":
    main()
