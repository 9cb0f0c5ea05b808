"""The network that learns where observations lie."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from sb3_diiqn.networks.state_embedding import StateEmbedding, contrastive_loss
from tests.helpers import LENGTH, LOOKS, walk

N_ACTIONS = 4
MOVES = th.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
#: Stable-Baselines3 transposes them before the networks see them.
IMAGES = ("byte image", "dict with image")
NOISY = spaces.Box(-10, 10, (8,), dtype=np.float32)


def with_noise(positions: th.Tensor, generator: th.Generator) -> th.Tensor:
    """Six numbers beside the position that are drawn anew each time."""
    return th.cat([positions, 20 * th.rand((len(positions), 6), generator=generator) - 10], dim=1)


def steps(n: int, generator: th.Generator) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
    """Steps of length 1 in a square of 20 times 20."""
    positions = 20 * th.rand((n, 2), generator=generator) - 10
    actions = th.randint(N_ACTIONS, (n, 1), generator=generator)
    return with_noise(positions, generator), actions, with_noise(positions + MOVES[actions[:, 0]], generator)


def test_the_loss_is_the_cross_entropy_of_squared_distances_both_ways() -> None:
    before, after = th.tensor([[0.0, 0.0], [3.0, 0.0]]), th.tensor([[1.0, 0.0], [3.0, 2.0]])
    # squared distances: 1 and 13 from the first, 4 and 4 from the second
    one_way = [math.log(1 + math.exp(1 - 13)), math.log(2)]
    other_way = [math.log(1 + math.exp(1 - 4)), math.log(1 + math.exp(4 - 13))]
    assert float(contrastive_loss(before, after)) == pytest.approx((sum(one_way) + sum(other_way)) / 4, abs=1e-6)


@pytest.mark.slow
def test_noise_is_left_out_and_steps_in_all_directions_are_seen() -> None:
    th.manual_seed(0)
    generator = th.Generator().manual_seed(0)
    network = StateEmbedding(NOISY, N_ACTIONS)
    for _ in range(1500):
        network.learn(*steps(32, generator), *steps(64, generator)[::2])
    frozen = network.as_it_is()

    def distances(move: th.Tensor) -> np.ndarray:
        positions = 16 * th.rand((300, 2), generator=generator) - 8
        one, other = (frozen.embed(with_noise(at, generator).numpy()) for at in (positions, positions + move))
        return np.asarray(np.linalg.norm(one - other, axis=1))

    same = np.median(distances(th.zeros(2)))
    for move in MOVES:
        assert np.median(distances(move)) > 1.5 * same
        assert np.median(distances(4 * move)) > 5 * same


def test_a_copy_stays_as_it_is_while_the_network_learns_on() -> None:
    generator = th.Generator().manual_seed(0)
    network = StateEmbedding(NOISY, N_ACTIONS)
    observations = steps(5, generator)[0].numpy()
    frozen = network.as_it_is()
    before = frozen.embed(observations)
    for _ in range(5):
        network.learn(*steps(8, generator), *steps(8, generator)[::2])
    np.testing.assert_array_equal(frozen.embed(observations), before)
    assert np.abs(network.as_it_is().embed(observations) - before).max() > 1e-3


@pytest.mark.parametrize("look", [look for look in LOOKS if look not in IMAGES])
def test_all_kinds_of_observations_are_embedded(look: str) -> None:
    space, _ = LOOKS[look]
    states = walk(range(LENGTH), look)
    if isinstance(space, spaces.Discrete):
        states = states[:, np.newaxis]
    elif isinstance(space, spaces.Dict):
        states["room"] = states["room"][:, np.newaxis]
    assert StateEmbedding(space, 2).as_it_is().embed(states).shape == (LENGTH, StateEmbedding.width)


def test_images_are_embedded() -> None:
    states = walk(range(LENGTH), "byte image").transpose(0, 3, 1, 2)
    embedded = StateEmbedding(spaces.Box(0, 255, (1, 36, 36), dtype=np.uint8), 2).as_it_is().embed(states)
    assert embedded.shape == (LENGTH, StateEmbedding.width)
    assert len(np.unique(embedded, axis=0)) == LENGTH
