"""DIIQN with ``similarity_metric="learned"``: when it is put to use, what it changes, and that it survives saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from sb3_diiqn import DIIQN, HADIIQN, ExpertObservations
from sb3_diiqn.common.learned_metric import LearnedMetric
from sb3_diiqn.inference import NO_ACTION, NO_MATCH
from sb3_diiqn.inference.distances import RangeDistance
from sb3_diiqn.inference.embedding import EmbeddingDistance
from tests.helpers import RIGHT, TINY, LineEnv, right_walks

LEARNED: dict[str, Any] = {**TINY, "similarity_metric": "learned", "preset": "paper"}


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metric is put to use after 8 updates."""
    monkeypatch.setattr(LearnedMetric, "first_refresh", 8)


def make(**arguments: Any) -> DIIQN:
    return DIIQN("MlpPolicy", LineEnv(), **{**LEARNED, "expert_data": right_walks(), **arguments})


def distance_of(model: Any) -> Any:
    return model.knowledge.matcher.distance


@pytest.mark.usefixtures("soon")
def test_it_begins_with_the_metric_set_by_hand_and_changes_each_time_the_updates_have_doubled() -> None:
    model = make()
    model.learn(20 + 4 * 7)
    assert isinstance(distance_of(model), RangeDistance)
    changed: list[int] = []
    seen = distance_of(model)
    for _ in range(60):
        model.learn(4, reset_num_timesteps=False)
        if distance_of(model) is not seen:
            changed.append(model._n_updates)
            seen = distance_of(model)
    assert isinstance(seen, EmbeddingDistance)
    # in the rollout after it
    assert changed == [9, 17, 33, 65]


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("buffer_size", [1000, 50])
def test_all_that_is_stored_is_matched_again(buffer_size: int) -> None:
    model = make(buffer_size=buffer_size)
    model.learn(200)
    buffer: Any = model.replay_buffer
    knowledge: Any = model.knowledge
    assert buffer.full == (buffer_size == 50)
    model._compare_as_learned()
    n_stored = buffer.buffer_size if buffer.full else buffer.pos
    indices, observations = buffer.expert_indices[:n_stored, 0], buffer.observations[:n_stored, 0]
    # what starts at a state that is as near as the threshold says
    distance = distance_of(model)
    near = distance.pairwise(distance.encode(observations), distance.encode(knowledge.expert.current(slice(None)))) <= 0.030001
    assert (near.any(axis=1) == (indices != NO_MATCH)).all()
    assert near[np.flatnonzero(indices != NO_MATCH), indices[indices != NO_MATCH]].all()
    assert (indices != NO_MATCH).any()


class NoisyLine(gym.ObservationWrapper[Any, Any, Any]):
    """A position of the line, and six numbers beside that are drawn anew in every step."""

    def __init__(self) -> None:
        super().__init__(LineEnv())
        self.observation_space = spaces.Box(-1, 1, (7,), dtype=np.float32)
        self.generator = np.random.default_rng(0)

    def observation(self, observation: Any) -> np.ndarray:
        return np.concatenate([observation[:1], self.generator.uniform(-1, 1, 6)]).astype(np.float32)


def noisy_walks(n: int) -> ExpertObservations:
    generator = np.random.default_rng(1)
    line = np.linspace(0, 1, 6)[:, np.newaxis]
    walks = [np.concatenate([line, generator.uniform(-1, 1, (6, 6))], axis=1).astype(np.float32) for _ in range(n)]
    return ExpertObservations.from_trajectories(walks)


@pytest.mark.parametrize("metric", ["auto", "learned"])
def test_where_observations_are_full_of_noise_only_a_learned_metric_finds_the_expert(metric: str) -> None:
    arguments = {"buffer_size": 10_000, "exploration_fraction": 1.0, "train_freq": 1, "preset": "paper", "seed": 0}
    model = DIIQN("MlpPolicy", NoisyLine(), expert_data=noisy_walks(40), similarity_metric=metric, **{**TINY, **arguments})
    model.learn(2100)
    knowledge: Any = model.knowledge
    known = knowledge.inferred.action != NO_ACTION
    if metric == "auto":
        assert known.mean() < 0.05
    else:
        assert known.mean() > 0.8
        assert (knowledge.inferred.action[known] == RIGHT).mean() > 0.9
        assert model.replay_buffer.matched_share() > 0.5


@pytest.mark.usefixtures("soon")
def test_a_loaded_model_compares_as_it_has_learned(tmp_path: Path) -> None:
    model = make()
    model.learn(100)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer")
    DIIQN.load(tmp_path / "model").predict(LineEnv().reset()[0])
    loaded = DIIQN.load(tmp_path / "model", env=LineEnv(), expert_data=right_walks())
    observations = np.asarray(right_walks().observations)
    model._compare_as_learned()
    np.testing.assert_allclose(distance_of(loaded).encode(observations), distance_of(model).encode(observations), rtol=1e-5)
    loaded.load_replay_buffer(tmp_path / "buffer")
    np.testing.assert_array_equal(loaded.knowledge.inferred.action, model.knowledge.inferred.action)  # type: ignore[union-attr]
    loaded.learn(50, reset_num_timesteps=False)
    assert isinstance(distance_of(loaded), EmbeddingDistance)


@pytest.mark.usefixtures("soon")
def test_bridges_are_found_by_it_too() -> None:
    model = HADIIQN("MlpPolicy", LineEnv(), **{**LEARNED, "preset": "bridging", "expert_data": right_walks()})
    model.learn(100)
    assert isinstance(distance_of(model), EmbeddingDistance)
    assert model.inspect_expert()["error"].shape == (10,)


def test_without_expert_data_nothing_is_learned() -> None:
    model = DIIQN("MlpPolicy", LineEnv(), **LEARNED)
    model.learn(60)
    assert model.state_embedding is None
