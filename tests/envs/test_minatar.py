"""MinAtar's ids and the network for its observations."""

from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import DQN
from torch import nn

from sb3_diiqn.envs.minatar import MinAtarExtractor, register_minatar
from sb3_diiqn.exceptions import ConfigurationError, MissingDependencyError


class RandomPlanes(gymnasium.Env[np.ndarray, int]):
    """Random observations like MinAtar's, so that the network is tested without the package."""

    def __init__(self, n_channels: int = 4, n_actions: int = 6) -> None:
        self.observation_space = planes(10, 10, n_channels)
        self.action_space = spaces.Discrete(n_actions)

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return self.np_random.random(self.observation_space.shape) < 0.1, {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        return self.np_random.random(self.observation_space.shape) < 0.1, 0.0, False, False, {}


def planes(*shape: int) -> spaces.Box:
    return spaces.Box(0, 1, shape, dtype=np.bool_)


def reference_features(extractor: MinAtarExtractor, observation: np.ndarray) -> np.ndarray:
    """The network written out with loops over cells and filters."""
    convolution, linear = extractor.layers[0], extractor.layers[3]
    kernels, biases = convolution.weight.detach().numpy(), convolution.bias.detach().numpy()
    rows, columns, _ = observation.shape
    maps = np.zeros((len(kernels), rows - 2, columns - 2))
    for index, kernel in enumerate(kernels):
        for row in range(rows - 2):
            for column in range(columns - 2):
                patch = observation[row : row + 3, column : column + 3].transpose(2, 0, 1)
                maps[index, row, column] = max(0.0, float((kernel * patch).sum()) + biases[index])
    return np.maximum(0.0, linear.weight.detach().numpy() @ maps.ravel() + linear.bias.detach().numpy())


def test_features_equal_the_reference() -> None:
    torch.manual_seed(0)
    observations = np.random.default_rng(0).random((2, 10, 10, 4)) < 0.2
    extractor = MinAtarExtractor(planes(10, 10, 4))
    features = extractor(torch.as_tensor(observations))
    assert features.shape == (2, 128)
    expected = [reference_features(extractor, observation) for observation in observations]
    np.testing.assert_allclose(features.detach().numpy(), expected, atol=1e-5)


def test_network_has_the_published_size() -> None:
    model = DQN("MlpPolicy", RandomPlanes(), policy_kwargs={"features_extractor_class": MinAtarExtractor, "net_arch": []})
    layers = [module for module in model.q_net.modules() if not list(module.children()) and list(module.parameters())]
    assert [type(layer) for layer in layers] == [nn.Conv2d, nn.Linear, nn.Linear]
    assert [tuple(layer.weight.shape) for layer in layers] == [(16, 4, 3, 3), (128, 1024), (6, 128)]
    n_parameters = sum(parameter.numel() for parameter in model.q_net.parameters())
    assert n_parameters == (16 * 4 * 9 + 16) + (1024 * 128 + 128) + (128 * 6 + 6)


def test_dqn_learns_and_predicts_with_it() -> None:
    env = RandomPlanes()
    model = DQN(
        "MlpPolicy",
        env,
        learning_starts=20,
        buffer_size=100,
        policy_kwargs={"features_extractor_class": MinAtarExtractor, "net_arch": []},
        seed=0,
    )
    before = model.q_net.features_extractor.layers[0].weight.detach().clone()
    model.learn(60)
    assert not torch.equal(before, model.q_net.features_extractor.layers[0].weight)
    assert model.predict(env.reset(seed=0)[0])[0] in env.action_space


def test_sizes_can_be_changed() -> None:
    extractor = MinAtarExtractor(planes(5, 7, 2), features_dim=32, n_filters=8)
    assert extractor.features_dim == 32
    assert extractor(torch.zeros(3, 5, 7, 2)).shape == (3, 32)


@pytest.mark.parametrize(
    "space",
    [
        planes(10),
        planes(2, 10, 4),
        spaces.Box(0.0, 1.0, (10, 10, 4)),
        spaces.Box(0, 255, (10, 10, 4), np.uint8),
        spaces.Discrete(4),
        spaces.Dict({"planes": planes(10, 10, 4)}),
    ],
)
def test_other_observation_spaces_are_refused(space: spaces.Space) -> None:
    with pytest.raises(ConfigurationError, match="boolean planes"):
        MinAtarExtractor(space)


def test_ids_are_registered_once(recwarn: pytest.WarningsRecorder) -> None:
    pytest.importorskip("minatar")
    register_minatar()
    register_minatar()
    assert not [warning for warning in recwarn if "Overriding" in str(warning.message)]
    env = gymnasium.make("MinAtar/Breakout-v1")
    assert env.observation_space.shape == (10, 10, 4)
    assert env.action_space.n == 3
    assert gymnasium.make("MinAtar/SpaceInvaders-v0").action_space.n == 6


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minatar.gym", None)
    with pytest.raises(MissingDependencyError, match=r"'minatar'.*sb3-diiqn\[minatar\]"):
        register_minatar()
