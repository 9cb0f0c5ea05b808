"""DIIQN with ``similarity_metric="learned"``: when it is put to use, what it changes, and that it survives saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import sb3_diiqn
from sb3_diiqn import DIIQN, HADIIQN, PAPER, ExpertObservations
from sb3_diiqn.envs import Maze2D, MazeExpert
from sb3_diiqn.imitation.buffers import ExpertMatchingMixin
from sb3_diiqn.imitation.learned_metric import LearnedMetric
from sb3_diiqn.inference import NO_ACTION, NO_MATCH
from sb3_diiqn.inference.distances import RangeDistance
from sb3_diiqn.inference.embedding import EmbeddingDistance
from sb3_diiqn.networks.state_embedding import StateEmbedding
from sb3_diiqn.record import record_expert
from tests.helpers import LENGTH, RIGHT, TINY, LineEnv, right_walks, walk
from tests.inference.bridging_worlds import tables_of

LEARNED: dict[str, Any] = {**TINY, **PAPER, "matching_kwargs": {"similarity_metric": "learned"}}


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metric is put to use after 8 updates."""
    monkeypatch.setattr(LearnedMetric, "first_refresh", 8)


def make(**arguments: Any) -> DIIQN:
    return DIIQN("MlpPolicy", LineEnv(), **{**LEARNED, "expert_data": right_walks(), **arguments})


def refresh(model: Any) -> None:
    """Put what has been learned to use at once."""
    model.learner.metric._n_refreshes = 0
    model.update_confidence()


class UnboundedLine(LineEnv):
    """The line, as an environment that names no bounds."""

    def __init__(self) -> None:
        super().__init__("unbounded vector")


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


