"""An update: the agent's loss, what the expert adds to it, and what comes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import DIIQN, HADIIQN, PAPER, ExpertObservations
from sb3_diiqn.imitation.config import WHERE_STATES_REPEAT, WHERE_STATES_VARY, Habits
from sb3_diiqn.losses import ConfidenceWeighted, ExpertTD, ImitateExpert, ImitateGuide
from tests.helpers import LENGTH, RIGHT, TINY, LineEnv, Unpaid, right_walks, walk, with_habits
from tests.imitation.line_models import BASE, INVERSE, PLAIN, learner_of, make, parameters_of


def test_the_loss_of_imitation_is_added_to_that_of_the_paper() -> None:
    """One update with and one without, from the same weights and the same draws: the difference of the losses is the margin's."""
    losses = []
    for weight in (0.0, 2.0):
        model = make(imitation_coef=weight, learning_rate=0.0, learning_starts=100)
        # early in so long a training, the margin loss has its whole weight
        model.learn(10**9, callback=lambda variables, _: variables["self"].num_timesteps < 99)
        np.random.seed(0)  # noqa: NPY002 - what the buffer draws with
        model.train(gradient_steps=1, batch_size=16)
        losses.append(model.logger.name_to_value["train/loss"])
    expert = right_walks()
    indices = np.random.default_rng([3, 3]).integers(len(expert), size=learner_of(model).sampler.updates_at_once * 16)[:16]
    q_values = model.q_net(th.as_tensor(expert.observations[expert.observation_index[indices]]))
    estimates = learner_of(model).infer(indices)
    assert estimates.plausible.argmax(axis=1).tolist() == [RIGHT] * 16
    falls_short = (0.8 + q_values[:, 1 - RIGHT] - q_values[:, RIGHT]).relu().detach().numpy()
    assert losses[1] - losses[0] == pytest.approx(2.0 * (estimates.certainty * falls_short).mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [ConfidenceWeighted]),
        ({"imitation_coef": 1.0}, [ConfidenceWeighted, ImitateExpert]),
        ({"expert_rewards": "recorded"}, [ConfidenceWeighted, ExpertTD]),
        ({"expert_rewards": "inferred"}, [ConfidenceWeighted, ExpertTD]),
    ],
)
def test_which_losses_there_are(arguments: dict[str, Any], expected: list[type]) -> None:
    rewards = [np.zeros(LENGTH - 1)]
    data = ExpertObservations.from_trajectories([walk(range(LENGTH))], rewards=rewards)
    assert [type(term) for term in learner_of(make(expert_data=data, **arguments)).losses] == expected


def test_the_guide_is_imitated_where_states_repeat_and_by_ha_diiqn() -> None:
    few, many = right_walks(n=2), right_walks(n=4)
    for algorithm, data, expected in ((DIIQN, few, False), (DIIQN, many, True), (HADIIQN, few, True)):
        model = algorithm("MlpPolicy", LineEnv(), **TINY, expert_data=data)
        kinds = [type(term) for term in learner_of(model).losses if not isinstance(term, ExpertTD)]
        assert kinds == [ConfidenceWeighted, ImitateExpert] + [ImitateGuide] * expected


def test_what_counts_for_nothing_is_not_even_sampled() -> None:
    model = make(imitation_coef=1.0).learn(100)
    learner = learner_of(model)
    sampled = []
    sample = learner.sampler.sample
    learner.sampler.sample = lambda: sampled.append(True) or sample()  # type: ignore[method-assign, func-returns-value]
    learner.update(16, progress_remaining=0.5)
    assert not sampled
    learner.update(16, progress_remaining=0.6)
    assert sampled == [True]


@pytest.mark.slow
@pytest.mark.parametrize("inference", ["nearest", "inverse_dynamics"])
def test_it_imitates_where_nothing_is_paid(inference: str) -> None:
    """Early in a long training, when the loss still has its weight."""
    changes = {"learning_rate": 0.01, "exploration_final_eps": 0.5, "gradient_steps": 4, "inference": inference}
    for weight, expected in ((0.0, False), (1.0, True)):
        arguments = {**BASE, **changes, "imitation_coef": weight}
        model = PLAIN("MlpPolicy", Unpaid(LineEnv()), expert_data=right_walks(), **arguments)
        model.learn(10_000, callback=lambda variables, _: variables["self"].num_timesteps < 400)
        actions, _ = model.predict(walk(range(LENGTH - 1)), deterministic=True)
        assert (actions == RIGHT).all() == expected


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [DIIQN, HADIIQN])
@pytest.mark.parametrize(("look", "n_envs"), [("dict", 1), ("vector", 3)])
def test_it_imitates_whatever_the_observations_and_the_algorithm(algorithm: Any, look: str, n_envs: int) -> None:
    env = DummyVecEnv([lambda: LineEnv(look)] * n_envs)
    policy = "MultiInputPolicy" if look == "dict" else "MlpPolicy"
    model = algorithm(policy, env, expert_data=right_walks(look), **{**TINY, "buffer_size": 1000, "gradient_steps": 4})
    model.learn(1000, callback=lambda variables, _: variables["self"].num_timesteps < 400)
    assert (model.predict(walk(range(LENGTH - 1), look), deterministic=True)[0] == RIGHT).all()


def test_nothing_is_learned_where_nothing_is_known() -> None:
    """Recordings of states that the agent never sees."""
    elsewhere = ExpertObservations.from_trajectories([np.full((4, 3), value, dtype=np.float32) for value in (0.0, 1.0)])
    with_margin = make(expert_data=elsewhere, imitation_coef=1.0)
    learner_of(with_margin).note_rewards(np.array([1.0]))  # else values are bounded by 0 until the goal is reached
    with_margin.learn(200)
    without = make(expert_data=elsewhere).learn(200)
    for one, other in zip(parameters_of(with_margin.q_net), parameters_of(without.q_net), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result() -> None:
    first, second = (make(**INVERSE, guide="matching").learn(300) for _ in range(2))
    for one, other in zip(parameters_of(first.q_net), parameters_of(second.q_net), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_expert_data_there_is_no_learner() -> None:
    model = DIIQN("MlpPolicy", LineEnv(), **TINY)
    assert model.learner is None and model.expert is None and model.knowledge is None
    assert model.expert_statistics() == {}
    model.update_confidence()


@pytest.mark.parametrize(
    ("habits", "arguments", "asks"),
    [
        (WHERE_STATES_REPEAT, {}, True),
        (WHERE_STATES_REPEAT, {"imitation_coef": 0.0}, True),
        (WHERE_STATES_REPEAT, {"inference": "inverse_dynamics"}, False),
        (WHERE_STATES_REPEAT, PAPER, False),
        (WHERE_STATES_VARY, {"inference": "nearest"}, False),
    ],
)
def test_what_the_expert_means_is_asked_where_states_repeat_and_not_by_the_published_method(
    habits: Habits, arguments: dict[str, Any], asks: bool
) -> None:
    model = with_habits(DIIQN, habits)("MlpPolicy", LineEnv(), **{**TINY, **arguments}, expert_data=right_walks())
    assert (model.knowledge.intentions is not None) == asks
