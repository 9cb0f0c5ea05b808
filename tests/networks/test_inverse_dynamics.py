"""The network that tells which action leads from one observation to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.utils import obs_as_tensor

from sb3_diiqn.networks.base import PORTION_ON_CPU, channel_axis, is_planes
from sb3_diiqn.networks.inverse_dynamics import InverseDynamics

N_ACTIONS = 3
STEPS = th.tensor([[0.0, 0.0], [0.01, 0.0], [0.0, -0.01]])


def walks(
    n: int, seed: int, steps: th.Tensor = STEPS, likes: tuple[float, ...] = (1.0,) * N_ACTIONS, spread: float = 0.001
) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
    """Small steps in a large plane, with a little noise, by an agent that likes some actions more than others."""
    generator = th.Generator().manual_seed(seed)
    observations = 10 * th.rand((n, 2), generator=generator)
    actions = th.multinomial(th.tensor(likes), n, replacement=True, generator=generator)[:, None]
    noise = spread * th.randn((n, 2), generator=generator)
    return observations, actions, observations + steps[actions[:, 0]] + noise


def trained(space: spaces.Space[object], updates: int = 300, *how: Any) -> InverseDynamics:
    th.manual_seed(0)
    network = InverseDynamics(space, N_ACTIONS)
    for seed in range(updates):
        network.learn(*walks(32, seed, *how))
    return network


PLANE = spaces.Box(0, 10, (2,), dtype=np.float32)


def test_small_differences_between_large_values_are_told_apart() -> None:
    observations, actions, following = walks(300, 10_000)
    probabilities = trained(PLANE).probabilities(observations, following)
    assert probabilities.shape == (300, N_ACTIONS)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (probabilities.argmax(axis=1) == actions[:, 0].numpy()).mean() > 0.95


@pytest.mark.parametrize("likes", [(1.0, 1.0, 1.0), (8.0, 1.0, 1.0), (1.0, 6.0, 3.0)])
def test_actions_of_equal_effect_are_equally_likely(likes: tuple[float, ...]) -> None:
    """Actions 0 and 1 stand still, 2 does not: each of the two is as likely as the other, whichever the agent likes more."""
    steps = th.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, -0.01]])
    observations, actions, following = walks(300, 10_000, steps)
    network = trained(PLANE, 500, steps, likes)
    likelihoods = network.likelihoods(observations, following)
    still = actions[:, 0].numpy() < 2
    np.testing.assert_allclose(likelihoods[still].mean(axis=0), [0.5, 0.5, 0], atol=0.1)
    assert likelihoods[~still, 2].mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("likes", [(1.0, 1.0, 1.0), (6.0, 1.0, 3.0)])
def test_estimates_are_calibrated(likes: tuple[float, ...]) -> None:
    """Where noise hides which step was taken, they are Bayes' posterior, and right as often as they expect to be."""
    spread = 0.006
    observations, actions, following = walks(3000, 10_000, STEPS, likes, spread)
    network = trained(PLANE, 1500, STEPS, likes, spread)
    evidence = -((following - observations)[:, None] - STEPS).square().sum(dim=2) / (2 * spread**2)
    posterior = th.softmax(evidence + th.log(th.tensor(likes)), dim=1).numpy()
    probabilities = network.probabilities(observations, following)
    assert np.abs(probabilities - posterior).mean() < 0.04
    assert np.abs(network.likelihoods(observations, following) - th.softmax(evidence, dim=1).numpy()).mean() < 0.04
    correct = probabilities.argmax(axis=1) == actions[:, 0].numpy()
    assert correct.mean() < 0.8, "it is not possible to be sure"
    assert correct.mean() == pytest.approx(probabilities.max(axis=1).mean(), abs=0.03)


@pytest.mark.slow
def test_what_the_agent_likes_to_do_here_or_there_says_nothing_either() -> None:
    """On the left it likes action 0, on the right action 1; both stand still."""
    generator = th.Generator().manual_seed(0)
    th.manual_seed(0)
    network = InverseDynamics(PLANE, N_ACTIONS)

    def batch(n: int) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        observations = 10 * th.rand((n, 2), generator=generator)
        likes = th.where(observations[:, :1] < 5, th.tensor([0.8, 0.1, 0.1]), th.tensor([0.1, 0.8, 0.1]))
        actions = th.multinomial(likes, 1, generator=generator)
        return observations, actions, observations - 0.01 * (actions == 2)

    for _ in range(1000):
        network.learn(*batch(64))
    observations, actions, following = batch(2000)
    still = actions[:, 0].numpy() < 2
    left = observations[:, 0].numpy() < 5
    likelihoods, probabilities = (ask(observations, following) for ask in (network.likelihoods, network.probabilities))
    for side, expected in ((left, [8 / 9, 1 / 9, 0]), (~left, [1 / 9, 8 / 9, 0])):
        np.testing.assert_allclose(likelihoods[still & side].mean(axis=0), [0.5, 0.5, 0], atol=0.1)
        np.testing.assert_allclose(probabilities[still & side].mean(axis=0), expected, atol=0.15)
    assert likelihoods[~still, 2].mean() > 0.9


