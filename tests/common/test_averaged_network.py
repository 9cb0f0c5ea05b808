"""The mean of a Q-network over its latest updates, alone, and as what a model predicts with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3 import DQN
from stable_baselines3.common.save_util import load_from_zip_file

from sb3_diiqn import DIIQN, PAPER
from sb3_diiqn.common.averaged_network import AveragedNetwork
from tests.diiqn.test_copying import make_qrdiiqn
from tests.helpers import LENGTH, LineEnv, q_values, right_walks, walk
from tests.imitation.conftest import make

OBSERVATIONS = walk(range(LENGTH))
NAME = "imitation.averaged_network"


def policy_of(**policy_kwargs: Any) -> Any:
    return DQN("MlpPolicy", LineEnv(), policy_kwargs={"net_arch": [4], **policy_kwargs}, device="cpu").policy


def fill(network: th.nn.Module, value: float) -> None:
    with th.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)


def value_in(policy: Any) -> float:
    (value,) = {float(number) for parameter in policy.q_net.parameters() for number in parameter.detach().flatten()}
    return value


def mean_of(averaged: AveragedNetwork, policy: Any) -> float:
    with averaged.in_use():
        return value_in(policy)


def test_it_is_the_mean_of_the_latest_twentieth() -> None:
    """Against the sum of all that there was, with the weight that each has: 20 / n when it comes, less with each later one."""
    policy = policy_of()
    averaged = AveragedNetwork(policy, "q_net")
    values = np.random.default_rng(0).normal(size=400)
    for value in values:
        fill(policy.q_net, value)
        averaged.note_updates(averaged.every)
    rates = np.minimum(1.0, 20.0 / np.arange(1, 401))
    weights = np.array([rate * np.prod(1.0 - rates[number + 1 :]) for number, rate in enumerate(rates)])
    assert weights.sum() == pytest.approx(1.0)
    assert mean_of(averaged, policy) == pytest.approx(weights @ values, abs=1e-5)
    # about a twentieth of them ago on average
    assert 399 - weights @ np.arange(400) == pytest.approx(0.05 * 400, rel=0.15)
    assert value_in(policy) == pytest.approx(values[-1]), "the network itself stays as it is"


def test_a_few_updates_are_taken_together() -> None:
    policy = policy_of()
    averaged = AveragedNetwork(policy, "q_net")
    fill(policy.q_net, 1.0)
    averaged.note_updates(averaged.every - 1)
    assert averaged.state_dict()["n_taken"] == 0
    averaged.note_updates(1)
    assert mean_of(averaged, policy) == 1.0
    fill(policy.q_net, 2.0)
    averaged.note_updates(averaged.every - 1)
    assert mean_of(averaged, policy) == 1.0


def test_the_network_comes_back_after_an_error() -> None:
    policy = policy_of()
    averaged, network = AveragedNetwork(policy, "q_net"), policy.q_net
    with pytest.raises(KeyError), averaged.in_use():
        assert policy.q_net is not network
        raise KeyError
    assert policy.q_net is network


def test_it_predicts_while_the_network_itself_is_not_in_training() -> None:
    """Dropout and the like are off in both, whichever of the two acts next."""
    policy = policy_of()
    averaged = AveragedNetwork(policy, "q_net")
    policy.set_training_mode(True)
    with averaged.in_use():
        assert not policy.q_net.training
    assert not policy.training and not policy.q_net.training


def greedy(values: th.Tensor) -> list[int]:
    return (values if values.dim() == 2 else values.mean(dim=1)).argmax(dim=1).tolist()


def turned_over(model: Any) -> Any:
    """Let the network itself prefer the opposite of what the mean prefers."""
    network = getattr(model, "quantile_net", None) or model.q_net
    with th.no_grad():
        for parameter in list(network.parameters())[-2:]:
            parameter.mul_(-1)
    return model


@pytest.mark.parametrize("maker", [lambda: make(right_walks()), make_qrdiiqn], ids=["DIIQN", "QRDIIQN"])
def test_a_model_predicts_with_the_mean_and_explores_with_the_network(maker: Any) -> None:
    model = turned_over(maker().learn(100))
    mean, own = q_values(model), q_values(model, averaged=False)
    assert greedy(mean) != greedy(own)
    assert model.predict(OBSERVATIONS, deterministic=True)[0].tolist() == greedy(mean)
    model._last_obs = OBSERVATIONS
    assert model._greedy_actions().tolist() == greedy(own)


def test_an_own_way_to_predict_explores_with_the_network_too() -> None:
    class Own(DIIQN):
        def predict(self, *args: Any, **kwargs: Any) -> Any:
            actions, state = super().predict(*args, **kwargs)
            return 1 - actions, state

    model = turned_over(Own("MlpPolicy", LineEnv(), expert_data=right_walks(), learning_starts=10, seed=0).learn(100))
    mean, own = greedy(q_values(model)), greedy(q_values(model, averaged=False))
    assert model.predict(OBSERVATIONS, deterministic=True)[0].tolist() == [1 - action for action in mean]
    model._last_obs = OBSERVATIONS
    assert model._greedy_actions().tolist() == [1 - action for action in own]


@pytest.mark.parametrize("arguments", [{"expert_data": None}, {"expert_data": right_walks(), **PAPER}])
def test_what_is_as_published_has_none(arguments: dict[str, Any]) -> None:
    model = DIIQN("MlpPolicy", LineEnv(), seed=0, **arguments)
    assert NAME not in model.get_parameters()
    turned_over(model)
    assert model.predict(OBSERVATIONS, deterministic=True)[0].tolist() == greedy(q_values(model, averaged=False))


@pytest.mark.parametrize("with_data", [True, False])
def test_a_loaded_model_predicts_as_before(with_data: bool, tmp_path: Path) -> None:
    model = turned_over(make(right_walks()).learn(100))
    expected = q_values(model)
    model.save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model", **({"expert_data": right_walks()} if with_data else {}))
    assert th.equal(q_values(loaded), expected)
    assert loaded.predict(OBSERVATIONS, deterministic=True)[0].tolist() == greedy(expected)
    # and again
    loaded.save(tmp_path / "again")
    again = DIIQN.load(tmp_path / "again")
    assert th.equal(q_values(again), expected)


def test_a_file_without_the_mean_begins_with_its_network() -> None:
    model = make(right_walks()).learn(100)
    parameters = {name: state for name, state in model.get_parameters().items() if name != NAME}
    other = make(right_walks(), seed=5).learn(100)
    other.set_parameters(parameters)
    assert th.equal(q_values(other), q_values(model, averaged=False))


def test_a_training_that_goes_on_goes_on_averaging(tmp_path: Path) -> None:
    model = make(right_walks()).learn(200)
    model.save(tmp_path / "model")
    _, parameters, _ = load_from_zip_file(tmp_path / "model")
    assert parameters[NAME]["n_taken"] == model._n_updates // AveragedNetwork.every > 0
    loaded = DIIQN.load(tmp_path / "model", expert_data=right_walks())
    assert loaded.get_parameters()[NAME]["n_taken"] == parameters[NAME]["n_taken"]


def test_the_exported_model_has_the_mean() -> None:
    model = turned_over(make(right_walks()).learn(100))
    own = q_values(model, averaged=False)
    plain = model.to_dqn()
    assert th.equal(q_values(plain, averaged=False), q_values(model))
    assert th.equal(q_values(model, averaged=False), own)
