"""
What part of the pairs of different states match, by kind of observation: prints the table of docs/matching.md.

Every kind is a walk of something that moves a little at every step, as an environment shows it.

    python -m examples.matching_table
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from sb3_diiqn.inference.categories import CategoryDistance
from sb3_diiqn.inference.distances import (
    Distance,
    JaccardDistance,
    MeanDistance,
    MismatchDistance,
    RangeDistance,
    ScaledAbsoluteDistance,
    SharpenedDistance,
)
from sb3_diiqn.inference.distinct_pairs import matching_pairs_fraction
from sb3_diiqn.inference.metrics import make_distance

N = 1000
THRESHOLD = 0.97
SEEDS = (0, 10, 20)


class Kind(NamedTuple):
    space: spaces.Space[Any]
    walk: Callable[[np.random.Generator], Any]


def walk_on_grid(generator: np.random.Generator, size: int, things: int = 1) -> np.ndarray:
    """Places of things that go one cell up, down, left or right at every step, shape (N, things, 2)."""
    steps = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])[generator.integers(0, 4, (N, things))]
    places = generator.integers(0, size, (things, 2)) + np.cumsum(steps, axis=0)
    # reflected at the borders
    return size - 1 - np.abs(np.mod(places, 2 * size - 2) - (size - 1))


def smooth(generator: np.random.Generator, n_numbers: int, period: float = 200.0) -> np.ndarray:
    """Numbers that swing, each with periods of its own, in [-1, 1], shape (N, n_numbers)."""
    phases, periods = generator.uniform(0, 7, (2, n_numbers)), period * generator.uniform(0.5, 2, (2, n_numbers))
    time = np.arange(N)[:, None]
    return (np.sin(phases[0] + time / periods[0] * 6.28) + np.sin(phases[1] + time / periods[1] * 6.28)) / 2


def planes(generator: np.random.Generator) -> np.ndarray:
    """Three things and a wall, each on its own plane of 10 x 10 cells."""
    shown = np.zeros((N, 10, 10, 4), dtype=np.uint8)
    for channel, place in enumerate(walk_on_grid(generator, 10, 3).transpose(1, 2, 0)):
        shown[np.arange(N), place[0], place[1], channel] = 1
    shown[:, 0, :, 3] = 1
    return shown


def symbols(generator: np.random.Generator, size: int = 13) -> np.ndarray:
    """A grid of walls, doors and things of several colours, in which an agent walks: kind, colour and state of each cell."""
    grid = np.zeros((size, size, 3), dtype=np.uint8)
    grid[..., 0] = generator.choice([1, 2, 4, 5, 6, 7], (size, size), p=[0.6, 0.3, 0.04, 0.02, 0.02, 0.02])
    grid[..., 1] = np.where(grid[..., 0] > 1, generator.integers(0, 6, (size, size)), 0)
    shown = np.repeat(grid[None], N, axis=0)
    places = walk_on_grid(generator, size)[:, 0]
    shown[np.arange(N), places[:, 0], places[:, 1]] = np.stack(
        [np.full(N, 10), np.zeros(N), generator.integers(0, 4, N)], axis=1
    )
    return shown


def symbols_nearby(generator: np.random.Generator) -> np.ndarray:
    """The 7 x 7 cells around the agent."""
    size, margin = 13, 3
    grid = np.pad(symbols(generator, size)[0], ((margin, margin), (margin, margin), (0, 0)))
    return np.stack([grid[row : row + 7, column : column + 7] for row, column in walk_on_grid(generator, size)[:, 0]])


def picture(generator: np.random.Generator, size: int = 84, noise: int = 0) -> np.ndarray:
    """A shaded room with a fixed pattern, in which a small bright ball and a dark one move by some pixels."""
    room = 60 + 80 * np.linspace(0, 1, size)[:, None] + generator.integers(0, 40, (size, size))
    shown = np.repeat(room.astype(np.uint8)[None], N, axis=0)
    radius = size // 28
    for value, numbers in ((255, smooth(generator, 2)), (0, smooth(generator, 2))):
        centers = np.rint((numbers + 1) / 2 * (size - 1)).astype(int)
        near = np.abs(np.arange(size) - centers[..., None]) <= radius
        shown[near[:, 0, :, None] & near[:, 1, None, :]] = value
    return shown if noise == 0 else (shown // 2 + generator.integers(0, noise + 1, shown.shape)).astype(np.uint8)


def grey(generator: np.random.Generator) -> np.ndarray:
    return picture(generator)[..., None]


def colours(generator: np.random.Generator) -> np.ndarray:
    one = picture(generator, 64)
    return np.stack([one, one // 2, 255 - one], axis=-1)


def stacked(generator: np.random.Generator) -> np.ndarray:
    one = picture(generator)
    return np.stack([one[np.maximum(np.arange(N) - age, 0)] for age in (3, 2, 1, 0)], axis=-1)


def black_and_white(generator: np.random.Generator) -> np.ndarray:
    return np.where(picture(generator) == 255, 255, 0).astype(np.uint8)[..., None]


def amounts(generator: np.random.Generator) -> np.ndarray:
    """Gold, place, health and level."""
    gold = np.cumsum(generator.integers(0, 50, N))
    place = 500 + (smooth(generator, 2) * 400).astype(int)
    return np.column_stack([gold, place, 10 - np.arange(N) // 100 % 10, np.arange(N) // 500])


def memory(generator: np.random.Generator) -> np.ndarray:
    """Bytes of a game's memory: most are constant, some count, some are places."""
    bytes_ = np.repeat(generator.integers(0, 256, (1, 128)), N, axis=0)
    bytes_[:, 10:18] = (smooth(generator, 8) + 1) * 80
    bytes_[:, 40] = np.arange(N) % 256
    bytes_[:, 41] = np.arange(N) // 256
    bytes_[:, 90:94] = generator.random((N, 4)) < 0.01
    return bytes_.astype(np.uint8)


