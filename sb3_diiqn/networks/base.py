"""Auxiliary networks: features of observations, layers on top of them, and their own optimiser."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, preprocess_obs
from stable_baselines3.common.torch_layers import (
    BaseFeaturesExtractor,
    CombinedExtractor,
    FlattenExtractor,
    NatureCNN,
    create_mlp,
)
from torch import nn

from sb3_diiqn.common.compatibility import FUSED
from sb3_diiqn.common.types import TensorObservations
from sb3_diiqn.expert.types import count_observations, take

#: Normalised features are cut here, in standard deviations: what never changed in training must not drown the rest later.
LARGEST_INPUT = 5.0
#: Height and width from which on NatureCNN works.
SMALLEST_IMAGE = 36
#: Height and width of the filters for planes.
KERNEL_SIZE = 3
#: On a processor, layers of more rows than its cache holds take more time per row, at 512 twice as much.
PORTION_ON_CPU = 128


class ObservationNetwork(nn.Module):
    """
    Base class: a features extractor, layers on top of it, and Adam.

    :param observation_space: the environment's observation space; features of numbers, other than 0 and 1, are normalised, in
        whatever unit they are
    :param n_outputs: number of outputs
    :param extractor: an untrained features extractor, None for the default of :func:`make_extractor`
    :param net_arch: widths of the hidden layers between features and outputs
    :param dropout: whether half of the inputs of each layer between features and outputs are left out in training
    :param normalize_images: whether images are divided by 255, see Stable-Baselines3's policies
    """

    #: of Adam; with planes, most of whose cells are empty, and with images, whose networks are deeper
    learning_rate, learning_rate_with_planes, learning_rate_with_images = 2e-3, 4e-3, 1e-3

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        n_outputs: int,
        extractor: BaseFeaturesExtractor | None = None,
        net_arch: Sequence[int] = (128,),
        dropout: bool = False,
        normalize_images: bool = True,
    ) -> None:
        super().__init__()
        self.observation_space = observation_space
        self.normalize_images = normalize_images
        self.extractor, n_features = self._make_extractor() if extractor is None else (extractor, extractor.features_dim)
        # a step is small against the state: without normalisation the network would not see it
        has_units = _has_units(observation_space, extractor is None)
        normalization = _normalization(n_features) if has_units else nn.Identity()
        self.head = nn.Sequential(normalization, *create_mlp(n_features, n_outputs, list(net_arch)))
        if dropout:
            self.head = _with_dropout(self.head)
        _keep_units_alive(self)
        self.optimizer = th.optim.Adam(self.parameters(), lr=self._learning_rate(), **FUSED)

    def forward(self, *observations: TensorObservations) -> th.Tensor:
        """
        Compute the outputs.

        :param observations: each of shape (n, ``*observation_shape``)
        :return: shape (n, n_outputs)
        """
        preprocessed = (preprocess_obs(given, self.observation_space, self.normalize_images) for given in observations)
        outputs: th.Tensor = self.head(self._features(*preprocessed))
        return outputs

    def _learning_rate(self) -> float:
        if is_image_space(self.observation_space):
            return self.learning_rate_with_images
        return self.learning_rate_with_planes if is_planes(self.observation_space) else self.learning_rate

    def _make_extractor(self) -> tuple[nn.Module, int]:
        """Make what :meth:`_features` needs, and tell the number of features."""
        return make_extractor(self.observation_space)

    def _features(self, *observations: TensorObservations) -> th.Tensor:
        """Compute the input of the first layer on top from preprocessed observations, here from one."""
        features: th.Tensor = self.extractor(*observations)
        return features

    @property
    def has_learned(self) -> bool:
        """Tell whether it has learned anything."""
        return bool(self.optimizer.state)

    def _answer(self, outputs: Callable[..., th.Tensor], *observations: TensorObservations) -> th.Tensor:
        """Compute the outputs of a function of observations, each of shape (n, ...), as when nothing is learned."""
        if self.training:  # walks through all modules
            self.eval()
        with th.no_grad():
            return th.cat([outputs(*portion) for portion in self._portions(observations)])

    def _portions(self, observations: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Cut observations, each of shape (n, ...), into what is computed at once."""
        size = count_observations(observations[0])
        portion = PORTION_ON_CPU if next(self.parameters()).device.type == "cpu" else max(size, 1)
        # tensors have rows as arrays do; without any rows, too, there is one answer
        starts = range(0, max(size, 1), portion)
        return [tuple(take(given, slice(start, start + portion)) for given in observations) for start in starts]

    def minimize(self, loss: th.Tensor) -> float:
        """
        Make one step of gradient descent.

        :param loss: computed from what the network answered, shape ()
        :return: its value
        """
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.item())

    def load_if_fitting(self, state: dict[str, th.Tensor] | None, optimizer_state: dict[str, Any] | None, name: str) -> None:
        """
        Load parameters, if there are any and they are of this architecture; else it stays as it is.

        :param state: of the network
        :param optimizer_state: of its optimizer
        :param name: what the network is called, for the warning
        """
        if state is None or optimizer_state is None:
            return
        if _shapes(state) != _shapes(self.state_dict()):
            warnings.warn(f"the saved {name} is not of this model's architecture: its own is kept instead", stacklevel=2)
            return
        self.load_state_dict(state)
        self.optimizer.load_state_dict(optimizer_state)


