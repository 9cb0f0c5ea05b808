"""Whatever cannot work is refused by the constructor, with an error that names the value and says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sb3_diiqn import HADIIQN
from sb3_diiqn.envs import Maze2D
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError
from sb3_diiqn.inference import BridgingSettings
from tests.ha_diiqn.jumper import make
from tests.helpers import TINY
from tests.inference.bridging_worlds import record_king

NAN, INFINITY = float("nan"), float("inf")

OUT_OF_RANGE: list[tuple[str, Any, str]] = [
    ("infeasibility_threshold", -0.01, r"in \[0, 1\]"),
    ("infeasibility_threshold", 1.01, r"in \[0, 1\]"),
    ("infeasibility_threshold", NAN, r"in \[0, 1\]"),
    ("infeasibility_evidence", 0, "from 1 to 255"),
    ("infeasibility_evidence", 256, "from 1 to 255"),
    ("infeasibility_evidence", 1.5, "whole number"),
    ("bridge_length", 0, "at least 1"),
    ("bridge_length", -2, "at least 1"),
    ("bridge_length", 2.5, "whole number"),
    ("bridge_gain", 0, "at least 1"),
    ("bridge_gain", 0.5, "whole number"),
    ("bridge_patience", 0, "at least 1"),
    ("bridge_patience", 1.5, "whole number"),
    ("infeasibility_threshold", "low", ""),
    ("infeasibility_threshold", None, ""),
    ("infeasibility_evidence", None, ""),
    ("infeasibility_evidence", INFINITY, ""),
    ("bridge_length", "4", ""),
    ("bridge_length", None, ""),
    ("bridge_gain", NAN, ""),
    ("bridge_patience", INFINITY, ""),
]


@pytest.mark.parametrize(("name", "value", "fragment"), OUT_OF_RANGE)
@pytest.mark.parametrize("with_data", [True, False])
def test_arguments_out_of_range(name: str, value: Any, fragment: str, with_data: bool) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}={value!r}.*{fragment}"):
        make(bridge_kwargs={name: value}, **({} if with_data else {"expert_data": None}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("infeasibility_threshold", 0),
        ("infeasibility_threshold", 1),
        ("infeasibility_evidence", 1),
        ("infeasibility_evidence", 255),
        ("bridge_length", 1),
        ("bridge_gain", 10**6),
        ("bridge_patience", 1),
        ("bridge_length", np.int64(3)),
    ],
)
def test_the_bounds_themselves_are_allowed(name: str, value: Any) -> None:
    assert getattr(BridgingSettings(**{name: value}), name) == value


def test_what_diiqn_refuses_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="guide_fraction=2"):
        make(guide_fraction=2)
    with pytest.raises(ConfigurationError, match="optimize_memory_usage=True"):
        make(optimize_memory_usage=True)


def test_an_unknown_argument() -> None:
    with pytest.raises(TypeError, match="bridge_kwarg"):
        make(bridge_kwarg={})


@pytest.mark.parametrize("with_data", [True, False])
@pytest.mark.parametrize(
    ("value", "fragment"),
    [
        ({"bridge_lenght": 3}, "bridge_kwargs has the key 'bridge_lenght': it may have .*'bridge_length'"),
        ({"n_neighbors": 3}, "bridge_kwargs has the key 'n_neighbors'"),
        (3, "bridge_kwargs=3: it must be a dictionary, or None"),
    ],
    ids=str,
)
def test_bridge_settings_that_there_are_not(value: Any, fragment: str, with_data: bool) -> None:
    with pytest.raises(ConfigurationError, match=fragment):
        make(bridge_kwargs=value, **({} if with_data else {"expert_data": None}))


@pytest.mark.parametrize("observation", ["one_hot", "image", "coordinates"])
def test_expert_data_from_a_larger_maze(observation: str) -> None:
    larger = Maze2D(size=9, layout_seed=0, observation=observation)
    smaller = Maze2D(size=6, layout_seed=0, observation=observation)
    with pytest.raises(ExpertDataError, match=r"trajectory 0, step \d+|shape"):
        HADIIQN("MlpPolicy", smaller, **TINY, expert_data=record_king(larger, seed=0, randomness=0.0))
    if observation != "coordinates":  # where a smaller maze's are as good as any
        with pytest.raises(ExpertDataError, match="shape"):
            HADIIQN("MlpPolicy", larger, **TINY, expert_data=record_king(smaller, seed=0, randomness=0.0))


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"actions": "queen"}, "actions='queen' is unknown"),
        ({"actions": []}, "actions is empty"),
        ({"actions": ["N"]}, "No path leads from the start"),
        ({"layout": "#####\n#S#G#\n#####"}, "No path leads from the start"),
    ],
)
def test_mazes_that_cannot_be(arguments: dict[str, Any], fragment: str) -> None:
    with pytest.raises(ConfigurationError, match=fragment):
        Maze2D(**{"layout": "#####\n#S.G#\n#####", **arguments})