def bounded(generator: np.random.Generator) -> np.ndarray:
    angle = 3 * smooth(generator, 1)
    return np.hstack([np.cos(angle), np.sin(angle), np.gradient(angle, axis=0) * 20]).astype(np.float32)


def unbounded(generator: np.random.Generator) -> np.ndarray:
    places = np.cumsum(smooth(generator, 3, 50.0), axis=0)
    return np.hstack([places, np.gradient(places, axis=0)])


def with_outlier(generator: np.random.Generator) -> np.ndarray:
    numbers = unbounded(generator)
    numbers[generator.integers(0, N, 3), generator.integers(0, 6, 3)] = 1e6
    numbers[N // 2] = -1e6
    return numbers


def with_constants(generator: np.random.Generator) -> np.ndarray:
    return np.hstack([smooth(generator, 2), np.full((N, 18), 0.5)]).astype(np.float32)


def with_events(generator: np.random.Generator) -> np.ndarray:
    """Two numbers that swing, and six that are 0 but for a few steps."""
    return np.hstack([smooth(generator, 2), generator.random((N, 6)) < 0.01]).astype(np.float32)


def rooms(generator: np.random.Generator) -> np.ndarray:
    return generator.integers(0, 50, (N, 1))


def levers(generator: np.random.Generator) -> np.ndarray:
    """Of 60 levers, one is moved at every step."""
    moves = np.zeros((N, 60), dtype=int)
    moves[np.arange(N), generator.integers(0, 60, N)] = 1
    return np.cumsum(moves, axis=0) % 5


def lamps(generator: np.random.Generator) -> np.ndarray:
    """Of 100 lamps nearly all are on; two walk, that are off."""
    shown = np.ones((N, 10, 10), dtype=np.int8)
    for place in walk_on_grid(generator, 10, 2).transpose(1, 2, 0):
        shown[np.arange(N), place[0], place[1]] = 0
    return shown.reshape(N, 100)


def camera_and_joints(generator: np.random.Generator) -> dict[str, np.ndarray]:
    joints = unbounded(generator)
    return {
        "camera": colours(generator),
        "joints": joints,
        "gripper": (joints[:, :1] > 0).astype(int),
        "goal": np.full((N, 3), 0.5, dtype=np.float32),
    }


def byte_box(*shape: int) -> spaces.Box:
    return spaces.Box(0, 255, shape, dtype=np.uint8)


def float_box(n: int, bound: float = np.inf, dtype: Any = np.float64) -> spaces.Box:
    return spaces.Box(-bound, bound, (n,), dtype=dtype)


KINDS: dict[str, Kind] = {
    "binary planes, declared so": Kind(spaces.Box(0, 1, (10, 10, 4), dtype=np.uint8), planes),
    "binary planes, declared as bytes": Kind(byte_box(10, 10, 4), planes),
    "symbols of a whole grid": Kind(byte_box(13, 13, 3), symbols),
    "symbols of the cells nearby": Kind(byte_box(7, 7, 3), symbols_nearby),
    "RGB images": Kind(byte_box(64, 64, 3), colours),
    "grey images": Kind(byte_box(84, 84, 1), grey),
    "grey images with noise": Kind(byte_box(84, 84), lambda generator: picture(generator, noise=3)),
    "black and white images": Kind(byte_box(84, 84, 1), black_and_white),
    "stacked grey images": Kind(byte_box(84, 84, 4), stacked),
    "images as floats": Kind(
        spaces.Box(0, 1, (84, 84, 1), dtype=np.float32), lambda generator: (grey(generator) / 255).astype(np.float32)
    ),
    "amounts up to 100 000": Kind(spaces.Box(0, 100_000, (5,), dtype=np.int64), amounts),
    "bytes of a memory": Kind(byte_box(128), memory),
    "floats, bounded": Kind(float_box(3, 8.0, np.float32), bounded),
    "floats, unbounded": Kind(float_box(6), unbounded),
    "floats with outliers of 1e6": Kind(float_box(6), with_outlier),
    "floats, 18 of 20 constant": Kind(float_box(20, 1.0, np.float32), with_constants),
    "floats with rare events": Kind(float_box(8, 1.0, np.float32), with_events),
    "one float": Kind(float_box(1), lambda generator: smooth(generator, 1)),
    "Discrete": Kind(spaces.Discrete(50), rooms),
    "MultiDiscrete": Kind(spaces.MultiDiscrete([5] * 60), levers),
    "MultiBinary": Kind(spaces.MultiBinary(100), lamps),
    "Dict": Kind(
        spaces.Dict(
            {
                "camera": byte_box(64, 64, 3),
                "joints": float_box(6),
                "gripper": spaces.Discrete(2),
                "goal": float_box(3, 1.0, np.float32),
            }
        ),
        camera_and_joints,
    ),
}


NAMES: dict[type[Distance], str] = {
    CategoryDistance: "categories",
    JaccardDistance: "`jaccard`",
    MismatchDistance: "`mismatch`",
    RangeDistance: "`range`",
    ScaledAbsoluteDistance: "`absolute`",
}


def measure(kind: Kind, metric: str = "auto", seed: int = 0) -> tuple[Distance, float]:
    """Choose the distance for a recording, and compare other pairs of its states than those that it was chosen by."""
    walk = kind.walk(np.random.default_rng(seed))
    distance = make_distance(metric, kind.space, walk)
    return distance, matching_pairs_fraction(distance, walk, THRESHOLD, seed=seed + 1)


def name_of(distance: Distance) -> str:
    if isinstance(distance, SharpenedDistance):
        return f"{name_of(distance.plain)}, times {distance.factor:.3g}"
    if isinstance(distance, MeanDistance):
        return "mean of " + "; ".join(f"{key}: {name_of(part)}" for key, part in distance.parts.items())
    return NAMES[type(distance)]


def main() -> None:
    print("| observations | metric | distinct pairs that match |")
    print("|---|---|---|")
    for name, kind in KINDS.items():
        distances, fractions = zip(*(measure(kind, seed=seed) for seed in SEEDS), strict=True)
        print(f"| {name} | {name_of(distances[0])} | {100 * max(fractions):.1f} % |")


if __name__ == "__main__":
    main()