@pytest.mark.slow
def test_a_step_that_the_agent_cannot_make_lies_between_its_own() -> None:
    """An expert moves along an axis, and the agent's steps lead beside it, or away from it."""
    steps = 0.01 * th.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 0.0]])
    observations, _, _ = walks(300, 10_000, steps)
    network = trained(PLANE, 500, steps)
    likelihoods = network.likelihoods(observations, observations + 0.01 * th.tensor([1.0, 0.0]))
    np.testing.assert_allclose(likelihoods.mean(axis=0), [0.5, 0.5, 0], atol=0.1)


@pytest.mark.slow
def test_an_action_that_was_not_taken_is_not_named() -> None:
    network = trained(PLANE, 1000, STEPS, (1.0, 1.0, 0.0))
    observations, actions, following = walks(300, 10_000, STEPS, (1.0, 1.0, 0.0))
    likelihoods = network.likelihoods(observations, following)
    assert np.isfinite(likelihoods).all()
    assert (likelihoods.argmax(axis=1) == actions[:, 0].numpy()).mean() > 0.95


def test_estimating_changes_nothing() -> None:
    network = trained(PLANE, updates=5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    one = network.probabilities(*walks(7, 1)[::2])
    two = network.probabilities(*walks(7, 1)[::2])
    np.testing.assert_array_equal(one, two)
    for name, value in network.state_dict().items():
        assert th.equal(value, before[name])


@pytest.mark.parametrize("n", [1, PORTION_ON_CPU, PORTION_ON_CPU + 1, 3 * PORTION_ON_CPU])
def test_many_are_estimated_as_each_alone(n: int) -> None:
    network = trained(PLANE, updates=5)
    before, _, after = walks(n, 1)
    expected = [network.likelihoods(before[row : row + 1], after[row : row + 1])[0] for row in range(n)]
    np.testing.assert_allclose(network.likelihoods(before, after), expected, rtol=1e-4)


def test_nothing_to_estimate_is_no_error() -> None:
    assert trained(PLANE, updates=1).likelihoods(th.zeros((0, 2)), th.zeros((0, 2))).shape == (0, N_ACTIONS)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 1, (4, 4, 5), dtype=bool),
        spaces.Box(0, 255, (1, 36, 36), dtype=np.uint8),
        spaces.Discrete(4),
        spaces.Dict({"place": spaces.Box(-1, 1, (2,)), "lamp": spaces.Discrete(2)}),
    ],
    ids=["planes", "image", "discrete", "dict"],
)
def test_every_kind_of_observation(space: spaces.Space[object]) -> None:
    def batch() -> dict[str, th.Tensor] | th.Tensor:
        drawn = [space.sample() for _ in range(6)]
        if isinstance(space, spaces.Dict):
            return {key: th.as_tensor(np.array([item[key] for item in drawn])) for key in space.spaces}  # type: ignore[index]
        return th.as_tensor(np.array(drawn))

    space.seed(0)
    network = InverseDynamics(space, N_ACTIONS)
    observations, following, actions = batch(), batch(), th.arange(6)[:, None] % N_ACTIONS
    first = network.learn(observations, actions, following)
    for _ in range(50):
        last = network.learn(observations, actions, following)
    assert last < first
    assert network.probabilities(observations, following).shape == (6, N_ACTIONS)


def rooms(states: np.ndarray) -> np.ndarray:
    """A small image with a small number in it: a map with codes, of which one says where the agent is."""
    images = np.zeros((len(states), 1, 7, 11), dtype=np.uint8)
    images[np.arange(len(states)), 0, 3, states.astype(int)] = 9
    return images


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "show"),
    [
        (spaces.Box(-np.inf, np.inf, (1,)), lambda states: states[:, None].astype(np.float32)),
        (spaces.Box(0, 250, (1,), np.uint8), lambda states: (200 + states)[:, None].astype(np.uint8)),
        (spaces.Box(-(10**6), 10**6, (1,), np.int64), lambda states: (states - 10**5)[:, None]),
        (spaces.Box(0, 255, (1, 7, 11), np.uint8), rooms),
        (
            spaces.Dict({"place": spaces.Box(-np.inf, np.inf, (1,)), "lamp": spaces.Discrete(2)}),
            lambda states: {"place": 1e-3 * states[:, None].astype(np.float32), "lamp": np.zeros(len(states), dtype=np.int64)},
        ),
    ],
    ids=["float", "byte", "integer", "small image", "dict"],
)
def test_neither_type_nor_unit_matters(space: spaces.Space[object], show: Callable[[np.ndarray], Any]) -> None:
    """On a line of eleven places, one step to the left, none, or one to the right."""

    def batch(n: int, seed: int) -> tuple[Any, th.Tensor, Any]:
        generator = np.random.default_rng(seed)
        states, actions = generator.integers(1, 10, n), generator.integers(N_ACTIONS, size=n)
        before, after = (obs_as_tensor(show(shown), th.device("cpu")) for shown in (states, states + actions - 1))
        return before, th.as_tensor(actions[:, None]), after

    th.manual_seed(0)
    network = InverseDynamics(space, N_ACTIONS)
    for seed in range(300):
        network.learn(*batch(32, seed))
    observations, actions, following = batch(200, 10_000)
    found = network.likelihoods(observations, following)
    assert (found.argmax(axis=1) == actions[:, 0].numpy()).mean() > 0.97
    assert found.max(axis=1).mean() > 0.7


