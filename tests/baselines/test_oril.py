"""ORIL: both losses by hand, the reward model, and the whole."""

from __future__ import annotations

import math

import pytest
import torch as th

from sb3_diiqn.baselines import ORIL
from sb3_diiqn.baselines.oril import RewardModel, positive_unlabelled_loss, regression_weights
from tests.baselines.test_bco import SMALL, line_return
from tests.helpers import LOOKS, LineEnv, right_walks, walk


def _logits(*probabilities: float) -> th.Tensor:
    values = th.tensor(probabilities, dtype=th.float64)
    return (values / (1 - values)).log()


def test_positive_unlabelled_loss() -> None:
    expert, own = _logits(0.8, 0.5), _logits(0.25, 0.5, 0.1)
    positive = (math.log(1 / 0.8) + math.log(1 / 0.5)) / 2
    as_negative = (math.log(1 / 0.2) + math.log(1 / 0.5)) / 2
    unlabelled = (math.log(1 / 0.75) + math.log(1 / 0.5) + math.log(1 / 0.9)) / 3
    expected = 0.3 * positive + unlabelled - 0.3 * as_negative
    assert unlabelled - 0.3 * as_negative > 0
    assert positive_unlabelled_loss(expert, own, 0.3).item() == pytest.approx(expected)
    assert unlabelled - 0.5 * as_negative < 0
    assert positive_unlabelled_loss(expert, own, 0.5).item() == pytest.approx(0.5 * positive), "never negative"
    assert positive_unlabelled_loss(expert, own, 0.0).item() == pytest.approx(unlabelled)


def test_regression_weights() -> None:
    """Values 1 and 3, policies that expect 1.5, 2.5 and 3: advantages -0.5, 0.5 and 0."""
    q_values = th.tensor([[1.0, 3.0], [1.0, 3.0], [1.0, 3.0]])
    probabilities = th.tensor([[0.75, 0.25], [0.25, 0.75], [0.0, 1.0]])
    actions = th.tensor([[0], [1], [1]])
    binary = regression_weights(q_values, probabilities, actions, "binary", 1.0, 20.0)
    assert binary.tolist() == [0, 1, 0]
    exponential = regression_weights(q_values, probabilities, actions, "exponential", 0.25, 5.0)
    assert exponential.tolist() == pytest.approx([math.exp(-2), 5.0, 1.0]), "exp(2) is cut"


@pytest.mark.parametrize("look", ["vector", "bool planes", "dict"])
def test_reward_model_tells_them_apart(look: str) -> None:
    """The agent goes both ways, the expert only to the right: what goes right may be the expert's."""
    th.manual_seed(0)
    model = RewardModel(LOOKS[look].space, positive_prior=0.5)
    places = [0, 1, 2, 3, 4]

    def tensors(states: list[int]) -> th.Tensor | dict[str, th.Tensor]:
        shown = walk(states, look)
        if isinstance(shown, dict):  # as a replay buffer has them
            return {key: th.as_tensor(value.reshape(len(states), -1)) for key, value in shown.items()}
        return th.as_tensor(shown)

    further = [state + 1 for state in places]
    expert = tensors(places), tensors(further)
    own = tensors(places + further), tensors(further + places)
    for _ in range(200):
        model.learn(expert, own)
    rewards = model.rewards(*own)
    assert rewards.shape == (10, 1)
    assert rewards[:5].min() > 0.6 and rewards[5:].max() < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("weighting", ["binary", "exponential"])
def test_learns_without_rewards(weighting: str) -> None:
    """A low discount: with rewards that are all positive, going to and fro would otherwise be worth more than arriving."""

    class NoRewards(LineEnv):
        def step(self, action: object) -> tuple[object, float, bool, bool, dict[str, object]]:
            observation, _, *rest = super().step(action)
            return observation, 0.0, *rest  # type: ignore[return-value]

    settings = SMALL | {"train_freq": 1, "buffer_size": 800, "temperature": 0.2, "gamma": 0.5}
    del settings["updates"]  # of those that clone
    model = ORIL("MlpPolicy", NoRewards(), right_walks(), weighting=weighting, **settings).learn(350)
    assert line_return(model) == pytest.approx(0.5)
