"""The examples of docs/baselines.md run as they stand, only shorter."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from sb3_diiqn import baselines
from sb3_diiqn.exceptions import MissingDependencyError
from sb3_diiqn.record import record_expert

PAGE = (Path(__file__).parents[2] / "docs" / "baselines.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_every_baseline_has_its_section() -> None:
    assert set(SECTIONS) == set(baselines.__all__)


@pytest.mark.parametrize("name", baselines.__all__)
def test_example(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", SECTIONS[name], re.DOTALL)
    assert len([line for line in example.splitlines() if line]) <= 10
    shorter = example.replace("10_000", "150").replace("n_steps=512", "n_steps=64")
    shorter = re.sub(r"learning_starts=\d+", "learning_starts=60, batch_size=16", shorter)
    if name in {"BCO", "JSRL"}:
        shorter = shorter.replace("learning_starts", "updates=20, learning_starts")
    monkeypatch.chdir(tmp_path)
    record_expert("CartPole-v1", n_steps=100, seed=0).expert_data.save("expert.npz")
    namespace: dict[str, Any] = {}
    if name == "GAIfO" and importlib.util.find_spec("imitation") is None:
        with pytest.raises(MissingDependencyError, match="imitation"):
            exec(shorter, namespace)
        return
    exec(shorter, namespace)
    assert int(namespace["action"]) in {0, 1}
    assert len(list(tmp_path.glob("*.zip"))) == 1
