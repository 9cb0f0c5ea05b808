"""Transitions across a reset: what an auto-resetting vector environment yields, recorded as it stands."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np

from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError
from sb3_diiqn.expert.pairs import Pairs, continues, distances, join_pairs, warn_of_single_steps
from sb3_diiqn.expert.types import TrajectoryArrays, arrays_of, take

AcrossResets: TypeAlias = Literal["error", "drop_last", "drop_first", "keep"]
"""What is done with transitions across a reset, see :meth:`ExpertObservations.from_transitions`."""

ROWS = 1000
"""So many resets are looked at to tell how the environment resets."""

SAME_STEP = (
    "so the step into each episode's last observation is missing. That observation is in infos[i]['terminal_observation'] of "
    "Stable-Baselines3, and in infos['final_obs'] (or 'final_observation') of Gymnasium: record again with ExpertRecorder, "
    "which reads it, or pass across_resets='drop_last' to leave each episode's last transition out"
)
NEXT_STEP = (
    "as Gymnasium's AutoresetMode.NEXT_STEP yields it, where the action is ignored: record again with ExpertRecorder, which "
    "leaves it out, or pass across_resets='drop_first' to leave the transition after each episode's end out"
)
KEEP = "If the expert really went there, pass across_resets='keep'."


def join_in_order(pairs: Pairs, across_resets: AcrossResets, tolerance: float = 0.0) -> TrajectoryArrays:
    """Join pairs that continue each other into trajectories, none of which crosses a reset.

    :param pairs: all transitions
    :param across_resets: see :meth:`ExpertObservations.from_transitions`
    :param tolerance: how far apart two elements of equal observations may be
    :raises ExpertDataError: if there are transitions across a reset, and they are not to be left out or kept
    """
    pairs = without_resets(pairs, across_resets, tolerance)
    warn_of_single_steps(pairs, tolerance)
    return join_pairs(pairs, tolerance)


def without_resets(pairs: Pairs, across_resets: AcrossResets, tolerance: float = 0.0) -> Pairs:
    """Refuse or leave out transitions across a reset.

    They are there if, for most episodes that ended, the observation in which they ended is the one of the next row.

    :param pairs: all transitions
    :param across_resets: see :meth:`ExpertObservations.from_transitions`
    :param tolerance: how far apart two elements of equal observations may be
    :raises ExpertDataError: if there are some, and they are not to be left out or kept
    """
    if across_resets not in get_args(AcrossResets):
        raise ConfigurationError(f"across_resets={across_resets!r}: it must be 'error', 'drop_last', 'drop_first' or 'keep'")
    if across_resets == "drop_last":
        return _without_last(pairs)
    if across_resets == "drop_first":
        return _chosen(pairs, ~np.append(False, pairs.ended[:-1]))
    if across_resets == "error":
        _refuse(pairs, tolerance)
    return pairs


def _without_last(pairs: Pairs) -> Pairs:
    """Without the last transition of each episode: all of them are cut one step before, none is known to have ended."""
    cut = pairs._replace(ended=np.append(pairs.ended[1:], False), terminated=np.zeros(len(pairs.ended), bool))
    return _chosen(cut, ~pairs.ended)


def _chosen(pairs: Pairs, rows: np.ndarray) -> Pairs:
    if not rows.any():
        raise ExpertDataError("No transition is left without those across a reset: record the expert with ExpertRecorder")
    return pairs.chosen(rows)


def _refuse(pairs: Pairs, tolerance: float) -> None:
    borders = np.flatnonzero(pairs.ended[:-1])
    crossing = borders[continues(pairs, tolerance)[borders]]
    if 2 * len(crossing) <= len(borders) or _is_one_state(pairs):
        return
    same = (
        f"After {len(crossing)} of {len(borders)} episodes (the first ends with transition {crossing[0]}) next_observations "
        "holds the first observation of the next episode, "
    )
    following = (
        f"After {len(crossing)} of {len(borders)} episodes (the first ends with transition {crossing[0]}) a transition leads "
        "from the last observation to the first one of the next episode, "
    )
    mode = _mode(pairs, crossing)
    if mode is None:
        raise ExpertDataError(f"One of two: {same}{SAME_STEP}. Or: {following}{NEXT_STEP}. {KEEP}")
    raise ExpertDataError(f"{same}{SAME_STEP}. {KEEP}" if mode == "same_step" else f"{following}{NEXT_STEP}. {KEEP}")


def _is_one_state(pairs: Pairs) -> bool:
    """All observations are equal, so that a last one cannot look otherwise than a first one."""
    return all(
        bool((array == array[:1]).all() and (arrays_of(pairs.next_observations)[key] == array[:1]).all())
        for key, array in arrays_of(pairs.observations).items()
    )


def _mode(pairs: Pairs, crossing: np.ndarray) -> Literal["same_step", "next_step"] | None:
    """In which step the environment reset: that of the episode's end, or the one after it; None if that cannot be told."""
    after = crossing + 1
    if pairs.rewards is not None:
        if pairs.rewards[after].any():
            return "same_step"
        others = np.delete(pairs.rewards, after)
        if 2 * np.count_nonzero(others) > len(others):
            return "next_step"
    # the one of the two steps that leads farther is the reset
    rows = crossing[:: len(crossing) // ROWS + 1]
    around = np.concatenate([rows, rows + 1])
    spread = {key: _spread(array[around]) for key, array in arrays_of(pairs.observations).items()}
    last, first = (
        float(np.median(distances(take(pairs.observations, at), take(pairs.next_observations, at), spread)))
        for at in (rows, rows + 1)
    )
    if last == first:
        return None
    return "same_step" if last > first else "next_step"


def _spread(array: np.ndarray) -> np.ndarray:
    spread = np.ptp(array.astype(np.float64), axis=0)
    return np.where(spread > 0, spread, 1.0)
