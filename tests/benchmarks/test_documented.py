"""What docs/benchmarks.md shows is accepted, and what it says of the recordings is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import gymnasium
import pytest
import yaml
from stable_baselines3 import DQN

from benchmarks.runner import check_runnable
from benchmarks.suite import parse_suite
from sb3_diiqn import ExpertObservations

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


class MyDQN(DQN):
    """The algorithm of the page."""

    def __init__(self, *args: object, courage: float, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]


def test_suite_and_algorithms() -> None:
    if "MyCartPole-v0" not in gymnasium.registry:
        gymnasium.register("MyCartPole-v0", "gymnasium.envs.classic_control:CartPoleEnv", max_episode_steps=500)
    suite, algorithms = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    text = yaml.safe_dump(suite | {"algorithms": suite["algorithms"] | algorithms["algorithms"]})
    text = text.replace("my_package.my_envs:", f"{__name__}:").replace("my_package:", f"{__name__}:")
    checked = parse_suite("mine", yaml.safe_load(text))
    check_runnable(checked)
    assert len(checked.cells()) == 5 * 5


@pytest.mark.skipif(not (ROOT / "results" / "experts").is_dir(), reason="the results are not here")
def test_recordings() -> None:
    """The manifest says how each was made and what it returns."""
    folder = ROOT / "results" / "experts"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    recordings = [path for path in folder.glob("*-train-*.npz") if "-actions" not in path.name]
    assert len(recordings) == 12
    for path in recordings:
        entry = manifest[path.stem]
        assert entry["kind"] == "train" and "settings" in entry and entry["mean_return"] > 0
        assert path.with_name(f"{path.stem}-actions.npz").exists()
    games = {path.stem.partition("-")[0] for path in recordings if manifest[path.stem]["settings"]["n_steps"] == 100_000}
    assert games == {"Breakout", "SpaceInvaders", "Asterix", "Seaquest", "Freeway"}
    (name,) = (path.stem for path in recordings if path.stem.startswith("highway"))
    data = ExpertObservations.load(folder / f"{name}.npz")
    assert len(data) == manifest[name]["settings"]["n_steps"]
    assert data.rewards is not None
    assert data.rewards.sum() / data.n_trajectories == pytest.approx(manifest[name]["mean_return"], rel=0.02)
