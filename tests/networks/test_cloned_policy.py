"""The policy cloned from estimates of the expert's actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, FlattenExtractor
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn import DIIQN
from sb3_diiqn.networks.base import network_of
from sb3_diiqn.networks.cloned_policy import ClonedPolicy
from tests.helpers import LineEnv, right_walks

STATES = np.eye(4, dtype=np.int8)
LABELS = np.array([[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]], dtype=np.float32)


def test_it_learns_the_probabilities() -> None:
    """Where two actions were equally likely, it takes either."""
    th.manual_seed(0)
    clone = ClonedPolicy(spaces.MultiBinary(4), 3)
    states, labels = th.as_tensor(STATES), th.as_tensor(LABELS)
    losses = [clone.learn(states, labels) for _ in range(1000)]
    np.testing.assert_allclose(clone.probabilities(states), LABELS, atol=0.03)
    entropy = (np.log(2) + np.log(3)) / 4
    np.testing.assert_allclose(losses[-1], entropy, atol=0.01)


@pytest.mark.slow
def test_a_layer_whose_units_are_all_below_zero_learns_again() -> None:
    th.manual_seed(0)
    space = spaces.Box(0, 1, (4, 4, 2), np.bool_)
    clone = ClonedPolicy(space, 2)
    observations = th.zeros(2, 4, 4, 2)
    observations[1, 1, 1, 1] = 1
    with th.no_grad():
        for layer in (clone.extractor.layers[0], clone.head[1]):
            layer.bias.fill_(-2)
    for _ in range(1000):
        clone.learn(observations, th.eye(2))
    np.testing.assert_allclose(clone.probabilities(observations), np.eye(2), atol=0.1)


class Doubled(BaseFeaturesExtractor):
    """A features extractor of a user's own."""

    def __init__(self, observation_space: spaces.Space[Any], factor: float = 1.0) -> None:
        super().__init__(observation_space, features_dim=1)
        self.factor = factor

    def forward(self, observations: th.Tensor) -> th.Tensor:
        return self.factor * observations.flatten(1)[:, :1]


def test_it_has_the_features_extractor_that_the_user_chose_for_the_policy() -> None:
    settings = {"features_extractor_class": Doubled, "features_extractor_kwargs": {"factor": 2.0}, "net_arch": [5]}
    data = right_walks()
    clones = [
        DIIQN("MlpPolicy", LineEnv(), expert_data=data, guide="clone", policy_kwargs=chosen).learner.clone  # type: ignore[union-attr]
        for chosen in (settings, None)
    ]
    extractors = [clone.extractor for clone in clones if clone is not None]
    assert [type(extractor) for extractor in extractors] == [Doubled, FlattenExtractor]
    assert extractors[0].factor == 2.0
    layers = [[layer.out_features for layer in clone.head if isinstance(layer, th.nn.Linear)] for clone in clones]
    assert layers == [[5, 2], [128, 2]]


@pytest.mark.parametrize("normalize_images", [True, False])
def test_its_copy_of_the_extractor_is_given_images_as_the_policys_is(normalize_images: bool) -> None:
    """Where codes are no colours, a user's own extractor may need them as they are."""
    settings = {"features_extractor_class": Doubled, "normalize_images": normalize_images}
    space = spaces.Box(0, 255, (1, 3, 3), np.uint8)
    policy = DQNPolicy(space, spaces.Discrete(2), lambda _: 1e-3, **settings)
    clone = ClonedPolicy(space, 2, **network_of(policy))
    given: list[th.Tensor] = []
    for extractor in (policy.q_net.features_extractor, clone.extractor):
        extractor.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
    images = th.full((2, 1, 3, 3), 51, dtype=th.uint8)
    policy.q_net(images)
    clone.probabilities(images)
    assert [seen.unique().item() for seen in given] == pytest.approx([0.2 if normalize_images else 51] * 2)


def test_what_was_always_the_same_does_not_drown_the_rest() -> None:
    """The third component was constant in training; later it is not, by a little, or by a lot."""
    th.manual_seed(0)
    states = th.tensor([[-1.0, 0.5, 0.3], [0.0, -0.5, 0.3], [1.0, 0.0, 0.3]])
    clone = ClonedPolicy(spaces.Box(-10, 10, (3,)), 3)
    for _ in range(500):
        clone.learn(states, th.eye(3))
    assert clone.probabilities(states).argmax(axis=1).tolist() == [0, 1, 2]
    far = [clone.probabilities(states + th.tensor([0, 0, shift])) for shift in (1.0, 9.0)]
    np.testing.assert_array_equal(*far)


@pytest.mark.parametrize("size", [10, 36])
def test_images_of_any_size(size: int) -> None:
    clone = ClonedPolicy(spaces.Box(0, 255, (3, size, size), dtype=np.uint8), 3)
    images = th.zeros(4, 3, size, size, dtype=th.uint8)
    clone.learn(images, th.eye(3)[[0, 1, 2, 0]])
    assert clone.probabilities(images).shape == (4, 3)
