"""The recordings that come with the package are what their manifest says, and are used as files are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sb3_diiqn import DIIQN, HADIIQN, ExpertObservations, datasets
from sb3_diiqn.baselines import BCO
from sb3_diiqn.datasets.make import LEFT, LICENSE, RECIPES, RIGHT, STAY, catch, main
from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert.builtin import FOLDER
from sb3_diiqn.expert.given import index_path, load_expert, paths_of
from sb3_diiqn.expert.manifest import read_json
from sb3_diiqn.expert.storage import is_there
from sb3_diiqn.info import described
from sb3_diiqn.record import make_environment, record_expert

SHORT = {"learning_starts": 10, "buffer_size": 500}
#: ball, its trail, the paddle's column, and where the paddle goes; above row 4 there are bricks
BREAKOUT = [
    ((5, 3), (4, 2), 6, STAY),  # falls to (8, 6)
    ((5, 3), (4, 2), 5, RIGHT),
    ((5, 8), (4, 7), 9, LEFT),  # 8, 9, at the wall 9, 8
    ((5, 5), (6, 4), 7, RIGHT),  # rises to (4, 6), breaks the brick at (3, 7), falls from (4, 7) by the wall to (8, 8)
    ((4, 0), (4, 1), 3, STAY),  # has broken a brick, falls along the wall: 0 again, then 1, 2, 3
    ((8, 4), (8, 5), 2, RIGHT),  # was thrown back, rises to (4, 0), breaks the brick at (3, 0), falls to (8, 4)
]


def test_names() -> None:
    assert datasets.names() == sorted(RECIPES) == sorted(read_json(FOLDER / datasets.MANIFEST))
    assert sum(path.stat().st_size for path in FOLDER.glob("*.npz")) < 150_000


@pytest.mark.parametrize("name", RECIPES)
def test_the_manifest_says_what_it_is(name: str) -> None:
    data, said, recipe = datasets.load(name), datasets.describe(name), RECIPES[name]
    assert (data.content_hash, len(data)) == (said["content_hash"], said["n_transitions"])
    assert (said["env_id"], said["env_kwargs"], said["license"]) == (recipe.env_id, recipe.env_kwargs, LICENSE)
    with make_environment(recipe.env_id, **recipe.env_kwargs) as env:
        data.adapted_to(env.observation_space)
    assert f"| `{name}` |" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_experts_are_mediocre() -> None:
    assert 200 <= datasets.describe("cartpole")["mean_return"] <= 400
    assert 5 <= datasets.describe("breakout")["mean_return"] <= 10


@pytest.mark.parametrize(("ball", "trail", "paddle", "action"), BREAKOUT)
def test_the_paddle_goes_where_the_ball_comes_down(
    ball: tuple[int, int], trail: tuple[int, int], paddle: int, action: int
) -> None:
    planes = np.zeros((10, 10, 4), dtype=bool)
    planes[9, paddle, 0] = planes[(*ball, 1)] = planes[(*trail, 2)] = True
    planes[1:4, :, 3] = True
    before = planes.copy()
    assert catch(planes) == action
    np.testing.assert_array_equal(planes, before)


def test_without_random_actions_no_ball_is_missed() -> None:
    with make_environment("MinAtar/Breakout-v0", sticky_action_prob=0.0) as env:
        observation, _ = env.reset(seed=0)
        total = 0.0
        for _ in range(1000):
            observation, reward, terminated, *_ = env.step(catch(observation))
            total += float(reward)
            assert not terminated
    assert total > 60, "all bricks are broken twice"


def test_they_are_made_as_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--folder", str(tmp_path)])
    made = read_json(tmp_path / datasets.MANIFEST)
    for name in ("breakout", "maze", "maze-king"):  # floats of cart-pole are rounded differently elsewhere
        assert made[name]["content_hash"] == datasets.describe(name)["content_hash"]
    assert made["cartpole"]["n_transitions"] == 5000
    assert "cartpole: 5000 transitions, mean return " in capsys.readouterr().out


def test_learn_save_and_learn_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(FOLDER.iterdir())
    model = DIIQN("MlpPolicy", "CartPole-v1", expert_data="builtin:cartpole", **SHORT).learn(60)
    assert model.expert is not None and len(model.expert) == 5000
    model.save("model")
    loaded = DIIQN.load("model", env=model.get_env())
    assert loaded.expert is not None and loaded.expert.content_hash == datasets.load("cartpole").content_hash
    loaded.learn(20, reset_num_timesteps=False)
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]
    assert sorted(FOLDER.iterdir()) == before, "nothing is kept beside what may be read only"


def test_other_algorithms() -> None:
    with make_environment("sb3_diiqn/Maze2D-v0", **RECIPES["maze"].env_kwargs) as env:
        HADIIQN("MlpPolicy", env, expert_data="builtin:maze-king", **SHORT).learn(60)
        BCO("MlpPolicy", env, expert_data="builtin:maze")


def test_beside_recordings_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "own.npz"
    record_expert("CartPole-v1", n_steps=30, seed=0, output=own)
    assert len(load_expert(["builtin:cartpole", own])) == 5030
    assert paths_of(["builtin:cartpole", own]) == ["builtin:cartpole", str(own)]
    assert index_path("builtin:cartpole", "0123456789") is None
    assert index_path([own, "builtin:cartpole"], "0123456789") is None
    assert is_there("builtin:cartpole")


@pytest.mark.parametrize("load", [load_expert, lambda source: datasets.load(source.partition(":")[2])])
def test_unknown_names(load: object) -> None:
    assert callable(load)
    names = "builtin:breakout, builtin:cartpole, builtin:maze, builtin:maze-king"
    with pytest.raises(
        ExpertDataError, match=f"^'builtin:pong' does not come with this package: expected one of {names}. For a"
    ):
        load("builtin:pong")
    with pytest.raises(ExpertDataError, match="'builtin:pong' does not come with this package"):
        datasets.describe("pong")


@pytest.mark.parametrize("prefix", ["builtin", "hub"])
def test_a_file_of_such_a_name(prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        datasets.load("maze").save(f"./{prefix}:own.npz")
    except OSError:
        pytest.skip("this file system knows no colons")
    assert len(ExpertObservations.load(f"./{prefix}:own.npz")) == 2000


def test_info() -> None:
    rows = dict(described("builtin:maze"))
    assert (rows["env_id"], rows["license"]) == ("sb3_diiqn/Maze2D-v0", "MIT")
    assert "half of its moves are random" in rows["expert"]
