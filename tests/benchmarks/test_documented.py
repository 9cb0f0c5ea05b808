"""What docs/benchmarks.md shows is accepted, and what it says of the recordings is so."""

from __future__ import annotations

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
ROWS = re.findall(r"^\| `([\w-]+\.npz)` \|.*\| ([\d ]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)


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
    files = {path.name for path in (ROOT / "results" / "experts").glob("*-train-*.npz") if "-actions" not in path.name}
    assert {name for name, *_ in ROWS} <= files and len(ROWS) == 12
    name, n_transitions, mean_return = ROWS[5]
    data = ExpertObservations.load(ROOT / "results" / "experts" / name)
    assert len(data) == int(n_transitions.replace(" ", ""))
    assert data.rewards is not None
    assert data.rewards.sum() / data.n_trajectories == pytest.approx(float(mean_return), rel=0.02)
