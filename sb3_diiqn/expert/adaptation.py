"""Fit recorded observations to an observation space: channel order and frame stacking as Stable-Baselines3 applies them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from sb3_diiqn.exceptions import ExpertDataError
from sb3_diiqn.expert.types import Observations, read_only
from sb3_diiqn.expert.validation import place
from sb3_diiqn.expert.values import Bounds, Field, cast, check_finite, check_range

LAST, FIRST = -1, 0

#: So many stacks are compared at once, which bounds the memory for it.
AT_ONCE = 256

SINGLE_FRAMES = "Record single frames, without VecFrameStack: they are then stacked as the environment stacks them"


class Target(NamedTuple):
    """How a replay buffer stores one observation of a space, and its bounds."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    low: np.ndarray
    high: np.ndarray


class Arrangement(NamedTuple):
    """From a recorded observation to the target's shape: stack frames along an axis, then move the channels to the front."""

    n_stack: int = 1
    axis: int = LAST
    transposed: bool = False


def adapt(
    observations: Observations,
    space: spaces.Space[Any],
    offsets: np.ndarray,
    n_stack: int | None = None,
    within_bounds: bool = True,
    own_space: spaces.Space[Any] | None = None,
) -> Observations:
    """See :meth:`ExpertObservations.adapted_to`. Returns the same object if nothing has to change."""
    if not isinstance(space, spaces.Dict):
        if isinstance(observations, dict):
            raise ExpertDataError(
                f"The expert data is a dict with the keys {sorted(observations)}, but the observation space is {space}: "
                "take the key that belongs to it"
            )
        return _adapt_array(observations, space, Field("observation", offsets, _shape_of(own_space)), n_stack, within_bounds)
    if not isinstance(observations, dict):
        raise ExpertDataError(
            f"The observation space is a Dict with the keys {sorted(space.spaces)}, but the expert data is one array: "
            "pass a dict of arrays"
        )
    if set(observations) != set(space.spaces):
        raise ExpertDataError(
            f"The expert data has the keys {sorted(observations)}, the observation space has {sorted(space.spaces)}: "
            "they must be the same"
        )
    own_spaces = own_space.spaces if isinstance(own_space, spaces.Dict) else {}
    adapted = {
        key: _adapt_array(
            observations[key],
            subspace,
            Field(f"observation[{key!r}]", offsets, _shape_of(own_spaces.get(key))),
            n_stack,
            within_bounds,
        )
        for key, subspace in space.spaces.items()
    }
    unchanged = list(adapted) == list(observations) and all(adapted[key] is observations[key] for key in adapted)
    return observations if unchanged else adapted


def _adapt_array(
    array: np.ndarray, space: spaces.Space[Any], field: Field, n_stack: int | None, within_bounds: bool
) -> np.ndarray:
    target = _target(space, field)
    if isinstance(space, spaces.Discrete) and array.ndim == 1:
        array = array[:, None]
    arrangement = _arrangement(array.shape[1:], target, isinstance(space, spaces.Box), n_stack, field)
    check_finite(array, field)
    if isinstance(space, spaces.Box) and array.ndim > 1 and arrangement.n_stack == 1 and (n_stack or 1) > 1:
        _check_stacks(array, n_stack or 1, field)
    adapted = cast(array, target.dtype, field)
    if within_bounds:
        check_range(adapted, _readings_of_bounds(target, arrangement), field)
    if arrangement.n_stack > 1:
        adapted = _stacked(adapted, field.offsets, arrangement)
    if arrangement.transposed:
        adapted = np.ascontiguousarray(np.moveaxis(adapted, LAST, 1))
    return array if adapted is array else read_only(adapted)


def _shape_of(space: spaces.Space[Any] | None) -> tuple[int, ...] | None:
    return space.shape if isinstance(space, spaces.Box) else None


