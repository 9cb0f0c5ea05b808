"""Search spaces: what is suggested can be trained with, and a trial's parameters give the same arguments again."""

from __future__ import annotations

import inspect
from typing import Any

import optuna
import pytest
from stable_baselines3 import DQN

from sb3_diiqn import DIIQN, HADIIQN, QRDIIQN
from sb3_diiqn.zoo.search_spaces import BRIDGING_SPACE, DQN_SPACE, IMITATION_SPACE, OWN_SPACES, convert, sampler
from tests.helpers import LineEnv, right_walks

ALGORITHMS = {"diiqn": DIIQN, "hadiiqn": HADIIQN, "qrdiiqn": QRDIIQN}


class EndOfRange:
    """A trial that suggests the lowest or the highest value of everything."""

    def __init__(self, highest: bool) -> None:
        self.highest = highest

    def suggest_int(self, name: str, low: int, high: int, *, log: bool, step: float | None = None) -> int:
        return high if self.highest else low

    suggest_float = suggest_int

    def suggest_categorical(self, name: str, choices: tuple[str | float, ...]) -> str | float:
        return choices[-1 if self.highest else 0]


def test_conversion() -> None:
    sampled = {"one_minus_gamma": 0.25, "batch_size_pow": 6, "learning_rate": 0.001}
    assert convert(sampled) == {"gamma": 0.75, "batch_size": 64, "learning_rate": 0.001}
    assert sampled == {"one_minus_gamma": 0.25, "batch_size_pow": 6, "learning_rate": 0.001}, "the trial keeps its own"


@pytest.mark.parametrize(
    ("train_freq_pow", "steps_per_update_pow", "train_freq", "gradient_steps"),
    [(4, 0, 16, 16), (4, 3, 16, 2), (0, 0, 1, 1), (1, 3, 2, 1)],
)
def test_updates_per_step(train_freq_pow: int, steps_per_update_pow: int, train_freq: int, gradient_steps: int) -> None:
    converted = convert({"train_freq_pow": train_freq_pow, "steps_per_update_pow": steps_per_update_pow})
    assert converted == {"train_freq": train_freq, "gradient_steps": gradient_steps}


@pytest.mark.parametrize("highest", [False, True])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ends_of_all_ranges_can_be_trained_with(algorithm: str, highest: bool) -> None:
    trial: Any = EndOfRange(highest)
    arguments = sampler({**DQN_SPACE, **OWN_SPACES[algorithm]})(trial, 0, 1, {})
    assert "policy_kwargs" not in arguments and "policy" not in arguments, "the network stays that of the yml file"
    model = ALGORITHMS[algorithm](
        "MlpPolicy", LineEnv(), expert_data=right_walks(), buffer_size=100, device="cpu", **arguments
    )
    for name, value in arguments.items():
        if name not in {"train_freq", "learning_rate"}:
            assert getattr(model, name) == value
    assert model.train_freq.frequency == arguments["train_freq"]  # type: ignore[union-attr]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_parameters_of_a_trial_give_the_same_arguments(algorithm: str) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(5):
        trial = study.ask()
        arguments = sampler({**DQN_SPACE, **OWN_SPACES[algorithm]})(trial, 0, 1, {})
        assert convert(trial.params) == arguments


def test_what_is_nested_is_flat_while_it_is_tuned() -> None:
    assert convert({"n_neighbors": 3, "bridge_length": 2, "one_minus_similarity_threshold": 0.25, "margin": 0.3}) == {
        "matching_kwargs": {"n_neighbors": 3, "similarity_threshold": 0.75},
        "bridge_kwargs": {"bridge_length": 2},
        "margin": 0.3,
    }


def test_own_arguments_are_those_that_dqn_does_not_have() -> None:
    dqn = inspect.signature(DQN.__init__).parameters
    own = convert(dict.fromkeys({**IMITATION_SPACE, **BRIDGING_SPACE}, 0))
    assert not own.keys() & dqn.keys()
    assert convert(dict.fromkeys(DQN_SPACE, 1)).keys() <= dqn.keys()
    assert convert(dict.fromkeys(IMITATION_SPACE, 0)).keys() <= inspect.signature(DIIQN.__init__).parameters.keys()
    assert convert(dict.fromkeys(BRIDGING_SPACE, 0)).keys() <= inspect.signature(HADIIQN.__init__).parameters.keys()
