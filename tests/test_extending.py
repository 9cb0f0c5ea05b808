"""What it takes to add a part of one's own: an inference, a guide, and a loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th

from sb3_diiqn import DIIQN
from sb3_diiqn.common.batch import Batch, TDOutput
from sb3_diiqn.guides import Guide, GuideActions
from sb3_diiqn.imitation.action_inference import ActionInference, ExpertRows
from sb3_diiqn.imitation.context import Context
from sb3_diiqn.losses import ExpertLoss, FadingWeight
from tests.helpers import LEFT, LENGTH, RIGHT, TINY, LineEnv, Unpaid, right_walks, walk


class WherePositionGrows(ActionInference):
    """Sees from the first number which way the expert went."""

    def __init__(self, context: Context) -> None:
        self.n_actions = context.n_actions

    def probabilities(self, rows: ExpertRows) -> np.ndarray:
        went_right = (rows.next_observations[:, 0] > rows.observations[:, 0]).numpy()  # type: ignore[index]
        return np.eye(self.n_actions)[np.where(went_right, RIGHT, LEFT)]


class Back(Guide):
    """Goes left, wherever that is."""

    def __init__(self, context: Context) -> None:
        self.n_envs = context.n_envs

    def act(self, observations: Any, environments: np.ndarray) -> GuideActions:
        return GuideActions(np.full(len(environments), LEFT), np.ones(len(environments), dtype=bool))


class CrossEntropy(ExpertLoss):
    """Imitates by classification, without a margin."""

    def __init__(self, context: Context, weight: FadingWeight) -> None:
        self.weight = weight

    def wants_samples(self, progress_remaining: float) -> bool:
        return self.weight.is_worth_it(progress_remaining)

    def __call__(self, batch: Batch, td: TDOutput, progress_remaining: float) -> th.Tensor:
        if batch.samples is None:
            return td.losses.new_zeros(())
        targets = batch.samples.plausible.float()
        logits = td.q_values[batch.sampled_observations]
        return self.weight(progress_remaining) * th.nn.functional.cross_entropy(logits, targets)


def make(**arguments: Any) -> DIIQN:
    fixed = {**TINY, "buffer_size": 1000, "learning_rate": 0.01, "gradient_steps": 4, "inference": "nearest", "guide": "none"}
    return DIIQN("MlpPolicy", Unpaid(LineEnv()), expert_data=right_walks(), **{**fixed, **arguments})


def early(model: DIIQN) -> DIIQN:
    """Train in the beginning of a long training."""
    return model.learn(10_000, callback=lambda variables, _: variables["self"].num_timesteps < 400)


@pytest.mark.slow
def test_an_inference_of_ones_own_is_believed() -> None:
    model = make(inference=WherePositionGrows)
    estimates = model.learner.infer(np.arange(2 * (LENGTH - 1)))  # type: ignore[union-attr]
    assert estimates.plausible[:, RIGHT].all() and (estimates.certainty == 1).all(), "before the agent has done anything"
    assert (early(model).predict(walk(range(LENGTH - 1)), deterministic=True)[0] == RIGHT).all()


@pytest.mark.slow
def test_a_guide_of_ones_own_acts_and_its_actions_are_noted() -> None:
    buffer = early(make(guide=Back, imitation_coef=0.0)).replay_buffer
    guided = buffer.guided[:400, 0]  # type: ignore[attr-defined]
    assert 0.2 < guided.mean() < 0.95
    assert (buffer.actions[:400, 0, 0][guided] == LEFT).all()  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_loss_of_ones_own_is_learned_from(weight: float) -> None:
    model = early(make(inference=WherePositionGrows, imitation_loss=CrossEntropy, imitation_coef=weight))
    with th.no_grad():
        q_values = model.q_net(th.as_tensor(walk(range(LENGTH - 1))))
    assert (q_values.softmax(dim=1)[:, RIGHT] > 0.7).all() == (weight > 0)


def test_all_three_are_there_after_loading(tmp_path: Path) -> None:
    make(inference=WherePositionGrows, guide=Back, imitation_loss=CrossEntropy).save(tmp_path / "model")
    learner: Any = DIIQN.load(tmp_path / "model", env=LineEnv(), expert_data=right_walks()).learn(40).learner
    assert type(learner.inference) is WherePositionGrows
    assert type(learner.exploration.guide) is Back and learner.exploration.guide.n_envs == 1
    assert type(learner.losses[-1]) is CrossEntropy
