"""Experts: from recipes to recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.experts import make_recordings, policy_path, train_policy, true_actions
from benchmarks.recipes import ExpertRecipe
from benchmarks.suite import Suite, parse_suite
from sb3_diiqn import ExpertObservations
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError
from sb3_diiqn.expert.training import CheckpointCallback, GreedyEvaluation, Target


def always(env: Any, action: int) -> Any:
    """Factory of a policy, as suites name them."""
    assert env.action_space.n == 2
    return lambda observation: action


def _suite(expert: dict[str, Any], **environment: Any) -> Suite:
    settings = {"policy": "MlpPolicy", "learning_starts": 50, "policy_kwargs": {"net_arch": [8]}}
    source = {
        "seeds": 1,
        "evaluation": {"every": 100, "episodes": 2, "max_steps": 30},
        "environments": {
            "pole": {"id": "CartPole-v1", "n_timesteps": 300, "settings": settings, "expert": expert} | environment
        },
        "algorithms": {"dqn": {}, "diiqn": {}},
    }
    return parse_suite("small", source)


def _recipe(expert: dict[str, Any], **environment: Any) -> ExpertRecipe:
    recipe = _suite(expert, **environment).expert("pole")
    assert recipe is not None
    return recipe


def test_scripted_expert(tmp_path: Path) -> None:
    recipe = _recipe(
        {"kind": "policy", "policy": "tests.benchmarks.test_experts:always", "kwargs": {"action": 1}, "n_steps": 40}
    )
    entry = make_recordings(recipe, tmp_path)
    data = ExpertObservations.load(tmp_path / f"{recipe.name}.npz")
    assert len(data) == entry["n_transitions"] == 40
    assert entry["content_hash"] == data.content_hash
    assert entry["kind"] == "policy" and entry["environment"] == "pole" and entry["settings"] == recipe.settings
    with np.load(tmp_path / f"{recipe.name}-actions.npz", allow_pickle=False) as file:
        assert file["actions"].tolist() == [1] * 40
        assert str(file["content_hash"]) == data.content_hash
    lengths = np.diff(data.offsets)[:-1] - 1  # CartPole gives 1 per step; the last episode is cut
    assert entry["n_episodes"] == len(lengths)
    assert entry["mean_return"] == pytest.approx(lengths.mean())
    assert entry["std_return"] == pytest.approx(lengths.std())
    again = make_recordings(recipe, tmp_path / "again")
    assert again["content_hash"] == entry["content_hash"], "reproducible"


def test_true_actions_are_those_of_the_recording(tmp_path: Path) -> None:
    always_right = {"kind": "policy", "policy": "tests.benchmarks.test_experts:always", "kwargs": {"action": 1}, "n_steps": 40}
    suite = _suite(always_right)
    cell = suite.cell("pole", "diiqn", "default", 0)
    assert true_actions(cell, tmp_path, "anything") is None, "no recording"
    entry = make_recordings(_recipe(always_right), tmp_path)
    actions = true_actions(cell, tmp_path, entry["content_hash"])
    assert actions is not None
    assert actions.tolist() == [1] * 40
    assert true_actions(cell, tmp_path, "of other data") is None
    assert true_actions(suite.cell("pole", "dqn", "default", 0), tmp_path, entry["content_hash"]) is None
    other_actions = _suite(always_right | {"env_kwargs": {"render_mode": "rgb_array"}}).cell("pole", "diiqn", "default", 0)
    make_recordings(other_actions.expert, tmp_path)  # type: ignore[arg-type]
    assert true_actions(other_actions, tmp_path, entry["content_hash"]) is None


def test_random_expert_and_file(tmp_path: Path) -> None:
    random = _recipe({"kind": "random", "n_steps": 60})
    entry = make_recordings(random, tmp_path)
    with np.load(tmp_path / f"{random.name}-actions.npz") as file:
        assert set(file["actions"].tolist()) == {0, 1}
    path = tmp_path / f"{random.name}.npz"
    of_file = make_recordings(_recipe({"kind": "file", "path": str(path)}), tmp_path)
    assert of_file["content_hash"] == entry["content_hash"]
    assert of_file["n_episodes"] == ExpertObservations.load(path).n_trajectories
    with pytest.raises(ExpertDataError, match="absent"):
        make_recordings(_recipe({"kind": "file", "path": str(tmp_path / "absent.npz")}), tmp_path)


def test_file_without_rewards(tmp_path: Path) -> None:
    ExpertObservations.from_trajectories([np.zeros((5, 4), dtype=np.float32)]).save(tmp_path / "data.npz")
    entry = make_recordings(_recipe({"kind": "file", "path": str(tmp_path / "data.npz")}), tmp_path)
    assert entry["mean_return"] is None and entry["n_transitions"] == 4


def test_episodes_are_cut_at_the_cap(tmp_path: Path) -> None:
    recipe = _recipe({"kind": "random", "n_steps": 200})
    capped = ExpertRecipe(recipe.environment, recipe.kind, recipe.settings | {"max_steps": 5})
    make_recordings(capped, tmp_path)
    data = ExpertObservations.load(tmp_path / f"{capped.name}.npz")
    assert np.diff(data.offsets).max() == 6
    assert not data.terminated.any()


def test_trained_expert(tmp_path: Path) -> None:
    small, large = (_recipe({"kind": "train", "share": 0.5, "n_steps": n_steps, "epsilon": 0.2}) for n_steps in (30, 60))
    assert policy_path(small, tmp_path) == policy_path(large, tmp_path)
    trained = train_policy(small, tmp_path)
    before = policy_path(small, tmp_path).stat().st_mtime_ns
    assert train_policy(large, tmp_path) == trained
    assert policy_path(small, tmp_path).stat().st_mtime_ns == before, "trained once"
    assert trained["steps"] in {100, 200, 300}
    entry = make_recordings(large, tmp_path)
    assert entry["policy"] == trained and entry["n_transitions"] == 60
    other = _recipe({"kind": "train", "share": 0.6, "n_steps": 30})
    assert policy_path(other, tmp_path) != policy_path(small, tmp_path)


def _recorder(means: list[float], share: float | None = None, **target: float) -> CheckpointCallback:
    evaluation: GreedyEvaluation = lambda model: []  # type: ignore[assignment]  # noqa: E731
    recorder = CheckpointCallback(evaluation, 10, 100, Target(share, **target))
    recorder.greedy = {"step": [(index + 1) * 100 // len(means) for index in range(len(means))], "mean": means, "returns": []}
    return recorder


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({}, 4),
        ({"share": 0.5}, 2),  # of 10, the last evaluation
        ({"share": 1.0}, 3),
        ({"share": 0.5, "final_return": 4}, 1),
        ({"share": 0.5, "lowest_return": -10}, 0),  # half way from -10 to 10
    ],
)
def test_choice_of_the_policy(training: dict[str, Any], expected: int) -> None:
    assert _recorder([1, 2, 5, 12, 10], **training).choose("pole") == expected


def test_unreachable_return_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'pole'.*12 at best.*16 \(share=0\.8\)"):
        _recorder([1, 12, 10], share=0.8, final_return=20).choose("pole")
    recipe = _recipe({"kind": "train", "share": 1, "final_return": 10_000, "n_steps": 30, "n_timesteps": 100})
    with pytest.raises(ConfigurationError, match="10000"):
        train_policy(recipe, tmp_path)
    assert not policy_path(recipe, tmp_path).exists()


def test_training_ends_at_a_stated_return(tmp_path: Path) -> None:
    recipe = _recipe({"kind": "train", "share": 1, "final_return": 1, "n_steps": 30, "n_timesteps": 10**7})
    assert train_policy(recipe, tmp_path)["steps"] == 100, "at the first evaluation"
