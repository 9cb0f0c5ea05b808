# ruff: noqa: S101, C901, PLR0912, E501
"""Once: committed cells under the arguments that the algorithms have now. Nothing is run again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.algorithms import BASELINE
from benchmarks.archive import read_archive, write_archive
from benchmarks.storage import ResultFolder
from benchmarks.suite import Suite, load_suite
from sb3_diiqn.expert.manifest import read_json, write_json, write_text

MATCHING = {
    "similarity_metric", "similarity_threshold", "n_neighbors", "usefulness_beta", "max_training_count", "max_inference_error",
}  # fmt: skip
BRIDGES = {"infeasibility_threshold", "infeasibility_evidence", "bridge_length", "bridge_gain", "bridge_patience"}
REWARDS = {"matched": "none", "recorded": "recorded", "agent": "agent"}
RENAMED = {
    "demo": {"diiqn-bridging": "diiqn"},
    "distractors": {"diiqn-bridging": "diiqn-matching", "hadiiqn": "hadiiqn-bridges"},
    "highway": {"hadiiqn-clone": "hadiiqn"},
    "point_maze": {"hadiiqn": "hadiiqn-bridges", "hadiiqn-clone": "hadiiqn"},
}
DELETED = {
    "demo": ["diiqn-next"],
    "highway": ["diiqn-small-margin"],
    "mazes": ["hadiiqn-next", "hadiiqn-handed-over", "hadiiqn-recording-alone", "hadiiqn-led-alone"],
    "minatar": ["diiqn-small-margin"],
    "minatar_parts": [
        "diiqn-led-alone", "diiqn-handed-over", "diiqn-half", "diiqn-filtered", "diiqn-prioritized", "diiqn-voted",
        "diiqn-double-q",
    ],
    "tuning": ["diiqn-tuned"],
}  # fmt: skip
GRIDS = {"demo", "mazes", "mazes_long"}
"""Suites whose experts' states repeat."""


def translated(suite: str, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Say with the present arguments what a cell's settings said; every rule is written down here, apart from the suites."""
    given, kind = dict(settings["settings"]), settings["class"]
    preset = given.pop("preset", None)
    new: dict[str, Any] = {}
    for key in list(given):
        if key in MATCHING:
            new.setdefault("matching_kwargs", {})[key] = given.pop(key)
        elif key in BRIDGES:
            new.setdefault("bridge_kwargs", {})[key] = given.pop(key)
    if "expert_reward" in given:
        new["expert_rewards"] = REWARDS[given.pop("expert_reward")]
    if "margin_weight" in given:
        new["imitation_coef"] = given.pop("margin_weight")
    if kind == "hadiiqn":
        assert preset == "bridging"
        if suite not in GRIDS:
            as_default = (given.pop("guide", None), given.pop("inference", None)) == ("both", "inverse_dynamics")
            new |= {} if as_default else {"guide": "matching", "inference": "nearest"}
    elif kind in {"diiqn", "qrdiiqn"}:
        assert preset == ("bridging" if suite in GRIDS | {"distractors"} else "guided"), name
        if suite == "distractors":
            kind = "benchmarks.variants:Matching"
    else:
        assert preset is None
    if given.get("guidance_share") == 0 and given.get("led_episodes") == 0:
        del given["guidance_share"], given["led_episodes"]
        new["guide"] = "none"
    if "led_episodes" in given:
        new["guide_fraction"] = given.pop("led_episodes")
    if given.pop("greedy_episodes", None) is not None:
        assert kind == "diiqn"
        kind = "benchmarks.variants:Exploring"
    return settings | {"class": kind, "settings": given | new}


def migrate_suite(folder: ResultFolder, suite: Suite) -> None:
    """Rewrite the cells of a suite, and keep those of rows that left it."""
    name, path = suite.name, folder.archive(suite.name)
    present = {cell.path.as_posix(): cell for cell in suite.cells()}
    hashes, kept, deleted = {}, {}, {}
    for old, content in read_archive(path).items():
        environment, algorithm, variation, seed = old.split("/")
        cell_content = json.loads(content)
        if algorithm in DELETED.get(name, []):
            deleted[old] = content
            continue
        renamed = RENAMED.get(name, {}).get(algorithm, algorithm)
        cell = present[f"{environment}/{renamed}/{variation.replace('expert_reward=', 'expert_rewards=')}/{seed}"]
        settings = translated(name, algorithm, cell_content["settings"])
        assert settings == json.loads(json.dumps(cell.settings)), (old, settings, cell.settings)
        hashes[cell_content["settings_hash"]] = cell.settings_hash
        cell_content |= {
            "algorithm": cell.algorithm,
            "variation": cell.variation,
            "settings": settings,
            "settings_hash": cell.settings_hash,
        }
        kept[cell.path.as_posix()] = (json.dumps(cell_content, separators=(",", ":")) + "\n").encode()
    assert len(kept) + len(deleted) == len(read_archive(path))
    if deleted:
        write_archive(path.with_name("deleted.tar.xz"), deleted)
        write_text(path.with_name("deleted.md"), last_tables(name, folder.suite(name) / "report" / "report.md"))
    write_archive(path, kept)
    folder.save_suite(suite)
    for cost in sorted((folder.suite(name) / "cost").rglob("*.json")):
        measured = read_json(cost)
        assert measured["baseline"] == BASELINE
        write_json(cost, measured | {"settings_hashes": [hashes[old] for old in measured["settings_hashes"]]})
    print(f"{name}: {len(kept)} cells rewritten, {len(deleted)} put aside")


def last_tables(suite: str, report: Path) -> str:
    """Take the rows that left a suite out of its last report, with what they are to be compared with."""
    rows = {*DELETED[suite], BASELINE, *({"hadiiqn"} if suite == "mazes" else {"diiqn", "diiqn-bridging", "diiqn-paper"})}
    names = ", ".join(f"`{name}`" for name in DELETED[suite])
    lines = [
        f"# Rows that left the suite {suite}",
        f"{names}: of arguments that were deleted. Their last tables, under the names of that time, beside what is still there.",
    ]
    environment, table = "", list[str]()
    for line in [*report.read_text().split("## All environments")[0].splitlines(), ""]:
        if line.startswith("## "):
            environment = line
        if line.startswith("|"):
            cells = [text.strip() for text in line.strip("|").split("|")]
            if len(table) < 2 or cells[0] in {*rows, "expert"}:
                table.append(line)
        elif table:
            if any(f"| {name}" in row for row in table for name in DELETED[suite]) and not table[0].startswith("| what"):
                lines += [environment, "\n".join(table)]
            table = []
    return "\n\n".join(lines) + "\n"


def main(root: Path) -> None:
    """Migrate a folder of results."""
    folder = ResultFolder(root)
    for path in sorted(root.glob("*/suite.json")):
        name = path.parent.name
        own = root / name / "fresh_seeds.yml"
        suite = load_suite(str(own) if own.exists() else name)
        migrate_suite(folder, Suite(**{**vars(suite), "name": name}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
