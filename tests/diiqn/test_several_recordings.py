"""Models that learn from several recordings: they are joined, and their files are known again after loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sb3_diiqn import DIIQN
from sb3_diiqn.exceptions import ExpertDataError, MissingExpertDataError
from tests.helpers import right_walks
from tests.imitation.conftest import env, make, saved


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [right_walks(n=n).save(tmp_path / f"{n}.npz") for n in (1, 2)]


def test_they_are_joined(paths: list[Path]) -> None:
    expected = right_walks(n=3)
    for data in (paths, [right_walks(n=1), paths[1]], [str(path) for path in paths]):
        model = make(data)
        assert model.expert is not None and model.expert.content_hash == expected.content_hash
    assert model.learn(40).knowledge is not None


@pytest.mark.parametrize("kind", [str, Path])
def test_the_paths_are_kept(tmp_path: Path, paths: list[Path], kind: Any) -> None:
    given = [kind(path) for path in paths]
    loaded = DIIQN.load(saved(make(given), tmp_path), env=env())
    assert loaded.expert_data == given
    assert loaded.expert is not None and loaded.expert.n_trajectories == 3
    loaded.learn(40)


def test_recordings_themselves_are_not_saved(tmp_path: Path, paths: list[Path]) -> None:
    loaded = DIIQN.load(saved(make([paths[0], right_walks(n=2)]), tmp_path), env=env())
    assert loaded.expert_data is None
    with pytest.raises(MissingExpertDataError, match="none was given.*expert_data="):
        loaded.learn(10)
    DIIQN.load(tmp_path / "model.zip", env=env(), expert_data=paths).learn(40)


def test_one_that_is_gone_is_named(tmp_path: Path, paths: list[Path]) -> None:
    zip_path = saved(make(paths), tmp_path)
    paths[1].unlink()
    loaded = DIIQN.load(zip_path, env=env())
    loaded.predict(env().reset())
    with pytest.raises(MissingExpertDataError, match="and '[^']*2.npz' does not exist"):
        loaded.learn(10)
    with pytest.raises(ExpertDataError, match="There is no file .*2.npz"):
        make(paths)


def test_an_array_is_refused_in_one_line() -> None:
    with pytest.raises(ExpertDataError, match=r"expert_data\[0\] is an array.*from_trajectories") as raised:
        make([np.zeros((10_000, 3), np.float32)] * 3)
    assert len(str(raised.value)) < 400