def moving_dots(n: int, seed: int) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
    """A faint dot on a bright striped ground that stays where it is, or goes up or down by a pixel."""
    generator = np.random.default_rng(seed)
    ground = np.where(np.arange(36) % 2, 200, 180).astype(np.uint8)
    images = np.broadcast_to(ground, (2, n, 1, 36, 36)).copy()
    rows, columns, actions = generator.integers(4, 30, n), generator.integers(0, 34, n), generator.integers(N_ACTIONS, size=n)
    for image, shift in zip(images, (0, 1), strict=True):
        for index, (row, column, action) in enumerate(zip(rows, columns, actions, strict=True)):
            top = row + shift * (action - 1)
            image[index, 0, top : top + 2, column : column + 2] += 40
    return th.as_tensor(images[0]), th.as_tensor(actions[:, np.newaxis]), th.as_tensor(images[1])


@pytest.mark.slow
def test_small_things_that_move_in_images_are_seen() -> None:
    th.manual_seed(0)
    network = InverseDynamics(spaces.Box(0, 255, (1, 36, 36), dtype=np.uint8), N_ACTIONS)
    for seed in range(150):
        network.learn(*moving_dots(32, seed))
    observations, actions, following = moving_dots(300, 10_000)
    found = network.probabilities(observations, following).argmax(axis=1)
    assert (found == actions[:, 0].numpy()).mean() > 0.9


def moving_cells(n: int, seed: int, axis: int) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
    """A cell that stays where it is, or goes up or down; a second plane has walls that are always there."""
    generator = np.random.default_rng(seed)
    planes = np.zeros((2, n, 10, 10, 2), dtype=bool)
    planes[..., ::3, 1] = True
    row, column, actions = generator.integers(1, 9, n), generator.integers(10, size=n), generator.integers(N_ACTIONS, size=n)
    for plane, shift in zip(planes, (0, 1), strict=True):
        plane[np.arange(n), row + shift * (actions - 1), column, 0] = True
    before, after = np.moveaxis(planes, -1, 2 + axis)
    return th.as_tensor(before), th.as_tensor(actions[:, np.newaxis]), th.as_tensor(after)


def of_planes(axis: int, seed: int, n_updates: int, examples: int) -> InverseDynamics:
    th.manual_seed(seed)
    shape = (2, 10, 10) if axis == 0 else (10, 10, 2)
    network = InverseDynamics(spaces.Box(0, 1, shape, dtype=bool), N_ACTIONS)
    batch = moving_cells(examples, 0, axis)
    for _ in range(n_updates):
        network.learn(*batch)
    return network


@pytest.mark.slow
def test_what_moves_on_planes_is_understood_from_few_examples() -> None:
    """There are 240 such transitions; half of them are seen. Without the convolution, 0.55 are recognised."""
    observations, actions, following = moving_cells(1000, 1, axis=2)
    recognised = []
    for seed in range(2):
        found = of_planes(2, seed, 200, 160).probabilities(observations, following).argmax(axis=1)
        recognised.append((found == actions[:, 0].numpy()).mean())
    assert np.mean(recognised) > 0.58


def test_planes_first_or_last_are_the_same() -> None:
    first, last = (
        of_planes(axis, 0, 3, 20).probabilities(*(moving_cells(50, 1, axis)[part] for part in (0, 2))) for axis in (0, 2)
    )
    np.testing.assert_allclose(first, last, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((10, 10, 4), 2), ((10, 10, 10), 2), ((8, 8, 12), 2), ((4, 10, 10), 0), ((12, 8, 8), 0), ((3, 5, 9), 0), ((9, 5, 3), 2)],
)
def test_axis_of_the_channels(shape: tuple[int, ...], axis: int) -> None:
    assert channel_axis(spaces.Box(0, 1, shape, dtype=bool)) == axis


def test_what_counts_as_planes() -> None:
    assert is_planes(spaces.Box(0, 1, (10, 10, 4), dtype=bool))
    assert is_planes(spaces.Box(-1, 1, (7, 5, 3), dtype=np.float32))
    assert not is_planes(spaces.Box(0, 1, (10, 2, 2), dtype=bool)), "too narrow for a convolution"
    assert not is_planes(spaces.Box(0, 255, (3, 36, 36), dtype=np.uint8)), "an image"
    assert not is_planes(spaces.MultiBinary([4, 4, 5]))
