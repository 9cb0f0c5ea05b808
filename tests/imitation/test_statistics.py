"""What a training says of itself: one line, and numbers for the log."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.env_util import make_vec_env

from sb3_diiqn import DIIQN, HADIIQN, PAPER
from sb3_diiqn.exceptions import ExpertDataWarning
from sb3_diiqn.imitation.network_training import NetworkTraining
from sb3_diiqn.imitation.statistics import network_statistics
from sb3_diiqn.imitation.units import stored_steps
from sb3_diiqn.inference import ActionEstimates
from tests.ha_diiqn.jumper import BRIDGING
from tests.helpers import LENGTH, LineEnv, global_random_state, right_walks, walk
from tests.imitation.line_models import learner_of

OF_NETWORKS = {
    "inverse_dynamics_accuracy",
    "inverse_dynamics_certainty",
    "inverse_dynamics_loss",
    "clone_agreement",
    "clone_loss",
}
OF_REWARDS = {"reward_error", "reward_loss"}
OF_IMITATION = {"imitation_weight", "imitation_loss", "imitation_margin"}
OF_GUIDE = {"guided_steps", "guide_episodes", "guide_is_better"}
OF_CONFIDENCE = {"confidence", "inferred", "trained"}


def make(look: str = "vector", algorithm: type[DIIQN] = DIIQN, **settings: Any) -> DIIQN:
    """By default with networks and a clone: the recordings are too short to say that states repeat."""
    fixed: dict[str, Any] = {"learning_starts": 20, "train_freq": 1, "buffer_size": 1000, "seed": 0, "device": "cpu"}
    policy = "MultiInputPolicy" if look == "dict" else "MlpPolicy"
    arguments = {"expert_data": right_walks(look), **fixed, **settings}
    return algorithm(policy, LineEnv(look), **arguments)


@pytest.mark.slow
def test_the_default_says_what_its_parts_do() -> None:
    model = make().learn(1000)
    statistics = model.expert_statistics()
    assert statistics.keys() >= OF_NETWORKS | OF_REWARDS | OF_IMITATION | OF_GUIDE
    for name in statistics.keys() - {"guide_return", "own_return"}:
        assert statistics[name] >= 0
    for name in (*OF_GUIDE, "inverse_dynamics_accuracy", "inverse_dynamics_certainty", "clone_agreement", "matched"):
        assert statistics[name] <= 1
    # six states in a line are easily told apart
    assert statistics["inverse_dynamics_accuracy"] > 0.9
    assert statistics["inverse_dynamics_certainty"] > 0.9
    assert statistics["clone_agreement"] == 1


@pytest.mark.slow
def test_losses_are_means_since_the_last_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NetworkTraining, "intervals", (1, 1))
    model = make().learn(100)
    model.expert_statistics()
    assert not {"imitation_loss", "clone_loss", "inverse_dynamics_loss"} & model.expert_statistics().keys()
    losses: list[float] = []
    inference = learner_of(model).inference
    learn = inference.learn
    inference.learn = lambda *batch: losses.append(learn(*batch)) or losses[-1]  # type: ignore[method-assign, func-returns-value]
    model.train(gradient_steps=5, batch_size=16)
    assert len(losses) == 5
    assert model.expert_statistics()["inverse_dynamics_loss"] == pytest.approx(np.mean(losses))


@pytest.mark.parametrize(
    "arguments, there, absent",
    [
        (PAPER, OF_CONFIDENCE, OF_NETWORKS | OF_REWARDS | OF_IMITATION | OF_GUIDE | {"guided_steps", "own_return"}),
        (BRIDGING, OF_CONFIDENCE | OF_IMITATION | OF_GUIDE, OF_NETWORKS),
    ],
)
def test_nothing_is_said_of_parts_that_are_not_in_use(arguments: dict[str, Any], there: set[str], absent: set[str]) -> None:
    statistics = make(**arguments).learn(100).expert_statistics()
    assert there <= statistics.keys()
    assert not absent & statistics.keys()


@pytest.mark.slow
def test_what_can_only_be_0_is_left_out() -> None:
    """Expert states between the agent's: near enough to match, and never equal."""
    between = (walk(range(LENGTH)) + walk([0, 0, 1, 2, 3, 4])) / 2
    expert = type(right_walks()).from_trajectories([between.astype(np.float32)[1:]])
    model = make(expert_data=expert, matching_kwargs={"similarity_threshold": 0.5}).learn(200)
    statistics = model.expert_statistics()
    assert not OF_CONFIDENCE & statistics.keys()
    assert statistics["matched"] > 0
    assert make(**PAPER, expert_data=expert).learn(200).expert_statistics().keys() >= OF_CONFIDENCE
    assert make().learn(200).expert_statistics().keys() >= OF_CONFIDENCE, "where states are equal, they are not 0"