def _target(space: spaces.Space[Any], field: Field) -> Target:
    if isinstance(space, spaces.Box):
        return Target(space.shape, space.dtype, space.low, space.high)
    if isinstance(space, spaces.Discrete):
        first = np.array([space.start])
        return Target((1,), np.dtype(space.dtype), first, first + space.n - 1)
    if isinstance(space, spaces.MultiDiscrete):
        lowest = np.broadcast_to(np.asarray(space.start), space.nvec.shape)
        return Target(space.nvec.shape, np.dtype(space.dtype), lowest, lowest + space.nvec - 1)
    if isinstance(space, spaces.MultiBinary):
        return Target(space.shape, np.dtype(space.dtype), np.zeros(space.shape, np.int8), np.ones(space.shape, np.int8))
    raise ExpertDataError(
        f"The {field.name} space {space} is not supported: "
        "expected Box, Discrete, MultiDiscrete, MultiBinary, or a Dict of these"
    )


def _arrangement(shape: tuple[int, ...], target: Target, is_box: bool, n_stack: int | None, field: Field) -> Arrangement:
    """The only way to get from the recorded shape to the target's.

    :raises ExpertDataError: there is none, or more than one
    """
    if shape == target.shape:
        return Arrangement()
    shapes = _both_shapes(shape, target, n_stack, field)
    possible = list(_candidates(shape, target)) if is_box else []
    wanted = [way for way in possible if way.n_stack in (1, n_stack) or (n_stack is None and _is_evident(way, target))]
    if len(wanted) == 1:
        return wanted[0]
    if len(wanted) > 1:
        raise ExpertDataError(
            f"{shapes}: channels first or last, both would fit. Bring the data into the space's own shape before passing it"
        )
    if possible and n_stack is not None:
        raise ExpertDataError(
            f"{shapes}: it would take {possible[0].n_stack} of the data's frames, not {n_stack}. {SINGLE_FRAMES}. "
            "If they are single frames, they are of another environment"
        )
    if possible:
        raise ExpertDataError(
            f"{shapes}. If the environment stacks {possible[0].n_stack} frames (VecFrameStack), say so: "
            f"data.adapted_to(observation_space, n_stack={possible[0].n_stack}). If not, it is another environment's data"
        )
    if len(shape) == 3 and (shape[2], *shape[:2]) == target.shape:
        raise ExpertDataError(
            f"{shapes}, but only uint8 images with bounds 0 and 255 are transposed, as Stable-Baselines3 does: "
            "transpose the data, np.moveaxis(observations, -1, 1)"
        )
    raise ExpertDataError(f"{shapes}: record the expert in this environment, with the same observation wrappers")


def _both_shapes(shape: tuple[int, ...], target: Target, n_stack: int | None, field: Field) -> str:
    """Say which shape the data and which the environment has: its own, not that in which it is stored."""
    recorded = f"The expert's {field.name} has shape {shape}"
    if field.own_shape in (None, target.shape):
        return f"{recorded}, the observation space has shape {target.shape}"
    stacked = f", of which it stacks {n_stack}" if (n_stack or 1) > 1 else ""
    return f"{recorded}, the environment's has shape {field.own_shape}{stacked}"


def _candidates(shape: tuple[int, ...], target: Target) -> Iterator[Arrangement]:
    """Every way in which SB3's wrappers could have made the target's shape out of the recorded one."""
    if len(shape) != len(target.shape) or 0 in shape or 0 in target.shape:
        return
    stacked_last = target.shape[LAST] // shape[LAST]
    if target.shape == (*shape[:-1], stacked_last * shape[LAST]) and _bounds_repeat(target, LAST, stacked_last):
        yield Arrangement(stacked_last, LAST)
    stacked_first = target.shape[0] // shape[0]
    if (
        len(shape) > 1
        and target.shape == (stacked_first * shape[0], *shape[1:])
        and _bounds_repeat(target, FIRST, stacked_first)
    ):
        yield Arrangement(stacked_first, FIRST)
    if len(shape) == 3 and _is_image(target):
        stacked = target.shape[0] // shape[2]
        if target.shape == (stacked * shape[2], *shape[:2]):
            yield Arrangement(stacked, LAST, transposed=True)


def _is_image(target: Target) -> bool:
    """What SB3 takes for an image, and therefore transposes."""
    return bool(target.dtype == np.uint8 and (target.low == 0).all() and (target.high == 255).all())


def _bounds_repeat(target: Target, axis: int, n_stack: int) -> bool:
    """VecFrameStack repeats each bound ``n_stack`` times along the stacking axis."""
    return all(
        (groups == groups[..., :1]).all()
        for groups in (_bound_groups(bound, axis, n_stack) for bound in (target.low, target.high))
    )


