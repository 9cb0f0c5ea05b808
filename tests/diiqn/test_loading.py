"""Loading where something has changed meanwhile: the file of the expert data, or arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sb3_diiqn import DIIQN
from sb3_diiqn.common.presets import PRESETS
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, MissingExpertDataError
from tests.diiqn.test_saving import env, make, saved
from tests.helpers import right_walks


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    return right_walks().save(tmp_path / "expert.npz")


@pytest.mark.parametrize("how", ["damaged", "another environment's"])
def test_what_the_named_file_has_become_does_not_keep_a_loaded_model_from_predicting(
    tmp_path: Path, data_file: Path, how: str
) -> None:
    zip_path = saved(make(data_file).learn(40), tmp_path)
    if how == "damaged":
        data_file.write_bytes(b"no longer data")
    else:
        right_walks("bool vector").save(data_file)
    with pytest.warns(UserWarning, match="cannot learn, only predict"):
        loaded = DIIQN.load(zip_path, env=env())
    loaded.predict(env().reset())
    with pytest.raises(MissingExpertDataError, match=f"{right_walks().content_hash[:12]}.*(npz file|shape).*expert_data="):
        loaded.learn(10)
    elsewhere = right_walks().save(tmp_path / "elsewhere")
    DIIQN.load(zip_path, env=env(), expert_data=elsewhere).learn(10)


def test_a_damaged_file_that_is_passed_when_loading_is_refused(tmp_path: Path, data_file: Path) -> None:
    zip_path = saved(make(data_file), tmp_path)
    (tmp_path / "other.npz").write_bytes(b"no data")
    with pytest.raises(ExpertDataError, match="not an .npz file"):
        DIIQN.load(zip_path, env=env(), expert_data=tmp_path / "other.npz")


# --- other arguments -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {"preset": "paper"}),
        ({"guidance_share": 0.3, "inference": "inverse_dynamics"}, {"preset": "paper"}),
        ({"preset": "paper"}, {"preset": "guided", "led_episodes": 0.2}),
        ({}, {"inference": "nearest", "guide": "matching"}),
        ({"guidance_share": 0.3}, {"guidance_share": None}),
    ],
)
def test_arguments_that_are_changed_when_loading_mean_what_they_mean_to_the_constructor(
    tmp_path: Path, given: dict[str, Any], changed: dict[str, Any]
) -> None:
    zip_path = saved(make(right_walks(), **given), tmp_path)
    loaded = DIIQN.load(zip_path, env=env(), expert_data=right_walks(), **changed)
    expected = make(right_walks(), **{**given, **changed})
    for name in (*PRESETS["paper"], "max_inference_error", "preset"):
        assert getattr(loaded, name) == getattr(expected, name), name
    again = DIIQN.load(saved(loaded, tmp_path), env=env(), expert_data=right_walks())
    assert again.guidance_share == expected.guidance_share
    again.learn(40)


def test_a_preset_that_does_not_exist_is_refused_when_loading(tmp_path: Path) -> None:
    zip_path = saved(make(right_walks()), tmp_path)
    with pytest.raises(ConfigurationError, match="preset='telepathy'"):
        DIIQN.load(zip_path, env=env(), expert_data=right_walks(), preset="telepathy")
