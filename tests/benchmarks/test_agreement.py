"""How well the expert's actions are known: against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3 import DQN

from benchmarks.agreement import ActionAgreement
from sb3_diiqn import DIIQN, PAPER
from tests.helpers import LineEnv, right_walks

RIGHT = 1


def learner(**settings: object) -> DIIQN:
    model = DIIQN(
        "MlpPolicy", LineEnv(), expert_data=right_walks(), learning_starts=50, buffer_size=1000, seed=0, device="cpu",
        **settings,  # type: ignore[arg-type]
    )  # fmt: skip
    return model.learn(600)


def test_the_published_method_knows_what_it_inferred() -> None:
    model = learner(**PAPER)
    model.update_confidence()
    n = len(right_walks())
    agreement = ActionAgreement(np.full(n, RIGHT))(model)
    assert agreement.keys() == {"inferred", "plausible", "expected"}
    assert agreement["inferred"] == agreement["plausible"] == 1.0
    wrong = ActionAgreement(np.full(n, 1 - RIGHT))(model)
    assert wrong["inferred"] == 0.0


@pytest.mark.slow
def test_a_clone_is_compared_too() -> None:
    model = learner()
    n = len(right_walks())
    agreement = ActionAgreement(np.full(n, RIGHT))(model)
    assert agreement["cloned"] > 0.9
    assert ActionAgreement(np.full(n, 1 - RIGHT))(model)["cloned"] == pytest.approx(1 - agreement["cloned"])


def test_a_model_that_has_learned_nothing() -> None:
    model = DIIQN("MlpPolicy", LineEnv(), expert_data=right_walks(), device="cpu")
    agreement = ActionAgreement(np.full(len(right_walks()), RIGHT))(model)
    assert agreement.keys() == {"plausible", "expected"}


def test_what_is_expected_is_the_probability_of_the_plausible_actions() -> None:
    model = DIIQN("MlpPolicy", LineEnv(), expert_data=right_walks(), device="cpu")
    n = len(right_walks())
    probabilities = np.tile([0.2, 0.8], (n, 1))
    model.learner.inference.probabilities = lambda rows: probabilities[: len(rows.indices)]  # type: ignore[method-assign, union-attr]
    agreement = ActionAgreement(np.full(n, RIGHT))(model)
    assert agreement["expected"] == pytest.approx(0.8)
    assert agreement["plausible"] == 1.0


def test_nothing_is_known_of_other_algorithms_or_without_an_expert() -> None:
    compare = ActionAgreement(np.full(10, RIGHT))
    assert compare(DQN("MlpPolicy", LineEnv(), device="cpu")) == {}
    assert compare(DIIQN("MlpPolicy", LineEnv(), device="cpu")) == {}


def test_the_sample_is_drawn_once_and_without_repetition() -> None:
    compare = ActionAgreement(np.arange(50), n_samples=20)
    assert len(np.unique(compare.indices)) == 20
    np.testing.assert_array_equal(compare.indices, ActionAgreement(np.arange(50), n_samples=20).indices)
    np.testing.assert_array_equal(compare.actions, compare.indices)
    np.testing.assert_array_equal(ActionAgreement(np.arange(7)).indices, np.arange(7))