@pytest.mark.slow
@pytest.mark.parametrize("n_envs", [1, 3])
def test_accuracy_is_that_of_the_newest_transitions(n_envs: int) -> None:
    model = DIIQN(
        "MlpPolicy",
        make_vec_env(LineEnv, n_envs),
        expert_data=right_walks(),
        learning_starts=20,
        buffer_size=900,
        device="cpu",
    ).learn(600)
    buffer: Any = model.replay_buffer
    buffer.actions[:] = np.random.default_rng(0).integers(2, size=buffer.actions.shape)
    steps = stored_steps(buffer)[-(128 // n_envs) :]
    # a network that always says "right", whatever it is asked
    network: Any = learner_of(model).inference.network
    network.probabilities = lambda before, after: np.tile([0.0, 1.0], (len(before), 1))
    expected = (buffer.actions[steps, :, 0] == 1).mean()
    assert 0 < expected < 1
    assert network_statistics(learner_of(model))["inverse_dynamics_accuracy"] == pytest.approx(expected)


def test_agreement_counts_as_far_as_the_expert_is_known() -> None:
    model = make().learn(100)
    learner = learner_of(model)
    n = len(learner.knowledge.expert)
    known = np.arange(n) < n // 2
    plausible = np.stack([~known, np.ones(n, dtype=bool)], axis=1)  # right, and where nothing is known, either
    learner.infer = lambda indices: ActionEstimates(plausible, known.astype(float))  # type: ignore[method-assign]
    learner.clone_probabilities = lambda observations: np.tile([0.9, 0.1], (n, 1))  # type: ignore[method-assign]
    assert network_statistics(learner)["clone_agreement"] == 0  # wrong wherever it is known
    learner.clone_probabilities = lambda observations: np.tile([0.1, 0.9], (n, 1))  # type: ignore[method-assign]
    assert network_statistics(learner)["clone_agreement"] == 1
    learner.infer = lambda indices: ActionEstimates(plausible, np.zeros(n))  # type: ignore[method-assign]
    assert "clone_agreement" not in network_statistics(learner)


@pytest.mark.slow
@pytest.mark.parametrize("look", ["vector", "dict"])
def test_asking_changes_nothing_that_is_learned(look: str) -> None:
    def parameters(model: DIIQN, asking: bool) -> list[th.Tensor]:
        def ask(*_: Any) -> bool:
            if asking:
                model.expert_statistics()
            return True

        model.learn(120, callback=ask)
        networks = [model.q_net, *learner_of(model).networks.values()]
        return [value for network in networks for value in network.state_dict().values()]

    plain = parameters(make(look), asking=False)
    state = global_random_state()
    for one, other in zip(parameters(make(look), asking=True), plain, strict=True):
        assert th.equal(one, other)
    assert global_random_state() == state


def test_one_line_says_what_is_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    make(verbose=1, tensorboard_log=None).learn(1)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "learning from" in line]
    assert line.startswith("DIIQN: learning from ExpertObservations(2 trajectories, 10 transitions")
    for part in ("RangeDistance", "0.97", "InverseDynamics", "guide 'both'", "80% of episodes", "loss with weight 1"):
        assert part in line
    make("vector", HADIIQN, verbose=1, **PAPER).learn(1)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "learning from" in line]
    for part in ("HADIIQN: ", "nearest transitions;", "no guide", "no imitation loss"):
        assert part in line


def first_numbers(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compares the first numbers of observations only, which are fifths here."""
    return np.abs(first[:, np.newaxis, 0] - second[np.newaxis, :, 0])


@pytest.mark.parametrize("threshold, fraction", [(0.9, "0.0%"), (0.8, "33.3%"), (0.6, "60.0%")])
def test_the_line_names_the_fraction_of_distinct_pairs_that_match(
    threshold: float, fraction: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six states make 15 pairs: none is within a tenth, the 5 of neighbours within a fifth, and 4 more within two."""
    matching = {"similarity_metric": first_numbers, "similarity_threshold": threshold}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExpertDataWarning)
        make(verbose=1, matching_kwargs=matching).learn(1)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "learning from" in line]
    assert f"similarity of {threshold:g} on, as {fraction} of the pairs of distinct expert states do;" in line


def test_silence_without_verbose_and_without_expert_data(capsys: pytest.CaptureFixture[str]) -> None:
    make().learn(1)
    make(verbose=1, expert_data=None).learn(1)
    assert "learning from" not in capsys.readouterr().out