def _is_evident(way: Arrangement, target: Target) -> bool:
    """Images and planes stack visibly; for vectors, a multiple of the length could just as well be another environment."""
    if len(target.shape) == 3:
        return True
    groups = (_bound_groups(bound, way.axis, way.n_stack) for bound in (target.low, target.high))
    return any((group != group.flat[0]).any() for group in groups)


def _bound_groups(bound: np.ndarray, axis: int, n_stack: int) -> np.ndarray:
    moved = np.moveaxis(bound, axis, LAST)
    return moved.reshape(*moved.shape[:-1], -1, n_stack)


def _readings_of_bounds(target: Target, arrangement: Arrangement) -> Iterator[Bounds]:
    """The bounds of a recorded observation.

    VecFrameStack repeats bounds element by element, but puts whole frames one after the other. So the bounds of a space that
    may be stacked are read in both ways if the data already has its shape.
    """
    if arrangement != Arrangement():
        yield _of_one_frame(target.low, arrangement), _of_one_frame(target.high, arrangement)
        return
    yield target.low, target.high
    for n_stack in range(2, target.shape[LAST] + 1 if target.shape else 0):
        if target.shape[LAST] % n_stack == 0 and _bounds_repeat(target, LAST, n_stack):
            frame = Arrangement(n_stack, LAST)
            low, high = (np.concatenate([_of_one_frame(bound, frame)] * n_stack, LAST) for bound in (target.low, target.high))
            yield low, high


def _of_one_frame(bound: np.ndarray, arrangement: Arrangement) -> np.ndarray:
    """The bound in the shape of a recorded observation."""
    if arrangement.transposed:
        bound = np.moveaxis(bound, FIRST, LAST)
    frame: np.ndarray = np.take(bound, range(0, bound.shape[arrangement.axis], arrangement.n_stack), arrangement.axis)
    return frame


def _check_stacks(array: np.ndarray, n_stack: int, field: Field) -> None:
    """Check data that are stacked already: the older frames of each stack are the newer ones of the stack before.

    :raises ExpertDataError: names the first stack that does not follow from the one before
    """
    axes = [axis for axis in sorted({1, array.ndim - 1}) if array.shape[axis] % n_stack == 0]
    breaks = [_first_break(array, n_stack, axis, field.offsets) for axis in axes]
    first = max((row for row in breaks if row is not None), default=0)
    if None in breaks or not breaks:
        return
    raise ExpertDataError(
        f"{place(first, field.offsets)}: {field.name} has the shape of {n_stack} stacked frames, but its older ones are not "
        f"those of the step before. {SINGLE_FRAMES}"
    )


def _first_break(array: np.ndarray, n_stack: int, axis: int, offsets: np.ndarray) -> int | None:
    """The first row whose older frames, along an axis, are not the newer ones of the row before, None if there is none."""
    frames = array.reshape(*array.shape[:axis], n_stack, -1, *array.shape[axis + 1 :])
    older, newer = (np.moveaxis(frames, axis, 1)[:, part] for part in (slice(None, -1), slice(1, None)))
    following = np.setdiff1d(np.arange(len(array)), offsets)
    # of the last step of an episode, a replay buffer under VecNormalize holds what rounding and clipping have left
    inner = np.setdiff1d(following, offsets - 1)
    checked = inner if len(inner) else following
    for start in range(0, len(checked), AT_ONCE):
        rows = checked[start : start + AT_ONCE]
        differs = (older[rows] != newer[rows - 1]).reshape(len(rows), -1).any(axis=1)
        if differs.any():
            return int(rows[np.argmax(differs)])
    return None


def _stacked(array: np.ndarray, offsets: np.ndarray, arrangement: Arrangement) -> np.ndarray:
    """Each observation with the ones before it, oldest first; zeros before the start of a trajectory."""
    n_stack, axis = arrangement.n_stack, arrangement.axis
    rows = np.arange(len(array))
    positions = rows - np.repeat(offsets[:-1], np.diff(offsets))
    frames = np.zeros((n_stack, *array.shape), array.dtype)
    for slot in range(n_stack):
        age = n_stack - 1 - slot
        present = positions >= age
        frames[slot, present] = array[rows[present] - age]
    return np.concatenate(list(frames), axis=axis if axis == LAST else 1)