def _shapes(state: dict[str, th.Tensor]) -> dict[str, th.Size]:
    return {name: value.shape for name, value in state.items()}


def is_planes(observation_space: spaces.Space[Any]) -> bool:
    """
    Tell whether observations are cells in rows and columns with several channels, and no images.

    :param observation_space: any observation space
    """
    if not isinstance(observation_space, spaces.Box) or len(observation_space.shape) != 3:
        return False
    return not is_image_space(observation_space) and sorted(observation_space.shape)[1] >= KERNEL_SIZE


def channel_axis(observation_space: spaces.Space[Any]) -> int | None:
    """
    Find the axis of the channels: of images the first, as Stable-Baselines3's networks have them; of planes the one beside two
    of equal length, else the shorter of the first and the last.

    :param observation_space: any observation space
    :return: None if it is neither images nor planes
    """
    if is_image_space(observation_space):
        return 0
    if not is_planes(observation_space):
        return None
    shape: Any = observation_space.shape
    first, middle, last = shape
    if first == middle:
        return 2
    return 0 if middle == last or first < last else 2


class PlanesExtractor(BaseFeaturesExtractor):
    """
    One convolution, so that what happens in one place need not be learned again in every other.

    :param observation_space: planes, see :func:`is_planes`
    :param axis: that of the channels
    :param n_filters: number of its filters
    """

    def __init__(self, observation_space: spaces.Space[Any], axis: int, n_filters: int = 16) -> None:
        shape: Any = observation_space.shape
        n_channels = shape[axis]
        super().__init__(observation_space, features_dim=n_filters * int(np.prod(shape)) // n_channels)
        self._axis = axis
        convolution = nn.Conv2d(n_channels, n_filters, KERNEL_SIZE, padding="same")
        self.layers = nn.Sequential(convolution, nn.ReLU(), nn.Flatten())

    def forward(self, observations: th.Tensor) -> th.Tensor:
        """
        Compute features.

        :param observations: preprocessed planes, shape (n, ``*observation_shape``)
        :return: shape (n, features_dim)
        """
        features: th.Tensor = self.layers(observations.movedim(1 + self._axis, 1))
        return features


def make_extractor(observation_space: spaces.Space[Any], axis: int | None = None) -> tuple[nn.Module, int]:
    """
    Make the features extractor that Stable-Baselines3's default policies have, but for planes; images are normalised before.

    Images too small for their convolutions are treated as vectors.

    :param observation_space: the observation space
    :param axis: that of the channels of planes, if it is not :func:`channel_axis`
    :return: the extractor and the number of features
    """
    extractor: BaseFeaturesExtractor
    if is_planes(observation_space):
        found: Any = channel_axis(observation_space) if axis is None else axis
        extractor = PlanesExtractor(observation_space, found)
        return extractor, extractor.features_dim
    if isinstance(observation_space, spaces.Dict):
        extractor = CombinedExtractor(observation_space)
    elif is_image_space(observation_space) and not _is_small(observation_space):
        shape: Any = observation_space.shape
        extractor = NatureCNN(observation_space)
        # what moves is small and faint against all that does not: without normalisation the network would not see it
        normalization = nn.BatchNorm2d(shape[0], affine=False)
        return nn.Sequential(normalization, extractor), extractor.features_dim
    else:
        extractor = FlattenExtractor(observation_space)
    return extractor, extractor.features_dim


def _has_units(space: spaces.Space[Any], has_default_extractor: bool) -> bool:
    """
    Tell whether features are of numbers in some unit, which nobody has normalised.

    :param space: the observation space
    :param has_default_extractor: that of :func:`make_extractor`, which normalises images itself, unless they are small
    """
    if isinstance(space, spaces.Dict):
        return any(_has_units(part, has_default_extractor) for part in space.spaces.values())
    if not isinstance(space, spaces.Box):
        return False
    if is_image_space(space):
        return has_default_extractor and _is_small(space)
    return bool(np.issubdtype(space.dtype, np.floating) or space.low.min() < 0 or space.high.max() > 1)


def _is_small(image_space: Any) -> bool:
    """Tell whether NatureCNN's convolutions do not fit into images."""
    return bool(min(image_space.shape[1:]) < SMALLEST_IMAGE)


def network_of(policy: Any) -> dict[str, Any]:
    """
    Make an untrained features extractor as a policy has, and tell which hidden layers follow it there, if its user chose one.

    :param policy: a policy of one of Stable-Baselines3's algorithms that value actions
    :return: arguments of :class:`ObservationNetwork`; none if the policy has a default extractor, for which
        :func:`make_extractor` makes the like
    """
    if policy.features_extractor_class in {FlattenExtractor, CombinedExtractor, NatureCNN}:
        return {}
    return {
        "extractor": policy.make_features_extractor(),
        "net_arch": policy.net_arch,
        "normalize_images": policy.normalize_images,
    }


def _keep_units_alive(network: nn.Module) -> None:
    """
    Give each ReLU a slope below 0, too, wherever it is in a network.

    As long as nothing is known of the actions, the best answer is the same everywhere, and on the way there a whole layer can
    die: without a slope it would never again tell states apart, however much is known later.
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.ReLU:
                setattr(module, name, nn.LeakyReLU())


class HalfDropout(nn.Module):
    """Leaves out half of its inputs, as ``nn.Dropout(0.5)`` does, but draws 64 bits at once: several times as fast."""

    def forward(self, inputs: th.Tensor) -> th.Tensor:
        """
        Leave out half of the inputs in training, and double the others.

        :param inputs: any shape
        """
        if not self.training:
            return inputs
        words = th.randint(-(2**63), 2**63 - 1, (-(-inputs.numel() // 8),), dtype=th.int64, device=inputs.device)
        # 0 or 2, by a bit of each byte
        factors = (words.view(th.int8)[: inputs.numel()] & 2).view(inputs.shape)
        return inputs * factors.to(inputs.dtype)


def _with_dropout(layers: nn.Sequential) -> nn.Sequential:
    """Put a dropout before each linear layer."""
    dropped = ([HalfDropout(), layer] if isinstance(layer, nn.Linear) else [layer] for layer in layers)
    return nn.Sequential(*(layer for some in dropped for layer in some))


def _normalization(n_features: int) -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(n_features, affine=False), nn.Hardtanh(-LARGEST_INPUT, LARGEST_INPUT))
