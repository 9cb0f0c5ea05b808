"""What the guide did in the agent's own transitions: it is told apart, kept, and imitated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import DIIQN
from sb3_diiqn.guides import Guide, GuideActions
from sb3_diiqn.imitation.action_inference import ActionInference, ExpertRows
from sb3_diiqn.imitation.context import Context
from sb3_diiqn.inference import NO_ACTION
from tests.helpers import LEFT, LENGTH, RIGHT, LineEnv, Unpaid, right_walks, walk, with_habits
from tests.imitation.line_models import BASE, exploration_of, learner_of


class Left(Guide):
    """A guide that always goes left, where it knows what to do: from the second state on."""

    def __init__(self, context: Context) -> None:
        self.n_actions = context.n_actions

    def act(self, observations: Any, environments: np.ndarray) -> GuideActions:
        knows = observations[:, 0] > 0
        return GuideActions(np.where(knows, LEFT, NO_ACTION), knows)


class KnowsNothing(ActionInference):
    """Thinks that the expert may have done anything."""

    def __init__(self, context: Context) -> None:
        self.n_actions = context.n_actions

    def probabilities(self, rows: ExpertRows) -> np.ndarray:
        return np.full((len(rows.indices), self.n_actions), 1 / self.n_actions)


def make(wrap: Callable[[LineEnv], Any] = lambda env: env, imitate_guide: bool = False, **arguments: Any) -> Any:
    """Make a model whose expert goes right, and whose guide goes left."""
    env = DummyVecEnv([lambda: wrap(LineEnv())] * 3)
    algorithm = with_habits(DIIQN, exploration_fraction=0.5, imitate_guide=imitate_guide)
    fixed = {**BASE, "buffer_size": 50, "expert_data": right_walks(), "guide": Left, "exploration_final_eps": 1.0}
    return algorithm("MlpPolicy", env, **{**fixed, **arguments})


@pytest.mark.parametrize("n_steps", [60, 300], ids=["not full", "gone round"])
def test_the_replay_buffer_knows_which_actions_were_the_guide_s(n_steps: int) -> None:
    model = make(buffer_size=120)
    exploration = exploration_of(model)
    noted = []
    choose = exploration.override

    def override(*arguments: Any) -> np.ndarray:
        actions = choose(*arguments)
        noted.append(exploration.has_chosen.copy())
        return actions

    exploration.override = override  # type: ignore[method-assign]
    model.learn(n_steps)
    buffer = model.replay_buffer
    newest = np.arange(buffer.pos - min(len(noted), buffer.buffer_size), buffer.pos) % buffer.buffer_size
    np.testing.assert_array_equal(buffer.guided[newest], noted[-len(newest) :])
    guided = buffer.guided[newest]
    assert 0.1 < guided.mean() < 0.5
    assert (buffer.actions[newest][guided] == LEFT).all()
    assert (buffer.observations[newest][guided][:, 0] > 0).all()

    agent = buffer.sample_with_expert(400).agent
    drawn = buffer.drawn_guided()
    assert drawn.dtype == th.bool and drawn.float().mean() == pytest.approx(guided.mean(), abs=0.1)
    assert (agent.actions[drawn] == LEFT).all()
    assert (agent.observations[drawn][:, 0] > 0).all()
    buffer.reset()
    assert not buffer.guided.any()


def test_its_loss_is_added_to_that_of_the_expert() -> None:
    """One update with and one without, from the same weights and the same draws."""
    losses = []
    for imitate_guide in (False, True):
        model = make(imitation_coef=2.0, imitate_guide=imitate_guide, learning_rate=0.0, learning_starts=90).learn(90)
        np.random.seed(0)  # noqa: NPY002 - what the buffer draws with
        losses.append(learner_of(model).update(64, progress_remaining=1.0))
    np.random.seed(0)  # noqa: NPY002
    agent = model.replay_buffer.sample_with_expert(64).agent
    guided = model.replay_buffer.drawn_guided()
    q_values = model.q_net(agent.observations)
    falls_short = (0.8 + q_values[:, RIGHT] - q_values[:, LEFT]).relu()
    assert guided.any()
    assert losses[1] - losses[0] == pytest.approx(2.0 * float((guided * falls_short).mean().detach()), rel=1e-4)


@pytest.mark.slow
def test_the_guide_is_imitated_where_nothing_is_paid() -> None:
    """The expert goes right everywhere, but of no transition it is known."""
    everywhere = walk(range(LENGTH))
    for imitate_guide in (False, True):
        arguments = {"buffer_size": 1000, "learning_rate": 0.01, "gradient_steps": 4, "imitation_coef": 1.0}
        model = make(Unpaid, imitate_guide, inference=KnowsNothing, **arguments)
        # nothing is learned from what matches, either
        model.knowledge.usable = lambda indices: np.zeros(len(indices), dtype=bool)
        model.learn(10_000, callback=lambda variables, _: variables["self"].num_timesteps < 600)
        values = model.q_net(th.as_tensor(everywhere)).detach().numpy()
        left_is_better = values[:, LEFT] - values[:, RIGHT]
        assert (left_is_better[1:4] > 0.4).all() == imitate_guide, "half of the margin"
