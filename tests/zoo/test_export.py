"""Exporting from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch as th
from stable_baselines3 import DQN

from sb3_diiqn.expert.policies import find_algorithm
from sb3_diiqn.zoo.__main__ import main
from tests.diiqn.test_export import MAKERS, OBSERVATIONS
from tests.helpers import q_values


@pytest.mark.parametrize("name", MAKERS)
def test_export(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    model: Any = MAKERS[name]().learn(60)
    model.save(tmp_path / "model")
    assert main(["export-dqn", str(tmp_path / "model.zip"), "-o", str(tmp_path / "new" / "exported-0.5")]) == 0
    host = find_algorithm("QRDQN" if name == "QRDIIQN" else "DQN")
    loaded: Any = host.load(tmp_path / "new" / "exported-0.5.zip")
    assert f": {host.__name__}.load loads it" in capsys.readouterr().out
    assert th.equal(q_values(loaded), q_values(model))
    assert (
        loaded.predict(OBSERVATIONS, deterministic=True)[0].tolist()
        == model.predict(OBSERVATIONS, deterministic=True)[0].tolist()
    )
    assert (loaded.buffer_size, loaded.num_timesteps) == (model.buffer_size, 60)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["exported-0.5.zip"]


def test_expert_data_and_room_for_transitions_are_not_needed(tmp_path: Path) -> None:
    model = MAKERS["DIIQN"]().learn(40)
    model.buffer_size = 10**12
    model.expert_data = str(tmp_path / "gone.npz")
    model._expert_path = model.expert_data
    model.save(tmp_path / "model")
    assert main(["export-dqn", str(tmp_path / "model"), "-o", str(tmp_path / "dqn.zip")]) == 0
    loaded = DQN.load(tmp_path / "dqn.zip", custom_objects={"buffer_size": 10})
    assert th.equal(q_values(loaded), q_values(model))


def test_files_are_replaced_only_when_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    MAKERS["DIIQN"]().save(tmp_path / "model")
    (tmp_path / "dqn.zip").write_text("precious")
    command = ["export-dqn", str(tmp_path / "model.zip"), "-o", str(tmp_path / "dqn")]
    assert main(command) == 2
    assert "dqn.zip exists: name another file, or replace it: --overwrite" in capsys.readouterr().err
    assert (tmp_path / "dqn.zip").read_text() == "precious"
    assert main([*command, "--overwrite"]) == 0
    DQN.load(tmp_path / "dqn.zip")


def test_what_is_no_model_of_this_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DQN("MlpPolicy", "CartPole-v1", buffer_size=10).save(tmp_path / "dqn")
    (tmp_path / "text.zip").write_text("hello")
    for name, fragment in (
        ("dqn.zip", "is no model of DIIQN, HADIIQN or QRDIIQN"),
        ("text.zip", "cannot be loaded"),
        ("missing.zip", "cannot be loaded"),
    ):
        assert main(["export-dqn", str(tmp_path / name), "-o", str(tmp_path / "out")]) == 2
        assert f"{name}' {fragment}" in capsys.readouterr().err
    assert not (tmp_path / "out.zip").exists()
