"""What the guide did in the agent's own transitions: it is told apart, kept, and imitated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch as th
from sb3_diiqn.imitation.demonstration import DemonstrationSamples
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import DIIQN
from sb3_diiqn.exploration.guided import ExpertGuidance, GuidanceSettings
from sb3_diiqn.inference import NO_ACTION
from tests.helpers import LEFT, LENGTH, RIGHT, TINY, LineEnv, Unpaid, right_walks, walk


class Left:
    """A guide that always goes left, where it knows what to do: from the second state on."""

    def to_try(self, environments: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Leave it to chance."""
        return drawn

    def committed(self) -> np.ndarray:
        """There is nothing to finish."""
        return np.zeros(1, dtype=bool)

    def release(self, environments: np.ndarray) -> None:
        """There is nothing to forget."""

    def actions(self, observations: Any, environments: np.ndarray) -> np.ndarray:
        return np.where(observations[:, 0] > 0, LEFT, NO_ACTION)


def make(wrap: Callable[[LineEnv], Any] = lambda env: env, **arguments: Any) -> DIIQN:
    """Make a model whose expert goes right, and whose guide goes left."""
    env = DummyVecEnv([lambda: wrap(LineEnv())] * 3)
    fixed = {**TINY, "buffer_size": 50, "expert_data": right_walks(), "preset": "paper", "guidance_share": 0.5}
    model = DIIQN("MlpPolicy", env, **{**fixed, "exploration_final_eps": 1.0, **arguments})
    model._guidance.follower = Left()
    return model


def test_the_guide_has_chosen_where_it_was_asked_and_had_an_answer() -> None:
    guidance = ExpertGuidance(Left(), GuidanceSettings(0.5, 3), n_actions=2, n_envs=2, seed=0)
    observations = np.array([[1.0], [0.0]])
    chosen = []
    for _ in range(200):
        actions = guidance.override(np.full(2, RIGHT), observations, exploration_rate=1.0)
        assert actions[0] == (LEFT if guidance.has_chosen[0] else RIGHT)
        chosen.append(guidance.has_chosen)
    share_known, share_unknown = np.mean(chosen, axis=0)
    assert share_known == pytest.approx(0.5, abs=0.2)
    assert share_unknown == 0, "it had no answer there, and what is done is chance"
    for _ in range(200):
        guidance.override(np.full(2, RIGHT), observations, exploration_rate=0.0)
    assert not guidance.has_chosen.any()


@pytest.mark.parametrize("n_steps", [60, 300], ids=["not full", "gone round"])
def test_the_replay_buffer_knows_which_actions_were_the_guide_s(n_steps: int) -> None:
    model = make(buffer_size=120)
    noted = []
    choose = model._guidance.override

    def override(*arguments: Any) -> np.ndarray:
        actions = choose(*arguments)
        noted.append(model._guidance.has_chosen.copy())
        return actions

    model._guidance.override = override  # type: ignore[method-assign]
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


def test_its_loss_is_the_margin_loss_of_its_actions() -> None:
    model = make(margin_weight=3.0, margin=0.5, imitate_guide=True)
    model._current_progress_remaining = 0.75
    actions, guided = th.tensor([[0], [1], [1], [0]]), th.tensor([True, True, False, False])
    q_values = th.tensor([[1.0, 2.0], [0.0, 0.1], [5.0, 0.0], [0.0, 0.0]])
    loss = model._guide_loss(actions, guided, q_values)
    assert float(loss) == pytest.approx(3.0 * 0.5 * (1.5 + 0.4) / 4), "half of the weight is left"


def test_its_loss_is_added_to_that_of_the_demonstrations() -> None:
    """One update with and one without, from the same weights and the same draws."""
    losses = []
    for imitate_guide in (False, True):
        model = make(margin_weight=2.0, imitate_guide=imitate_guide, learning_rate=0.0, learning_starts=90).learn(90)
        model._current_progress_remaining = 1.0
        np.random.seed(0)  # noqa: NPY002 - what the buffer draws with
        losses.append(model._update(64))
    np.random.seed(0)  # noqa: NPY002
    agent = model.replay_buffer.sample_with_expert(64).agent
    guided = model.replay_buffer.drawn_guided()
    q_values = model.q_net(agent.observations)
    falls_short = (0.8 + q_values[:, RIGHT] - q_values[:, LEFT]).relu()
    assert guided.any()
    assert losses[1] - losses[0] == pytest.approx(2.0 * float((guided * falls_short).mean()), rel=1e-4)


def test_an_automatic_margin_holds_for_it_too() -> None:
    model = make(margin_weight=3.0, margin="auto", imitate_guide=True)
    model._current_progress_remaining = 1.0
    samples = DemonstrationSamples(th.zeros(1, 3), th.tensor([[True, True]]), th.tensor([0.0]), np.arange(1))
    model._demonstration_loss(samples, th.tensor([[1.0, 2.0]]), th.tensor([0.1, 0.3]))
    loss = model._guide_loss(th.tensor([[0]]), th.tensor([True]), th.tensor([[1.0, 2.0]]))
    assert float(loss) == pytest.approx(0.4 * 3.0 * (1.0 + 0.4))


def test_the_guide_is_imitated_where_nothing_is_paid() -> None:
    """The expert goes right everywhere, but of no transition it is known."""
    everywhere = walk(range(LENGTH))
    unknown = DemonstrationSamples(th.as_tensor(everywhere[:1]), th.tensor([[False, True]]), th.tensor([0.0]), np.arange(1))
    for imitate_guide in (False, True):
        model = make(
            Unpaid, buffer_size=1000, learning_rate=0.01, gradient_steps=4, margin_weight=1.0, imitate_guide=imitate_guide
        )
        model._estimate_demonstrations = lambda: [unknown]  # type: ignore[method-assign]
        model.learn(10_000, callback=lambda variables, _: variables["self"].num_timesteps < 600)
        values = model.q_net(th.as_tensor(everywhere)).detach().numpy()
        left_is_better = values[:, LEFT] - values[:, RIGHT]
        assert (left_is_better[1:4] > 0.4).all() == imitate_guide, "half of the margin"