@pytest.mark.slow
@pytest.mark.usefixtures("soon")
def test_after_many_updates_at_once_everything_is_matched_again_once() -> None:
    model = make(gradient_steps=200)
    model.learn(20 + 3 * 4)
    model.update_confidence()
    assert model.learner is not None and model.learner.metric is not None
    assert model.learner.metric._n_refreshes == (600 // 8).bit_length() > 1
    seen = distance_of(model)
    model.update_confidence()
    assert distance_of(model) is seen


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("buffer_size", [1000, 50])
def test_all_that_is_stored_is_matched_again(buffer_size: int) -> None:
    model = make(buffer_size=buffer_size)
    model.learn(200)
    buffer: Any = model.replay_buffer
    knowledge: Any = model.knowledge
    assert buffer.full == (buffer_size == 50)
    refresh(model)
    n_stored = buffer.buffer_size if buffer.full else buffer.pos
    indices, observations = buffer.expert_indices[:n_stored, 0], buffer.observations[:n_stored, 0]
    # what starts at a state that is as near as the threshold says
    distance = distance_of(model)
    near = distance.pairwise(distance.encode(observations), distance.encode(knowledge.expert.current(slice(None)))) <= 0.030001
    assert (near.any(axis=1) == (indices != NO_MATCH)).all()
    assert near[np.flatnonzero(indices != NO_MATCH), indices[indices != NO_MATCH]].all()
    assert (indices != NO_MATCH).any()


@pytest.mark.slow
@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(("n_envs", "buffer_size"), [(1, 500), (2, 500), (2, 5000)])
def test_it_is_the_same_as_if_it_had_been_used_from_the_beginning(
    n_envs: int, buffer_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is gone through in its order, whatever the portions: bridges are paths."""
    monkeypatch.setattr(ExpertMatchingMixin, "matched_again_at_once", 64)
    king = Maze2D("small", actions="king")
    expert = record_expert(king, MazeExpert(king, seed=0), n_steps=200, seed=0).expert_data
    matching = {"similarity_metric": "learned", "n_neighbors": 1}
    arguments = {**TINY, "inference": "nearest", "guide": "matching", "buffer_size": buffer_size, "matching_kwargs": matching}
    envs = DummyVecEnv([lambda: Maze2D("small", max_episode_steps=50)] * n_envs)
    model = HADIIQN("MlpPolicy", envs, expert_data=expert, **arguments)
    model.learn(800)
    refresh(model)
    buffer: Any = model.replay_buffer
    assert buffer._n_pending == 0
    fresh: Any = model._make_knowledge(model.learner.config, model.expert)  # type: ignore[arg-type, union-attr]
    fresh.compare_by(distance_of(model))
    n_stored = buffer.buffer_size if buffer.full else buffer.pos
    # one call is one batch: those that are equally far count in their order
    portion = 64 // n_envs
    steps = np.arange(buffer.pos - n_stored, buffer.pos) % buffer.buffer_size
    for start in range(0, n_stored, portion):
        fresh.observe(buffer._agent_transitions(steps[start : start + portion]))
    knowledge: Any = model.knowledge
    assert tables_of(knowledge) == tables_of(fresh)
    assert knowledge.bridges.length.any()


def test_the_embedding_sees_what_is_stored_not_what_is_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(StateEmbedding, "learn", lambda self, *batch: seen.append(batch))
    env = VecNormalize(DummyVecEnv([LineEnv]))
    model = DIIQN("MlpPolicy", env, expert_data=right_walks(), **{**LEARNED, "gradient_steps": 1})
    model.learn(80)
    observations, actions, following, expert, expert_following = (part.numpy() for part in seen[-1])
    line = walk(range(LENGTH))
    state, next_state, before, after = (
        np.array([np.flatnonzero(np.isclose(line, row).all(axis=1))[0] for row in rows])
        for rows in (observations, following, expert, expert_following)
    )
    np.testing.assert_array_equal(after, before + 1)
    np.testing.assert_array_equal(next_state, (state + np.where(actions[:, 0] == RIGHT, 1, -1)).clip(0))


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


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["auto", "learned"])
def test_where_observations_are_full_of_noise_only_a_learned_metric_finds_the_expert(metric: str) -> None:
    arguments: dict[str, Any] = {"buffer_size": 10_000, "exploration_fraction": 1.0, "train_freq": 1, "seed": 0}
    arguments["matching_kwargs"] = {"similarity_metric": metric}
    model = DIIQN("MlpPolicy", NoisyLine(), expert_data=noisy_walks(40), **{**TINY, **PAPER, **arguments})
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
@pytest.mark.parametrize("algorithm", [DIIQN, HADIIQN])
def test_a_loaded_model_goes_on_comparing_as_it_has_learned(algorithm: type[DIIQN], tmp_path: Path) -> None:
    far_out = ExpertObservations.from_trajectories([1e6 * walk(range(LENGTH)), *[walk(range(LENGTH))] * 2])
    data = {"expert_data": far_out.save(tmp_path / "expert.npz")}
    model = algorithm("MlpPolicy", UnboundedLine(), **{**LEARNED, **data})
    model.learn(100)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer")
    loaded = algorithm.load(tmp_path / "model", env=UnboundedLine())
    loaded.predict(UnboundedLine().reset()[0])
    assert isinstance(distance_of(loaded), RangeDistance), "only learning needs it"
    loaded.load_replay_buffer(tmp_path / "buffer")
    by_hand: Any = loaded.knowledge
    assert by_hand.inferred.error.min() < 0.03, "until then, by the metric that is in use"
    for one in (model, loaded):
        refresh(one)
    own: Any = model.knowledge
    others: Any = loaded.knowledge
    np.testing.assert_allclose(others.inferred.error, own.inferred.error, rtol=1e-3, atol=1e-5)
    matched = [one.replay_buffer.expert_indices != NO_MATCH for one in (model, loaded)]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(*matched)
    np.testing.assert_array_equal(others.training_count, own.training_count)
    loaded.learn(50, reset_num_timesteps=False)
    assert isinstance(distance_of(loaded), EmbeddingDistance)


@pytest.mark.usefixtures("soon")
def test_a_model_that_comes_to_learn_it_later_begins_with_the_metric_set_by_hand(tmp_path: Path) -> None:
    model = make(matching_kwargs=None)
    model.learn(100)
    model.save(tmp_path / "model")
    chosen = {"similarity_metric": "learned"}
    loaded = DIIQN.load(tmp_path / "model", env=LineEnv(), expert_data=right_walks(), matching_kwargs=chosen)
    loaded.learn(4 * 7, reset_num_timesteps=False)
    assert isinstance(distance_of(loaded), RangeDistance)
    loaded.learn(4 * 4, reset_num_timesteps=False)
    assert isinstance(distance_of(loaded), EmbeddingDistance)


def test_a_network_that_tells_nothing_apart_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StateEmbedding, "embed", lambda self, observations: np.ones((len(observations), 2), dtype=np.float32))
    monkeypatch.setattr(LearnedMetric, "first_refresh", 8)
    model = make()
    with pytest.warns(UserWarning, match="tells none of the expert's states apart"):
        model.learn(60)
    assert isinstance(distance_of(model), RangeDistance)


@pytest.mark.usefixtures("soon")
def test_qr_dqn_has_it_too() -> None:
    pytest.importorskip("sb3_contrib")
    model = sb3_diiqn.QRDIIQN("MlpPolicy", LineEnv(), **{**LEARNED, "expert_data": right_walks()})
    model.learn(100)
    assert isinstance(distance_of(model), EmbeddingDistance)


def test_without_expert_data_nothing_is_learned() -> None:
    model = DIIQN("MlpPolicy", LineEnv(), **LEARNED)
    model.learn(60)
    assert model.learner is None
