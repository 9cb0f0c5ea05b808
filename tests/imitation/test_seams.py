"""What holds at the seams: strategies of one's own, later calls of learn, and loading with something else than was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sb3_diiqn import DIIQN, ExpertObservations
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.guides import CloneGuide, FirstCertain, Guide, GuideActions
from sb3_diiqn.imitation.action_inference import ActionInference
from tests.helpers import LENGTH, RIGHT, TINY, LineEnv, right_walks, walk

NETWORKS: dict[str, Any] = {"inference": "inverse_dynamics", "guide": "both"}


def model_of(**arguments: Any) -> DIIQN:
    return DIIQN("MlpPolicy", LineEnv(), expert_data=right_walks(), **{**TINY, **arguments})


class Rightwards(ActionInference):
    def __init__(self, context: Any) -> None:
        self.n_actions = context.n_actions
        self.n_batches = 0

    def learn(self, observations: Any, actions: Any, next_observations: Any) -> float:
        self.n_batches += 1
        return 0.0

    def probabilities(self, rows: Any) -> np.ndarray:
        return np.eye(self.n_actions)[np.full(len(rows.indices), RIGHT)]


def test_an_inference_without_a_network_learns_and_is_asked_by_the_guide() -> None:
    learner: Any = model_of(inference=Rightwards, guide="matching").learn(100).learner
    assert learner.inference.n_batches > 0
    # of states whose action nobody has tried yet, it knows it
    assert (learner.exploration.guide._infer(np.arange(3)).plausible == [[False, True]] * 3).all()


class OwnClone(Guide):
    needs_clone = True

    def __init__(self, context: Any) -> None:
        self.clone = CloneGuide(context.clone_probabilities, context.seed(100))

    def act(self, observations: Any, environments: np.ndarray) -> GuideActions:
        return self.clone.act(observations, environments)


def test_a_guide_may_ask_for_a_clone() -> None:
    learner: Any = model_of(guide=OwnClone, inference="inverse_dynamics").learn(100).learner
    assert learner.clone is not None and learner.clone.has_learned
    assert learner.clone_probabilities(walk([0])) is not None


class Fixed(Guide):
    def __init__(self, action: int, certain: list[bool]) -> None:
        self.answer = GuideActions(np.full(len(certain), action), np.array(certain))

    def act(self, observations: Any, environments: np.ndarray) -> GuideActions:
        return GuideActions(self.answer.actions[environments], self.answer.certain[environments])


def test_guides_without_memory_are_combined_for_several_environments() -> None:
    first, second = Fixed(0, [True, False, False]), Fixed(1, [True, True, False])
    guide = FirstCertain(first, second)
    actions, certain = guide.act(walk([0, 1, 2]), np.arange(3))
    assert actions.tolist() == [0, 1, 0] and certain.tolist() == [True, True, False]
    guide.release(np.array([True, False, True]))
    assert guide.act(walk([1]), np.array([1])).actions.tolist() == [1]
    assert first.answer.actions.tolist() == [0, 0, 0], "answers are the guides' own"


def test_a_buffer_from_a_smaller_radius_is_matched_again(tmp_path: Path) -> None:
    expert = right_walks()
    near = ExpertObservations.from_trajectories([np.asarray(expert.observations[:LENGTH]) * np.float32(0.99)])
    saved = DIIQN("MlpPolicy", LineEnv(), expert_data=near, **{**TINY, **NETWORKS}).learn(100)
    assert saved.knowledge is not None and saved.knowledge.statistics()["inferred"] < 0.5
    saved.save_replay_buffer(tmp_path / "buffer")
    loading = DIIQN("MlpPolicy", LineEnv(), expert_data=near, **{**TINY, "inference": "nearest"})
    loading.load_replay_buffer(tmp_path / "buffer")
    assert loading.knowledge is not None and loading.knowledge.statistics()["inferred"] > 0.5


def test_the_first_episodes_of_a_later_training_are_drawn_by_its_own_progress() -> None:
    model = model_of().learn(60)
    seen: list[float] = []
    episodes: Any = model.learner.exploration.episodes  # type: ignore[union-attr]
    begin = episodes.begin
    episodes.begin = lambda starts, remaining: seen.append(remaining) or begin(starts, remaining)
    model.learn(60)
    assert seen[0] == 1


def test_another_expert_is_judged_anew(tmp_path: Path) -> None:
    model_of().learn(100).save(tmp_path / "model")
    same = DIIQN.load(tmp_path / "model", env=LineEnv(), expert_data=right_walks())
    assert same.learner is not None and same.learner.state.n_updates > 0
    with pytest.warns(UserWarning, match="not what the saved model was trained with"):
        other = DIIQN.load(tmp_path / "model", env=LineEnv(), expert_data=right_walks(n=3))
    assert other.learner is not None and other.learner.state.n_updates == 0


@pytest.mark.skipif(NStepReplayBuffer is None, reason="Stable-Baselines3 2.7 or newer")
def test_a_model_with_n_steps_is_loaded_with_single_ones(tmp_path: Path) -> None:
    model_of(n_steps=3).learn(40).save(tmp_path / "model")
    DIIQN.load(tmp_path / "model", env=LineEnv(), expert_data=right_walks(), n_steps=1).learn(40)


def test_setting_the_policy_alone_keeps_the_networks_of_a_model_without_its_data(tmp_path: Path) -> None:
    model_of(**NETWORKS).learn(60).save(tmp_path / "model")
    bare = DIIQN.load(tmp_path / "model")
    names = bare.get_parameters().keys()
    bare.set_parameters({"policy": bare.get_parameters()["policy"]}, exact_match=False)
    assert bare.get_parameters().keys() == names and any(name.startswith("imitation.") for name in names)


def test_nothing_is_said_of_transitions_that_are_not_there(tmp_path: Path) -> None:
    model_of(**NETWORKS).learn(60).save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model", env=LineEnv(), expert_data=right_walks())
    assert all(np.isfinite(value) for value in loaded.expert_statistics().values())
